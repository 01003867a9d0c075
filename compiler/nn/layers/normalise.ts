/** Normalisation layers and dropout. Property names that are state-dict keys keep PyTorch's spelling. */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { at, type Shape } from "../../../ir/type.ts";
import { full, ones, zeros } from "../../tensor/create.ts";
import { composed } from "../../tensor/elementwise.ts";
import { checkOptions } from "../../trace/options.ts";
import { Buffer, Parameter } from "../../trace/parameter.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";
import * as functional from "../functional/normalise.ts";
import { Module } from "../module.ts";
import { requireSize } from "./linear.ts";

/** Options of batch normalisation. */
export type BatchNormOptions = {
  readonly eps?: number;
  /** Weight of the new value in the running averages; `null`: the plain average over all batches. */
  readonly momentum?: number | null;
  readonly affine?: boolean;
  readonly trackRunningStats?: boolean;
};

/** Batch normalisation of [batch, channels, ...]; running averages are used in evaluation mode. */
class BatchNorm extends Module {
  readonly ranks: readonly number[];
  readonly numFeatures: number;
  readonly eps: number;
  readonly momentum: number | null;
  weight: Parameter | undefined;
  bias: Parameter | undefined;
  running_mean: Buffer | undefined;
  running_var: Buffer | undefined;
  num_batches_tracked: Buffer | undefined;

  constructor(ranks: readonly number[], numFeatures: number, options: BatchNormOptions) {
    super();
    const {
      eps = 1e-5,
      momentum = 0.1,
      affine = true,
      trackRunningStats = true,
    } = checkOptions("BatchNorm", options, ["eps", "momentum", "affine", "trackRunningStats"]);
    this.ranks = ranks;
    this.numFeatures = requireSize("BatchNorm", "numFeatures", numFeatures);
    this.eps = eps;
    this.momentum = momentum;
    this.weight = affine ? new Parameter(ones([numFeatures])) : undefined;
    this.bias = affine ? new Parameter(zeros([numFeatures])) : undefined;
    this.running_mean = trackRunningStats ? new Buffer(zeros([numFeatures])) : undefined;
    this.running_var = trackRunningStats ? new Buffer(ones([numFeatures])) : undefined;
    this.num_batches_tracked = trackRunningStats ? new Buffer(full([], 0, { dtype: "i64" })) : undefined;
  }

  /** x: [batch, channels, ...], the same shape out. */
  forward(x: Tensor): Tensor {
    return composed("batchNorm", () => {
      if (!this.ranks.includes(x.ndim) || at(x.shape, 1) !== this.numFeatures)
        throw fail(
          messages.layerInput(
            "BatchNorm",
            `rank ${this.ranks.join(" or ")}, ${this.numFeatures} channels on axis 1`,
            x.type,
          ),
          currentTrace("batchNorm").here(),
        );
      const { weight, bias, eps } = this;
      return functional.batchNorm(x, { statistics: this.#statistics(x), weight, bias, eps });
    });
  }

  #statistics(x: Tensor): functional.Statistics {
    const { running_mean: mean, running_var: variance } = this;
    if (!this.training && mean !== undefined && variance !== undefined) return { mean, variance };
    const axes = x.shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]));
    const batch = functional.statistics(x, axes);
    if (!this.training || mean === undefined || variance === undefined) return batch;
    const count = x.numel() / this.numFeatures;
    if (count < 2)
      throw fail(
        messages.layerInput("BatchNorm", "more than one value per channel in training", x.type),
        currentTrace("batchNorm").here(),
      );
    currentTrace("batchNorm").withGrad(false, () => {
      const factor = this.#factor();
      const unbiased = batch.variance.reshape([this.numFeatures]).mul(count / (count - 1));
      this.#move(mean, batch.mean.reshape([this.numFeatures]), factor);
      this.#move(variance, unbiased, factor);
    });
    return batch;
  }

  /** Weight of the new value; counts the batch. */
  #factor(): Tensor | number {
    const counted = this.num_batches_tracked?.add_(1);
    return this.momentum ?? (counted === undefined ? 1 : counted.to("f32").reciprocal());
  }

  #move(average: Buffer, value: Tensor, factor: Tensor | number): void {
    const kept = typeof factor === "number" ? 1 - factor : factor.rsub(1);
    average.copy_(average.mul(kept).add(value.detach().mul(factor)));
  }
}

