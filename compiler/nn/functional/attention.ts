/** Attention, and look-up of vectors by integers. */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { at } from "../../../ir/type.ts";
import { composed } from "../../tensor/elementwise.ts";
import { takeSlices } from "../../tensor/indexing.ts";
import { make } from "../../trace/handle.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";
import { dropout } from "./normalise.ts";

/** Options of `scaledDotProductAttention`. */
export type AttentionOptions = {
  /** What broadcasts to [..., queries, keys]: bool (true takes part) or numbers that are added to the scores. */
  readonly attnMask?: Tensor | undefined;
  readonly dropoutP?: number;
  /** Whether query i sees keys up to i only. */
  readonly isCausal?: boolean;
  /** Factor of the scores; 1 / √(length of a query) by default. */
  readonly scale?: number | undefined;
  /** Whether several queries' heads share one of the keys and values. */
  readonly enableGqa?: boolean;
};

/**
 * softmax(scale · query · keyᵀ + mask) · value (Vaswani et al., 2017). query: [..., queries, e], key: [..., keys, e],
 * value: [..., keys, v]. A query that sees no key gives 0.
 */
export function scaledDotProductAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions = {},
): Tensor {
  const owner = "scaledDotProductAttention";
  return composed(owner, () => {
    const { attnMask, dropoutP = 0, isCausal = false, scale, enableGqa = false } = options;
    if (
      query.ndim < 2 ||
      key.ndim < 2 ||
      query.shape.at(-1) !== key.shape.at(-1) ||
      key.shape.at(-2) !== value.shape.at(-2)
    )
      throw fail(
        messages.layerInput(owner, `keys and values that fit the query ${query.toString()}`, key.type),
        currentTrace(owner).here(),
      );
    if (isCausal && attnMask !== undefined)
      throw fail(
        messages.badLayerOption(owner, "attnMask", "no mask beside isCausal", "both"),
        currentTrace(owner).here(),
      );
    const repeated = (x: Tensor): Tensor =>
      enableGqa && x.ndim >= 3 ? x.repeatInterleave(at(query.shape, query.ndim - 3) / at(x.shape, x.ndim - 3), -3) : x;
    const factor = scale ?? 1 / Math.sqrt(at(query.shape, query.ndim - 1));
    const scores = query.mul(factor).matmul(repeated(key).transpose(-2, -1));
    const mask = isCausal ? causalMask(scores) : attnMask;
    const masked =
      mask === undefined ? scores : mask.dtype === "bool" ? scores.where(mask, -Infinity) : scores.add(mask);
    const weights = mask === undefined ? plainSoftmax(masked) : maskedSoftmax(masked);
    return dropout(weights, dropoutP).matmul(repeated(value));
  });
}

/** True on and below the diagonal of the last two axes. */
function causalMask(scores: Tensor): Tensor {
  const { g } = currentTrace("scaledDotProductAttention");
  const shape = scores.shape.slice(-2);
  const row = scores[make](g.iota({ axis: 0, dtype: "i64", shape }));
  return scores[make](g.iota({ axis: 1, dtype: "i64", shape })).le(row);
}

function plainSoftmax(scores: Tensor): Tensor {
  const weights = scores.sub(scores.amax(-1, { keepdim: true }).detach()).exp();
  return weights.div(weights.sum(-1, { keepdim: true }));
}

/** softmax along the last axis; 0 where all scores are -∞ */
function maskedSoftmax(scores: Tensor): Tensor {
  const largest = scores.amax(-1, { keepdim: true }).detach();
  const weights = scores.sub(largest.maskedFill(largest.eq(-Infinity), 0)).exp();
  const total = weights.sum(-1, { keepdim: true });
  return weights.div(total.maskedFill(total.eq(0), 1));
}

