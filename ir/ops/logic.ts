/** Comparison, logic, choice and conversion, element by element. */
import { fail } from "../diagnostic/diagnostic.ts";
import * as messages from "../diagnostic/messages.ts";
import type { NoAttrs, OpDef } from "../op.ts";
import { isFloat, sameShape, sameType, type DType } from "../type.ts";
import { define, elementwise, filled, wrap } from "./factory.ts";

export const not: OpDef<"not", 1, NoAttrs> = elementwise("not", 1, {
  doc: "logical not of a bool",
  domain: "bool",
  vjp: null,
});

export const and: OpDef<"and", 2, NoAttrs> = elementwise("and", 2, {
  doc: "logical and of bools, bitwise and of integers",
  domain: "logical",
  commutative: true,
  vjp: null,
});

export const or: OpDef<"or", 2, NoAttrs> = elementwise("or", 2, {
  doc: "logical or of bools, bitwise or of integers",
  domain: "logical",
  commutative: true,
  vjp: null,
});

export const xor: OpDef<"xor", 2, NoAttrs> = elementwise("xor", 2, {
  doc: "logical exclusive or of bools, bitwise exclusive or of integers",
  domain: "logical",
  commutative: true,
  vjp: null,
});

export const eq: OpDef<"eq", 2, NoAttrs> = elementwise("eq", 2, {
  doc: "x == y; false if either is NaN",
  domain: "any",
  commutative: true,
  vjp: null,
});

export const ne: OpDef<"ne", 2, NoAttrs> = elementwise("ne", 2, {
  doc: "x != y; true if either is NaN",
  domain: "any",
  commutative: true,
  vjp: null,
});

export const lt: OpDef<"lt", 2, NoAttrs> = elementwise("lt", 2, { doc: "x < y", domain: "any", vjp: null });

export const le: OpDef<"le", 2, NoAttrs> = elementwise("le", 2, { doc: "x <= y", domain: "any", vjp: null });

export const gt: OpDef<"gt", 2, NoAttrs> = elementwise("gt", 2, { doc: "x > y", domain: "any", vjp: null });

export const ge: OpDef<"ge", 2, NoAttrs> = elementwise("ge", 2, { doc: "x >= y", domain: "any", vjp: null });

export const select: OpDef<"select", 3, NoAttrs> = define({
  name: "select",
  arity: 3,
  doc: "x where the condition (bool) holds, else y",
  type: ([condition, x, y]) => {
    if (condition.dtype !== "bool" || !sameShape(condition.shape, x.shape) || !sameType(x, y))
      throw fail(
        messages.opTypeMismatch(
          "select",
          [condition, x, y],
          "a bool condition and two operands of one type, all of one shape",
        ),
      );
    return x;
  },
  vjp: ({ g, inputs: [condition], cotangent }) => {
    const zero = filled(g, cotangent, 0);
    return [null, g.select(condition, cotangent, zero), g.select(condition, zero, cotangent)];
  },
  evaluate: ([condition, x, y]) => x.map((value, i) => (condition[i] === 0 ? (y[i] ?? 0) : value)),
  lowering: { class: "map", scalar: "select" },
});

export const cast: OpDef<"cast", 1, { readonly dtype: DType }> = define({
  name: "cast",
  arity: 1,
  doc: "x converted to a dtype: to an integer by truncation, to bool by comparison with 0",
  type: ([x], { dtype }) => ({ dtype, shape: x.shape }),
  vjp: ({ g, inputs: [x], attrs: { dtype }, cotangent }) => [
    isFloat(x.type.dtype) && isFloat(dtype) ? g.cast(cotangent, { dtype: x.type.dtype }) : null,
  ],
  evaluate: ([x], { attrs: { dtype } }) => x.map((value) => wrap(dtype, value)),
  lowering: { class: "cast" },
});

export const stopGradient: OpDef<"stopGradient", 1, NoAttrs> = define({
  name: "stopGradient",
  arity: 1,
  doc: "x, with no gradient (PyTorch's detach)",
  type: ([x]) => x,
  vjp: null,
  evaluate: ([x]) => x,
  lowering: { class: "movement", origin: (index) => ({ kind: "operand", operand: 0, index }) },
});
