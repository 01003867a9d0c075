/**
 * Movement: the same elements elsewhere. No op of this family moves data by itself; each says by its `origin` where an
 * element of its result comes from, which becomes an index in whatever reads it.
 */
import { fail } from "../diagnostic/diagnostic.ts";
import * as messages from "../diagnostic/messages.ts";
import { int } from "../loop/loop.ts";
import type { OpDef } from "../op.ts";
import { at, elementCount, rowMajorStrides, type Shape } from "../type.ts";
import { define, permuted, requireAxes, requireCounts, requireShape, reshaped } from "./factory.ts";
import { plus, reshapeIndex, times } from "./index-arithmetic.ts";
import { pick, stridedOffsets } from "./strided.ts";

export const reshape: OpDef<"reshape", 1, { readonly shape: Shape }> = define({
  name: "reshape",
  arity: 1,
  doc: "the elements of x, in row-major order, as another shape",
  type: ([x], { shape }) => {
    if (elementCount(requireShape("reshape", shape)) !== elementCount(x.shape))
      throw fail(
        messages.opTypeMismatch(
          "reshape",
          [x],
          `${elementCount(shape)} elements, for the shape [${shape.join(", ")}]`,
          "a reshape keeps the number of elements",
        ),
      );
    return { dtype: x.dtype, shape };
  },
  vjp: ({ g, inputs: [x], cotangent }) => [reshaped(g, cotangent, x.type.shape)],
  evaluate: ([x]) => x,
  lowering: {
    class: "movement",
    origin: (index, _, types, type) => ({
      kind: "operand",
      operand: 0,
      index: reshapeIndex(index, at(types, 0).shape, type.shape),
    }),
  },
});

export const permute: OpDef<"permute", 1, { readonly order: readonly number[] }> = define({
  name: "permute",
  arity: 1,
  doc: "axes of x in the given order: result axis i is operand axis order[i]",
  type: ([x], { order }) => {
    requireAxes("permute", "order", order, x.shape.length);
    if (order.length !== x.shape.length)
      throw fail(
        messages.badAttribute("permute", "order", `each of ${x.shape.length} axes once`, `[${order.join(", ")}]`),
      );
    return { dtype: x.dtype, shape: order.map((axis) => at(x.shape, axis)) };
  },
  vjp: ({ g, attrs: { order }, cotangent }) => [
    permuted(
      g,
      cotangent,
      order.map((_, axis) => order.indexOf(axis)),
    ),
  ],
  evaluate: ([x], { types: [operand], attrs: { order }, type: { shape } }) => {
    const strides = rowMajorStrides(operand.shape);
    return pick(
      x,
      stridedOffsets(
        shape,
        order.map((axis) => at(strides, axis)),
      ),
    );
  },
  lowering: {
    class: "movement",
    origin: (index, { order }) => ({
      kind: "operand",
      operand: 0,
      index: order.map((_, axis) => at(index, order.indexOf(axis))),
    }),
  },
});

export const broadcast: OpDef<"broadcast", 1, { readonly shape: Shape }> = define({
  name: "broadcast",
  arity: 1,
  doc: "x repeated along axes of extent 1 up to a shape of the same rank",
  type: ([x], { shape }) => {
    requireShape("broadcast", shape);
    if (shape.length !== x.shape.length || !x.shape.every((extent, axis) => extent === 1 || extent === shape[axis]))
      throw fail(
        messages.opTypeMismatch(
          "broadcast",
          [x],
          `a shape of the same rank as [${shape.join(", ")}], equal to it or 1 along each axis`,
        ),
      );
    return { dtype: x.dtype, shape };
  },
  vjp: ({ g, inputs: [x], attrs: { shape }, cotangent }) => {
    const axes = shape.flatMap((extent, axis) => (extent === x.type.shape[axis] ? [] : [axis]));
    return [axes.length === 0 ? cotangent : reshaped(g, g.sum(cotangent, { axes }), x.type.shape)];
  },
  evaluate: ([x], { types: [operand], attrs: { shape } }) => {
    const strides = rowMajorStrides(operand.shape);
    return pick(
      x,
      stridedOffsets(
        shape,
        operand.shape.map((extent, axis) => (extent === 1 ? 0 : at(strides, axis))),
      ),
    );
  },
  lowering: {
    class: "movement",
    origin: (index, _, types) => ({
      kind: "operand",
      operand: 0,
      index: at(types, 0).shape.map((extent, axis) => (extent === 1 ? int(0) : at(index, axis))),
    }),
  },
});

