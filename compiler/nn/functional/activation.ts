/** Activation functions and softmax, on tensors of any shape. */
import { composed } from "../../tensor/elementwise.ts";
import type { Tensor } from "../../trace/tensor.ts";

/** max(x, 0) */
export function relu(x: Tensor): Tensor {
  return x.relu();
}

/** x limited to [0, 6]; no gradient at or beyond the limits */
export function relu6(x: Tensor): Tensor {
  return hardtanh(x, 0, 6);
}

/** x limited to [min, max]; no gradient at or beyond the limits */
export function hardtanh(x: Tensor, min: number = -1, max: number = 1): Tensor {
  return composed("hardtanh", () => x.maskedFill(x.le(min), min).maskedFill(x.ge(max), max));
}

/** x where positive, else slope · x */
export function leakyRelu(x: Tensor, negativeSlope: number = 0.01): Tensor {
  return composed("leakyRelu", () => x.where(x.gt(0), x.mul(negativeSlope)));
}

/** x where positive, else alpha (e^x - 1) (Clevert et al., 2015) */
export function elu(x: Tensor, alpha: number = 1): Tensor {
  return composed("elu", () => x.where(x.gt(0), x.minimum(0).expm1().mul(alpha)));
}

/** Klambauer et al. (2017), with the constants of the paper. */
export function selu(x: Tensor): Tensor {
  return composed("selu", () => elu(x, 1.6732632423543772).mul(1.0507009873554805));
}

/** x · Φ(x) (Hendrycks and Gimpel, 2016), exactly or by the tanh approximation. */
export function gelu(x: Tensor, { approximate = "none" }: { readonly approximate?: "none" | "tanh" } = {}): Tensor {
  return composed("gelu", () => {
    if (approximate === "none") return x.mul(0.5).mul(x.mul(Math.SQRT1_2).erf().add(1));
    const inner = x.add(x.mul(x).mul(x).mul(0.044715)).mul(Math.sqrt(2 / Math.PI));
    return x.mul(0.5).mul(inner.tanh().add(1));
  });
}

/** x · sigmoid(x) */
export function silu(x: Tensor): Tensor {
  return composed("silu", () => x.mul(x.sigmoid()));
}

/** log(1 + e^(beta x)) / beta, and x itself where beta x > threshold */
export function softplus(x: Tensor, beta: number = 1, threshold: number = 20): Tensor {
  return composed("softplus", () => {
    const scaled = x.mul(beta);
    const low = scaled.minimum(threshold).exp().log1p().div(beta);
    return x.where(scaled.gt(threshold), low);
  });
}

/** log sigmoid(x), without overflow */
export function logsigmoid(x: Tensor): Tensor {
  return composed("logsigmoid", () => x.minimum(0).sub(x.abs().neg().exp().log1p()));
}

/** x · tanh(softplus(x)) (Misra, 2019) */
export function mish(x: Tensor): Tensor {
  return composed("mish", () => x.mul(softplus(x).tanh()));
}

/** x / (1 + |x|) */
export function softsign(x: Tensor): Tensor {
  return composed("softsign", () => x.div(x.abs().add(1)));
}

/** relu6(x + 3) / 6 */
export function hardsigmoid(x: Tensor): Tensor {
  return composed("hardsigmoid", () => hardtanh(x.add(3), 0, 6).div(6));
}

/** x · relu6(x + 3) / 6 */
export function hardswish(x: Tensor): Tensor {
  return composed("hardswish", () => x.mul(hardsigmoid(x)));
}

/** e^x / Σ e^x along `dim`, without overflow */
export function softmax(x: Tensor, dim: number): Tensor {
  return composed("softmax", () => {
    const weights = x.sub(x.amax(dim, { keepdim: true }).detach()).exp();
    return weights.div(weights.sum(dim, { keepdim: true }));
  });
}

/** log softmax along `dim`, without overflow */
export function logSoftmax(x: Tensor, dim: number): Tensor {
  return composed("logSoftmax", () => {
    const shifted = x.sub(x.amax(dim, { keepdim: true }).detach());
    return shifted.sub(shifted.exp().sum(dim, { keepdim: true }).log());
  });
}
