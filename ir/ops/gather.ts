/**
 * Selection by index values, and the adjoints. `gather` takes whole slices (embedding look-up), `takeAlong` one element
 * per index (torch.gather). The scatters add; where several updates meet they add up in index order, so results do not
 * depend on how the work is split. Indices count from 0; one outside its axis is an error.
 */
import { fail } from "../diagnostic/diagnostic.ts";
import * as messages from "../diagnostic/messages.ts";
import type { OpDef } from "../op.ts";
import { at, elementCount, rowMajorStrides, sameShape, type Shape, type TensorType } from "../type.ts";
import { define, filled, requireAxes, requireDomain, requireIndex, wrap } from "./factory.ts";
import { stridedOffsets } from "./strided.ts";

type Axis = { readonly axis: number };

export const gather: OpDef<"gather", 2, Axis> = define({
  name: "gather",
  arity: 2,
  doc: "slices of x at the given indices: x.shape[:axis] + index.shape + x.shape[axis+1:]",
  type: ([x, index], { axis }) => ({ dtype: x.dtype, shape: gatheredShape("gather", x, index, axis) }),
  vjp: ({ g, inputs: [x, index], attrs, cotangent }) => [g.scatterAdd(filled(g, x, 0), index, cotangent, attrs), null],
  evaluate: ([x, index], { types: [{ shape }], attrs: { axis }, type }) => {
    const result = new Float64Array(elementCount(type.shape));
    overSlices("gather", shape, axis, index, (source, target) => {
      result[target] = x[source] ?? 0;
    });
    return result;
  },
  lowering: { class: "gather", along: false },
});

export const scatterAdd: OpDef<"scatterAdd", 3, Axis> = define({
  name: "scatterAdd",
  arity: 3,
  doc: "base with updates added to its slices at the given indices: base.shape[:axis] + index.shape + base.shape[axis+1:]",
  type: ([base, index, updates], { axis }) => {
    requireDomain("scatterAdd", [base], "number");
    const expected = gatheredShape("scatterAdd", base, index, axis);
    if (updates.dtype !== base.dtype || !sameShape(updates.shape, expected))
      throw fail(
        messages.opTypeMismatch("scatterAdd", [base, index, updates], `updates ${base.dtype}[${expected.join(",")}]`),
      );
    return base;
  },
  vjp: ({ g, inputs: [, index], attrs, cotangent }) => [cotangent, null, g.gather(cotangent, index, attrs)],
  evaluate: ([base, index, updates], { types: [{ shape, dtype }], attrs: { axis } }) => {
    const result = base.slice();
    overSlices("scatterAdd", shape, axis, index, (source, target) => {
      result[source] = wrap(dtype, (result[source] ?? 0) + (updates[target] ?? 0));
    });
    return result;
  },
  lowering: { class: "scatter", along: false },
});

export const takeAlong: OpDef<"takeAlong", 2, Axis> = define({
  name: "takeAlong",
  arity: 2,
  doc: "for each element of the index, the element of x there along an axis, at the same place along the others",
  type: ([x, index], { axis }) => {
    requireAlong("takeAlong", x, index, axis);
    return { dtype: x.dtype, shape: index.shape };
  },
  vjp: ({ g, inputs: [x, index], attrs, cotangent }) => [
    g.scatterAddAlong(filled(g, x, 0), index, cotangent, attrs),
    null,
  ],
  evaluate: ([x, index], { types: [{ shape }, { shape: indexShape }], attrs: { axis } }) => {
    const result = new Float64Array(index.length);
    overElements("takeAlong", { shape, indexShape, axis }, index, (source, target) => {
      result[target] = x[source] ?? 0;
    });
    return result;
  },
  lowering: { class: "gather", along: true },
});

export const scatterAddAlong: OpDef<"scatterAddAlong", 3, Axis> = define({
  name: "scatterAddAlong",
  arity: 3,
  doc: "base with each update added where its index says along an axis, at the same place along the others",
  type: ([base, index, updates], { axis }) => {
    requireDomain("scatterAddAlong", [base], "number");
    requireAlong("scatterAddAlong", base, index, axis);
    if (updates.dtype !== base.dtype || !sameShape(updates.shape, index.shape))
      throw fail(
        messages.opTypeMismatch(
          "scatterAddAlong",
          [base, index, updates],
          `updates ${base.dtype}[${index.shape.join(",")}]`,
        ),
      );
    return base;
  },
  vjp: ({ g, inputs: [, index], attrs, cotangent }) => [cotangent, null, g.takeAlong(cotangent, index, attrs)],
  evaluate: ([base, index, updates], { types: [{ shape, dtype }, { shape: indexShape }], attrs: { axis } }) => {
    const result = base.slice();
    overElements("scatterAddAlong", { shape, indexShape, axis }, index, (source, target) => {
      result[source] = wrap(dtype, (result[source] ?? 0) + (updates[target] ?? 0));
    });
    return result;
  },
  lowering: { class: "scatter", along: true },
});

function gatheredShape(op: string, x: TensorType, index: TensorType, axis: number): Shape {
  requireIndex(op, [x, index], index);
  requireAxes(op, "axis", [axis], x.shape.length);
  return [...x.shape.slice(0, axis), ...index.shape, ...x.shape.slice(axis + 1)];
}

function requireAlong(op: string, x: TensorType, index: TensorType, axis: number): void {
  requireIndex(op, [x, index], index);
  requireAxes(op, "axis", [axis], x.shape.length);
  const fits =
    index.shape.length === x.shape.length && index.shape.every((extent, i) => i === axis || extent <= at(x.shape, i));
  if (!fits)
    throw fail(
      messages.opTypeMismatch(
        op,
        [x, index],
        `an index of the same rank, no larger than the first operand along axes other than ${axis}`,
      ),
    );
}

/** An index value, after checking it. */
function checked(op: string, index: number, extent: number): number {
  if (!(index >= 0 && index < extent)) throw fail(messages.indexOutOfRange(op, index, extent));
  return index;
}

/** Visits pairs of an element of x and the place where `gather` puts it, in order of the latter. */
function overSlices(
  op: string,
  shape: Shape,
  axis: number,
  index: Float64Array,
  visit: (source: number, target: number) => void,
): void {
  const [outer, inner] = [elementCount(shape.slice(0, axis)), elementCount(shape.slice(axis + 1))];
  const extent = at(shape, axis);
  let target = 0;
  for (let i = 0; i < outer; i++)
    for (const j of index) {
      const source = (i * extent + checked(op, j, extent)) * inner;
      for (let k = 0; k < inner; k++) visit(source + k, target++);
    }
}

/** Visits pairs of an element of x and the index element that selects it, in order of the latter. */
function overElements(
  op: string,
  { shape, indexShape, axis }: { readonly shape: Shape; readonly indexShape: Shape; readonly axis: number },
  index: Float64Array,
  visit: (source: number, target: number) => void,
): void {
  const strides = rowMajorStrides(shape);
  const bases = stridedOffsets(
    indexShape,
    strides.map((stride, i) => (i === axis ? 0 : stride)),
  );
  const [extent, along] = [at(shape, axis), at(strides, axis)];
  for (let i = 0; i < index.length; i++) visit((bases[i] ?? 0) + checked(op, index[i] ?? 0, extent) * along, i);
}
