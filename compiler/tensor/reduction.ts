/**
 * Reductions. `dim` is one axis, several, or none for all; with `keepdim` reduced axes stay with extent 1. Sums of
 * integers and bools are i64, as in PyTorch.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { Node } from "../../ir/graph.ts";
import { at, isFloat, type DType } from "../../ir/type.ts";
import { make, nodeOf } from "../trace/handle.ts";
import type { Tensor } from "../trace/tensor.ts";
import { currentTrace, type Trace } from "../trace/trace.ts";
import { normaliseAxes, normaliseAxis, type Axes } from "./axes.ts";
import { composed } from "./elementwise.ts";
import { castNode, reshapeNode } from "./promote.ts";

/** How a reduction treats its axes. */
export type ReduceOptions = { readonly keepdim?: boolean };

/** Values and their indices (i64) along the reduced axis. */
export type ValuesAndIndices = { readonly values: Tensor; readonly indices: Tensor };

type ReduceOp = "sum" | "prod" | "maxReduce" | "minReduce";

/** `node` with the axes that a reduction took away put back with extent 1. */
function keepAxes(trace: Trace, node: Node, axes: readonly number[], whole: readonly number[]): Node {
  return reshapeNode(
    trace,
    node,
    whole.map((extent, axis) => (axes.includes(axis) ? 1 : extent)),
  );
}

function reduce(x: Tensor, op: ReduceOp, name: string, dim: Axes, options: ReduceOptions & { dtype?: DType }): Tensor {
  const trace = currentTrace(name);
  return trace.at(trace.here(), () => {
    const axes = normaliseAxes(name, dim, x.type);
    const node = castNode(trace, nodeOf(x, name), options.dtype ?? x.dtype);
    if (axes.length === 0) return x[make](node);
    const result = trace.g[op](node, { axes });
    return x[make](options.keepdim === true ? keepAxes(trace, result, axes, x.shape) : result);
  });
}

function arg(x: Tensor, op: "argmax" | "argmin", dim: number | undefined, options: ReduceOptions): Tensor {
  const trace = currentTrace(op);
  return trace.at(trace.here(), () => {
    const flat = dim === undefined || x.ndim === 0 ? x.reshape([x.numel()]) : x;
    const axis = dim === undefined || x.ndim === 0 ? 0 : normaliseAxis(op, dim, x.type);
    const result = trace.g[op](nodeOf(flat, op), { axis });
    if (options.keepdim !== true) return x[make](result);
    const axes = dim === undefined ? x.shape.map((_, i) => i) : [axis];
    return x[make](keepAxes(trace, result, axes, x.shape));
  });
}

/** Largest or smallest along one axis with its index: the gradient goes to that element only. */
function extremum(x: Tensor, op: "argmax" | "argmin", dim: number, options: ReduceOptions): ValuesAndIndices {
  const kept = arg(x, op, dim, { keepdim: true });
  const values = x.gather(dim, kept);
  if (options.keepdim === true || x.ndim === 0) return { values: x.ndim === 0 ? x : values, indices: kept };
  return { values: values.squeeze(dim), indices: kept.squeeze(dim) };
}

function sumType(x: Tensor): DType {
  return isFloat(x.dtype) ? x.dtype : "i64";
}

function requireFloat(op: string, x: Tensor): void {
  if (!isFloat(x.dtype)) throw fail(messages.needsFloats(op, x.type), currentTrace(op).here());
}

/** Number of elements that a reduction over `dim` combines. */
export function reducedCount(x: Tensor, dim: Axes): number {
  return normaliseAxes("mean", dim, x.type).reduce((count, axis) => count * at(x.shape, axis), 1);
}

