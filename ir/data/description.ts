/**
 * What a loader, a data set or a transform says about itself as plain data. The compiler reads it to know lengths,
 * element types and which transforms to trace into the step; the runtime reads it to feed the step. Neither side needs
 * the other for that.
 */
import type { DType, Shape } from "../type.ts";

/** One transform, applied to one field of a sample. */
export type TransformDescription =
  /** `u8` pixels `[h, w]` or `[h, w, c]` to `f32[c, h, w]`, divided by 255. */
  | { readonly kind: "toTensor" }
  /** `(x - mean[c]) / std[c]` per channel of `[c, h, w]`. */
  | { readonly kind: "normalize"; readonly mean: readonly number[]; readonly std: readonly number[] }
  /** A function of tensors, traced like the model. Takes and returns one whole batch `[n, ...]`. */
  | { readonly kind: "lambda"; readonly apply: (x: never) => unknown };

/** One element of a sample, such as the picture or the label. */
export type FieldDescription = {
  /** Element type and shape of one sample's field as stored, before the transforms. */
  readonly dtype: DType;
  readonly shape: Shape;
  /** Whether the whole field is held as one array `[length, ...shape]` that the step can gather from. */
  readonly resident: boolean;
  readonly transforms: readonly TransformDescription[];
};

/** What a loader gives: batches of `batchSize` samples, each a list of fields. */
export type LoaderDescription = {
  readonly samples: number;
  readonly batchSize: number;
  readonly dropLast: boolean;
  readonly fields: readonly FieldDescription[];
};

/** The property under which a loader describes itself to the compiler and the trainer. */
export const describe: unique symbol = Symbol.for("kiln.describe");
