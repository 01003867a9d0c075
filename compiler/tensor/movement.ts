/** The same elements in another shape or order. Nothing here moves data: it becomes an index in whatever reads it. */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { at, broadcastShapes, elementCount, sameShape, type Shape, type TensorType } from "../../ir/type.ts";
import { make, nodeOf } from "../trace/handle.ts";
import type { Tensor } from "../trace/tensor.ts";
import { currentTrace } from "../trace/trace.ts";
import { normaliseAxes, normaliseAxis, type Axes } from "./axes.ts";
import { broadcastNode, reshapeNode } from "./promote.ts";

function reshapeTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  return x[make](reshapeNode(currentTrace("reshape"), nodeOf(x), shape));
}

/** A shape with at most one -1, which stands for what is left over. */
function completeShape(op: string, shape: Shape, type: TensorType): Shape {
  const count = elementCount(type.shape);
  const known = shape.reduce((product, extent) => (extent === -1 ? product : product * extent), 1);
  const open = shape.filter((extent) => extent === -1).length;
  const whole = shape.every((extent) => Number.isSafeInteger(extent) && extent >= -1);
  const fits = open === 0 ? known === count : open === 1 && known > 0 && count % known === 0;
  if (!whole || !fits) throw fail(messages.badReshape(op, type, shape), currentTrace(op).here());
  return shape.map((extent) => (extent === -1 ? count / known : extent));
}

function permuteAxes(x: Tensor, order: readonly number[]): Tensor {
  if (order.every((axis, i) => axis === i)) return x;
  return x[make](currentTrace("permute").g.permute(nodeOf(x), { order }));
}

/** The shape for `broadcastTo` and `expand`: -1 keeps an extent. */
function expandedShape(op: string, shape: Shape, type: TensorType): Shape {
  const missing = shape.length - type.shape.length;
  const complete = shape.map((extent, axis) => (extent === -1 ? (type.shape[axis - missing] ?? -1) : extent));
  const joined = broadcastShapes(type.shape, complete);
  if (joined === undefined || missing < 0 || !sameShape(joined, complete) || complete.includes(-1))
    throw fail(messages.badExpand(op, type, shape), currentTrace(op).here());
  return complete;
}

/** The part of x from `start` to `stop` (below), every `step`-th, along one axis; bounds as in Python's slices. */
function sliceAxis(x: Tensor, dim: number, start: number, stop: number, step: number): Tensor {
  const axis = normaliseAxis("slice", dim, x.type);
  const extent = at(x.shape, axis);
  if (!Number.isSafeInteger(step) || step < 1) throw fail(messages.badStep(step), currentTrace("slice").here());
  const bound = (i: number): number => Math.min(Math.max(i < 0 ? i + extent : i, 0), extent);
  const first = bound(start);
  const last = Math.max(bound(stop), first);
  if (first === 0 && last === extent && step === 1) return x;
  const attrs = {
    start: x.shape.map((_, i) => (i === axis ? first : 0)),
    stop: x.shape.map((whole, i) => (i === axis ? last : whole)),
    step: x.shape.map((_, i) => (i === axis ? step : 1)),
  };
  return x[make](currentTrace("slice").g.slice(nodeOf(x), attrs));
}

/** Lengths of the parts that `split` makes. */
function partLengths(extent: number, parts: number | readonly number[], type: TensorType): readonly number[] {
  if (typeof parts !== "number") {
    if (parts.reduce((sum, part) => sum + part, 0) !== extent)
      throw fail(messages.badSplit(type, parts), currentTrace("split").here());
    return parts;
  }
  if (!Number.isSafeInteger(parts) || parts < 1)
    throw fail(messages.badSplit(type, [parts]), currentTrace("split").here());
  return Array.from({ length: Math.ceil(extent / parts) }, (_, i) => Math.min(parts, extent - i * parts));
}

/** A list given as one array or as separate arguments. */
function list(shape: readonly (number | Shape)[]): Shape {
  return shape.flatMap((extent): readonly number[] => (typeof extent === "number" ? [extent] : extent));
}