/** Batch normalisation of [batch, channels] or [batch, channels, length]. */
export class BatchNorm1d extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    super([2, 3], numFeatures, options);
  }
}

/** Batch normalisation of [batch, channels, height, width]. */
export class BatchNorm2d extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    super([4], numFeatures, options);
  }
}

/** Batch normalisation of [batch, channels, depth, height, width]. */
export class BatchNorm3d extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    super([5], numFeatures, options);
  }
}

/** Layer normalisation over the last axes. weight, bias: `normalizedShape`. */
export class LayerNorm extends Module {
  readonly normalizedShape: Shape;
  readonly eps: number;
  weight: Parameter | undefined;
  bias: Parameter | undefined;

  constructor(
    normalizedShape: number | Shape,
    options: { readonly eps?: number; readonly elementwiseAffine?: boolean; readonly bias?: boolean } = {},
  ) {
    super();
    const {
      eps = 1e-5,
      elementwiseAffine = true,
      bias = true,
    } = checkOptions("LayerNorm", options, ["eps", "elementwiseAffine", "bias"]);
    this.normalizedShape = [normalizedShape].flat();
    this.eps = eps;
    this.weight = elementwiseAffine ? new Parameter(ones(this.normalizedShape)) : undefined;
    this.bias = elementwiseAffine && bias ? new Parameter(zeros(this.normalizedShape)) : undefined;
  }

  /** x: [..., ...normalizedShape], the same shape out. */
  forward(x: Tensor): Tensor {
    const { weight, bias, eps } = this;
    return functional.layerNorm(x, this.normalizedShape, { weight, bias, eps });
  }
}

/** Group normalisation of [batch, channels, ...]. */
export class GroupNorm extends Module {
  readonly numGroups: number;
  readonly eps: number;
  weight: Parameter | undefined;
  bias: Parameter | undefined;

  constructor(
    numGroups: number,
    numChannels: number,
    options: { readonly eps?: number; readonly affine?: boolean } = {},
  ) {
    super();
    const { eps = 1e-5, affine = true } = checkOptions("GroupNorm", options, ["eps", "affine"]);
    this.numGroups = requireSize("GroupNorm", "numGroups", numGroups);
    this.eps = eps;
    this.weight = affine ? new Parameter(ones([numChannels])) : undefined;
    this.bias = affine ? new Parameter(zeros([numChannels])) : undefined;
  }

  /** x: [batch, channels, ...], the same shape out. */
  forward(x: Tensor): Tensor {
    const { weight, bias, eps } = this;
    return functional.groupNorm(x, this.numGroups, { weight, bias, eps });
  }
}

function requireProbability(owner: string, p: number): number {
  if (typeof p === "number" && p >= 0 && p <= 1) return p;
  const got = typeof p === "number" ? String(p) : typeof p;
  throw fail(messages.badLayerOption(owner, "p", "a probability from 0 to 1", got), currentTrace(owner).here());
}

/** Sets elements to 0 with probability `p` in training mode, and scales the others by 1 / (1 - p). */
export class Dropout extends Module {
  readonly p: number;

  constructor(p: number = 0.5) {
    super();
    this.p = requireProbability("Dropout", p);
  }

  /** x of any shape. */
  forward(x: Tensor): Tensor {
    return functional.dropout(x, this.p, this.training);
  }
}

class FeatureDropout extends Module {
  readonly p: number;

  constructor(p: number = 0.5) {
    super();
    this.p = requireProbability("Dropout", p);
  }

  /** x: [batch, channels, ...]. */
  forward(x: Tensor): Tensor {
    return functional.featureDropout(x, this.p, this.training);
  }
}

/** Drops whole channels of [batch, channels, length]. */
export class Dropout1d extends FeatureDropout {}

/** Drops whole channels of [batch, channels, height, width]. */
export class Dropout2d extends FeatureDropout {}

/** Drops whole channels of [batch, channels, depth, height, width]. */
export class Dropout3d extends FeatureDropout {}
