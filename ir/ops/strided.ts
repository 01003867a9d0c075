/**
 * Walking over elements in the reference evaluations: offset tables of strided views. A view is a shape, a stride per
 * axis (in elements, possibly 0 or negative) and the offset of its first element.
 */
import { at, elementCount, rowMajorStrides, type Shape } from "../type.ts";

/** Offset of every element of a strided view, in row-major order. */
export function stridedOffsets(shape: Shape, strides: readonly number[], first = 0): Int32Array {
  const offsets = new Int32Array(elementCount(shape));
  const index = shape.map(() => 0);
  let offset = first;
  for (let i = 0; i < offsets.length; i++) {
    offsets[i] = offset;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const next = at(index, axis) + 1;
      offset += at(strides, axis);
      if (next < at(shape, axis)) {
        index[axis] = next;
        break;
      }
      offset -= next * at(strides, axis);
      index[axis] = 0;
    }
  }
  return offsets;
}

/** Offsets, in a dense tensor of this shape, of the elements that differ only in `axes` (given order, last fastest). */
export function axesOffsets(shape: Shape, axes: readonly number[]): Int32Array {
  const strides = rowMajorStrides(shape);
  return stridedOffsets(
    axes.map((axis) => at(shape, axis)),
    axes.map((axis) => at(strides, axis)),
  );
}

/** The elements of x at the given offsets. */
export function pick(x: Float64Array, offsets: Int32Array): Float64Array {
  const result = new Float64Array(offsets.length);
  for (let i = 0; i < result.length; i++) result[i] = x[offsets[i] ?? 0] ?? 0;
  return result;
}
