/** Sizes of sliding windows, and padding whose width may be negative. */
import type { GraphBuilder } from "../graph.ts";
import type { Value } from "../op.ts";
import { at } from "../type.ts";

/** Number of elements before and after an axis; negative numbers take elements away. */
export type Border = { readonly low: number; readonly high: number };

/** Extent of an axis whose elements stand `dilation` apart. */
export function dilatedExtent(extent: number, dilation: number): number {
  return extent === 0 ? 0 : (extent - 1) * dilation + 1;
}

/** Number of positions of a window of size `size` in `extent` elements. */
export function windowCount(extent: number, size: number, stride: number): number {
  return size > extent || size === 0 ? 0 : Math.floor((extent - size) / stride) + 1;
}

/**
 * Prepares a tensor whose last axes are to be dilated and given borders, some of them negative: slices away whole
 * elements that negative borders remove, and returns the padding of at least 0 that remains.
 */
export function cropped(
  g: GraphBuilder,
  x: Value,
  borders: readonly Border[],
  dilation: readonly number[],
): { readonly value: Value; readonly padding: readonly (readonly [number, number])[] } {
  const leading = x.type.shape.length - borders.length;
  const start = x.type.shape.map(() => 0);
  const stop = [...x.type.shape];
  const padding = borders.map(({ low, high }, i): readonly [number, number] => {
    const axis = leading + i;
    const step = at(dilation, i);
    const extent = at(stop, axis);
    const width = dilatedExtent(extent, step) + low + high;
    const front = Math.min(extent, Math.max(0, Math.ceil(-low / step)));
    const back = Math.min(extent - front, Math.max(0, Math.ceil(-high / step)));
    start[axis] = front;
    stop[axis] = extent - back;
    // Where nothing is left only the width counts.
    return front + back === extent ? [width, 0] : [low + front * step, high + back * step];
  });
  const whole = start.every((i, axis) => i === 0 && stop[axis] === x.type.shape[axis]);
  const value = whole ? x : g.slice(x, { start, stop, step: start.map(() => 1) });
  return { value, padding };
}