/** Rows of `weight` ([rows, dim]) at the integers x: [...x, dim]. Row `paddingIdx` takes no gradient. */
export function embedding(
  x: Tensor,
  weight: Tensor,
  { paddingIdx }: { readonly paddingIdx?: number | undefined } = {},
): Tensor {
  return composed("embedding", () => {
    const rows = takeSlices(weight, 0, x);
    if (paddingIdx === undefined) return rows;
    const fixed = paddingIdx < 0 ? paddingIdx + at(weight.shape, 0) : paddingIdx;
    return rows.detach().where(x.eq(fixed).unsqueeze(-1), rows);
  });
}

/** How the embeddings of a bag combine. */
export type BagMode = "sum" | "mean" | "max";

/**
 * Sum, mean or largest of the rows of `weight` that each bag names. x: integers of all bags one after the other, with
 * `offsets` [bags] where each begins, or [bags, length]. An empty bag gives 0.
 */
export function embeddingBag(
  x: Tensor,
  weight: Tensor,
  { offsets, mode = "mean" }: { readonly offsets?: Tensor | undefined; readonly mode?: BagMode } = {},
): Tensor {
  return composed("embeddingBag", () => {
    const rows = takeSlices(weight, 0, x);
    if (offsets === undefined) return mode === "sum" ? rows.sum(1) : mode === "mean" ? rows.mean(1) : rows.amax(1);
    if (x.ndim !== 1 || offsets.ndim !== 1)
      throw fail(
        messages.layerInput("embeddingBag", "a vector of integers and one of offsets", x.type),
        currentTrace().here(),
      );
    const { g } = currentTrace("embeddingBag");
    const place = x[make](g.iota({ axis: 0, dtype: "i64", shape: [x.numel()] }));
    // An integer belongs to the last bag that begins at or before it: [bags, integers].
    const member = offsets.toLong().unsqueeze(1).le(place.unsqueeze(0)).toLong();
    const bag = member.sum(0).sub(1);
    const own = bag.unsqueeze(0).eq(x[make](g.iota({ axis: 0, dtype: "i64", shape: member.shape })));
    if (mode === "max") {
      const largest = rows.unsqueeze(0).where(own.unsqueeze(2), -Infinity).amax(1);
      return largest.maskedFill(largest.eq(-Infinity), 0);
    }
    const total = own.to(rows.dtype).matmul(rows);
    return mode === "sum" ? total : total.div(own.sum(1).maximum(1).to(rows.dtype).unsqueeze(1));
  });
}

/** 1 at the place of each integer and 0 elsewhere: [...x, numClasses], i64. */
export function oneHot(x: Tensor, numClasses: number): Tensor {
  return composed("oneHot", () => {
    if (!Number.isSafeInteger(numClasses) || numClasses < 1)
      throw fail(
        messages.badLayerOption(
          "oneHot",
          "numClasses",
          "the number of classes: values are not known while tracing",
          String(numClasses),
        ),
        currentTrace("oneHot").here(),
      );
    const { g } = currentTrace("oneHot");
    const shape = [...x.shape, numClasses];
    const classes = x[make](g.iota({ axis: x.ndim, dtype: x.dtype, shape }));
    return classes.eq(x.unsqueeze(-1)).to("i64");
  });
}

/** x1ᵀ · weight[k] · x2 + bias[k]. x1: [..., in1], x2: [..., in2], weight: [out, in1, in2]; result [..., out]. */
export function bilinear(x1: Tensor, x2: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  return composed("bilinear", () => {
    const [out = 0, in1 = 0, in2 = 0] = weight.shape;
    if (weight.ndim !== 3 || x1.shape.at(-1) !== in1 || x2.shape.at(-1) !== in2)
      throw fail(
        messages.layerInput("bilinear", `[..., ${in1}] and [..., ${in2}]`, x1.type),
        currentTrace("bilinear").here(),
      );
    const lead = x1.shape.slice(0, -1);
    const half = x1
      .reshape([-1, in1])
      .matmul(weight.permute([1, 0, 2]).reshape([in1, out * in2]))
      .reshape([-1, out, in2]);
    const product = half
      .mul(x2.reshape([-1, 1, in2]))
      .sum(-1)
      .reshape([...lead, out]);
    return bias === undefined ? product : product.add(bias);
  });
}
