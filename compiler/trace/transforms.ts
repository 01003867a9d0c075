/** Data transforms, traced into the step: what a loader's field goes through before the model sees it. */
import type { FieldDescription, TransformDescription } from "../../ir/data/description.ts";
import { fail, unreachable, type SourceLocation } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { tensor } from "../tensor/create.ts";
import { isTensor, type Tensor } from "./tensor.ts";
import { currentTrace } from "./trace.ts";

/** `x`: the stored field of a whole batch, [batch, ...], through all transforms of the field. `place`: of the definition. */
export function transformField(x: Tensor, field: FieldDescription, place: SourceLocation | undefined): Tensor {
  return field.transforms.reduce(
    (value, transform) =>
      transform.kind === "lambda"
        ? applyTransform(value, transform, place)
        : currentTrace().at(place && { ...place, module: transform.kind }, () =>
            applyTransform(value, transform, place),
          ),
    x,
  );
}

function applyTransform(x: Tensor, transform: TransformDescription, place: SourceLocation | undefined): Tensor {
  switch (transform.kind) {
    case "toTensor":
      return toPicture(x);
    case "normalize":
      return normalise(x, transform.mean, transform.std);
    case "lambda": {
      // The description cannot name the class of tensors; a lambda is defined to take one.
      const result = (transform.apply as (x: Tensor) => unknown)(x);
      if (!isTensor(result)) throw fail(messages.badLambda(typeof result), place);
      return result;
    }
    default:
      return unreachable(transform);
  }
}

/** Bytes [n, h, w] or [n, h, w, c] to f32 [n, c, h, w] from 0 to 1: a division by 255, as torchvision's `ToTensor`. */
function toPicture(x: Tensor): Tensor {
  if (x.ndim !== 3 && x.ndim !== 4)
    throw fail(
      messages.layerInput("toTensor", "pictures [batch, h, w] or [batch, h, w, c]", x.type),
      currentTrace().here(),
    );
  const channelsFirst = x.ndim === 3 ? x.unsqueeze(1) : x.permute(0, 3, 1, 2);
  const numbers = channelsFirst.to("f32");
  return x.dtype === "u8" ? numbers.div(255) : numbers;
}

function normalise(x: Tensor, mean: readonly number[], std: readonly number[]): Tensor {
  const channels = x.shape[1];
  if (x.ndim !== 4 || (mean.length !== 1 && mean.length !== channels))
    throw fail(messages.layerInput("normalize", `[batch, ${mean.length}, h, w]`, x.type), currentTrace().here());
  const [centre = 0] = mean;
  const [spread = 1] = std;
  if (mean.length === 1) return x.sub(centre).div(spread);
  const along = (values: readonly number[]): Tensor => tensor(values, { dtype: "f32" }).reshape([1, -1, 1, 1]);
  return x.sub(along(mean)).div(along(std));
}
