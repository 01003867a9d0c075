/** Conversion between element types, and tensors like another. */
import type { DType } from "../../ir/type.ts";
import { make, nodeOf } from "../trace/handle.ts";
import type { Tensor } from "../trace/tensor.ts";
import { currentTrace } from "../trace/trace.ts";
import { castNode } from "./promote.ts";

/** Converts elements: floats to integers towards zero, anything to bool by "is not 0". */
export function cast(x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype) return x;
  const trace = currentTrace("cast");
  return x[make](castNode(trace, nodeOf(x), dtype));
}

function filledLike(x: Tensor, value: number, dtype: DType | undefined): Tensor {
  return x[make](currentTrace("full").g.full({ value, dtype: dtype ?? x.dtype, shape: x.shape }));
}

/** Conversion methods. */
export interface CastMethods {
  /** x with elements of another type; x itself if it has it. */
  to(this: Tensor, dtype: DType): Tensor;
  /** x as f32 */
  toFloat(this: Tensor): Tensor;
  /** x as f64 */
  toDouble(this: Tensor): Tensor;
  /** x as i32 */
  toInt(this: Tensor): Tensor;
  /** x as i64 */
  toLong(this: Tensor): Tensor;
  /** x as bool: true where it is not 0 */
  toBool(this: Tensor): Tensor;
  /** x with the element type of `other` */
  typeAs(this: Tensor, other: Tensor): Tensor;
  /** Zeros of x's shape. */
  zerosLike(this: Tensor, options?: { readonly dtype?: DType }): Tensor;
  /** Ones of x's shape. */
  onesLike(this: Tensor, options?: { readonly dtype?: DType }): Tensor;
  /** `value` in every element of x's shape. */
  fullLike(this: Tensor, value: number, options?: { readonly dtype?: DType }): Tensor;
}

/** The implementations of `CastMethods`. */
export const castMethods: CastMethods = {
  to(dtype) {
    return cast(this, dtype);
  },
  toFloat() {
    return cast(this, "f32");
  },
  toDouble() {
    return cast(this, "f64");
  },
  toInt() {
    return cast(this, "i32");
  },
  toLong() {
    return cast(this, "i64");
  },
  toBool() {
    return cast(this, "bool");
  },
  typeAs(other) {
    return cast(this, other.dtype);
  },
  zerosLike({ dtype } = {}) {
    return filledLike(this, 0, dtype);
  },
  onesLike({ dtype } = {}) {
    return filledLike(this, 1, dtype);
  },
  fullLike(value, { dtype } = {}) {
    return filledLike(this, value, dtype);
  },
};
