/** Distances and similarities, and the losses made of them. Gradients where PyTorch limits a value are PyTorch's. */
import { composed } from "../../tensor/elementwise.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { reduceLoss, type LossOptions } from "./loss.ts";

/** Added to the squared lengths by `cosineEmbeddingLoss` (PyTorch 2.13, aten/src/ATen/native/Loss.cpp). */
const lengthEpsilon = 1e-12;

/** p-norm of a - b + eps along the last axis. */
export function pairwiseDistance(
  a: Tensor,
  b: Tensor,
  {
    p = 2,
    eps = 1e-6,
    keepdim = false,
  }: { readonly p?: number; readonly eps?: number; readonly keepdim?: boolean } = {},
): Tensor {
  return composed("pairwiseDistance", () => a.sub(b).add(eps).norm(p, -1, { keepdim }));
}

/** Cosine of the angle between a and b along `dim`; lengths count as at least eps. */
export function cosineSimilarity(
  a: Tensor,
  b: Tensor,
  { dim = 1, eps = 1e-8 }: { readonly dim?: number; readonly eps?: number } = {},
): Tensor {
  return composed("cosineSimilarity", () => {
    const shape = a.add(b).shape;
    const unit = (x: Tensor): Tensor => {
      const length = x.norm(2, dim, { keepdim: true });
      // The limit changes the value only: the gradient is that of the length.
      return x.div(length.add(length.clamp({ min: eps }).sub(length).detach()));
    };
    return unit(a.broadcastTo(shape))
      .mul(unit(b.broadcastTo(shape)))
      .sum(dim);
  });
}

/** max(0, margin - target (a - b)) */
export function marginRankingLoss(
  a: Tensor,
  b: Tensor,
  target: Tensor,
  { margin = 0, reduction }: LossOptions & { readonly margin?: number } = {},
): Tensor {
  return composed("marginRankingLoss", () =>
    reduceLoss(target.neg().mul(a.sub(b)).add(margin).clamp({ min: 0 }), reduction),
  );
}

/** max(0, distance to positive - distance to negative + margin) (Balntas et al., 2016, for `swap`). */
export function tripletMarginLoss(
  anchor: Tensor,
  positive: Tensor,
  negative: Tensor,
  options: LossOptions & {
    readonly margin?: number;
    readonly p?: number;
    readonly eps?: number;
    readonly swap?: boolean;
  } = {},
): Tensor {
  const { margin = 1, p = 2, eps = 1e-6, swap = false, reduction } = options;
  return composed("tripletMarginLoss", () => {
    const near = pairwiseDistance(anchor, positive, { p, eps });
    const own = pairwiseDistance(anchor, negative, { p, eps });
    const far = swap ? own.minimum(pairwiseDistance(positive, negative, { p, eps })) : own;
    return reduceLoss(near.sub(far).add(margin).clamp({ min: 0 }), reduction);
  });
}

/** 1 - cos where the target is 1, max(0, cos - margin) where it is -1; cos of a and b along the last axis. */
export function cosineEmbeddingLoss(
  a: Tensor,
  b: Tensor,
  target: Tensor,
  { margin = 0, reduction }: LossOptions & { readonly margin?: number } = {},
): Tensor {
  return composed("cosineEmbeddingLoss", () => {
    const squares = (x: Tensor): Tensor => x.mul(x).sum(-1).add(lengthEpsilon);
    const cosine = a
      .mul(b)
      .sum(-1)
      .div(squares(a).mul(squares(b)).sqrt());
    const alike = cosine.rsub(1).where(target.eq(1), 0);
    const unlike = cosine.sub(margin).clamp({ min: 0 }).where(target.eq(-1), 0);
    return reduceLoss(alike.add(unlike), reduction);
  });
}

/** x where the target is 1, max(0, margin - x) where it is -1. */
export function hingeEmbeddingLoss(
  x: Tensor,
  target: Tensor,
  { margin = 1, reduction }: LossOptions & { readonly margin?: number } = {},
): Tensor {
  return composed("hingeEmbeddingLoss", () => {
    const unlike = x.rsub(margin).clamp({ min: 0 });
    return reduceLoss(unlike.where(target.ne(1), 0).add(x.where(target.ne(-1), 0)), reduction);
  });
}

/** log(1 + e^(-target · x)) */
export function softMarginLoss(x: Tensor, target: Tensor, { reduction }: LossOptions = {}): Tensor {
  return composed("softMarginLoss", () => reduceLoss(target.neg().mul(x).exp().log1p(), reduction));
}

/** Negative log likelihood of a normal distribution with mean `input` and variance `variance` (at least eps). */
export function gaussianNllLoss(
  input: Tensor,
  target: Tensor,
  variance: Tensor,
  options: LossOptions & { readonly full?: boolean; readonly eps?: number } = {},
): Tensor {
  const { full = false, eps = 1e-6, reduction } = options;
  return composed("gaussianNllLoss", () => {
    const spread = variance.ndim === input.ndim - 1 ? variance.unsqueeze(-1) : variance;
    // The limit changes the value only.
    const safe = spread.add(spread.clamp({ min: eps }).sub(spread).detach());
    const loss = safe.log().add(input.sub(target).square().div(safe)).mul(0.5);
    return reduceLoss(full ? loss.add(0.5 * Math.log(2 * Math.PI)) : loss, reduction);
  });
}

/** Negative log likelihood of a Poisson distribution; `logInput`: the input is the logarithm of its rate. */
export function poissonNllLoss(
  input: Tensor,
  target: Tensor,
  options: LossOptions & { readonly logInput?: boolean; readonly full?: boolean; readonly eps?: number } = {},
): Tensor {
  const { logInput = true, full = false, eps = 1e-8, reduction } = options;
  return composed("poissonNllLoss", () => {
    const loss = logInput ? input.exp().sub(target.mul(input)) : input.sub(target.mul(input.add(eps).log()));
    if (!full) return reduceLoss(loss, reduction);
    // Stirling's approximation of log(target!), for targets above 1.
    const large = target.maskedFill(target.le(1), 1);
    const stirling = large
      .mul(large.log())
      .sub(large)
      .add(
        large
          .mul(2 * Math.PI)
          .log()
          .mul(0.5),
      );
    return reduceLoss(loss.add(stirling.maskedFill(target.le(1), 0)), reduction);
  });
}
