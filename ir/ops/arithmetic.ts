/**
 * Arithmetic on numbers, element by element. Gradients at kinks and poles are PyTorch's (tools/autograd/derivatives.yaml
 * of PyTorch 2.13): |x|'(0) = 0, equal operands of `max` and `min` take half each, pow(0, 0) has gradient 0.
 */
import type { NoAttrs, OpDef } from "../op.ts";
import { elementwise, filled } from "./factory.ts";

export const add: OpDef<"add", 2, NoAttrs> = elementwise("add", 2, {
  doc: "x + y",
  domain: "number",
  commutative: true,
  vjp: ({ cotangent }) => [cotangent, cotangent],
});

export const sub: OpDef<"sub", 2, NoAttrs> = elementwise("sub", 2, {
  doc: "x - y",
  domain: "number",
  vjp: ({ g, cotangent }) => [cotangent, g.neg(cotangent)],
});

export const mul: OpDef<"mul", 2, NoAttrs> = elementwise("mul", 2, {
  doc: "x * y",
  domain: "number",
  commutative: true,
  vjp: ({ g, inputs: [x, y], cotangent }) => [g.mul(cotangent, y), g.mul(cotangent, x)],
});

export const div: OpDef<"div", 2, NoAttrs> = elementwise("div", 2, {
  doc: "x / y; integers truncate, and give 0 where y is 0",
  domain: "number",
  vjp: ({ g, inputs: [, y], output, cotangent }) => {
    const dx = g.div(cotangent, y);
    return [dx, g.neg(g.mul(dx, output))];
  },
});

export const mod: OpDef<"mod", 2, NoAttrs> = elementwise("mod", 2, {
  doc: "x - y * trunc(x / y), with the sign of x (C's fmod); integers give 0 where y is 0",
  domain: "number",
  vjp: ({ g, inputs: [x, y], cotangent }) => [cotangent, g.neg(g.mul(cotangent, g.trunc(g.div(x, y))))],
});

export const pow: OpDef<"pow", 2, NoAttrs> = elementwise("pow", 2, {
  doc: "x to the power y",
  domain: "number",
  vjp: ({ g, inputs: [x, y], output, cotangent }) => {
    const zero = filled(g, x, 0);
    const slope = g.mul(y, g.pow(x, g.sub(y, filled(g, y, 1))));
    const flat = g.and(g.eq(x, zero), g.ge(y, zero));
    return [
      g.select(g.eq(y, zero), zero, g.mul(cotangent, slope)),
      g.mul(cotangent, g.select(flat, zero, g.mul(output, g.log(x)))),
    ];
  },
});

export const max: OpDef<"max", 2, NoAttrs> = elementwise("max", 2, {
  doc: "the larger of x and y; NaN if either is",
  domain: "number",
  commutative: true,
  vjp: ({ g, inputs: [x, y], cotangent }) => {
    const zero = filled(g, x, 0);
    const shared = g.select(g.eq(x, y), g.mul(cotangent, filled(g, x, 0.5)), cotangent);
    return [g.select(g.lt(x, y), zero, shared), g.select(g.gt(x, y), zero, shared)];
  },
});

export const min: OpDef<"min", 2, NoAttrs> = elementwise("min", 2, {
  doc: "the smaller of x and y; NaN if either is",
  domain: "number",
  commutative: true,
  vjp: ({ g, inputs: [x, y], cotangent }) => {
    const zero = filled(g, x, 0);
    const shared = g.select(g.eq(x, y), g.mul(cotangent, filled(g, x, 0.5)), cotangent);
    return [g.select(g.gt(x, y), zero, shared), g.select(g.lt(x, y), zero, shared)];
  },
});

export const neg: OpDef<"neg", 1, NoAttrs> = elementwise("neg", 1, {
  doc: "-x",
  domain: "number",
  vjp: ({ g, cotangent }) => [g.neg(cotangent)],
});

export const abs: OpDef<"abs", 1, NoAttrs> = elementwise("abs", 1, {
  doc: "|x|",
  domain: "number",
  vjp: ({ g, inputs: [x], cotangent }) => [g.mul(cotangent, g.sign(x))],
});

export const sign: OpDef<"sign", 1, NoAttrs> = elementwise("sign", 1, {
  doc: "-1, 0 or 1 with the sign of x",
  domain: "number",
  vjp: ({ g, cotangent }) => [filled(g, cotangent, 0)],
});

export const floor: OpDef<"floor", 1, NoAttrs> = elementwise("floor", 1, {
  doc: "largest whole number that is at most x",
  domain: "float",
  vjp: ({ g, cotangent }) => [filled(g, cotangent, 0)],
});

export const ceil: OpDef<"ceil", 1, NoAttrs> = elementwise("ceil", 1, {
  doc: "smallest whole number that is at least x",
  domain: "float",
  vjp: ({ g, cotangent }) => [filled(g, cotangent, 0)],
});

export const trunc: OpDef<"trunc", 1, NoAttrs> = elementwise("trunc", 1, {
  doc: "x rounded towards 0",
  domain: "float",
  vjp: ({ g, cotangent }) => [filled(g, cotangent, 0)],
});

export const round: OpDef<"round", 1, NoAttrs> = elementwise("round", 1, {
  doc: "x rounded to the nearest whole number, halves to the even one",
  domain: "float",
  vjp: ({ g, cotangent }) => [filled(g, cotangent, 0)],
});