/** Movement methods. A `dim` is an axis, negative from the end. Shapes are given as one array or as arguments. */
export interface MovementMethods {
  /** The elements in row-major order as another shape; one extent may be -1. */
  reshape(this: Tensor, ...shape: readonly (number | Shape)[]): Tensor;
  /** The same as `reshape`. */
  view(this: Tensor, ...shape: readonly (number | Shape)[]): Tensor;
  /** Axes `startDim` to `endDim` (included) as one. */
  flatten(this: Tensor, startDim?: number, endDim?: number): Tensor;
  /** Axis `dim` as several. */
  unflatten(this: Tensor, dim: number, sizes: Shape): Tensor;
  /** Without the given axes, as far as their extent is 1; without all such axes by default. */
  squeeze(this: Tensor, dim?: Axes): Tensor;
  /** With an axis of extent 1 at `dim`. */
  unsqueeze(this: Tensor, dim: number): Tensor;
  /** Axes in the given order. */
  permute(this: Tensor, ...dims: readonly (number | Shape)[]): Tensor;
  /** Two axes exchanged. */
  transpose(this: Tensor, dim0: number, dim1: number): Tensor;
  /** A matrix transposed. */
  t(this: Tensor): Tensor;
  /** Axes moved to other places, the others in their order. */
  movedim(this: Tensor, source: number | readonly number[], destination: number | readonly number[]): Tensor;
  /** Repeated along axes of extent 1; -1 keeps an extent. */
  expand(this: Tensor, ...shape: readonly (number | Shape)[]): Tensor;
  /** Repeated along axes of extent 1 to this shape. */
  broadcastTo(this: Tensor, ...shape: readonly (number | Shape)[]): Tensor;
  /** Repeated to the shape of `other`. */
  expandAs(this: Tensor, other: Tensor): Tensor;
  /** Copies side by side, `times[i]` along axis i; leading axes are added where there are more counts than axes. */
  repeat(this: Tensor, ...times: readonly (number | Shape)[]): Tensor;
  /** In reverse order along axes. */
  flip(this: Tensor, ...dims: readonly (number | Shape)[]): Tensor;
  /** From `start` to `end` (excluded), every `step`-th element along `dim`; bounds as in Python's slices. */
  slice(this: Tensor, dim: number, start?: number, end?: number, step?: number): Tensor;
  /** `length` elements from `start` on along `dim`. */
  narrow(this: Tensor, dim: number, start: number, length: number): Tensor;
  /** Element `index` along `dim`, without that axis. */
  select(this: Tensor, dim: number, index: number): Tensor;
  /** Parts of the given length(s) along `dim`. */
  split(this: Tensor, parts: number | readonly number[], dim?: number): Tensor[];
  /** At most `chunks` parts of equal length along `dim`, the last perhaps shorter. */
  chunk(this: Tensor, chunks: number, dim?: number): Tensor[];
  /** All elements along `dim`, without that axis. */
  unbind(this: Tensor, dim?: number): Tensor[];
  /** x itself: layouts are the compiler's business. */
  contiguous(this: Tensor): Tensor;
}

