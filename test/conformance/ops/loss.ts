/** Losses and distances in our words. */
import * as F from "../../../compiler/nn/functional/index.ts";
import type { Call } from "../call.ts";
import { Unsupported } from "../report.ts";
import { operator, type OperatorTable } from "./operator.ts";

function reduction(call: Call): { reduction: F.Reduction } {
  if (call.has("size_average") || call.has("reduce"))
    throw new Unsupported("size_average and reduce, which are deprecated");
  const text = call.text("reduction", "mean");
  if (text !== "mean" && text !== "sum" && text !== "none") throw new Unsupported(`reduction ${text}`);
  return { reduction: text };
}

const classSignature = "input, target, weight, size_average, ignore_index, reduce, reduction, label_smoothing";

function classOptions(call: Call): F.ClassLossOptions {
  return { ...reduction(call), weight: call.tensorOr("weight"), ignoreIndex: call.numberOr("ignore_index", -100) };
}

/** Losses by name. */
export const lossOperators: OperatorTable = {
  "nn.functional.binary_cross_entropy": operator("input, target, weight, size_average, reduce, reduction", (call) =>
    F.binaryCrossEntropy(call.tensor("input"), call.tensor("target"), {
      ...reduction(call),
      weight: call.tensorOr("weight"),
    }),
  ),
  "nn.functional.binary_cross_entropy_with_logits": operator(
    "input, target, weight, size_average, reduce, reduction, pos_weight",
    (call) =>
      F.binaryCrossEntropyWithLogits(call.tensor("input"), call.tensor("target"), {
        ...reduction(call),
        weight: call.tensorOr("weight"),
        posWeight: call.tensorOr("pos_weight"),
      }),
  ),
  "nn.functional.cosine_embedding_loss": operator(
    "input1, input2, target, margin, size_average, reduce, reduction",
    (call) =>
      F.cosineEmbeddingLoss(call.tensor("input1"), call.tensor("input2"), call.tensor("target"), {
        ...reduction(call),
        margin: call.numberOr("margin", 0),
      }),
  ),
  "nn.functional.cosine_similarity": operator("x1, x2, dim, eps", (call) =>
    F.cosineSimilarity(call.tensor("x1"), call.tensor("x2"), {
      dim: call.numberOr("dim", 1),
      eps: call.numberOr("eps", 1e-8),
    }),
  ),
  "nn.functional.cross_entropy": operator(classSignature, (call) =>
    F.crossEntropy(call.tensor("input"), call.tensor("target"), {
      ...classOptions(call),
      labelSmoothing: call.numberOr("label_smoothing", 0),
    }),
  ),
  "nn.functional.ctc_loss": operator(
    "log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity",
    (call) =>
      F.ctcLoss(
        call.tensor("log_probs"),
        call.tensor("targets"),
        call.tensor("input_lengths"),
        call.tensor("target_lengths"),
        {
          ...reduction(call),
          blank: call.numberOr("blank", 0),
          zeroInfinity: call.flag("zero_infinity"),
        },
      ),
  ),
  "nn.functional.gaussian_nll_loss": operator("input, target, var, full, eps, reduction", (call) =>
    F.gaussianNllLoss(call.tensor("input"), call.tensor("target"), call.tensor("var"), {
      ...reduction(call),
      full: call.flag("full"),
      eps: call.numberOr("eps", 1e-6),
    }),
  ),
  "nn.functional.hinge_embedding_loss": operator("input, target, margin, size_average, reduce, reduction", (call) =>
    F.hingeEmbeddingLoss(call.tensor("input"), call.tensor("target"), {
      ...reduction(call),
      margin: call.numberOr("margin", 1),
    }),
  ),
  "nn.functional.huber_loss": operator("input, target, reduction, delta", (call) =>
    F.huberLoss(call.tensor("input"), call.tensor("target"), { ...reduction(call), delta: call.numberOr("delta", 1) }),
  ),
  "nn.functional.kl_div": operator("input, target, size_average, reduce, reduction, log_target", (call) => {
    const kind = call.text("reduction", "mean") === "batchmean" ? ("batchmean" as const) : reduction(call).reduction;
    return F.klDiv(call.tensor("input"), call.tensor("target"), {
      reduction: kind,
      logTarget: call.flag("log_target"),
    });
  }),
  "nn.functional.l1_loss": operator("input, target, size_average, reduce, reduction", (call) =>
    F.l1Loss(call.tensor("input"), call.tensor("target"), reduction(call)),
  ),
  "nn.functional.margin_ranking_loss": operator(
    "input1, input2, target, margin, size_average, reduce, reduction",
    (call) =>
      F.marginRankingLoss(call.tensor("input1"), call.tensor("input2"), call.tensor("target"), {
        ...reduction(call),
        margin: call.numberOr("margin", 0),
      }),
  ),
  "nn.functional.mse_loss": operator("input, target, size_average, reduce, reduction", (call) =>
    F.mseLoss(call.tensor("input"), call.tensor("target"), reduction(call)),
  ),
  "nn.functional.nll_loss": operator("input, target, weight, size_average, ignore_index, reduce, reduction", (call) =>
    F.nllLoss(call.tensor("input"), call.tensor("target"), classOptions(call)),
  ),
  "nn.functional.pairwise_distance": operator("x1, x2, p, eps, keepdim", (call) =>
    F.pairwiseDistance(call.tensor("x1"), call.tensor("x2"), {
      p: call.numberOr("p", 2),
      eps: call.numberOr("eps", 1e-6),
      keepdim: call.flag("keepdim"),
    }),
  ),
  "nn.functional.poisson_nll_loss": operator(
    "input, target, log_input, full, size_average, eps, reduce, reduction",
    (call) =>
      F.poissonNllLoss(call.tensor("input"), call.tensor("target"), {
        ...reduction(call),
        logInput: call.flag("log_input", true),
        full: call.flag("full"),
        eps: call.numberOr("eps", 1e-8),
      }),
  ),
  "nn.functional.smooth_l1_loss": operator("input, target, size_average, reduce, reduction, beta", (call) =>
    F.smoothL1Loss(call.tensor("input"), call.tensor("target"), { ...reduction(call), beta: call.numberOr("beta", 1) }),
  ),
  "nn.functional.soft_margin_loss": operator("input, target, size_average, reduce, reduction", (call) =>
    F.softMarginLoss(call.tensor("input"), call.tensor("target"), reduction(call)),
  ),
  "nn.functional.triplet_margin_loss": operator(
    "anchor, positive, negative, margin, p, eps, swap, size_average, reduce, reduction",
    (call) =>
      F.tripletMarginLoss(call.tensor("anchor"), call.tensor("positive"), call.tensor("negative"), {
        ...reduction(call),
        margin: call.numberOr("margin", 1),
        p: call.numberOr("p", 2),
        eps: call.numberOr("eps", 1e-6),
        swap: call.flag("swap"),
      }),
  ),
};
