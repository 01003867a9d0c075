/** Activation functions and softmax, on tensors of any shape. */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { composed } from "../../tensor/elementwise.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";

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

/** max(x, 0) + min(alpha (e^(x / alpha) - 1), 0) (Barron, 2017) */
export function celu(x: Tensor, alpha: number = 1): Tensor {
  return composed("celu", () => x.where(x.gt(0), x.minimum(0).div(alpha).expm1().mul(alpha)));
}

/** The first half along `dim` times the sigmoid of the second (Dauphin et al., 2017). */
export function glu(x: Tensor, dim: number = -1): Tensor {
  return composed("glu", () => {
    const extent = x.ndim === 0 ? 1 : x.size(dim);
    if (extent % 2 !== 0)
      throw fail(messages.layerInput("glu", `an even extent of axis ${dim}`, x.type), currentTrace("glu").here());
    return x.slice(dim, 0, extent / 2).mul(x.slice(dim, extent / 2, extent).sigmoid());
  });
}

/** x where positive, else weight · x. `weight`: one number, or one for each channel of axis 1. */
export function prelu(x: Tensor, weight: Tensor): Tensor {
  return composed("prelu", () => {
    const count = weight.numel();
    const channels = x.ndim < 2 ? 1 : (x.shape[1] ?? 1);
    if (count !== 1 && count !== channels)
      throw fail(messages.layerInput("prelu", `${count} channels on axis 1`, x.type), currentTrace("prelu").here());
    const spread = weight.reshape(
      x.ndim < 2 ? (x.ndim === 0 ? [] : [count]) : [1, count, ...x.shape.slice(2).map(() => 1)],
    );
    return x.where(x.gt(0), x.mul(spread));
  });
}

/** softmax of -x along `dim` */
export function softmin(x: Tensor, dim: number): Tensor {
  return composed("softmin", () => softmax(x.neg(), dim));
}

/** x where it is above `limit`, else `value` */
export function threshold(x: Tensor, limit: number, value: number): Tensor {
  return composed("threshold", () => x.maskedFill(x.le(limit), value));
}

/** x - tanh x */
export function tanhshrink(x: Tensor): Tensor {
  return composed("tanhshrink", () => x.sub(x.tanh()));
}

/** x where |x| > lambda, else 0 */
export function hardshrink(x: Tensor, lambda: number = 0.5): Tensor {
  return composed("hardshrink", () => x.maskedFill(x.abs().le(lambda), 0));
}

/** x moved towards 0 by lambda, and 0 within */
export function softshrink(x: Tensor, lambda: number = 0.5): Tensor {
  return composed("softshrink", () => {
    const moved = x.sub(lambda).where(x.gt(0), x.add(lambda));
    return moved.maskedFill(x.abs().le(lambda), 0);
  });
}
