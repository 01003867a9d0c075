/** Losses, with PyTorch's reductions: `mean` (default), `sum`, `none`. */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { isFloat, sameShape } from "../../../ir/type.ts";
import { composed } from "../../tensor/elementwise.ts";
import { wrap } from "../../tensor/create.ts";
import { takeSlices } from "../../tensor/indexing.ts";
import { defaultFloat } from "../../tensor/promote.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";
import { logSoftmax } from "./activation.ts";

/** How the losses of the elements combine. */
export type Reduction = "mean" | "sum" | "none";

/** Options of losses that only reduce. */
export type LossOptions = { readonly reduction?: Reduction };

/** Options of losses of classes. */
export type ClassLossOptions = LossOptions & {
  /** A weight for each class: [classes]. */
  readonly weight?: Tensor | undefined;
  /** Samples of this class do not count; -100 by default. */
  readonly ignoreIndex?: number;
};

/** `loss` combined as `reduction` says. */
export function reduceLoss(loss: Tensor, reduction: Reduction = "mean"): Tensor {
  return reduction === "none" ? loss : reduction === "sum" ? loss.sum() : loss.mean();
}

function requireSameShape(loss: string, input: Tensor, target: Tensor): void {
  if (!sameShape(input.shape, target.shape))
    throw fail(messages.lossShapes(loss, input.type, target.type), currentTrace(loss).here());
}

/** True where the class of `target` is that of the position along axis `axis`: the shape of `shape`. */
function classMask(shape: readonly number[], axis: number, target: Tensor): Tensor {
  const trace = currentTrace("nllLoss");
  const classes = wrap(trace.g.iota({ axis, dtype: target.dtype, shape }));
  return classes.eq(target.unsqueeze(axis));
}

/** A per-class weight as a tensor that broadcasts along axis 1 of a tensor of rank `rank`. */
function alongClasses(weight: Tensor, rank: number): Tensor {
  return rank === 1 ? weight : weight.reshape([1, weight.numel(), ...Array.from({ length: rank - 2 }, () => 1)]);
}

/** Checks `input`: [n, classes, …] or [classes] against `target`: [n, …] or []. Returns the axis of the classes. */
function classAxis(loss: string, input: Tensor, target: Tensor): number {
  const axis = input.ndim === 1 ? 0 : 1;
  const expected = input.shape.filter((_, i) => i !== axis);
  if (input.ndim === 0 || isFloat(target.dtype) || !sameShape(target.shape, expected))
    throw fail(messages.classTarget(loss, input.type, target.type), currentTrace(loss).here());
  return axis;
}

/** Whether some class of the tensor could be the ignored one; otherwise the one-hot mask is 0 there by itself. */
function isIgnoredClass(classes: number, { ignoreIndex = -100 }: ClassLossOptions): boolean {
  return ignoreIndex >= 0 && ignoreIndex < classes;
}

/** What each sample counts in a mean, [n, …]: the weight of its class, 0 if it is ignored. */
function sampleWeights(mask: Tensor, axis: number, target: Tensor, options: ClassLossOptions): Tensor {
  const { weight, ignoreIndex = -100 } = options;
  const counted = countedSamples(mask.shape[axis] ?? 0, target, ignoreIndex);
  if (weight === undefined) return counted.to(defaultFloat);
  return mask.to(weight.dtype).mul(alongClasses(weight, mask.ndim)).sum(axis).mul(counted.to(weight.dtype));
}

/**
 * Which samples are not ignored, [n, …]. Each class is looked up in the list of classes, so that one that is none ends the
 * step with an error instead of counting as a sample without a class.
 */
function countedSamples(classes: number, target: Tensor, ignoreIndex: number): Tensor {
  const kept = target.ne(ignoreIndex);
  const list = wrap(currentTrace("nllLoss").g.iota({ axis: 0, dtype: "i64", shape: [classes] }));
  return takeSlices(list, 0, target.where(kept, 0)).ge(0).logicalAnd(kept);
}

/** Negative log likelihood of the target classes. `input`: log probabilities [n, classes, …]; `target`: i64 [n, …]. */
export function nllLoss(input: Tensor, target: Tensor, options: ClassLossOptions = {}): Tensor {
  return composed("nllLoss", () => {
    const axis = classAxis("nllLoss", input, target);
    const mask = classMask(input.shape, axis, target);
    return pickedLoss(input, mask, axis, target, options);
  });
}

/** -weight · input[target] of each sample, reduced; the mean is over what the samples count. */
function pickedLoss(input: Tensor, mask: Tensor, axis: number, target: Tensor, options: ClassLossOptions): Tensor {
  const { weight, reduction = "mean" } = options;
  const picked = input.where(mask, 0).sum(axis).neg();
  const weights = sampleWeights(mask, axis, target, options);
  const mustWeigh = weight !== undefined || reduction !== "mean" || isIgnoredClass(mask.shape[axis] ?? 0, options);
  const weighted = mustWeigh ? picked.mul(weights) : picked;
  return reduction === "mean" ? weighted.sum().div(weights.sum()) : reduceLoss(weighted, reduction);
}

/**
 * Cross entropy of logits `input` [n, classes, …] with classes `target` i64 [n, …], or with probabilities of the shape of
 * `input`. Label smoothing as in Szegedy et al. (2016).
 */