export const slice: OpDef<
  "slice",
  1,
  { readonly start: readonly number[]; readonly stop: readonly number[]; readonly step: readonly number[] }
> = define({
  name: "slice",
  arity: 1,
  doc: "along each axis, every step-th element from start on, below stop",
  type: ([x], { start, stop, step }) => {
    const count = x.shape.length;
    requireCounts("slice", "start", start, { count, least: 0 });
    requireCounts("slice", "stop", stop, { count, least: 0 });
    requireCounts("slice", "step", step, { count, least: 1 });
    if (!x.shape.every((extent, axis) => at(start, axis) <= at(stop, axis) && at(stop, axis) <= extent))
      throw fail(
        messages.badAttribute(
          "slice",
          "stop",
          `start <= stop <= extent along each axis of [${x.shape.join(", ")}]`,
          `start [${start.join(", ")}], stop [${stop.join(", ")}]`,
        ),
      );
    return {
      dtype: x.dtype,
      shape: start.map((first, axis) => Math.ceil((at(stop, axis) - first) / at(step, axis))),
    };
  },
  vjp: ({ g, inputs: [x], attrs: { start, step }, output, cotangent }) => {
    // The span of the elements taken, with the gaps between them.
    const span = output.type.shape.map((extent, axis) => (extent === 0 ? 0 : (extent - 1) * at(step, axis) + 1));
    const high = x.type.shape.map((extent, axis) => extent - at(start, axis) - at(span, axis));
    return [g.pad(cotangent, { low: start, high, interior: step.map((by) => by - 1), value: 0 })];
  },
  evaluate: ([x], { types: [operand], attrs: { start, step }, type: { shape } }) => {
    const strides = rowMajorStrides(operand.shape);
    const first = start.reduce((offset, i, axis) => offset + i * at(strides, axis), 0);
    return pick(
      x,
      stridedOffsets(
        shape,
        strides.map((stride, axis) => stride * at(step, axis)),
        first,
      ),
    );
  },
  lowering: {
    class: "movement",
    origin: (index, { start, step }) => ({
      kind: "operand",
      operand: 0,
      index: index.map((i, axis) => plus(times(i, at(step, axis)), int(at(start, axis)))),
    }),
  },
});

export const flip: OpDef<"flip", 1, { readonly axes: readonly number[] }> = define({
  name: "flip",
  arity: 1,
  doc: "x in reverse order along axes",
  type: ([x], { axes }) => {
    requireAxes("flip", "axes", axes, x.shape.length);
    return x;
  },
  vjp: ({ g, attrs: { axes }, cotangent }) => [g.flip(cotangent, { axes })],
  evaluate: ([x], { attrs: { axes }, type: { shape } }) => {
    const strides = rowMajorStrides(shape);
    const first = axes.reduce((offset, axis) => offset + (at(shape, axis) - 1) * at(strides, axis), 0);
    return pick(
      x,
      stridedOffsets(
        shape,
        strides.map((stride, axis) => (axes.includes(axis) ? -stride : stride)),
        first,
      ),
    );
  },
  lowering: {
    class: "movement",
    origin: (index, { axes }, _, { shape }) => ({
      kind: "operand",
      operand: 0,
      index: index.map((i, axis) => (axes.includes(axis) ? plus(int(at(shape, axis) - 1), times(i, -1)) : i)),
    }),
  },
});
