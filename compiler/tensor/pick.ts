/**
 * Picking and replacing elements as Python's brackets do: numbers, slices, new axes, an ellipsis, lists and tensors of
 * indices in one call. Index tensors of one call broadcast together and become one look-up on the flattened axes.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { at, elementCount, isFloat } from "../../ir/type.ts";
import { make, nodeOf } from "../trace/handle.ts";
import type { Tensor } from "../trace/tensor.ts";
import { currentTrace } from "../trace/trace.ts";
import { normaliseAxis } from "./axes.ts";
import { composed } from "./elementwise.ts";
import { isHandle } from "./promote.ts";
import { broadcastAll } from "./rearrange.ts";

/** `start:stop:step`. */
export type IndexSlice = { readonly start?: number; readonly stop?: number; readonly step?: number };

/** Indices in nested lists of one shape. */
export type IndexList = readonly (number | IndexList)[];

/** One part of an index: `null` adds an axis, `"..."` stands for all axes in between. */
export type IndexPart = number | IndexSlice | null | "..." | Tensor | IndexList;

/** Picking and replacing elements. */
export interface PickMethods {
  /** What Python's `x[parts]` gives. */
  index(this: Tensor, ...parts: readonly IndexPart[]): Tensor;
  /** x with `values` at the places that index tensors tell, or (`accumulate`) added to them. */
  indexPut(
    this: Tensor,
    indices: readonly Tensor[],
    values: Tensor | number,
    options?: { readonly accumulate?: boolean },
  ): Tensor;
  /** x with the elements of `source` (or a number) at their index along `dim`; of several for one place the last. */
  scatter(this: Tensor, dim: number, index: Tensor, source: Tensor | number): Tensor;
  /** Elements of x at `index` along `dim`, both broadcast along the other axes; without `dim`, of the flattened x. */
  takeAlongDim(this: Tensor, index: Tensor, dim?: number): Tensor;
  /** x with `value` at the indices of a vector along `dim`. */
  indexFill(this: Tensor, dim: number, index: Tensor, value: number): Tensor;
}

/** An index tensor and the axis (of what is left of x) that it looks along. */
type Looked = { readonly axis: number; readonly index: Tensor };

/** A list of indices as a tensor. */
function listTensor(x: Tensor, list: IndexList): Tensor {
  const shape: number[] = [];
  const values: number[] = [];
  const walk = (part: number | IndexList, depth: number): void => {
    if (typeof part === "number") {
      values.push(part);
      return;
    }
    shape[depth] ??= part.length;
    if (shape[depth] !== part.length) throw fail(messages.raggedTensor(), currentTrace("index").here());
    for (const each of part) walk(each, depth + 1);
  };
  walk(list, 0);
  return x[make](currentTrace("index").g.literal({ dtype: "i64", shape, values }));
}

/** Indices from 0 where they may count from the end. */
function fromStart(op: string, index: Tensor, extent: number): Tensor {
  if (index.dtype === "bool" || isFloat(index.dtype))
    throw fail(messages.badIndexType(op, index.type), currentTrace(op).here());
  const whole = index.to("i64");
  return whole.add(extent).where(whole.lt(0), whole);
}

/** How many axes of x a part looks at. */
function consumes(part: IndexPart): number {
  return part === null || part === "..." ? 0 : 1;
}

/** Applies numbers, slices and new axes; leaves index tensors for later. */
function applyPlain(
  x: Tensor,
  parts: readonly IndexPart[],
): { readonly value: Tensor; readonly looked: readonly Looked[] } {
  const used = parts.reduce((count: number, part) => count + consumes(part), 0);
  if (used > x.ndim || parts.filter((part) => part === "...").length > 1)
    throw fail(messages.tooManyIndices(used, x.type), currentTrace("index").here());
  const hidden = x.ndim - used;
  let [value, axis] = [x, 0];
  const looked: Looked[] = [];
  // Once there are index tensors, a number is one of them, as in PyTorch.
  const lists = parts.some((part) => isHandle(part) || Array.isArray(part));
  for (const part of parts.includes("...") ? parts : [...parts, "..." as const]) {
    if (part === "...") axis += hidden;
    else if (part === null) value = value.unsqueeze(axis++);
    else if (typeof part === "number" && !lists) value = value.select(axis, part);
    else if (typeof part === "number") looked.push({ axis: axis++, index: listTensor(x, [part]).reshape([]) });
    else if (isHandle(part)) looked.push({ axis: axis++, index: part });
    else if (isList(part)) looked.push({ axis: axis++, index: listTensor(x, part) });
    else value = value.slice(axis++, part.start, part.stop, part.step);
  }
  return { value, looked };
}

function isList(part: IndexSlice | IndexList): part is IndexList {
  return Array.isArray(part);
}

/** The looked-at axes as one, in front of the others, and the place in it that each index tells. */
function flattenLooked(
  op: string,
  x: Tensor,
  looked: readonly Looked[],
): { readonly flat: Tensor; readonly place: Tensor; readonly rest: readonly number[] } {
  const axes = looked.map(({ axis }) => axis);
  const rest = x.shape.flatMap((_, axis) => (axes.includes(axis) ? [] : [axis]));
  const extents = axes.map((axis) => at(x.shape, axis));
  const flat = x.permute([...axes, ...rest]).reshape([elementCount(extents), ...rest.map((axis) => at(x.shape, axis))]);
  const indices = looked.map(({ index }, i) => fromStart(op, index, at(extents, i)));
  broadcastAll(op, indices);
  const place = indices.reduce((sum, index, i) => sum.mul(at(extents, i)).add(index));
  return { flat, place, rest };
}

