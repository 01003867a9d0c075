/** Normalisations as functions that take their running averages, by PyTorch's signatures, and those without. */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { at, elementCount, sameShape, type Shape } from "../../../ir/type.ts";
import { composed } from "../../tensor/elementwise.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";
import * as normalise from "./normalise.ts";
import { padConstant } from "./padding.ts";
import { avgPool } from "./window.ts";

/** Options of `batchNorm` and `instanceNorm`. All tensors are [channels]. */
export type RunningNormOptions = {
  readonly runningMean?: Tensor | undefined;
  readonly runningVar?: Tensor | undefined;
  readonly weight?: Tensor | undefined;
  readonly bias?: Tensor | undefined;
  /** Weight of the new value in the running averages. */
  readonly momentum?: number;
  readonly eps?: number;
};

/** Moves a running average, which must be a buffer, towards a new value. */
function move(average: Tensor | undefined, value: Tensor, momentum: number): void {
  if (average === undefined) return;
  currentTrace("batchNorm").withGrad(false, () => {
    average.copy_(average.mul(1 - momentum).add(value.detach().mul(momentum)));
  });
}

/**
 * Batch normalisation of [n, channels, ...] (Ioffe and Szegedy, 2015): by the batch's statistics in training, which also
 * move the running averages (buffers), else by the running averages.
 */
export function batchNorm(x: Tensor, options: RunningNormOptions & { readonly training?: boolean } = {}): Tensor {
  return composed("batchNorm", () => {
    const { runningMean, runningVar, weight, bias, training = false, momentum = 0.1, eps = 1e-5 } = options;
    // Nothing to normalise and nothing to learn from.
    if (x.numel() === 0) return x.mul(1);
    const channels = x.ndim < 2 ? 0 : at(x.shape, 1);
    if (channels === 0)
      throw fail(messages.layerInput("batchNorm", "[batch, channels, ...]", x.type), currentTrace("batchNorm").here());
    if (!training) {
      if (runningMean === undefined || runningVar === undefined)
        throw fail(
          messages.badLayerOption("batchNorm", "runningMean, runningVar", "running averages unless training", "none"),
          currentTrace("batchNorm").here(),
        );
      return normalise.batchNorm(x, { statistics: { mean: runningMean, variance: runningVar }, weight, bias, eps });
    }
    const axes = x.shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]));
    const statistics = normalise.statistics(x, axes);
    const count = x.numel() / channels;
    const result = normalise.batchNorm(x, { statistics, weight, bias, eps });
    move(runningMean, statistics.mean.reshape([channels]), momentum);
    move(runningVar, statistics.variance.reshape([channels]).mul(count / (count - 1)), momentum);
    return result;
  });
}

/** Normalisation of each channel of each sample (Ulyanov et al., 2016): [n, channels, ...spatial]. */
export function instanceNorm(
  x: Tensor,
  options: RunningNormOptions & { readonly useInputStats?: boolean } = {},
): Tensor {
  return composed("instanceNorm", () => {
    const { runningMean, runningVar, weight, bias, useInputStats = true, momentum = 0.1, eps = 1e-5 } = options;
    if (x.ndim < 3)
      throw fail(
        messages.layerInput("instanceNorm", "[batch, channels, ...spatial]", x.type),
        currentTrace("instanceNorm").here(),
      );
    if (!useInputStats) return batchNorm(x, { runningMean, runningVar, weight, bias, eps });
    const channels = at(x.shape, 1);
    const axes = x.shape.flatMap((_, axis) => (axis < 2 ? [] : [axis]));
    const statistics = normalise.statistics(x, axes);
    const count = elementCount(x.shape.slice(2));
    const average = (each: Tensor): Tensor => each.reshape([-1, channels]).mean(0);
    const result = normalise.batchNorm(x, { statistics, weight, bias, eps });
    move(runningMean, average(statistics.mean), momentum);
    move(runningVar, average(statistics.variance).mul(count / (count - 1)), momentum);
    return result;
  });
}

/** x divided by its root mean square over the last axes, whose extents are `shape` (Zhang and Sennrich, 2019). */
export function rmsNorm(
  x: Tensor,
  shape: Shape,
  { weight, eps = 1.1920928955078125e-7 }: { readonly weight?: Tensor | undefined; readonly eps?: number } = {},
): Tensor {
  return composed("rmsNorm", () => {
    if (!sameShape(x.shape.slice(x.ndim - shape.length), shape))
      throw fail(
        messages.layerInput("rmsNorm", `last axes [${shape.join(", ")}]`, x.type),
        currentTrace("rmsNorm").here(),
      );
    const axes = shape.map((_, i) => x.ndim - shape.length + i);
    const normal = x.mul(x.square().mean(axes, { keepdim: true }).add(eps).rsqrt());
    return weight === undefined ? normal : normal.mul(weight);
  });
}

/** x divided by max(its p-norm along `dim`, eps) */
export function normalize(
  x: Tensor,
  { p = 2, dim = 1, eps = 1e-12 }: { readonly p?: number; readonly dim?: number; readonly eps?: number } = {},
): Tensor {
  return composed("normalize", () => x.div(x.norm(p, dim, { keepdim: true }).clamp({ min: eps })));
}

/**
 * x / (k + alpha · mean of x² over `size` neighbouring channels)^beta (Krizhevsky et al., 2012); x: [n, channels, ...].
 */
export function localResponseNorm(
  x: Tensor,
  size: number,
  { alpha = 1e-4, beta = 0.75, k = 1 }: { readonly alpha?: number; readonly beta?: number; readonly k?: number } = {},
): Tensor {
  return composed("localResponseNorm", () => {
    if (x.ndim < 3)
      throw fail(
        messages.layerInput("localResponseNorm", "[batch, channels, ...spatial]", x.type),
        currentTrace("localResponseNorm").here(),
      );
    const [n = 0, channels = 0] = x.shape;
    const before = Math.floor(size / 2);
    const rows = x.square().reshape([n, 1, channels, -1]).transpose(2, 3);
    const none: [number, number] = [0, 0];
    const padded = padConstant(rows, [none, none, none, [before, size - 1 - before]], 0);
    const means = avgPool(padded, [1, size], 2, { stride: 1 }).transpose(2, 3).reshape(x.shape);
    return x.div(means.mul(alpha).add(k).pow(beta));
  });
}
