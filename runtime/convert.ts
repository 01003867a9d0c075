/**
 * Conversion at the border of a device: between elements as they are seen outside and as memory holds them, where the two
 * differ (GPUs hold small and 64-bit integers in 32-bit words). Going in, what does not fit is an error; coming out,
 * everything fits.
 */
import { fail, invariant } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import type { DType } from "../ir/type.ts";
import { newTypedArray, type TypedArray } from "./typed-array.ts";

/**
 * `data`, elements of `dtype`, as memory holds them; itself if there is no difference. `name`: what it is, for the error.
 *
 * @throws UserError K5231 for the first value that does not fit.
 */
export function toStored(name: string, dtype: DType, stored: DType, data: TypedArray): TypedArray {
  if (dtype === stored) return data;
  invariant(stored === "i32", `no way to hold ${dtype} as ${stored}`);
  if (!(data instanceof BigInt64Array)) return new Int32Array(data);
  // The words of each number, low and high; the high one must be the low one's sign.
  const words = new Int32Array(data.buffer, data.byteOffset, data.length * 2);
  const whole = new Int32Array(data.length);
  for (let i = 0; i < whole.length; i++) {
    const low = words[2 * i] ?? 0;
    if (words[2 * i + 1] !== low >> 31) throw fail(messages.valueTooLarge(name, i, String(data[i])));
    whole[i] = low;
  }
  return whole;
}

/** Copies elements as memory holds them to `into`, of `dtype`. The two are of one length. */
export function fromStored(dtype: DType, stored: DType, data: TypedArray, into: TypedArray): void {
  invariant(dtype === stored || stored === "i32", `no way to read ${dtype} from ${stored}`);
  if (into instanceof BigInt64Array) {
    if (data instanceof BigInt64Array) into.set(data);
    else for (let i = 0; i < into.length; i++) into[i] = BigInt(data[i] ?? 0);
  } else {
    invariant(!(data instanceof BigInt64Array), "64-bit numbers for narrower ones");
    into.set(data);
  }
}

/** A copy of elements as memory holds them, as elements of `dtype`; themselves if there is no difference. */
export function outside(dtype: DType, stored: DType, data: TypedArray): TypedArray {
  if (dtype === stored) return data;
  const into = newTypedArray(dtype, data.length);
  fromStored(dtype, stored, data, into);
  return into;
}
