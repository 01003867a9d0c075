/** Norms, statistics in pairs, and reductions that treat zeros or NaN apart. Gradients where a norm is 0 are 0. */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { isFloat } from "../../ir/type.ts";
import type { Tensor } from "../trace/tensor.ts";
import { currentTrace } from "../trace/trace.ts";
import type { Axes } from "./axes.ts";
import { composed } from "./elementwise.ts";
import type { ReduceOptions } from "./reduction.ts";

/** Options of variances: `correction` is subtracted from the count. */
export type VarianceOptions = ReduceOptions & { readonly correction?: number };

/** A spread and a mean. */
export type VarianceAndMean = readonly [spread: Tensor, mean: Tensor];

/** Norms and the like. `dim` is one axis, several, or none for all. */
export interface NormMethods {
  /**
   * (Σ|x|^p)^(1/p) over `dim`; for p = 0 the number of nonzero elements, for ±∞ the largest or smallest |x|. `"fro"`
   * is 2.
   */
  norm(this: Tensor, p?: number | "fro", dim?: Axes, options?: ReduceOptions): Tensor;
  /** Variance and mean. */
  varMean(this: Tensor, dim?: Axes, options?: VarianceOptions): VarianceAndMean;
  /** Standard deviation and mean. */
  stdMean(this: Tensor, dim?: Axes, options?: VarianceOptions): VarianceAndMean;
  /** Sum of what is not NaN. */
  nansum(this: Tensor, dim?: Axes, options?: ReduceOptions): Tensor;
  /** Mean of what is not NaN. */
  nanmean(this: Tensor, dim?: Axes, options?: ReduceOptions): Tensor;
  /** Number of elements that are not 0: i64. */
  countNonzero(this: Tensor, dim?: Axes): Tensor;
}

/** |x|^p with derivative 0 where x is 0. */
function powerOfSize(x: Tensor, p: number): Tensor {
  const zero = x.eq(0);
  return x
    .abs()
    .maskedFill(zero, 1)
    .pow(p)
    .maskedFill(zero, p < 0 ? Infinity : 0);
}

function vectorNorm(x: Tensor, p: number, dim: Axes, options: ReduceOptions): Tensor {
  if (p === 0) return x.ne(0).to(x.dtype).sum(dim, options);
  if (p === 1) return x.abs().sum(dim, options);
  if (p === Infinity) return x.abs().amax(dim, options);
  if (p === -Infinity) return x.abs().amin(dim, options);
  const total = (p === 2 ? x.mul(x) : powerOfSize(x, p)).sum(dim, options);
  // Where the sum is 0 (or, for p < 0, infinite) the root has no derivative: the norm is 0 there.
  const degenerate = p < 0 ? total.isinf() : total.eq(0);
  const root = total.maskedFill(degenerate, 1);
  return (p === 2 ? root.sqrt() : root.pow(1 / p)).maskedFill(degenerate, 0);
}

/** The implementations of `NormMethods`. */
export const normMethods: NormMethods = {
  norm(p = 2, dim, options = {}) {
    if (!isFloat(this.dtype)) throw fail(messages.needsFloats("norm", this.type), currentTrace("norm").here());
    return composed("norm", () => vectorNorm(this, p === "fro" ? 2 : p, dim, options));
  },
  varMean(dim, options = {}) {
    return composed("varMean", () => [this.var(dim, options), this.mean(dim, options)]);
  },
  stdMean(dim, options = {}) {
    return composed("stdMean", () => [this.std(dim, options), this.mean(dim, options)]);
  },
  nansum(dim, options = {}) {
    return composed("nansum", () => (isFloat(this.dtype) ? this.maskedFill(this.isnan(), 0) : this).sum(dim, options));
  },
  nanmean(dim, options = {}) {
    return composed("nanmean", () => {
      const counted = this.isnan().logicalNot().to(this.dtype).sum(dim, options);
      return this.nansum(dim, options).div(counted);
    });
  },
  countNonzero(dim) {
    return composed("countNonzero", () => this.ne(0).sum(dim));
  },
};
