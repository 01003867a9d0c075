/**
 * Buffers as the schedules see them: places for values, before the planner gives them offsets. A buffer holds one value;
 * `strides` tells how its logical axes lie in memory, so a value may be stored in any order of its axes.
 */
import type { ManifestBuffer } from "../../ir/artifact/manifest.ts";
import { dtypeBytes, elementCount, rowMajorStrides, type DType, type Shape } from "../../ir/type.ts";

/** A place for one value of an entry. */
export type Buffer = {
  /** Which of the entry's buffers it is, or the region that the planner puts it into. */
  readonly role: ManifestBuffer["role"];
  /** Unique within its role. */
  readonly name: string;
  readonly dtype: DType;
  /** Logical shape of the value. A data set's field: shape of one row. */
  readonly shape: Shape;
  /** Distance in elements between neighbours along each logical axis. */
  readonly strides: readonly number[];
};

/** Elements that the buffers behind a pointer may be read beyond their end: one vector, whose lanes are thrown away. */
export const slackElements = 16;

/** A buffer with its axes in the given memory order, outermost first; row-major if none is given. */
export function createBuffer(
  role: Buffer["role"],
  name: string,
  dtype: DType,
  shape: Shape,
  order?: readonly number[],
): Buffer {
  return {
    role,
    name,
    dtype,
    shape,
    strides: order === undefined ? rowMajorStrides(shape) : orderedStrides(shape, order),
  };
}

/** Strides of a shape whose axes lie in memory in `order`, outermost first. */
export function orderedStrides(shape: Shape, order: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  let step = 1;
  for (const axis of order.toReversed()) {
    strides[axis] = step;
    step *= shape[axis] ?? 1;
  }
  return strides;
}

/** Size of a buffer in elements. */
export function bufferElements(buffer: Buffer): number {
  return elementCount(buffer.shape);
}

/** Size of a buffer in bytes. */
export function bufferBytes(buffer: Buffer): number {
  return bufferElements(buffer) * dtypeBytes[buffer.dtype];
}
