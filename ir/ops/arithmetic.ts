/** Arithmetic on numbers, element by element. */
import type { NoAttrs, OpDef } from "../op.ts";
import { elementwise } from "./factory.ts";

export const add: OpDef<"add", 2, NoAttrs> = elementwise("add", 2, {
  doc: "x + y",
  domain: "number",
  commutative: true,
  vjp: ({ cotangent }) => [cotangent, cotangent],
});

export const mul: OpDef<"mul", 2, NoAttrs> = elementwise("mul", 2, {
  doc: "x * y",
  domain: "number",
  commutative: true,
  vjp: ({ g, inputs: [x, y], cotangent }) => [g.mul(cotangent, y), g.mul(cotangent, x)],
});

export const exp: OpDef<"exp", 1, NoAttrs> = elementwise("exp", 1, {
  doc: "e^x",
  domain: "float",
  vjp: ({ g, output, cotangent }) => [g.mul(cotangent, output)],
});
