/**
 * Transforms as descriptions. A transform is not run on the host: it says what the compiled step shall do with a field
 * before the model sees it, so that pictures stay bytes until the kernel reads them.
 */
import type { TransformDescription } from "../../ir/data/description.ts";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { nameOf } from "./tensorlike.ts";

/** One transform, or several in a row. */
export type Transform =
  TransformDescription | { readonly kind: "compose"; readonly transforms: readonly TransformDescription[] };

/** `u8` pixels `[h, w]` or `[h, w, c]` to `f32[c, h, w]` from 0 to 1: a division by 255, as torchvision's `ToTensor`. */
export function toTensor(): Transform {
  return { kind: "toTensor" };
}

/**
 * `(x - mean[c]) / std[c]` for each channel c of `[c, h, w]`, as torchvision's `Normalize`. One number means one channel.
 *
 * @throws UserError K2001 if a number is not finite, a `std` is 0, or the lists differ in length.
 */
export function normalize(mean: number | readonly number[], std: number | readonly number[]): Transform {
  const means = typeof mean === "number" ? [mean] : [...mean];
  const stds = typeof std === "number" ? [std] : [...std];
  const owner = "transforms.normalize";
  if (means.length === 0 || !means.every(Number.isFinite))
    throw fail(messages.badDataOption(owner, "mean", "finite numbers, one a channel", `[${means.join(", ")}]`));
  if (!stds.every((x) => Number.isFinite(x) && x !== 0))
    throw fail(messages.badDataOption(owner, "std", "finite numbers other than 0", `[${stds.join(", ")}]`));
  if (means.length !== stds.length)
    throw fail(messages.badDataOption(owner, "std", `${means.length} numbers, as many as \`mean\``, `${stds.length}`));
  return { kind: "normalize", mean: means, std: stds };
}

/**
 * A function of tensors, traced into the step like the model: it gets the field of a whole batch, `[n, ...]`, and
 * returns what the step shall get. Write `lambda((x: Tensor) => x.mul(2))`.
 *
 * @throws UserError K2016 if `apply` is no function.
 */
export function lambda<T>(apply: (x: T) => T): Transform {
  if (typeof apply !== "function")
    throw fail(messages.notATransform("the argument of transforms.lambda", nameOf(apply)));
  return { kind: "lambda", apply };
}

/**
 * Several transforms, the first one first.
 *
 * @throws UserError K2016 if an element is no transform.
 */
export function compose(transforms: readonly Transform[]): Transform {
  if (!Array.isArray(transforms))
    throw fail(messages.notATransform("the argument of transforms.compose", nameOf(transforms)));
  return {
    kind: "compose",
    transforms: transforms.flatMap((transform, i) => stepsOf(transform, `element ${i} of transforms.compose`)),
  };
}

/**
 * The single steps of a transform, in order; none for `undefined`. `place` names it in errors.
 *
 * @throws UserError K2016 if `transform` was not made by a function of this module.
 */
export function stepsOf(transform: Transform | undefined, place: string): readonly TransformDescription[] {
  if (transform === undefined) return [];
  const kind: unknown = typeof transform === "object" && transform !== null ? transform.kind : undefined;
  switch (kind) {
    case "compose":
      return transform.kind === "compose" ? transform.transforms : [];
    case "toTensor":
    case "normalize":
    case "lambda":
      return transform.kind === "compose" ? [] : [transform];
    default:
      throw fail(messages.notATransform(place, nameOf(transform)));
  }
}
