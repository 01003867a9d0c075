/** Leaves: values that come from outside the graph (batches, state, host scalars, the generator) and constants. */
import type { HostExpr } from "../artifact/host-expr.ts";
import { fail } from "../diagnostic/diagnostic.ts";
import * as messages from "../diagnostic/messages.ts";
import { int, type Expr } from "../loop/loop.ts";
import type { NoAttrs, OpDef, Origin } from "../op.ts";
import { at, elementCount, rowMajorStrides, type DType, type Shape } from "../type.ts";
import { define, requireAxes, requireShape, wrap } from "./factory.ts";
import { below, linearIndex } from "./index-arithmetic.ts";

/** Largest number of elements of a `literal`; it is written out in every kernel that reads it. */
const literalLimit = 1024;

export const input: OpDef<"input", 0, { readonly name: string; readonly dtype: DType; readonly shape: Shape }> = define(
  {
    name: "input",
    arity: 0,
    doc: "a tensor handed over by the caller of the entry",
    type: (_, { dtype, shape }) => ({ dtype, shape: requireShape("input", shape) }),
    vjp: null,
    evaluate: null,
    lowering: { class: "leaf", source: "input" },
  },
);

export const read: OpDef<"read", 0, { readonly state: string; readonly dtype: DType; readonly shape: Shape }> = define({
  name: "read",
  arity: 0,
  doc: "a state as it was when the entry began",
  type: (_, { dtype, shape }) => ({ dtype, shape: requireShape("read", shape) }),
  vjp: null,
  evaluate: null,
  lowering: { class: "leaf", source: "state" },
});

export const feed: OpDef<"feed", 0, { readonly field: string; readonly dtype: DType; readonly shape: Shape }> = define({
  name: "feed",
  arity: 0,
  doc: "the rows of a data set's field that make up this batch: [batch, ...sample], in the stored dtype",
  type: (_, { dtype, shape }) => ({ dtype, shape: requireShape("feed", shape) }),
  vjp: null,
  evaluate: null,
  lowering: { class: "leaf", source: "feed" },
});

export const hostScalar: OpDef<"hostScalar", 0, { readonly expr: HostExpr }> = define({
  name: "hostScalar",
  arity: 0,
  doc: "a number that the host computes in float64 before each step (learning rates, bias corrections): f32[]",
  type: () => ({ dtype: "f32", shape: [] }),
  vjp: null,
  evaluate: null,
  lowering: { class: "leaf", source: "scalar" },
});

export const generator: OpDef<"generator", 0, NoAttrs> = define({
  name: "generator",
  arity: 0,
  doc: "the token that the first draw of an entry takes; it has no value",
  type: () => ({ dtype: "u8", shape: [] }),
  vjp: null,
  evaluate: null,
  lowering: { class: "leaf", source: "generator" },
});

export const full: OpDef<"full", 0, { readonly value: number; readonly dtype: DType; readonly shape: Shape }> = define({
  name: "full",
  arity: 0,
  doc: "one number in every element",
  type: (_, { dtype, shape }) => ({ dtype, shape: requireShape("full", shape) }),
  vjp: null,
  evaluate: (_, { attrs: { value, dtype }, type }) =>
    new Float64Array(elementCount(type.shape)).fill(wrap(dtype, value)),
  lowering: { class: "constant" },
});

export const iota: OpDef<"iota", 0, { readonly axis: number; readonly dtype: DType; readonly shape: Shape }> = define({
  name: "iota",
  arity: 0,
  doc: "each element's own index along an axis",
  type: (_, { axis, dtype, shape }) => {
    requireAxes("iota", "axis", [axis], requireShape("iota", shape).length);
    return { dtype, shape };
  },
  vjp: null,
  evaluate: (_, { attrs: { axis, dtype, shape } }) => {
    const stride = at(rowMajorStrides(shape), axis);
    return Float64Array.from({ length: elementCount(shape) }, (_element, i) =>
      wrap(dtype, Math.floor(i / stride) % at(shape, axis)),
    );
  },
  lowering: { class: "iota" },
});

export const literal: OpDef<
  "literal",
  0,
  { readonly dtype: DType; readonly shape: Shape; readonly values: readonly number[] }
> = define({
  name: "literal",
  arity: 0,
  doc: `a small constant tensor (at most ${literalLimit} elements), row-major; larger ones are buffers`,
  type: (_, { dtype, shape, values }) => {
    const count = elementCount(requireShape("literal", shape));
    if (values.length !== count)
      throw fail(messages.badAttribute("literal", "values", `${count} numbers`, `${values.length} numbers`));
    if (count > literalLimit)
      throw fail(
        messages.badAttribute("literal", "values", `at most ${literalLimit} numbers (else a buffer)`, String(count)),
      );
    return { dtype, shape };
  },
  vjp: null,
  evaluate: (_, { attrs: { dtype, values } }) => Float64Array.from(values, (value) => wrap(dtype, value)),
  lowering: {
    class: "movement",
    origin: (index, { dtype, shape, values }) =>
      chooseValue(
        linearIndex(index, shape),
        values.map((value) => wrap(dtype, value)),
        0,
      ),
  },
});

/** The value at `position` of a list that begins at number `first`, by halving. */
function chooseValue(position: Expr, values: readonly number[], first: number): Origin {
  const [head = 0] = values;
  if (values.every((value) => Object.is(value, head))) return { kind: "fill", value: head };
  const half = values.length >> 1;
  return {
    kind: "choose",
    condition: below(position, int(first + half)),
    then: chooseValue(position, values.slice(0, half), first),
    otherwise: chooseValue(position, values.slice(half), first + half),
  };
}