/** Reduction methods. */
export interface ReductionMethods {
  /** Sum. */
  sum(this: Tensor, dim?: Axes, options?: ReduceOptions & { readonly dtype?: DType }): Tensor;
  /** Mean, of floats. */
  mean(this: Tensor, dim?: Axes, options?: ReduceOptions): Tensor;
  /** Product. */
  prod(this: Tensor, dim?: Axes, options?: ReduceOptions): Tensor;
  /** Largest element; equal ones share the gradient. */
  amax(this: Tensor, dim?: Axes, options?: ReduceOptions): Tensor;
  /** Smallest element; equal ones share the gradient. */
  amin(this: Tensor, dim?: Axes, options?: ReduceOptions): Tensor;
  /** Largest element of all. */
  max(this: Tensor): Tensor;
  /** Largest along `dim` and its index. */
  max(this: Tensor, dim: number, options?: ReduceOptions): ValuesAndIndices;
  /** Smallest element of all. */
  min(this: Tensor): Tensor;
  /** Smallest along `dim` and its index. */
  min(this: Tensor, dim: number, options?: ReduceOptions): ValuesAndIndices;
  /** Index (i64) of the first largest element, in the flattened tensor or along `dim`. */
  argmax(this: Tensor, dim?: number, options?: ReduceOptions): Tensor;
  /** Index (i64) of the first smallest element, in the flattened tensor or along `dim`. */
  argmin(this: Tensor, dim?: number, options?: ReduceOptions): Tensor;
  /** Variance; `correction` is subtracted from the count (1: unbiased). */
  var(this: Tensor, dim?: Axes, options?: ReduceOptions & { readonly correction?: number }): Tensor;
  /** Standard deviation. */
  std(this: Tensor, dim?: Axes, options?: ReduceOptions & { readonly correction?: number }): Tensor;
  /** Whether all are nonzero (bool). */
  all(this: Tensor, dim?: Axes, options?: ReduceOptions): Tensor;
  /** Whether any is nonzero (bool). */
  any(this: Tensor, dim?: Axes, options?: ReduceOptions): Tensor;
  /** log Σ e^x, without overflow */
  logsumexp(this: Tensor, dim?: Axes, options?: ReduceOptions): Tensor;
}

/** The implementations of `ReductionMethods`. */
export const reductionMethods: ReductionMethods = {
  sum(dim, { keepdim = false, dtype } = {}) {
    return reduce(this, "sum", "sum", dim, { keepdim, dtype: dtype ?? sumType(this) });
  },
  mean(dim, options = {}) {
    requireFloat("mean", this);
    return composed("mean", () => this.sum(dim, options).div(reducedCount(this, dim)));
  },
  prod(dim, options = {}) {
    return reduce(this, "prod", "prod", dim, { ...options, dtype: sumType(this) });
  },
  amax(dim, options = {}) {
    return reduce(this, "maxReduce", "amax", dim, options);
  },
  amin(dim, options = {}) {
    return reduce(this, "minReduce", "amin", dim, options);
  },
  max: maxOf,
  min: minOf,
  argmax(dim, options = {}) {
    return arg(this, "argmax", dim, options);
  },
  argmin(dim, options = {}) {
    return arg(this, "argmin", dim, options);
  },
  var(dim, { keepdim = false, correction = 1 } = {}) {
    requireFloat("var", this);
    return composed("var", () => {
      const centred = this.sub(this.mean(dim, { keepdim: true }));
      const squares = centred.mul(centred).sum(dim, { keepdim });
      return squares.div(Math.max(reducedCount(this, dim) - correction, 0));
    });
  },
  std(dim, options = {}) {
    return composed("std", () => {
      const variance = this.var(dim, options);
      // Where nothing varies the root has no derivative: the gradient is 0 there, as in PyTorch.
      const flat = variance.eq(0);
      return variance.maskedFill(flat, 1).sqrt().maskedFill(flat, 0);
    });
  },
  all(dim, options = {}) {
    // PyTorch keeps u8, which once stood for bool.
    const dtype = this.dtype === "u8" ? "u8" : "bool";
    return composed("all", () => this.toBool().to("i32").amin(dim, options).toBool().to(dtype));
  },
  any(dim, options = {}) {
    const dtype = this.dtype === "u8" ? "u8" : "bool";
    return composed("any", () => this.toBool().to("i32").amax(dim, options).toBool().to(dtype));
  },
  logsumexp(dim, { keepdim = false } = {}) {
    return composed("logsumexp", () => {
      const largest = this.amax(dim, { keepdim: true }).detach();
      const finite = largest.maskedFill(largest.isinf(), 0);
      const total = this.sub(finite).exp().sum(dim, { keepdim });
      return total.log().add(keepdim ? finite : finite.reshape(total.shape));
    });
  },
};

function maxOf(this: Tensor): Tensor;
function maxOf(this: Tensor, dim: number, options?: ReduceOptions): ValuesAndIndices;
function maxOf(this: Tensor, dim?: number, options: ReduceOptions = {}): Tensor | ValuesAndIndices {
  return dim === undefined ? this.amax() : extremum(this, "argmax", dim, options);
}

function minOf(this: Tensor): Tensor;
function minOf(this: Tensor, dim: number, options?: ReduceOptions): ValuesAndIndices;
function minOf(this: Tensor, dim?: number, options: ReduceOptions = {}): Tensor | ValuesAndIndices {
  return dim === undefined ? this.amin() : extremum(this, "argmin", dim, options);
}
