/**
 * Reductions over axes, which the result does not have any more. Equal extrema share the gradient (torch.amax); the
 * gradient of a product is right where factors are zero.
 */
import { fail } from "../diagnostic/diagnostic.ts";
import * as messages from "../diagnostic/messages.ts";
import type { GraphBuilder } from "../graph.ts";
import type { EvaluateContext, OpDef, Value, VjpContext } from "../op.ts";
import { at, elementCount, rowMajorStrides, type TensorType } from "../type.ts";
import { define, filled, otherAxes, permuted, requireAxes, requireDomain, reshaped, spread, wrap } from "./factory.ts";
import { axesOffsets } from "./strided.ts";

type Axes = { readonly axes: readonly number[] };
type Axis = { readonly axis: number };

export const sum: OpDef<"sum", 1, Axes> = define({
  name: "sum",
  arity: 1,
  doc: "sum over axes; 0 over nothing",
  type: ([x], { axes }) => reducedType("sum", x, axes),
  vjp: ({ g, inputs: [x], attrs: { axes }, cotangent }) => [spread(g, cotangent, axes, x.type.shape)],
  evaluate: ([x], context) => fold(x, context, 0, (a, b) => a + b),
  lowering: { class: "reduce", combine: "add" },
});

export const prod: OpDef<"prod", 1, Axes> = define({
  name: "prod",
  arity: 1,
  doc: "product over axes; 1 over nothing",
  type: ([x], { axes }) => reducedType("prod", x, axes),
  vjp: ({ g, inputs: [x], attrs: { axes }, cotangent }) => [
    g.mul(spread(g, cotangent, axes, x.type.shape), productOfOthers(g, x, axes)),
  ],
  evaluate: ([x], context) => fold(x, context, 1, (a, b) => a * b),
  lowering: { class: "reduce", combine: "mul" },
});

export const maxReduce: OpDef<"maxReduce", 1, Axes> = define({
  name: "maxReduce",
  arity: 1,
  doc: "largest element over axes; NaN if one is",
  type: ([x], { axes }) => nonEmpty("maxReduce", x, axes, reducedType("maxReduce", x, axes)),
  vjp: shareAmongEqual,
  evaluate: ([x], context) => fold(x, context, Number.NEGATIVE_INFINITY, (a, b) => (b > a || Number.isNaN(b) ? b : a)),
  lowering: { class: "reduce", combine: "max" },
});

export const minReduce: OpDef<"minReduce", 1, Axes> = define({
  name: "minReduce",
  arity: 1,
  doc: "smallest element over axes; NaN if one is",
  type: ([x], { axes }) => nonEmpty("minReduce", x, axes, reducedType("minReduce", x, axes)),
  vjp: shareAmongEqual,
  evaluate: ([x], context) => fold(x, context, Number.POSITIVE_INFINITY, (a, b) => (b < a || Number.isNaN(b) ? b : a)),
  lowering: { class: "reduce", combine: "min" },
});

export const argmax: OpDef<"argmax", 1, Axis> = define({
  name: "argmax",
  arity: 1,
  doc: "index along an axis of the first largest element, or of the first NaN: i64",
  type: ([x], { axis }) => argreducedType("argmax", x, axis),
  vjp: null,
  evaluate: ([x], context) => firstBest(x, context, (a, b) => a > b),
  lowering: { class: "argreduce", better: "max" },
});

export const argmin: OpDef<"argmin", 1, Axis> = define({
  name: "argmin",
  arity: 1,
  doc: "index along an axis of the first smallest element, or of the first NaN: i64",
  type: ([x], { axis }) => argreducedType("argmin", x, axis),
  vjp: null,
  evaluate: ([x], context) => firstBest(x, context, (a, b) => a < b),
  lowering: { class: "argreduce", better: "min" },
});

function reducedType(op: string, x: TensorType, axes: readonly number[]): TensorType {
  requireDomain(op, [x], "number");
  requireAxes(op, "axes", axes, x.shape.length);
  return { dtype: x.dtype, shape: otherAxes(x.shape.length, axes).map((axis) => at(x.shape, axis)) };
}

