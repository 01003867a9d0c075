/**
 * Sliding windows over the last axes. `windowSum` is what average pooling is made of; max pooling takes the elements at
 * `windowArgmax` (by `takeAlong` on the flattened axes), so that its gradient is a scatter.
 */
import { fail } from "../diagnostic/diagnostic.ts";
import * as messages from "../diagnostic/messages.ts";
import type { OpDef } from "../op.ts";
import { at, elementCount, rowMajorStrides, type DType, type Shape, type TensorType } from "../type.ts";
import { define, requireCounts, requireDomain } from "./factory.ts";
import { cropped, dilatedExtent, windowCount, type Border } from "./windows.ts";

type WindowAttrs = {
  readonly window: readonly number[];
  readonly strides: readonly number[];
  readonly padding: readonly (readonly [number, number])[];
  readonly dilation: readonly number[];
};

export const windowSum: OpDef<"windowSum", 1, WindowAttrs> = define({
  name: "windowSum",
  arity: 1,
  doc: "sum of each window over the last axes; padding counts as 0",
  type: ([x], attrs) => windowType("windowSum", x, attrs, x.dtype),
  vjp: ({ g, inputs: [x], attrs: { window, strides, padding, dilation }, cotangent }) => {
    const leading = x.type.shape.length - window.length;
    if (elementCount(x.type.shape) === 0) return [g.full({ value: 0, dtype: x.type.dtype, shape: x.type.shape })];
    const borders = window.map((size, i): Border => {
      const reach = (size - 1) * at(dilation, i);
      const low = reach - at(at(padding, i), 0);
      const span = (at(cotangent.type.shape, leading + i) - 1) * at(strides, i) + 1;
      return { low, high: at(x.type.shape, leading + i) + reach - low - span };
    });
    const { value, padding: rest } = cropped(g, cotangent, borders, strides);
    const none = Array.from({ length: leading }, () => 0);
    const padded = g.pad(value, {
      low: [...none, ...rest.map(([low]) => low)],
      high: [...none, ...rest.map(([, high]) => high)],
      interior: [...none, ...strides.map((stride) => stride - 1)],
      value: 0,
    });
    const [one, zero] = [window.map(() => 1), window.map((): readonly [number, number] => [0, 0])];
    return [g.windowSum(padded, { window, strides: one, padding: zero, dilation })];
  },
  evaluate: ([x], { types: [operand], attrs, type }) =>
    overWindows(operand.shape, type.shape, attrs, (plane, offsets) => {
      let total = 0;
      for (const offset of offsets) total += x[plane + offset] ?? 0;
      return total;
    }),
  lowering: { class: "windowSum" },
});

export const windowArgmax: OpDef<"windowArgmax", 1, WindowAttrs> = define({
  name: "windowArgmax",
  arity: 1,
  doc:
    "position, in the flattened last axes, of each window's first largest element or else of its last NaN: i64; " +
    "padding is never chosen",
  type: ([x], attrs) => {
    const type = windowType("windowArgmax", x, attrs, "i64");
    requireElementInEachWindow(x, type.shape, attrs);
    return type;
  },
  vjp: null,
  evaluate: ([x], { types: [operand], attrs, type }) =>
    overWindows(operand.shape, type.shape, attrs, (plane, offsets) => {
      let best = offsets[0] ?? 0;
      for (const offset of offsets) {
        const value = x[plane + offset] ?? 0;
        if (value > (x[plane + best] ?? 0) || Number.isNaN(value)) best = offset;
      }
      return best;
    }),
  lowering: { class: "windowArgmax" },
});

function windowType(op: string, x: TensorType, attrs: WindowAttrs, dtype: DType): TensorType {
  const { window, strides, padding, dilation } = attrs;
  requireDomain(op, [x], "number");
  const count = window.length;
  if (count === 0 || count > x.shape.length)
    throw fail(messages.badAttribute(op, "window", `1 to ${x.shape.length} extents`, `[${window.join(", ")}]`));
  requireCounts(op, "window", window, { count, least: 1 });
  requireCounts(op, "strides", strides, { count, least: 1 });
  requireCounts(op, "dilation", dilation, { count, least: 1 });
  requireCounts(op, "padding", padding.flat(), { count: 2 * count, least: 0 });
  const leading = x.shape.length - count;
  const spatial = window.map((size, i) => {
    const [low, high] = at(padding, i);
    return windowCount(at(x.shape, leading + i) + low + high, dilatedExtent(size, at(dilation, i)), at(strides, i));
  });
  if (spatial.includes(0))
    throw fail(messages.opTypeMismatch(op, [x], "windows that fit into the padded input at least once"));
  return { dtype, shape: [...x.shape.slice(0, leading), ...spatial] };
}

function requireElementInEachWindow(x: TensorType, result: Shape, attrs: WindowAttrs): void {
  const leading = x.shape.length - attrs.window.length;
  const filledAxis = (i: number): boolean =>
    Array.from({ length: at(result, leading + i) }, (_, t) => t).every(
      (t) => positions(attrs, i, t, at(x.shape, leading + i)).length > 0,
    );
  if (!attrs.window.every((_, i) => filledAxis(i)))
    throw fail(
      messages.opTypeMismatch("windowArgmax", [x], "windows that each hold an element of the input, not padding alone"),
    );
}

/** Indices along window axis `i` of the input elements under window number `t`. */
function positions(
  { window, strides, padding, dilation }: WindowAttrs,
  i: number,
  t: number,
  extent: number,
): number[] {
  const first = t * at(strides, i) - at(at(padding, i), 0);
  return Array.from({ length: at(window, i) }, (_, k) => first + k * at(dilation, i)).filter(
    (position) => position >= 0 && position < extent,
  );
}

/** Evaluates one number per window; offsets of a window's elements are relative to the plane of its last axes. */
function overWindows(
  shape: Shape,
  result: Shape,
  attrs: WindowAttrs,
  evaluate: (plane: number, offsets: readonly number[]) => number,
): Float64Array {
  const leading = shape.length - attrs.window.length;
  const strides = rowMajorStrides(shape.slice(leading));
  let windows: number[][] = [[0]];
  for (const [i, extent] of result.slice(leading).entries()) {
    const along = Array.from({ length: extent }, (_, t) => positions(attrs, i, t, at(shape, leading + i)));
    windows = windows.flatMap((outer) =>
      along.map((inner) => outer.flatMap((a) => inner.map((b) => a + b * at(strides, i)))),
    );
  }
  const planeSize = elementCount(shape.slice(leading));
  const values = new Float64Array(elementCount(result));
  for (let i = 0; i < values.length; i++)
    values[i] = evaluate(Math.floor(i / windows.length) * planeSize, windows[i % windows.length] ?? []);
  return values;
}
