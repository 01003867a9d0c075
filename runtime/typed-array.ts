/**
 * Typed arrays over the bytes of tensors. Elements are little-endian, in files and in memory; `f16` and `bf16` are seen
 * as their 16 bits, `bool` as bytes 0 and 1.
 */
import { dtypeBytes, type DType } from "../ir/type.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import { badByteLength } from "../ir/diagnostic/messages.ts";

/** The typed array that holds elements of each type. */
export type TypedArrayOf = {
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  readonly f16: Uint16Array;
  readonly bf16: Uint16Array;
  readonly i8: Int8Array;
  readonly u8: Uint8Array;
  readonly i16: Int16Array;
  readonly i32: Int32Array;
  readonly i64: BigInt64Array;
  readonly bool: Uint8Array;
};

/** Any of them. */
export type TypedArray = TypedArrayOf[DType];

type View<D extends DType> = new (buffer: ArrayBufferLike, offset: number, length: number) => TypedArrayOf[D];

const views: { readonly [D in DType]: View<D> } = {
  f32: Float32Array,
  f64: Float64Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i8: Int8Array,
  u8: Uint8Array,
  i16: Int16Array,
  i32: Int32Array,
  i64: BigInt64Array,
  bool: Uint8Array,
};

/**
 * The elements in `bytes`: a view of the same memory where its address allows one, else a copy.
 *
 * @throws UserError K3110 if the bytes are no whole number of elements.
 */
export function typedArray<D extends DType>(dtype: D, bytes: Uint8Array): TypedArrayOf[D] {
  const width = dtypeBytes[dtype];
  if (bytes.byteLength % width !== 0) throw fail(badByteLength(dtype, bytes.byteLength));
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  return new views[dtype](aligned.buffer, aligned.byteOffset, aligned.byteLength / width);
}

/** A new array of `count` zeros. */
export function newTypedArray<D extends DType>(dtype: D, count: number): TypedArrayOf[D] {
  return new views[dtype](new ArrayBuffer(count * dtypeBytes[dtype]), 0, count);
}

/** The bytes of a typed array: a view of the same memory. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
