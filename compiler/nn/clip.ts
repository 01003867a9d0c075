/** Gradient clipping: changes `.grad` between `backward()` and `step()`. */
import { composed } from "../tensor/elementwise.ts";
import type { Parameter } from "../trace/parameter.ts";
import type { Tensor } from "../trace/tensor.ts";
import { zeros } from "../tensor/create.ts";
import { currentTrace } from "../trace/trace.ts";

/** Norm of all gradients together, as if they were one vector. f32[]; 0 if there are none. */
function totalNorm(grads: readonly Tensor[], normType: number = 2): Tensor {
  return composed("clipGradNorm", () => {
    if (grads.length === 0) return zeros([]);
    if (normType === Infinity)
      return grads.map((grad) => grad.abs().amax()).reduce((largest, each) => largest.maximum(each));
    if (normType === 1) return add(grads.map((grad) => grad.abs().sum()));
    if (normType === 2) return add(grads.map((grad) => grad.mul(grad).sum())).sqrt();
    return add(grads.map((grad) => grad.abs().pow(normType).sum())).pow(1 / normType);
  });
}

/**
 * Scales the gradients of `parameters` so that their norm is at most `maxNorm` (Pascanu et al., 2013); returns the norm
 * before. The divisor has 1e-6 added, as in PyTorch.
 */
export function clipGradNorm_(
  parameters: Iterable<Parameter>,
  maxNorm: number,
  { normType = 2 }: { readonly normType?: number } = {},
): Tensor {
  const trace = currentTrace("clipGradNorm");
  const withGrad = [...parameters].filter((parameter) => parameter.grad !== undefined);
  return trace.at(trace.here(), () =>
    trace.withGrad(false, () => {
      const norm = totalNorm(
        withGrad.flatMap(({ grad }) => (grad === undefined ? [] : [grad])),
        normType,
      );
      const factor = norm.add(1e-6).reciprocal().mul(maxNorm).minimum(1);
      for (const parameter of withGrad) parameter.grad = parameter.grad?.mul(factor.to(parameter.dtype));
      return norm;
    }),
  );
}

/** Limits every element of the gradients of `parameters` to [-clipValue, clipValue]. */
export function clipGradValue_(parameters: Iterable<Parameter>, clipValue: number): void {
  const trace = currentTrace("clipGradValue");
  trace.at(trace.here(), () =>
    trace.withGrad(false, () => {
      for (const parameter of parameters) parameter.grad = parameter.grad?.clamp({ min: -clipValue, max: clipValue });
    }),
  );
}

function add(parts: readonly Tensor[]): Tensor {
  return parts.reduce((sum, part) => sum.add(part));
}
