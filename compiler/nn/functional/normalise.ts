/** Normalisations and dropout. */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { at, elementCount, sameShape, type Shape } from "../../../ir/type.ts";
import { bernoulli } from "../../tensor/create.ts";
import { composed } from "../../tensor/elementwise.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";

/** A vector over the channels as a tensor that broadcasts along axis 1. */
function alongChannels(x: Tensor, rank: number): Tensor {
  return x.reshape([1, x.numel(), ...Array.from({ length: rank - 2 }, () => 1)]);
}

function scaleAndShift(x: Tensor, weight: Tensor | undefined, bias: Tensor | undefined): Tensor {
  const scaled = weight === undefined ? x : x.mul(weight);
  return bias === undefined ? scaled : scaled.add(bias);
}

/** Statistics of a batch: mean and biased variance over `axes`, kept with extent 1. */
export type Statistics = { readonly mean: Tensor; readonly variance: Tensor };

/** Mean and biased variance over `axes`. */
export function statistics(x: Tensor, axes: readonly number[]): Statistics {
  const mean = x.mean(axes, { keepdim: true });
  const centred = x.sub(mean);
  return { mean, variance: centred.mul(centred).mean(axes, { keepdim: true }) };
}

/** (x - mean) / √(variance + eps) */
export function standardise(x: Tensor, { mean, variance }: Statistics, eps: number): Tensor {
  return x.sub(mean).mul(variance.add(eps).rsqrt());
}

/**
 * Batch normalisation (Ioffe and Szegedy, 2015) of [n, channels, ...] by the given statistics ([channels], or of rank of
 * x), or by those of the batch.
 */
export function batchNorm(
  x: Tensor,
  options: {
    readonly statistics: Statistics;
    readonly weight?: Tensor | undefined;
    readonly bias?: Tensor | undefined;
    readonly eps?: number;
  },
): Tensor {
  return composed("batchNorm", () => {
    const spread = (each: Tensor): Tensor => (each.ndim === x.ndim ? each : alongChannels(each, x.ndim));
    const { mean, variance } = options.statistics;
    const normal = standardise(x, { mean: spread(mean), variance: spread(variance) }, options.eps ?? 1e-5);
    const { weight, bias } = options;
    return scaleAndShift(normal, weight && spread(weight), bias && spread(bias));
  });
}

/** Layer normalisation (Ba et al., 2016) over the last axes, whose extents are `shape`. */
export function layerNorm(
  x: Tensor,
  shape: Shape,
  options: { readonly weight?: Tensor | undefined; readonly bias?: Tensor | undefined; readonly eps?: number } = {},
): Tensor {
  return composed("layerNorm", () => {
    if (!sameShape(x.shape.slice(x.ndim - shape.length), shape))
      throw fail(
        messages.layerInput("layerNorm", `last axes [${shape.join(", ")}]`, x.type),
        currentTrace("layerNorm").here(),
      );
    const axes = shape.map((_, i) => x.ndim - shape.length + i);
    return scaleAndShift(standardise(x, statistics(x, axes), options.eps ?? 1e-5), options.weight, options.bias);
  });
}

/** Group normalisation (Wu and He, 2018) of [n, channels, ...]. */
export function groupNorm(
  x: Tensor,
  groups: number,
  options: { readonly weight?: Tensor | undefined; readonly bias?: Tensor | undefined; readonly eps?: number } = {},
): Tensor {
  return composed("groupNorm", () => {
    const [batch, channels] = [at(x.shape, 0), at(x.shape, 1)];
    if (channels % groups !== 0)
      throw fail(
        messages.layerInput("groupNorm", `channels divisible by ${groups} groups`, x.type),
        currentTrace("groupNorm").here(),
      );
    const grouped = x.reshape([batch, groups, (channels / groups) * elementCount(x.shape.slice(2))]);
    const normal = standardise(grouped, statistics(grouped, [2]), options.eps ?? 1e-5).reshape(x.shape);
    const { weight, bias } = options;
    return scaleAndShift(normal, weight && alongChannels(weight, x.ndim), bias && alongChannels(bias, x.ndim));
  });
}

/** x with each element (or each part of `maskShape`) set to 0 with probability `p` and scaled by 1 / (1 - p) else. */
export function dropout(x: Tensor, p: number = 0.5, training: boolean = true, maskShape: Shape = x.shape): Tensor {
  if (!(p >= 0 && p <= 1))
    throw fail(
      messages.badLayerOption("dropout", "p", "a probability from 0 to 1", String(p)),
      currentTrace("dropout").here(),
    );
  if (!training || p === 0) return x;
  return composed("dropout", () => {
    if (p === 1) return x.mul(0);
    const keep = bernoulli(maskShape, 1 - p);
    // In f32, as PyTorch: 1 / f32(1 - p).
    const scale = Math.fround(1 / Math.fround(1 - p));
    return x.mul(keep.to(x.dtype).mul(scale));
  });
}

/** Dropout of whole channels: x: [n, channels, ...] (Tompson et al., 2015). */
export function featureDropout(x: Tensor, p: number = 0.5, training: boolean = true): Tensor {
  return dropout(
    x,
    p,
    training,
    x.shape.map((extent, axis) => (axis < 2 ? extent : 1)),
  );
}
