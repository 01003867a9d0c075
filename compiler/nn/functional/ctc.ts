/**
 * Connectionist temporal classification (Graves et al., 2006): the forward recursion over the label sequence with blanks
 * in between, in logarithms, unrolled over the time steps.
 */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { at } from "../../../ir/type.ts";
import { cat } from "../../tensor/create.ts";
import { composed } from "../../tensor/elementwise.ts";
import { make } from "../../trace/handle.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";
import type { Reduction } from "./loss.ts";

/** Stands for the logarithm of 0: finite, so that no difference of two is NaN. */
const impossible = -1e30;

/** Options of `ctcLoss`. */
export type CtcOptions = {
  readonly blank?: number;
  /** `mean` divides each loss by the length of its target. */
  readonly reduction?: Reduction;
  /** Whether infinite losses (a target longer than the input allows) count as 0. */
  readonly zeroInfinity?: boolean;
};

/**
 * logProbs: [time, n, classes] (or [time, classes]), targets: [n, longest] or all one after the other [sum of lengths],
 * inputLengths, targetLengths: [n], integers. The gradient is with respect to the input of a log softmax, as PyTorch's.
 */
export function ctcLoss(
  logProbs: Tensor,
  targets: Tensor,
  inputLengths: Tensor,
  targetLengths: Tensor,
  options: CtcOptions = {},
): Tensor {
  const { blank = 0, reduction = "mean", zeroInfinity = false } = options;
  if (logProbs.ndim !== 2 && logProbs.ndim !== 3)
    throw fail(
      messages.layerInput("ctcLoss", "log probabilities [time, batch, classes]", logProbs.type),
      currentTrace("ctcLoss").here(),
    );
  return composed("ctcLoss", () => {
    const logs = logProbs.ndim === 2 ? logProbs.unsqueeze(1) : logProbs;
    const n = at(logs.shape, 1);
    const [steps, lengths] = [inputLengths, targetLengths].map((each) => each.to("i64").reshape([-1]).broadcastTo([n]));
    if (steps === undefined || lengths === undefined) throw new RangeError("two tensors of lengths");
    const labels = extended(paddedTargets(targets.to("i64"), lengths, n), blank);
    const alpha = forward(logs, labels, steps, lengths, blank);
    const last = lengths.mul(2);
    const end = pick(alpha, last);
    const before = pick(alpha, last.sub(1).maximum(0)).maskedFill(lengths.eq(0), impossible);
    const likelihood = logSum([end, before]);
    const lost = likelihood.lt(impossible / 2);
    const losses = likelihood
      .neg()
      .add(softmaxTerm(logs, steps))
      .maskedFill(lost, zeroInfinity ? 0 : Infinity);
    if (reduction === "none") return logProbs.ndim === 2 ? losses.squeeze(0) : losses;
    return reduction === "sum" ? losses.sum() : losses.div(lengths.maximum(1).to(losses.dtype)).mean();
  });
}

/** Targets as [n, longest]; those that stand one after the other are cut apart. */
function paddedTargets(targets: Tensor, lengths: Tensor, n: number): Tensor {
  if (targets.ndim === 2) return targets;
  const total = targets.numel();
  if (total === 0) return targets.reshape([1, 0]).broadcastTo([n, 0]);
  const { g } = currentTrace("ctcLoss");
  const begin = lengths.cumsum(0).sub(lengths).unsqueeze(1);
  const offset = targets[make](g.iota({ axis: 1, dtype: "i64", shape: [n, total] }));
  return targets
    .indexSelect(
      0,
      begin
        .add(offset)
        .minimum(total - 1)
        .reshape([-1]),
    )
    .reshape([n, total]);
}

/** Labels with a blank before, between and after: [n, 2 longest + 1]. */
function extended(targets: Tensor, blank: number): Tensor {
  const [n = 0, longest = 0] = targets.shape;
  const blanks = targets.fullLike(blank);
  const pairs = cat([blanks.unsqueeze(-1), targets.unsqueeze(-1)], -1).reshape([n, 2 * longest]);
  const one = targets[make](currentTrace("ctcLoss").g.full({ value: blank, dtype: "i64", shape: [n, 1] }));
  return cat([pairs, one], 1);
}

/** log α after the last step of each sequence: [n, labels]. */
function forward(logs: Tensor, labels: Tensor, steps: Tensor, lengths: Tensor, blank: number): Tensor {
  const [time = 0, n = 0] = logs.shape;
  const width = at(labels.shape, 1);
  const { g } = currentTrace("ctcLoss");
  const emitted = logs.gather(2, labels.unsqueeze(0).broadcastTo([time, n, width]));
  const place = labels[make](g.iota({ axis: 1, dtype: "i64", shape: [n, width] }));
  // A step of two is allowed onto a label that differs from the one two before; blanks are all alike.
  const skips = width < 3 ? undefined : labels.ne(blank).logicalAnd(labels.ne(moved(labels, 2, -1)));
  const starts = place.eq(0).logicalOr(place.eq(1).logicalAnd(lengths.gt(0).unsqueeze(1)));
  let alpha = at(emitted.unbind(0), 0).where(starts, impossible);
  for (let t = 1; t < time; t++) {
    const ways = [alpha, moved(alpha, 1, impossible)];
    if (skips !== undefined) ways.push(moved(alpha, 2, impossible).where(skips, impossible));
    const next = logSum(ways).add(emitted.select(0, t)).maximum(impossible);
    alpha = next.where(steps.gt(t).unsqueeze(1), alpha);
  }
  return alpha;
}

/** x moved by `by` along its last axis, with `fill` in front. */
function moved(x: Tensor, by: number, fill: number): Tensor {
  const width = at(x.shape, 1);
  const front = x.slice(1, 0, Math.min(by, width)).fullLike(fill);
  return cat([front, x.slice(1, 0, Math.max(width - by, 0))], 1);
}

/** log Σ e^x of tensors of one shape. */
function logSum(terms: readonly Tensor[]): Tensor {
  const largest = terms.reduce((a, b) => a.maximum(b)).detach();
  return terms
    .map((term) => term.sub(largest).exp())
    .reduce((a, b) => a.add(b))
    .log()
    .add(largest);
}

/** Element `place` of each row. */
function pick(x: Tensor, place: Tensor): Tensor {
  return x.gather(1, place.unsqueeze(1)).squeeze(1);
}

/**
 * A sum of zeros whose gradient is e^logProb at every step of a sequence: PyTorch gives the gradient with respect to the
 * input of the log softmax that it takes `logProbs` to come from.
 */
function softmaxTerm(logs: Tensor, steps: Tensor): Tensor {
  const { g } = currentTrace("ctcLoss");
  const time = logs[make](g.iota({ axis: 0, dtype: "i64", shape: logs.shape.slice(0, 2) }));
  const probability = logs.exp();
  const zero = probability.sub(probability.detach()).sum(2);
  return zero.maskedFill(time.ge(steps.unsqueeze(0)), 0).sum(0);
}