/** The implementations of `MovementMethods`. */
export const movementMethods: MovementMethods = {
  reshape(...shape) {
    return reshapeTo(this, completeShape("reshape", list(shape), this.type));
  },
  view(...shape) {
    return reshapeTo(this, completeShape("view", list(shape), this.type));
  },
  flatten(startDim = 0, endDim = -1) {
    if (this.ndim === 0) return reshapeTo(this, [1]);
    const start = normaliseAxis("flatten", startDim, this.type);
    const end = normaliseAxis("flatten", endDim, this.type);
    if (start > end) throw fail(messages.badFlatten(startDim, endDim, this.type), currentTrace("flatten").here());
    const merged = elementCount(this.shape.slice(start, end + 1));
    return reshapeTo(this, [...this.shape.slice(0, start), merged, ...this.shape.slice(end + 1)]);
  },
  unflatten(dim, sizes) {
    const axis = normaliseAxis("unflatten", dim, this.type);
    const part: TensorType = { dtype: this.dtype, shape: [at(this.shape, axis)] };
    const complete = completeShape("unflatten", sizes, part);
    return reshapeTo(this, [...this.shape.slice(0, axis), ...complete, ...this.shape.slice(axis + 1)]);
  },
  squeeze(dim) {
    const axes = normaliseAxes("squeeze", dim, this.type);
    return reshapeTo(
      this,
      this.shape.filter((extent, axis) => extent !== 1 || !axes.includes(axis)),
    );
  },
  unsqueeze(dim) {
    const axis = normaliseAxis("unsqueeze", dim, { dtype: this.dtype, shape: [...this.shape, 1] });
    return reshapeTo(this, [...this.shape.slice(0, axis), 1, ...this.shape.slice(axis)]);
  },
  permute(...dims) {
    const order = list(dims).map((axis) => normaliseAxis("permute", axis, this.type));
    if (order.length !== this.ndim || new Set(order).size !== order.length)
      throw fail(messages.badPermutation(list(dims), this.type), currentTrace("permute").here());
    return permuteAxes(this, order);
  },
  transpose(dim0, dim1) {
    const a = normaliseAxis("transpose", dim0, this.type);
    const b = normaliseAxis("transpose", dim1, this.type);
    return permuteAxes(
      this,
      this.shape.map((_, axis) => (axis === a ? b : axis === b ? a : axis)),
    );
  },
  t() {
    if (this.ndim > 2) throw fail(messages.rankMismatch("t", "a matrix", this.type), currentTrace("t").here());
    return this.ndim < 2 ? this : permuteAxes(this, [1, 0]);
  },
  movedim(source, destination) {
    const from = [source].flat().map((axis) => normaliseAxis("movedim", axis, this.type));
    const to = [destination].flat().map((axis) => normaliseAxis("movedim", axis, this.type));
    if (from.length !== to.length || new Set(from).size !== from.length || new Set(to).size !== to.length)
      throw fail(messages.badPermutation([source, destination].flat(), this.type), currentTrace("movedim").here());
    const rest = this.shape.flatMap((_, axis) => (from.includes(axis) ? [] : [axis]));
    const order = this.shape.map((_, axis) => (to.includes(axis) ? at(from, to.indexOf(axis)) : (rest.shift() ?? 0)));
    return permuteAxes(this, order);
  },
  expand(...shape) {
    return broadcastTensor(this, expandedShape("expand", list(shape), this.type));
  },
  broadcastTo(...shape) {
    return broadcastTensor(this, expandedShape("broadcastTo", list(shape), this.type));
  },
  expandAs(other) {
    return broadcastTensor(this, expandedShape("expandAs", other.shape, this.type));
  },
  repeat(...times) {
    const counts = list(times);
    const missing = counts.length - this.ndim;
    if (missing < 0 || !counts.every((count) => Number.isSafeInteger(count) && count >= 0))
      throw fail(messages.badRepeat(this.type, counts), currentTrace("repeat").here());
    const shape = counts.map((_, axis) => this.shape[axis - missing] ?? 1);
    const spaced = reshapeTo(
      this,
      shape.flatMap((extent) => [1, extent]),
    );
    const tiled = broadcastTensor(
      spaced,
      shape.flatMap((extent, axis) => [at(counts, axis), extent]),
    );
    return reshapeTo(
      tiled,
      shape.map((extent, axis) => extent * at(counts, axis)),
    );
  },
  flip(...dims) {
    const given = list(dims);
    if (given.length === 0) return this;
    const axes = normaliseAxes("flip", given, this.type);
    return this[make](currentTrace("flip").g.flip(nodeOf(this), { axes }));
  },
  slice(dim, start = 0, end = Number.MAX_SAFE_INTEGER, step = 1) {
    return sliceAxis(this, dim, start, end, step);
  },
  narrow(dim, start, length) {
    const extent = at(this.shape, normaliseAxis("narrow", dim, this.type));
    const first = start < 0 ? start + extent : start;
    if (first < 0 || length < 0 || first + length > extent)
      throw fail(messages.outsideAxis("narrow", dim, [start, length], this.type), currentTrace("narrow").here());
    return sliceAxis(this, dim, first, first + length, 1);
  },
  select(dim, index) {
    const axis = normaliseAxis("select", dim, this.type);
    const extent = at(this.shape, axis);
    const i = index < 0 ? index + extent : index;
    if (!Number.isInteger(i) || i < 0 || i >= extent)
      throw fail(messages.outsideAxis("select", dim, [index], this.type), currentTrace("select").here());
    return reshapeTo(
      sliceAxis(this, axis, i, i + 1, 1),
      this.shape.filter((_, other) => other !== axis),
    );
  },
  split(parts, dim = 0) {
    const axis = normaliseAxis("split", dim, this.type);
    let begin = 0;
    return partLengths(at(this.shape, axis), parts, this.type).map((length) => {
      begin += length;
      return sliceAxis(this, axis, begin - length, begin, 1);
    });
  },
  chunk(chunks, dim = 0) {
    const extent = at(this.shape, normaliseAxis("chunk", dim, this.type));
    return this.split(Math.max(Math.ceil(extent / chunks), 1), dim);
  },
  unbind(dim = 0) {
    const extent = at(this.shape, normaliseAxis("unbind", dim, this.type));
    return Array.from({ length: extent }, (_, i) => this.select(dim, i));
  },
  contiguous() {
    return this;
  },
};

function broadcastTensor(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  return x[make](broadcastNode(currentTrace("expand"), nodeOf(x), shape));
}