function lookUp(x: Tensor, looked: readonly Looked[]): Tensor {
  const { flat, place } = flattenLooked("index", x, looked);
  const picked = x[make](currentTrace("index").g.gather(nodeOf(flat), nodeOf(place), { axis: 0 }));
  const axes = looked.map(({ axis }) => axis);
  const adjacent = axes.every((axis, i) => i === 0 || axis === at(axes, i - 1) + 1);
  if (!adjacent) return picked;
  // The axes of the indices stand where the looked-at axes stood.
  const moved = place.shape.map((_, i) => i);
  return picked.movedim(
    moved,
    moved.map((i) => i + at(axes, 0)),
  );
}

/** Marks, along the first axis, the last of several elements that go to one place; `place` is a vector. */
function lastOfEach(place: Tensor, axis: number): { readonly order: Tensor; readonly isLast: Tensor } {
  const { values, indices } = place.sort(axis);
  const extent = at(place.shape, axis);
  const next = values.slice(axis, 1, extent);
  const { g } = currentTrace("scatter");
  const high = place.shape.map((_, i) => (i === axis ? 1 : 0));
  const none = place.shape.map(() => 0);
  const differs = values.slice(axis, 0, extent - 1).ne(next);
  const isLast = place[make](g.pad(nodeOf(differs), { low: none, high, interior: none, value: 1 }));
  return { order: indices, isLast };
}

function scatterTensor(x: Tensor, axis: number, index: Tensor, source: Tensor): Tensor {
  const { order, isLast } = lastOfEach(index, axis);
  const sorted = index.gather(axis, order);
  const values = source.gather(axis, order);
  const kept = values.where(isLast, 0);
  const hits = x.zerosLike({ dtype: "i32" }).scatterAdd(axis, sorted, isLast.to("i32"));
  return x.maskedFill(hits.gt(0), 0).scatterAdd(axis, sorted, kept.to(x.dtype));
}

/** `source` cut to the shape of the index, which may be smaller. */
function cutTo(index: Tensor, source: Tensor): Tensor {
  return index.shape.reduce((part, extent, axis) => part.slice(axis, 0, extent), source);
}

/** The implementations of `PickMethods`. */
export const pickMethods: PickMethods = {
  index(...parts) {
    return composed("index", () => {
      const { value, looked } = applyPlain(this, parts);
      return looked.length === 0 ? value : lookUp(value, looked);
    });
  },
  indexPut(indices, values, { accumulate = false } = {}) {
    return composed("indexPut", () => {
      const looked = indices.map((index, axis) => ({ axis, index }));
      if (looked.length > this.ndim || looked.length === 0)
        throw fail(messages.tooManyIndices(looked.length, this.type), currentTrace("indexPut").here());
      const { flat, place, rest } = flattenLooked("indexPut", this, looked);
      const tail = rest.map((axis) => at(this.shape, axis));
      const filled = isHandle(values) ? values.to(this.dtype) : flat.fullLike(values).select(0, 0);
      const updates = filled.broadcastTo([...place.shape, ...tail]).reshape([place.numel(), ...tail]);
      const places = place.reshape([place.numel()]);
      if (accumulate) return flat.indexAdd(0, places, updates).reshape(this.shape);
      const { order, isLast } = lastOfEach(places, 0);
      const mask = isLast.reshape([-1, ...tail.map(() => 1)]);
      const kept = updates.indexSelect(0, order).where(mask, 0);
      const sorted = places.indexSelect(0, order);
      const hits = flat.zerosLike({ dtype: "i32" }).indexAdd(0, sorted, mask.to("i32").broadcastTo(kept.shape));
      return flat.maskedFill(hits.gt(0), 0).indexAdd(0, sorted, kept).reshape(this.shape);
    });
  },
  scatter(dim, index, source) {
    return composed("scatter", () => {
      if (this.ndim === 0)
        return this.reshape([1])
          .scatter(0, index.reshape([-1]), isHandle(source) ? source.reshape([-1]) : source)
          .reshape([]);
      const axis = normaliseAxis("scatter", dim, this.type);
      if (isHandle(source)) return scatterTensor(this, axis, index, cutTo(index, source));
      const ones = index.onesLike({ dtype: "i32" });
      const hits = this.zerosLike({ dtype: "i32" }).scatterAdd(axis, index, ones);
      return this.maskedFill(hits.gt(0), source);
    });
  },
  takeAlongDim(index, dim) {
    return composed("takeAlongDim", () => {
      if (dim === undefined)
        return this.reshape([-1]).gather(0, fromStart("takeAlongDim", index.reshape([-1]), this.numel()));
      const axis = normaliseAxis("takeAlongDim", dim, this.type);
      const other = (shape: readonly number[]): number[] => shape.map((extent, i) => (i === axis ? 1 : extent));
      const common = broadcastAll("takeAlongDim", [
        this.select(axis, 0).unsqueeze(axis),
        index.select(axis, 0).unsqueeze(axis),
      ]);
      const spread = (x: Tensor): Tensor =>
        x.broadcastTo(other(common).map((extent, i) => (i === axis ? at(x.shape, axis) : extent)));
      return spread(this).gather(axis, fromStart("takeAlongDim", spread(index), at(this.shape, axis)));
    });
  },
  indexFill(dim, index, value) {
    return composed("indexFill", () => {
      const axis = normaliseAxis("indexFill", dim, this.type);
      const { g } = currentTrace("indexFill");
      const extent = at(this.shape, axis);
      const along = this[make](g.iota({ axis: 0, dtype: "i64", shape: [extent] }));
      const hit = along
        .unsqueeze(1)
        .eq(fromStart("indexFill", index, extent).unsqueeze(0))
        .any(1);
      return this.maskedFill(hit.reshape([extent, ...this.shape.slice(axis + 1).map(() => 1)]), value);
    });
  },
};
