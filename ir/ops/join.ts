/** Movement with more than one source per element: padding with a number, and concatenation. */
import { fail } from "../diagnostic/diagnostic.ts";
import * as messages from "../diagnostic/messages.ts";
import { int, type Expr } from "../loop/loop.ts";
import type { OpDef, Origin } from "../op.ts";
import { at, rowMajorStrides } from "../type.ts";
import { define, requireAxes, requireCounts, wrap } from "./factory.ts";
import { allOf, atLeast, below, divides, over, plus } from "./index-arithmetic.ts";
import { stridedOffsets } from "./strided.ts";

export const pad: OpDef<
  "pad",
  1,
  {
    readonly low: readonly number[];
    readonly high: readonly number[];
    readonly interior: readonly number[];
    readonly value: number;
  }
> = define({
  name: "pad",
  arity: 1,
  doc: "along each axis, `low` numbers before x, `interior` between neighbours and `high` after",
  type: ([x], { low, high, interior }) => {
    const range = { count: x.shape.length, least: 0 };
    requireCounts("pad", "low", low, range);
    requireCounts("pad", "high", high, range);
    requireCounts("pad", "interior", interior, range);
    const shape = x.shape.map(
      (extent, axis) => at(low, axis) + dilated(extent, at(interior, axis) + 1) + at(high, axis),
    );
    return { dtype: x.dtype, shape };
  },
  vjp: ({ g, inputs: [x], attrs: { low, interior }, cotangent }) => [
    g.slice(cotangent, {
      start: low,
      stop: x.type.shape.map((extent, axis) => at(low, axis) + dilated(extent, at(interior, axis) + 1)),
      step: interior.map((gap) => gap + 1),
    }),
  ],
  evaluate: ([x], { types: [operand], attrs: { low, interior, value }, type }) => {
    const strides = rowMajorStrides(type.shape);
    const first = low.reduce((offset, i, axis) => offset + i * at(strides, axis), 0);
    const targets = stridedOffsets(
      operand.shape,
      strides.map((stride, axis) => stride * (at(interior, axis) + 1)),
      first,
    );
    const count = type.shape.reduce((product, extent) => product * extent, 1);
    const result = new Float64Array(count).fill(wrap(type.dtype, value));
    for (let i = 0; i < x.length; i++) result[at(targets, i)] = at(x, i);
    return result;
  },
  lowering: {
    class: "movement",
    origin: (index, { low, high, interior, value }, types, type) => {
      const fill: Origin = { kind: "fill", value: wrap(type.dtype, value) };
      const { shape } = at(types, 0);
      if (shape.includes(0)) return fill;
      const conditions: Expr[] = [];
      const source = index.map((i, axis) => {
        const gap = at(interior, axis) + 1;
        const shifted = plus(i, int(-at(low, axis)));
        if (at(low, axis) > 0) conditions.push(atLeast(i, at(low, axis)));
        if (at(high, axis) > 0) conditions.push(below(i, int(at(low, axis) + dilated(at(shape, axis), gap))));
        if (gap > 1) conditions.push(divides(gap, shifted));
        return over(shifted, gap);
      });
      const then: Origin = { kind: "operand", operand: 0, index: source };
      const condition = allOf(conditions);
      return condition === undefined ? then : { kind: "choose", condition, then, otherwise: fill };
    },
  },
});

/** Extent of an axis whose elements stand `gap` apart. */
function dilated(extent: number, gap: number): number {
  return extent === 0 ? 0 : (extent - 1) * gap + 1;
}

export const concat: OpDef<"concat", "variadic", { readonly axis: number }> = define({
  name: "concat",
  arity: "variadic",
  doc: "the operands one after the other along an axis",
  type: (types, { axis }) => {
    const [first] = types;
    if (first === undefined) throw fail(messages.opTypeMismatch("concat", types, "at least one operand"));
    requireAxes("concat", "axis", [axis], first.shape.length);
    const fits = types.every(
      ({ dtype, shape }) =>
        dtype === first.dtype &&
        shape.length === first.shape.length &&
        shape.every((extent, i) => i === axis || extent === first.shape[i]),
    );
    if (!fits)
      throw fail(messages.opTypeMismatch("concat", types, `operands of one type but for the extent of axis ${axis}`));
    const total = types.reduce((sum, { shape }) => sum + at(shape, axis), 0);
    return { dtype: first.dtype, shape: first.shape.map((extent, i) => (i === axis ? total : extent)) };
  },
  vjp: ({ g, inputs, attrs: { axis }, output, cotangent }) => {
    let begin = 0;
    return inputs.map(({ type: { shape } }) => {
      const start = shape.map((_, i) => (i === axis ? begin : 0));
      begin += at(shape, axis);
      const stop = output.type.shape.map((extent, i) => (i === axis ? begin : extent));
      return g.slice(cotangent, { start, stop, step: shape.map(() => 1) });
    });
  },
  evaluate: (inputs, { types, attrs: { axis }, type }) => {
    const strides = rowMajorStrides(type.shape);
    const result = new Float64Array(type.shape.reduce((count, extent) => count * extent, 1));
    let begin = 0;
    for (const [operand, x] of inputs.entries()) {
      const { shape } = at(types, operand);
      const targets = stridedOffsets(shape, strides, begin * at(strides, axis));
      for (let i = 0; i < x.length; i++) result[at(targets, i)] = at(x, i);
      begin += at(shape, axis);
    }
    return result;
  },
  lowering: {
    class: "movement",
    origin: (index, { axis }, types) => {
      const begins = [0];
      for (const { shape } of types) begins.push(at(begins, begins.length - 1) + at(shape, axis));
      const part = (operand: number): Origin => ({
        kind: "operand",
        operand,
        index: index.map((i, j) => (j === axis ? plus(i, int(-at(begins, operand))) : i)),
      });
      const filledParts = types.flatMap(({ shape }, operand) => (at(shape, axis) > 0 ? [operand] : []));
      return chooseAmong(filledParts.length > 0 ? filledParts : [0], (operand) => ({
        before: below(at(index, axis), int(at(begins, operand))),
        origin: part(operand),
      }));
    },
  },
});

/** Chooses one of several parts in order by halving; `before` tells that an element lies ahead of a part. */
function chooseAmong(
  parts: readonly number[],
  describe: (part: number) => { readonly before: Expr; readonly origin: Origin },
): Origin {
  if (parts.length === 1) return describe(at(parts, 0)).origin;
  const half = parts.length >> 1;
  return {
    kind: "choose",
    condition: describe(at(parts, half)).before,
    then: chooseAmong(parts.slice(0, half), describe),
    otherwise: chooseAmong(parts.slice(half), describe),
  };
}