function argreducedType(op: string, x: TensorType, axis: number): TensorType {
  const { shape } = nonEmpty(op, x, [axis], reducedType(op, x, [axis]));
  return { dtype: "i64", shape };
}

/** `result`, after checking that there is something to choose an extremum from. */
function nonEmpty(op: string, x: TensorType, axes: readonly number[], result: TensorType): TensorType {
  if (axes.some((axis) => x.shape[axis] === 0))
    throw fail(messages.opTypeMismatch(op, [x], "at least one element along the axes it reduces over"));
  return result;
}

function fold(
  x: Float64Array,
  { types: [operand], attrs: { axes }, type }: EvaluateContext<1, Axes>,
  start: number,
  combine: (a: number, b: number) => number,
): Float64Array {
  const firsts = axesOffsets(operand.shape, otherAxes(operand.shape.length, axes));
  const steps = axesOffsets(operand.shape, axes);
  const result = new Float64Array(firsts.length);
  for (let i = 0; i < result.length; i++) {
    let value = start;
    for (const step of steps) value = wrap(type.dtype, combine(value, x[(firsts[i] ?? 0) + step] ?? 0));
    result[i] = value;
  }
  return result;
}

function firstBest(
  x: Float64Array,
  { types: [operand], attrs: { axis } }: EvaluateContext<1, Axis>,
  better: (a: number, b: number) => boolean,
): Float64Array {
  const firsts = axesOffsets(operand.shape, otherAxes(operand.shape.length, [axis]));
  const stride = at(rowMajorStrides(operand.shape), axis);
  const result = new Float64Array(firsts.length);
  for (let i = 0; i < result.length; i++) {
    let best = x[firsts[i] ?? 0] ?? 0;
    for (let j = 1; j < at(operand.shape, axis); j++) {
      const candidate = x[(firsts[i] ?? 0) + j * stride] ?? 0;
      if (!better(candidate, best) && !(Number.isNaN(candidate) && !Number.isNaN(best))) continue;
      best = candidate;
      result[i] = j;
    }
  }
  return result;
}

/** Gradient of an extremum: the cotangent divided equally among the elements that attain it, as torch.amax does. */
function shareAmongEqual({ g, inputs: [x], attrs: { axes }, output, cotangent }: VjpContext<1, Axes>): [Value] {
  const { shape, dtype } = x.type;
  const hits = g.cast(g.eq(x, spread(g, output, axes, shape)), { dtype });
  const count = g.sum(hits, { axes });
  return [g.mul(hits, spread(g, g.div(cotangent, count), axes, shape))];
}

/** For each element the product over `axes` of all others, without a division: exclusive products from both sides. */
function productOfOthers(g: GraphBuilder, x: Value, axes: readonly number[]): Value {
  const { shape } = x.type;
  const kept = otherAxes(shape.length, axes);
  const order = [...kept, ...axes];
  const outer = elementCount(kept.map((axis) => at(shape, axis)));
  const n = elementCount(axes.map((axis) => at(shape, axis)));
  if (outer * n === 0) return filled(g, x, 1);
  const rows = reshaped(g, permuted(g, x, order), [outer, n]);
  const before = exclusiveProduct(g, rows, false);
  const after = exclusiveProduct(g, rows, true);
  const arranged = reshaped(
    g,
    g.mul(before, after),
    order.map((axis) => at(shape, axis)),
  );
  return permuted(
    g,
    arranged,
    shape.map((_, axis) => order.indexOf(axis)),
  );
}

/** Products of the elements before (or, reversed, after) each element of rows [outer, n]. */
function exclusiveProduct(g: GraphBuilder, rows: Value, reverse: boolean): Value {
  const [outer, n] = [at(rows.type.shape, 0), at(rows.type.shape, 1)];
  const inner = reverse
    ? g.slice(rows, { start: [0, 1], stop: [outer, n], step: [1, 1] })
    : g.slice(rows, { start: [0, 0], stop: [outer, n - 1], step: [1, 1] });
  const [low, high] = reverse ? [0, 1] : [1, 0];
  return g.cumprod(g.pad(inner, { low: [0, low], high: [0, high], interior: [0, 0], value: 1 }), { axis: 1, reverse });
}
