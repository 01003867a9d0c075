/**
 * Tensor types: an element type and a static shape. Everything in a graph has one; nothing about layout, memory or
 * devices is said here. Shapes are in PyTorch's order, row-major; a scalar has shape `[]`.
 */

/** Element types, named as in the printed IR. */
export const dtypes = ["f32", "f64", "f16", "bf16", "i8", "u8", "i16", "i32", "i64", "bool"] as const;

/** One element type. */
export type DType = (typeof dtypes)[number];

/** Extents of a tensor's axes, outermost first. */
export type Shape = readonly number[];

/** The static type of a tensor. */
export type TensorType = { readonly dtype: DType; readonly shape: Shape };

/** Size of one element in bytes (`bool` takes one byte). */
export const dtypeBytes: Readonly<Record<DType, number>> = {
  f32: 4,
  f64: 8,
  f16: 2,
  bf16: 2,
  i8: 1,
  u8: 1,
  i16: 2,
  i32: 4,
  i64: 8,
  bool: 1,
};

/** Whether elements are floating-point numbers. */
export function isFloat(dtype: DType): boolean {
  return dtype === "f32" || dtype === "f64" || dtype === "f16" || dtype === "bf16";
}

/** Whether elements are integers (`bool` is not one). */
export function isInteger(dtype: DType): boolean {
  return !isFloat(dtype) && dtype !== "bool";
}

/** A tensor type. */
export function tensorType(dtype: DType, shape: Shape): TensorType {
  return { dtype, shape };
}

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: Shape): number {
  return shape.reduce((count, extent) => count * extent, 1);
}

/** Size of a tensor in bytes, densely packed. */
export function byteLength(type: TensorType): number {
  return elementCount(type.shape) * dtypeBytes[type.dtype];
}

/** Distance in elements between neighbours along each axis of a dense row-major tensor. */
export function rowMajorStrides(shape: Shape): number[] {
  const strides: number[] = Array.from(shape, () => 1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = at(strides, axis + 1) * at(shape, axis + 1);
  return strides;
}

/** Whether two shapes are equal. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((extent, axis) => extent === b[axis]);
}

/** Whether two tensor types are equal. */
export function sameType(a: TensorType, b: TensorType): boolean {
  return a.dtype === b.dtype && sameShape(a.shape, b.shape);
}

/** The printed form of a type, `f32[64,784]`. */
export function formatType(type: TensorType): string {
  return `${type.dtype}[${type.shape.join(",")}]`;
}

/** The type that `text`, printed by `formatType`, stands for; `undefined` if it is none. */
export function parseType(text: string): TensorType | undefined {
  const match = /^([a-z0-9]+)\[([0-9,]*)\]$/.exec(text);
  const dtype = dtypes.find((name) => name === match?.[1]);
  if (!match || dtype === undefined) return undefined;
  const shape = match[2] === "" ? [] : (match[2] ?? "").split(",").map(Number);
  return shape.every((extent) => Number.isSafeInteger(extent)) ? { dtype, shape } : undefined;
}

/** The shape two operands broadcast to, by PyTorch's rule (aligned at the last axis); `undefined` if they do not. */
export function broadcastShapes(a: Shape, b: Shape): number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return undefined;
    shape.push(x === 1 ? y : x);
  }
  return shape;
}

/** Element `index` of a list; throws if there is none, so that the result type has no `undefined`. */
export function at<T>(list: { readonly length: number; readonly [index: number]: T }, index: number): T {
  const element = list[index];
  if (element === undefined) throw new RangeError(`index ${index} outside a list of ${list.length}`);
  return element;
}
