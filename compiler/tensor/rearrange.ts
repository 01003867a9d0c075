/** Diagonals, triangles, windows and repetitions: movement composed of the movement ops. */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { at, broadcastShapes, elementCount, type Shape } from "../../ir/type.ts";
import { make, nodeOf } from "../trace/handle.ts";
import type { Tensor } from "../trace/tensor.ts";
import { currentTrace } from "../trace/trace.ts";
import { normaliseAxis } from "./axes.ts";
import { composed } from "./elementwise.ts";
import { isHandle } from "./promote.ts";

/** Movement methods beyond the plain ones. A `dim` is an axis, negative from the end. */
export interface RearrangeMethods {
  /** A vector as the `offset`-th diagonal of a square matrix, or that diagonal of a matrix. */
  diag(this: Tensor, offset?: number): Tensor;
  /** The `offset`-th diagonal of axes `dim1` and `dim2`, as the last axis. */
  diagonal(this: Tensor, offset?: number, dim1?: number, dim2?: number): Tensor;
  /** Vectors along the last axis as diagonals of square matrices in the last two axes. */
  diagEmbed(this: Tensor, offset?: number): Tensor;
  /** The last two axes with 0 above the `diagonal`-th diagonal. */
  tril(this: Tensor, diagonal?: number): Tensor;
  /** The last two axes with 0 below the `diagonal`-th diagonal. */
  triu(this: Tensor, diagonal?: number): Tensor;
  /** Elements moved along axes in a circle; without `dims`, in the flattened tensor. */
  roll(this: Tensor, shifts: number | readonly number[], dims?: number | readonly number[]): Tensor;
  /** Copies side by side; missing leading counts are 1. */
  tile(this: Tensor, ...times: readonly (number | Shape)[]): Tensor;
  /** Windows of `size` along `dim`, `step` apart, as a new last axis. */
  unfold(this: Tensor, dim: number, size: number, step: number): Tensor;
  /**
   * Each element (of the flattened tensor, or along `dim`) several times in a row. Where `repeats` is a tensor, the
   * result's extent must be given as `outputSize`.
   */
  repeatInterleave(
    this: Tensor,
    repeats: number | Tensor,
    dim?: number,
    options?: { readonly outputSize?: number },
  ): Tensor;
  /** Axes exchanged by `permute` so that `dim0` and `dim1` swap: the same as `transpose`. */
  swapaxes(this: Tensor, dim0: number, dim1: number): Tensor;
  /** All elements as a vector. */
  ravel(this: Tensor): Tensor;
  /** In reverse order along the second axis. */
  fliplr(this: Tensor): Tensor;
  /** In reverse order along the first axis. */
  flipud(this: Tensor): Tensor;
}

/** Where a diagonal begins in the flattened matrix, and how long it is. */
function diagonalSpan(
  rows: number,
  columns: number,
  offset: number,
): { readonly first: number; readonly length: number } {
  const length = offset >= 0 ? Math.min(rows, columns - offset) : Math.min(rows + offset, columns);
  return { first: offset >= 0 ? offset : -offset * columns, length: Math.max(length, 0) };
}

function diagonal(x: Tensor, offset: number, dim1: number, dim2: number): Tensor {
  const [a, b] = [normaliseAxis("diagonal", dim1, x.type), normaliseAxis("diagonal", dim2, x.type)];
  if (a === b || x.ndim < 2) throw fail(messages.axisTwice("diagonal", [dim1, dim2]), currentTrace("diagonal").here());
  const moved = x.movedim([a, b], [-2, -1]);
  const [rows, columns] = [at(moved.shape, x.ndim - 2), at(moved.shape, x.ndim - 1)];
  const { first, length } = diagonalSpan(rows, columns, offset);
  const flat = moved.flatten(-2, -1);
  if (length === 0) return flat.slice(-1, 0, 0);
  return flat.slice(-1, first, first + (length - 1) * (columns + 1) + 1, columns + 1);
}

