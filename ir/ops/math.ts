/** Elementary functions of floating-point numbers, element by element. */
import type { NoAttrs, OpDef } from "../op.ts";
import { elementwise, filled } from "./factory.ts";

export const sqrt: OpDef<"sqrt", 1, NoAttrs> = elementwise("sqrt", 1, {
  doc: "square root",
  domain: "float",
  vjp: ({ g, output, cotangent }) => [g.div(cotangent, g.mul(output, filled(g, output, 2)))],
});

export const exp: OpDef<"exp", 1, NoAttrs> = elementwise("exp", 1, {
  doc: "e^x",
  domain: "float",
  vjp: ({ g, output, cotangent }) => [g.mul(cotangent, output)],
});

export const expm1: OpDef<"expm1", 1, NoAttrs> = elementwise("expm1", 1, {
  doc: "e^x - 1, accurate near 0",
  domain: "float",
  vjp: ({ g, output, cotangent }) => [g.mul(cotangent, g.add(output, filled(g, output, 1)))],
});

export const log: OpDef<"log", 1, NoAttrs> = elementwise("log", 1, {
  doc: "natural logarithm",
  domain: "float",
  vjp: ({ g, inputs: [x], cotangent }) => [g.div(cotangent, x)],
});

export const log1p: OpDef<"log1p", 1, NoAttrs> = elementwise("log1p", 1, {
  doc: "log(1 + x), accurate near 0",
  domain: "float",
  vjp: ({ g, inputs: [x], cotangent }) => [g.div(cotangent, g.add(x, filled(g, x, 1)))],
});

export const sin: OpDef<"sin", 1, NoAttrs> = elementwise("sin", 1, {
  doc: "sine of x in radians",
  domain: "float",
  vjp: ({ g, inputs: [x], cotangent }) => [g.mul(cotangent, g.cos(x))],
});

export const cos: OpDef<"cos", 1, NoAttrs> = elementwise("cos", 1, {
  doc: "cosine of x in radians",
  domain: "float",
  vjp: ({ g, inputs: [x], cotangent }) => [g.neg(g.mul(cotangent, g.sin(x)))],
});

export const tan: OpDef<"tan", 1, NoAttrs> = elementwise("tan", 1, {
  doc: "tangent of x in radians",
  domain: "float",
  vjp: ({ g, output, cotangent }) => [g.mul(cotangent, g.add(g.mul(output, output), filled(g, output, 1)))],
});

export const asin: OpDef<"asin", 1, NoAttrs> = elementwise("asin", 1, {
  doc: "arc sine in radians",
  domain: "float",
  vjp: ({ g, inputs: [x], cotangent }) => [g.div(cotangent, g.sqrt(g.sub(filled(g, x, 1), g.mul(x, x))))],
});

export const acos: OpDef<"acos", 1, NoAttrs> = elementwise("acos", 1, {
  doc: "arc cosine in radians",
  domain: "float",
  vjp: ({ g, inputs: [x], cotangent }) => [g.neg(g.div(cotangent, g.sqrt(g.sub(filled(g, x, 1), g.mul(x, x)))))],
});

export const atan: OpDef<"atan", 1, NoAttrs> = elementwise("atan", 1, {
  doc: "arc tangent in radians",
  domain: "float",
  vjp: ({ g, inputs: [x], cotangent }) => [g.div(cotangent, g.add(g.mul(x, x), filled(g, x, 1)))],
});

export const atan2: OpDef<"atan2", 2, NoAttrs> = elementwise("atan2", 2, {
  doc: "angle in radians of the point with ordinate x and abscissa y",
  domain: "float",
  vjp: ({ g, inputs: [x, y], cotangent }) => {
    const scaled = g.div(cotangent, g.add(g.mul(x, x), g.mul(y, y)));
    return [g.mul(scaled, y), g.neg(g.mul(scaled, x))];
  },
});

export const sinh: OpDef<"sinh", 1, NoAttrs> = elementwise("sinh", 1, {
  doc: "hyperbolic sine",
  domain: "float",
  vjp: ({ g, inputs: [x], cotangent }) => [g.mul(cotangent, g.cosh(x))],
});

export const cosh: OpDef<"cosh", 1, NoAttrs> = elementwise("cosh", 1, {
  doc: "hyperbolic cosine",
  domain: "float",
  vjp: ({ g, inputs: [x], cotangent }) => [g.mul(cotangent, g.sinh(x))],
});

export const tanh: OpDef<"tanh", 1, NoAttrs> = elementwise("tanh", 1, {
  doc: "hyperbolic tangent",
  domain: "float",
  vjp: ({ g, output, cotangent }) => [g.mul(cotangent, g.sub(filled(g, output, 1), g.mul(output, output)))],
});

export const asinh: OpDef<"asinh", 1, NoAttrs> = elementwise("asinh", 1, {
  doc: "inverse hyperbolic sine",
  domain: "float",
  vjp: ({ g, inputs: [x], cotangent }) => [g.div(cotangent, g.sqrt(g.add(g.mul(x, x), filled(g, x, 1))))],
});

export const acosh: OpDef<"acosh", 1, NoAttrs> = elementwise("acosh", 1, {
  doc: "inverse hyperbolic cosine",
  domain: "float",
  vjp: ({ g, inputs: [x], cotangent }) => [g.div(cotangent, g.sqrt(g.sub(g.mul(x, x), filled(g, x, 1))))],
});

export const atanh: OpDef<"atanh", 1, NoAttrs> = elementwise("atanh", 1, {
  doc: "inverse hyperbolic tangent",
  domain: "float",
  vjp: ({ g, inputs: [x], cotangent }) => [g.div(cotangent, g.sub(filled(g, x, 1), g.mul(x, x)))],
});

/** 2 / sqrt(pi) · e^(-x²), the derivative of erf (Abramowitz and Stegun 7.1.1). */
const erfSlope = 2 / Math.sqrt(Math.PI);

export const erf: OpDef<"erf", 1, NoAttrs> = elementwise("erf", 1, {
  doc: "error function",
  domain: "float",
  vjp: ({ g, inputs: [x], cotangent }) => [g.mul(cotangent, g.mul(g.exp(g.neg(g.mul(x, x))), filled(g, x, erfSlope)))],
});

export const erfc: OpDef<"erfc", 1, NoAttrs> = elementwise("erfc", 1, {
  doc: "1 - erf(x), accurate for large x",
  domain: "float",
  vjp: ({ g, inputs: [x], cotangent }) => [g.mul(cotangent, g.mul(g.exp(g.neg(g.mul(x, x))), filled(g, x, -erfSlope)))],
});
