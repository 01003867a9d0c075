/** Order and running totals along one axis. */
import type { GraphBuilder } from "../graph.ts";
import type { OpDef, Value } from "../op.ts";
import { at, rowMajorStrides, type Shape } from "../type.ts";
import { define, otherAxes, requireAxes, requireDomain, reshaped, spread, wrap } from "./factory.ts";
import { axesOffsets } from "./strided.ts";

type Running = { readonly axis: number; readonly reverse: boolean };

export const argsort: OpDef<"argsort", 1, { readonly axis: number; readonly descending: boolean }> = define({
  name: "argsort",
  arity: 1,
  doc: "indices that put x in order along an axis: i64; equal elements keep their order, NaN counts as the largest",
  type: ([x], { axis }) => {
    requireAxes("argsort", "axis", [axis], x.shape.length);
    return { dtype: "i64", shape: x.shape };
  },
  vjp: null,
  evaluate: ([x], { types: [{ shape }], attrs: { axis, descending } }) => {
    const compare = (a: number, b: number): number => {
      if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
      return a < b ? -1 : Number(a > b);
    };
    const result = new Float64Array(x.length);
    overLanes(shape, axis, (lane) => {
      const order = Array.from(lane, (_, i) => i).toSorted((i, j) => {
        const [a, b] = [x[at(lane, i)] ?? 0, x[at(lane, j)] ?? 0];
        return descending ? compare(b, a) : compare(a, b);
      });
      for (const [i, position] of order.entries()) result[at(lane, i)] = position;
    });
    return result;
  },
  lowering: { class: "argsort" },
});

export const cumsum: OpDef<"cumsum", 1, Running> = define({
  name: "cumsum",
  arity: 1,
  doc: "running sum along an axis, each element included; `reverse`: from the end",
  type: ([x], { axis }) => {
    requireAxes("cumsum", "axis", [axis], x.shape.length);
    return requireDomain("cumsum", [x], "number");
  },
  vjp: ({ g, attrs: { axis, reverse }, cotangent }) => [g.cumsum(cotangent, { axis, reverse: !reverse })],
  evaluate: ([x], { types: [{ shape, dtype }], attrs }) =>
    running(x, shape, attrs, (total, value) => wrap(dtype, total + value)),
  lowering: { class: "cumulative", combine: "add" },
});

export const cumprod: OpDef<"cumprod", 1, Running> = define({
  name: "cumprod",
  arity: 1,
  doc: "running product along an axis, each element included; `reverse`: from the end",
  type: ([x], { axis }) => {
    requireAxes("cumprod", "axis", [axis], x.shape.length);
    return requireDomain("cumprod", [x], "number");
  },
  vjp: ({ g, inputs: [x], attrs, cotangent }) => [cumprodGradient(g, x, attrs, cotangent)],
  evaluate: ([x], { types: [{ shape, dtype }], attrs }) =>
    running(x, shape, attrs, (total, value) => wrap(dtype, total * value)),
  lowering: { class: "cumulative", combine: "mul" },
});

/**
 * dy[k] / dx[i] is the running product up to k without factor i, where i is in it. The products without a factor are
 * running products of a copy of x per factor, with 1 in its place: n² numbers for a lane of n, but right at zeros and
 * differentiable again.
 */
function cumprodGradient(g: GraphBuilder, x: Value, { axis, reverse }: Running, cotangent: Value): Value {
  const { shape, dtype } = x.type;
  const n = at(shape, axis);
  const copies = [...shape.slice(0, axis), n, ...shape.slice(axis)];
  const [factor, position] = [axis, axis + 1];
  const copied = (value: Value): Value => spread(g, value, [factor], copies);
  const [i, k] = [factor, position].map((along) => g.iota({ axis: along, dtype: "i64", shape: copies }));
  if (i === undefined || k === undefined) return x;
  const one = g.full({ value: 1, dtype, shape: copies });
  const without = g.cumprod(g.select(g.eq(i, k), one, copied(x)), { axis: position, reverse });
  const included = reverse ? g.le(k, i) : g.ge(k, i);
  const terms = g.select(included, g.mul(without, copied(cotangent)), g.full({ value: 0, dtype, shape: copies }));
  return reshaped(g, g.sum(terms, { axes: [position] }), shape);
}

/** Visits the offsets of each line of elements along an axis. */
function overLanes(shape: Shape, axis: number, visit: (lane: Int32Array) => void): void {
  const stride = at(rowMajorStrides(shape), axis);
  for (const first of axesOffsets(shape, otherAxes(shape.length, [axis])))
    visit(Int32Array.from({ length: at(shape, axis) }, (_, i) => first + i * stride));
}

function running(
  x: Float64Array,
  shape: Shape,
  { axis, reverse }: Running,
  combine: (total: number, value: number) => number,
): Float64Array {
  const result = x.slice();
  overLanes(shape, axis, (lane) => {
    const order = reverse ? lane.toReversed() : lane;
    for (let i = 1; i < order.length; i++)
      result[at(order, i)] = combine(result[at(order, i - 1)] ?? 0, result[at(order, i)] ?? 0);
  });
  return result;
}