function diagEmbed(x: Tensor, offset: number): Tensor {
  const n = at(x.shape, x.ndim - 1);
  const size = n + Math.abs(offset);
  const lead = x.shape.slice(0, -1);
  const { first } = diagonalSpan(size, size, offset);
  if (n === 0) return x[make](currentTrace("diag").g.full({ value: 0, dtype: x.dtype, shape: [...lead, size, size] }));
  const none = lead.map(() => 0);
  const high = size * size - first - ((n - 1) * (size + 1) + 1);
  const spread = currentTrace("diag").g.pad(nodeOf(x), {
    low: [...none, first],
    high: [...none, high],
    interior: [...none, size],
    value: 0,
  });
  return x[make](spread).reshape([...lead, size, size]);
}

/** x where `keep` holds for column minus row, else 0. */
function triangle(x: Tensor, op: "tril" | "triu", offset: number): Tensor {
  if (x.ndim < 2) throw fail(messages.rankMismatch(op, "a matrix or a stack of them", x.type), currentTrace(op).here());
  return composed(op, () => {
    const { g } = currentTrace(op);
    const shape = x.shape.slice(-2);
    const row = x[make](g.iota({ axis: 0, dtype: "i64", shape }));
    const column = x[make](g.iota({ axis: 1, dtype: "i64", shape }));
    const distance = column.sub(row);
    const keep = op === "tril" ? distance.le(offset) : distance.ge(offset);
    return x.where(keep, x.dtype === "bool" ? false : 0).to(x.dtype);
  });
}

function rollAxis(x: Tensor, shift: number, dim: number): Tensor {
  const axis = normaliseAxis("roll", dim, x.type);
  const extent = x.shape[axis] ?? 0;
  if (extent === 0) return x;
  const cut = (((-shift % extent) + extent) % extent) + 0;
  if (cut === 0) return x;
  const parts = [x.slice(axis, cut), x.slice(axis, 0, cut)].map((part) => nodeOf(part));
  return x[make](currentTrace("roll").g.concat(...parts, { axis }));
}

function interleaveByTensor(x: Tensor, repeats: Tensor, axis: number, outputSize: number | undefined): Tensor {
  if (outputSize === undefined) throw fail(messages.needsOutputSize("repeatInterleave"), currentTrace().here());
  const { g } = currentTrace("repeatInterleave");
  const counts = repeats.to("i64").broadcastTo([at(x.shape, axis)]);
  const ends = counts.cumsum(0);
  const position = x[make](g.iota({ axis: 0, dtype: "i64", shape: [outputSize] }));
  // Element i ends before position p exactly if its running total is at most p.
  const source = ends.unsqueeze(0).le(position.unsqueeze(1)).sum(1);
  return x.indexSelect(axis, source);
}