export function crossEntropy(
  input: Tensor,
  target: Tensor,
  options: ClassLossOptions & { readonly labelSmoothing?: number } = {},
): Tensor {
  return composed("crossEntropy", () => {
    const { labelSmoothing = 0, weight, reduction = "mean" } = options;
    const axis = input.ndim === 1 ? 0 : 1;
    const logs = logSoftmax(input, axis);
    const classes = input.shape[axis] ?? 1;
    if (isFloat(target.dtype) && target.ndim === input.ndim) return probabilityLoss(logs, target, axis, options);
    classAxis("crossEntropy", input, target);
    const mask = classMask(input.shape, axis, target);
    const picked = pickedLoss(logs, mask, axis, target, options);
    if (labelSmoothing === 0) return picked;
    const counted = target.ne(options.ignoreIndex ?? -100).to(input.dtype);
    const spread = weight === undefined ? logs : logs.mul(alongClasses(weight, logs.ndim));
    const smooth = spread.sum(axis).neg().mul(counted);
    const combined =
      reduction === "mean"
        ? smooth.sum().div(sampleWeights(mask, axis, target, options).sum())
        : reduceLoss(smooth, reduction);
    return picked.mul(1 - labelSmoothing).add(combined.mul(labelSmoothing / classes));
  });
}

function probabilityLoss(
  logs: Tensor,
  target: Tensor,
  axis: number,
  options: ClassLossOptions & { readonly labelSmoothing?: number },
): Tensor {
  const { labelSmoothing = 0, weight, reduction = "mean" } = options;
  requireSameShape("crossEntropy", logs, target);
  const classes = logs.shape[axis] ?? 1;
  const soft = labelSmoothing === 0 ? target : target.mul(1 - labelSmoothing).add(labelSmoothing / classes);
  const terms = weight === undefined ? logs.mul(soft) : logs.mul(soft).mul(alongClasses(weight, logs.ndim));
  const samples = terms.sum(axis).neg();
  // PyTorch divides by the number of samples here, whatever the weights.
  return reduction === "mean" ? samples.sum().div(samples.numel()) : reduceLoss(samples, reduction);
}

/** (input - target)² */
export function mseLoss(input: Tensor, target: Tensor, { reduction }: LossOptions = {}): Tensor {
  return composed("mseLoss", () => reduceLoss(input.sub(target).square(), reduction));
}

/** |input - target| */
export function l1Loss(input: Tensor, target: Tensor, { reduction }: LossOptions = {}): Tensor {
  return composed("l1Loss", () => reduceLoss(input.sub(target).abs(), reduction));
}

/** Quadratic within `beta`, linear beyond (Girshick, 2015). */
export function smoothL1Loss(
  input: Tensor,
  target: Tensor,
  options: LossOptions & { readonly beta?: number } = {},
): Tensor {
  const { beta = 1, reduction } = options;
  if (beta === 0) return l1Loss(input, target, options);
  return composed("smoothL1Loss", () => {
    const distance = input.sub(target).abs();
    const near = distance.square().mul(0.5).div(beta);
    return reduceLoss(near.where(distance.lt(beta), distance.sub(0.5 * beta)), reduction);
  });
}

/** Quadratic within `delta`, linear beyond (Huber, 1964). */
export function huberLoss(
  input: Tensor,
  target: Tensor,
  options: LossOptions & { readonly delta?: number } = {},
): Tensor {
  const { delta = 1, reduction } = options;
  return composed("huberLoss", () => {
    const distance = input.sub(target).abs();
    const near = distance.square().mul(0.5);
    return reduceLoss(near.where(distance.le(delta), distance.sub(0.5 * delta).mul(delta)), reduction);
  });
}

/** Binary cross entropy of probabilities; logarithms are limited at -100, as in PyTorch. */
export function binaryCrossEntropy(
  input: Tensor,
  target: Tensor,
  { weight, reduction }: LossOptions & { readonly weight?: Tensor | undefined } = {},
): Tensor {
  return composed("binaryCrossEntropy", () => {
    requireSameShape("binaryCrossEntropy", input, target);
    const yes = input.log().clamp({ min: -100 });
    const no = input.neg().log1p().clamp({ min: -100 });
    const loss = target.sub(1).mul(no).sub(target.mul(yes));
    return reduceLoss(weight === undefined ? loss : loss.mul(weight), reduction);
  });
}

/** Binary cross entropy of logits, without overflow. `posWeight` weighs the positive answers. */
export function binaryCrossEntropyWithLogits(
  input: Tensor,
  target: Tensor,
  options: LossOptions & { readonly weight?: Tensor | undefined; readonly posWeight?: Tensor | undefined } = {},
): Tensor {
  const { weight, posWeight, reduction } = options;
  return composed("binaryCrossEntropyWithLogits", () => {
    requireSameShape("binaryCrossEntropyWithLogits", input, target);
    // log(1 + e^-x), from the side where the exponential is at most 1.
    const softened = input
      .where(input.lt(0), input.neg())
      .exp()
      .log1p()
      .add(input.neg().maskedFill(input.ge(0), 0));
    const factor = posWeight === undefined ? softened : softened.mul(posWeight.sub(1).mul(target).add(1));
    const loss = target.rsub(1).mul(input).add(factor);
    return reduceLoss(weight === undefined ? loss : loss.mul(weight), reduction);
  });
}

/** Kullback-Leibler divergence. `input`: log probabilities. `batchmean` divides by the batch, as the definition does. */
export function klDiv(
  input: Tensor,
  target: Tensor,
  options: { readonly reduction?: Reduction | "batchmean"; readonly logTarget?: boolean } = {},
): Tensor {
  const { reduction = "mean", logTarget = false } = options;
  return composed("klDiv", () => {
    const loss = logTarget
      ? target.exp().mul(target.sub(input))
      : target.mul(target.maskedFill(target.le(0), 1).log()).sub(target.mul(input));
    if (reduction === "batchmean") return loss.sum().div(input.shape[0] ?? 1);
    return reduceLoss(loss, reduction);
  });
}
