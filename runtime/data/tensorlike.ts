/**
 * Tensors on the host: a typed array with an element type and a shape, dense and row-major. The words here are shared by
 * data sets, batches and whoever feeds them to a program; nothing is copied unless a function says so.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { elementCount, formatType, type DType, type Shape, type TensorType } from "../../ir/type.ts";
import { bytesOf, type TypedArray, type TypedArrayOf } from "../typed-array.ts";

/** A tensor on the host: `data` holds the elements of `shape`, row-major. */
export type Tensorlike = { readonly dtype: DType; readonly shape: Shape; readonly data: TypedArray };

/** An array as a user may have it: also the clamped bytes of a canvas. */
export type ArrayData = TypedArray | Uint8ClampedArray;

/** A tensor as a user writes it: without `dtype` the array's own is meant, without `shape` one axis. */
export type ArrayValue =
  ArrayData | { readonly data: ArrayData; readonly shape: Shape; readonly dtype?: DType | undefined };

/** The class of array that holds elements of each type; `Uint16Array` holds the bits of `f16` and `bf16`. */
const arrayOf: { readonly [D in DType]: new (count: number) => TypedArrayOf[D] } = {
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

/** The element type an array has by its class alone; `undefined` where the class does not tell (`Uint16Array`). */
export function dtypeOfArray(data: ArrayBufferView): DType | undefined {
  if (data instanceof Float32Array) return "f32";
  if (data instanceof Float64Array) return "f64";
  if (data instanceof Int8Array) return "i8";
  if (data instanceof Uint8Array || data instanceof Uint8ClampedArray) return "u8";
  if (data instanceof Int16Array) return "i16";
  if (data instanceof Int32Array) return "i32";
  if (data instanceof BigInt64Array) return "i64";
  return undefined;
}

/** Whether `value` is an array that can hold a tensor. */
export function isArrayData(value: unknown): value is ArrayData {
  return value instanceof Uint16Array || (ArrayBuffer.isView(value) && dtypeOfArray(value) !== undefined);
}

/** Whether `value` is an array or `{ data, shape }`, well formed or not. */
export function isArrayValue(value: unknown): value is ArrayValue {
  if (isArrayData(value)) return true;
  return typeof value === "object" && value !== null && "data" in value && "shape" in value;
}

/**
 * The tensor that `value` stands for, sharing its array. `place` names it in errors.
 *
 * @throws UserError K2009 if its array is of no usable class, K2013 if dtype, shape and array do not agree.
 */
export function toTensorlike(value: ArrayValue, place: string): Tensorlike {
  const whole = isArrayData(value) ? { data: value, shape: [value.length], dtype: undefined } : value;
  const { data, shape } = whole;
  if (!isArrayData(data)) throw fail(messages.notAField(`${place}: \`data\``, nameOf(data)));
  if (!Array.isArray(shape) || !shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0))
    throw fail(
      messages.fieldDataMismatch(place, "a shape of whole numbers >= 0", `shape ${JSON.stringify(shape) ?? "none"}`),
    );
  const dtype = whole.dtype ?? dtypeOfArray(data);
  if (dtype === undefined)
    throw fail(
      messages.fieldDataMismatch(place, "dtype f16 or bf16 beside a Uint16Array", "a Uint16Array without dtype"),
    );
  const elements = data instanceof Uint8ClampedArray ? bytesOf(data) : data;
  const wanted = Object.hasOwn(arrayOf, dtype) ? arrayOf[dtype] : undefined; // `dtype` may come from untyped code
  if (wanted === undefined || !(elements instanceof wanted))
    throw fail(messages.fieldDataMismatch(place, wanted?.name ?? "a known dtype", `${nameOf(data)} as ${dtype}`));
  if (elementCount(shape) !== data.length)
    throw fail(
      messages.fieldDataMismatch(place, `${elementCount(shape)} elements for [${shape.join(", ")}]`, `${data.length}`),
    );
  return { dtype, shape, data: elements };
}

/** Sample `row` of a tensor `[rows, ...shape]`, as a view. */
export function rowOf(field: Tensorlike, row: number): Tensorlike {
  const shape = field.shape.slice(1);
  const size = elementCount(shape);
  return { dtype: field.dtype, shape, data: field.data.subarray(row * size, (row + 1) * size) };
}

/** The type of a tensor. */
export function typeOf(value: Tensorlike): TensorType {
  return { dtype: value.dtype, shape: value.shape };
}

/** A word for any value, for the `got` of an error: its class, type or printed form. */
export function nameOf(value: unknown): string {
  if (value === undefined || value === null || typeof value === "number" || typeof value === "boolean")
    return String(value);
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return value.name === "" ? "a function" : `the function ${value.name}`;
  if (typeof value === "symbol") return "a symbol";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (value instanceof Promise) return "a promise";
  const maker: unknown = value.constructor;
  return typeof maker === "function" && maker !== Object ? `a ${maker.name}` : "an object";
}

/** `f32[64,784]` of a tensor. */
export function formatTensorlike(value: Tensorlike): string {
  return formatType(typeOf(value));
}