/** The implementations of `RearrangeMethods`. */
export const rearrangeMethods: RearrangeMethods = {
  diag(offset = 0) {
    if (this.ndim !== 1 && this.ndim !== 2)
      throw fail(messages.rankMismatch("diag", "a vector or a matrix", this.type), currentTrace("diag").here());
    return composed("diag", () => (this.ndim === 1 ? diagEmbed(this, offset) : diagonal(this, offset, 0, 1)));
  },
  diagonal(offset = 0, dim1 = 0, dim2 = 1) {
    return composed("diagonal", () => diagonal(this, offset, dim1, dim2));
  },
  diagEmbed(offset = 0) {
    return composed("diagEmbed", () => diagEmbed(this, offset));
  },
  tril(offset = 0) {
    return triangle(this, "tril", offset);
  },
  triu(offset = 0) {
    return triangle(this, "triu", offset);
  },
  roll(shifts, dims) {
    return composed("roll", () => {
      const amounts = [shifts].flat();
      if (dims === undefined) return rollAxis(this.reshape([-1]), at(amounts, 0), 0).reshape(this.shape);
      const axes = [dims].flat();
      if (axes.length !== amounts.length)
        throw fail(messages.unequalLists("roll", "shifts", amounts, "dims", axes), currentTrace("roll").here());
      return axes.reduce<Tensor>((x, axis, i) => rollAxis(x, at(amounts, i), axis), this);
    });
  },
  tile(...times) {
    const counts = times.flatMap((each): readonly number[] => (typeof each === "number" ? [each] : each));
    const missing = Math.max(this.ndim - counts.length, 0);
    return this.repeat([...Array.from({ length: missing }, () => 1), ...counts]);
  },
  unfold(dim, size, step) {
    return composed("unfold", () => {
      if (this.ndim === 0) return this.reshape([1]).unfold(0, size, step).reshape([size]);
      const axis = normaliseAxis("unfold", dim, this.type);
      const extent = at(this.shape, axis);
      if (!Number.isSafeInteger(size) || size < 0 || size > extent || !Number.isSafeInteger(step) || step < 1)
        throw fail(messages.outsideAxis("unfold", dim, [size, step], this.type), currentTrace("unfold").here());
      const shape = [Math.floor((extent - size) / step) + 1, size];
      const { g } = currentTrace("unfold");
      const start = this[make](g.iota({ axis: 0, dtype: "i64", shape })).mul(step);
      const index = start.add(this[make](g.iota({ axis: 1, dtype: "i64", shape })));
      const windows = this[make](g.gather(nodeOf(this), nodeOf(index), { axis }));
      return windows.movedim(axis + 1, -1);
    });
  },
  repeatInterleave(repeats, dim, { outputSize } = {}) {
    return composed("repeatInterleave", () => {
      const x = dim === undefined ? this.reshape([-1]) : this;
      const axis = normaliseAxis("repeatInterleave", dim ?? 0, x.type);
      if (isHandle(repeats)) return interleaveByTensor(x, repeats, axis, outputSize);
      const shape = [...x.shape.slice(0, axis + 1), repeats, ...x.shape.slice(axis + 1)];
      const merged = [...x.shape.slice(0, axis), at(x.shape, axis) * repeats, ...x.shape.slice(axis + 1)];
      return x
        .unsqueeze(axis + 1)
        .broadcastTo(shape)
        .reshape(merged);
    });
  },
  swapaxes(dim0, dim1) {
    return this.transpose(dim0, dim1);
  },
  ravel() {
    return this.reshape([elementCount(this.shape)]);
  },
  fliplr() {
    return this.flip(1);
  },
  flipud() {
    return this.flip(0);
  },
};

/** Coordinates of a grid over vectors. `ij`: axis i belongs to vector i; `xy`: the first two are exchanged. */
export function meshgrid(
  tensors: readonly Tensor[],
  { indexing = "ij" }: { readonly indexing?: "ij" | "xy" } = {},
): Tensor[] {
  return composed("meshgrid", () => {
    const vectors = tensors.map((each) => (each.ndim === 0 ? each.reshape([1]) : each));
    for (const each of vectors)
      if (each.ndim !== 1) throw fail(messages.rankMismatch("meshgrid", "vectors", each.type), currentTrace().here());
    const swapped = indexing === "xy" && vectors.length >= 2;
    const place = (i: number): number => (swapped && i < 2 ? 1 - i : i);
    const shape: number[] = [];
    vectors.forEach((each, i) => {
      shape[place(i)] = each.numel();
    });
    return vectors.map((each, i) =>
      each.reshape(shape.map((_, axis) => (axis === place(i) ? each.numel() : 1))).broadcastTo(shape),
    );
  });
}

/** The shape that shapes broadcast to; a `UserError` if they do not. */
export function broadcastAll(op: string, tensors: readonly Tensor[]): Shape {
  let shape: Shape = [];
  for (const each of tensors) {
    const joined = broadcastShapes(shape, each.shape);
    if (joined === undefined)
      throw fail(
        messages.shapesDoNotBroadcast(
          op,
          tensors.map(({ type }) => type),
        ),
        currentTrace(op).here(),
      );
    shape = joined;
  }
  return shape;
}
