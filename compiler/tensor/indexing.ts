/** Picking and adding elements by index, running totals and order. Indices are i64 (or i32) tensors that count from 0. */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { Node } from "../../ir/graph.ts";
import { at } from "../../ir/type.ts";
import { make, nodeOf } from "../trace/handle.ts";
import type { Tensor } from "../trace/tensor.ts";
import { currentTrace } from "../trace/trace.ts";
import { normaliseAxis } from "./axes.ts";
import { castNode, isHandle } from "./promote.ts";
import type { ValuesAndIndices } from "./reduction.ts";

function indexNode(op: string, index: Tensor): Node {
  const trace = currentTrace(op);
  if (!isHandle(index)) throw fail(messages.notATensor(op, typeof index), trace.here());
  const node = nodeOf(index, op);
  if (node.type.dtype === "i64" || node.type.dtype === "i32") return node;
  if (node.type.dtype === "bool" || node.type.dtype.startsWith("f") || node.type.dtype === "bf16")
    throw fail(messages.badIndexType(op, node.type), trace.here());
  return castNode(trace, node, "i64");
}

/** Rows of `weight` ([rows, ...]) at the indices: [...index, ...]. */
export function takeSlices(weight: Tensor, dim: number, index: Tensor): Tensor {
  const trace = currentTrace("indexSelect");
  return trace.at(trace.here(), () => {
    const axis = normaliseAxis("indexSelect", dim, weight.type);
    return weight[make](trace.g.gather(nodeOf(weight), indexNode("indexSelect", index), { axis }));
  });
}

/** A scalar as a vector of one element, and what was computed of it as a scalar again: it counts as having one axis. */
function ofScalar(x: Tensor, body: (vector: Tensor) => Tensor): Tensor {
  return body(x.reshape([1])).reshape([]);
}

function sorted(x: Tensor, dim: number, descending: boolean): ValuesAndIndices {
  if (x.ndim === 0) {
    normaliseAxis("sort", dim, x.type);
    return { values: x, indices: x.zerosLike({ dtype: "i64" }) };
  }
  const axis = normaliseAxis("sort", dim, x.type);
  const indices = x[make](currentTrace("sort").g.argsort(nodeOf(x), { axis, descending }));
  return { values: x.gather(axis, indices), indices };
}

/** Indexing methods. */
export interface IndexingMethods {
  /** For each element of `index`, the element of x there along `dim`, at the same place along the other axes. */
  gather(this: Tensor, dim: number, index: Tensor): Tensor;
  /** Slices of x along `dim` at the indices of a vector. */
  indexSelect(this: Tensor, dim: number, index: Tensor): Tensor;
  /** x with every element of `source` added at its index along `dim`. */
  scatterAdd(this: Tensor, dim: number, index: Tensor, source: Tensor): Tensor;
  /** x with the slices of `source`, times `alpha`, added at the indices of a vector along `dim`. */
  indexAdd(this: Tensor, dim: number, index: Tensor, source: Tensor, options?: { readonly alpha?: number }): Tensor;
  /** Running sum along `dim`. */
  cumsum(this: Tensor, dim: number): Tensor;
  /** Running product along `dim`. */
  cumprod(this: Tensor, dim: number): Tensor;
  /** Indices that put x in order along `dim`; equal elements keep their order. */
  argsort(this: Tensor, dim?: number, options?: { readonly descending?: boolean }): Tensor;
  /** x in order along `dim`, and where each came from. */
  sort(this: Tensor, dim?: number, options?: { readonly descending?: boolean }): ValuesAndIndices;
  /** The k largest (or smallest) along `dim`, in order, and where they are. */
  topk(this: Tensor, k: number, dim?: number, options?: { readonly largest?: boolean }): ValuesAndIndices;
}

/** The implementations of `IndexingMethods`. */
export const indexingMethods: IndexingMethods = {
  gather(dim, index) {
    const trace = currentTrace("gather");
    return trace.at(trace.here(), () => {
      if (this.ndim === 0)
        return this.reshape([1])
          .gather(0, index.reshape([-1]))
          .reshape(index.shape);
      // An empty index may have any number of axes.
      if (index.numel() === 0) return this.reshape([this.numel()]).slice(0, 0, 0).reshape(index.shape);
      const axis = normaliseAxis("gather", dim, this.type);
      return this[make](trace.g.takeAlong(nodeOf(this), indexNode("gather", index), { axis }));
    });
  },
  indexSelect(dim, index) {
    if (this.ndim === 0)
      return this.reshape([1])
        .indexSelect(dim, index.reshape([-1]))
        .reshape([]);
    return takeSlices(this, dim, index);
  },
  scatterAdd(dim, index, source) {
    const trace = currentTrace("scatterAdd");
    return trace.at(trace.here(), () => {
      if (this.ndim === 0) return ofScalar(this, (x) => x.scatterAdd(dim, index.reshape([-1]), source.reshape([-1])));
      const axis = normaliseAxis("scatterAdd", dim, this.type);
      const indices = indexNode("scatterAdd", index);
      const span = indices.type.shape;
      const updates = source.shape.some((extent, i) => extent !== span[i])
        ? span.reduce((part, extent, i) => part.slice(i, 0, extent), source)
        : source;
      return this[make](trace.g.scatterAddAlong(nodeOf(this), indices, nodeOf(updates.to(this.dtype)), { axis }));
    });
  },
  indexAdd(dim, index, source, { alpha = 1 } = {}) {
    const trace = currentTrace("indexAdd");
    return trace.at(trace.here(), () => {
      if (this.ndim === 0)
        return ofScalar(this, (x) => x.indexAdd(dim, index.reshape([-1]), source.reshape([-1]), { alpha }));
      const axis = normaliseAxis("indexAdd", dim, this.type);
      const updates = nodeOf((alpha === 1 ? source : source.mul(alpha)).to(this.dtype));
      return this[make](trace.g.scatterAdd(nodeOf(this), indexNode("indexAdd", index), updates, { axis }));
    });
  },
  cumsum(dim) {
    if (this.ndim === 0) return ofScalar(this, (x) => x.cumsum(dim));
    const x = this.dtype.startsWith("f") || this.dtype === "bf16" ? this : this.to("i64");
    const axis = normaliseAxis("cumsum", dim, this.type);
    return this[make](currentTrace("cumsum").g.cumsum(nodeOf(x), { axis, reverse: false }));
  },
  cumprod(dim) {
    if (this.ndim === 0) return ofScalar(this, (x) => x.cumprod(dim));
    const x = this.dtype.startsWith("f") || this.dtype === "bf16" ? this : this.to("i64");
    const axis = normaliseAxis("cumprod", dim, this.type);
    return this[make](currentTrace("cumprod").g.cumprod(nodeOf(x), { axis, reverse: false }));
  },
  argsort(dim = -1, { descending = false } = {}) {
    return sorted(this, dim, descending).indices;
  },
  sort(dim = -1, { descending = false } = {}) {
    return sorted(this, dim, descending);
  },
  topk(k, dim = -1, { largest = true } = {}) {
    if (this.ndim === 0) return sorted(this, dim, largest);
    const axis = normaliseAxis("topk", dim, this.type);
    if (!Number.isSafeInteger(k) || k < 0 || k > at(this.shape, axis))
      throw fail(messages.outsideAxis("topk", dim, [k], this.type), currentTrace("topk").here());
    const order = this[make](currentTrace("topk").g.argsort(nodeOf(this), { axis, descending: largest }));
    const indices = order.slice(axis, 0, k);
    return { values: this.gather(axis, indices), indices };
  },
};
