/**
 * Convolution (cross-correlation, as everywhere in deep learning) over 1 to 3 spatial axes. Both gradients are
 * convolutions of the same op again, so derivatives of any order are. With s the strides, l and d the dilations of x and
 * w, p the padding before, g the group:
 *
 *   y[n, o, t] = sum over c, k of x'[n, g C/G + c, t s + k d - p] w[o, c, k],  x'[i l] = x[i], 0 elsewhere.
 *
 * Solving t s + k d - p = i l for t or k gives the gradients' own strides, dilations and padding.
 */
import { fail } from "../diagnostic/diagnostic.ts";
import * as messages from "../diagnostic/messages.ts";
import type { GraphBuilder } from "../graph.ts";
import type { EvaluateContext, OpDef, Value } from "../op.ts";
import { at, elementCount, rowMajorStrides, type Shape, type TensorType } from "../type.ts";
import { define, permuted, requireCounts, requireDomain, reshaped } from "./factory.ts";
import { cropped, dilatedExtent, windowCount, type Border } from "./windows.ts";

type ConvAttrs = {
  readonly strides: readonly number[];
  readonly padding: readonly (readonly [number, number])[];
  readonly lhsDilation: readonly number[];
  readonly rhsDilation: readonly number[];
  readonly groups: number;
};

export const conv: OpDef<"conv", 2, ConvAttrs> = define({
  name: "conv",
  arity: 2,
  doc: "x: [n, c, ...spatial] with w: [o, c / groups, ...spatial] to [n, o, ...spatial]",
  type: ([x, w], attrs) => convType(x, w, attrs),
  vjp: ({ g, inputs: [x, w], attrs, cotangent }) => [
    inputGradient(g, { x, w, attrs, cotangent }),
    weightGradient(g, { x, w, attrs, cotangent }),
  ],
  evaluate: ([x, w], context) => evaluateConv(x, w, context),
  lowering: { class: "conv" },
});

function convType(x: TensorType, w: TensorType, attrs: ConvAttrs): TensorType {
  const { strides, padding, lhsDilation, rhsDilation, groups } = attrs;
  const rank = x.shape.length - 2;
  requireDomain("conv", [x, w], "float");
  if (x.dtype !== w.dtype || x.shape.length !== w.shape.length || rank < 1 || rank > 3)
    throw fail(
      messages.opTypeMismatch("conv", [x, w], "x [n, c, ...spatial] and w [o, c / groups, ...spatial], 1 to 3 spatial"),
    );
  for (const [name, values] of Object.entries({ strides, lhsDilation, rhsDilation }))
    requireCounts("conv", name, values, { count: rank, least: 1 });
  requireCounts("conv", "padding", padding.flat(), { count: 2 * rank, least: 0 });
  requireCounts("conv", "groups", [groups], { count: 1, least: 1 });
  const [n, c, o] = [at(x.shape, 0), at(x.shape, 1), at(w.shape, 0)];
  if (at(w.shape, 1) * groups !== c || o % groups !== 0)
    throw fail(
      messages.opTypeMismatch(
        "conv",
        [x, w],
        `with ${groups} groups: ${groups} x ${at(w.shape, 1)} channels in x, and output channels divisible by ${groups}`,
      ),
    );
  const spatial = strides.map((stride, axis) => {
    const [low, high] = at(padding, axis);
    const padded = dilatedExtent(at(x.shape, axis + 2), at(lhsDilation, axis)) + low + high;
    return windowCount(padded, dilatedExtent(at(w.shape, axis + 2), at(rhsDilation, axis)), stride);
  });
  if (spatial.includes(0))
    throw fail(messages.opTypeMismatch("conv", [x, w], "a kernel that fits into the padded input at least once"));
  return { dtype: x.dtype, shape: [n, o, ...spatial] };
}

type GradientArgs = {
  readonly x: Value;
  readonly w: Value;
  readonly attrs: ConvAttrs;
  readonly cotangent: Value;
};

/** Cotangent of x: the cotangent, dilated by the strides, with the flipped kernel of each group transposed. */
function inputGradient(g: GraphBuilder, { x, w, attrs, cotangent }: GradientArgs): Value {
  const { strides, padding, lhsDilation, rhsDilation, groups } = attrs;
  const [o, perGroup, ...kernel] = w.type.shape;
  const channels = at(x.type.shape, 1);
  if (elementCount(x.type.shape) * elementCount(w.type.shape) === 0) return zeros(g, x);
  const spatialAxes = kernel.map((_, i) => i);
  const grouped = reshaped(g, g.flip(w, { axes: spatialAxes.map((i) => i + 2) }), [
    groups,
    (o ?? 0) / groups,
    perGroup ?? 0,
    ...kernel,
  ]);
  const transposed = reshaped(g, permuted(g, grouped, [0, 2, 1, ...spatialAxes.map((i) => i + 3)]), [
    channels,
    (o ?? 0) / groups,
    ...kernel,
  ]);
  const borders = kernel.map((extent, axis): Border => {
    const reach = (extent - 1) * at(rhsDilation, axis);
    const low = reach - at(at(padding, axis), 0);
    const span = (at(cotangent.type.shape, axis + 2) - 1) * at(strides, axis);
    return { low, high: (at(x.type.shape, axis + 2) - 1) * at(lhsDilation, axis) + reach - low - span };
  });
  const { value, padding: rest } = cropped(g, cotangent, borders, strides);
  return g.conv(value, transposed, { strides: lhsDilation, padding: rest, lhsDilation: strides, rhsDilation, groups });
}

/** Cotangent of w: x with the cotangent as kernel, batch and channels exchanged, the groups laid into the batch. */
function weightGradient(g: GraphBuilder, { x, w, attrs, cotangent }: GradientArgs): Value {
  const { strides, padding, lhsDilation, rhsDilation, groups } = attrs;
  const [n, c, ...spatial] = x.type.shape;
  if (elementCount(x.type.shape) * elementCount(w.type.shape) === 0) return zeros(g, w);
  const perGroup = (c ?? 0) / groups;
  const spatialAxes = spatial.map((_, i) => i);
  const exchange = [1, 0, ...spatialAxes.map((i) => i + 2)];
  const split = reshaped(g, x, [n ?? 0, groups, perGroup, ...spatial]);
  const lhs = reshaped(g, permuted(g, split, [2, 1, 0, ...spatialAxes.map((i) => i + 3)]), [
    perGroup,
    groups * (n ?? 0),
    ...spatial,
  ]);
  const borders = spatial.map((extent, axis): Border => {
    const [low] = at(padding, axis);
    const kernelSpan = (at(w.type.shape, axis + 2) - 1) * at(rhsDilation, axis);
    const span = (at(cotangent.type.shape, axis + 2) - 1) * at(strides, axis);
    return { low, high: kernelSpan + span + 1 - dilatedExtent(extent, at(lhsDilation, axis)) - low };
  });
  const { value, padding: rest } = cropped(g, lhs, borders, lhsDilation);
  const product = g.conv(value, permuted(g, cotangent, exchange), {
    strides: rhsDilation,
    padding: rest,
    lhsDilation,
    rhsDilation: strides,
    groups,
  });
  return permuted(g, product, exchange);
}

function zeros(g: GraphBuilder, like: Value): Value {
  return g.full({ value: 0, dtype: like.type.dtype, shape: like.type.shape });
}

/** One product of a spatial sum: where it reads x and w, relative to the channel. */
type Tap = { readonly x: number; readonly w: number };

function evaluateConv(
  x: Float64Array,
  w: Float64Array,
  { types: [xType, wType], attrs, type }: EvaluateContext<2, ConvAttrs>,
): Float64Array {
  const [n = 0, o = 0] = type.shape;
  const [channels = 0, perGroup = 0] = [xType.shape[1], wType.shape[1]];
  const outputsPerGroup = o / attrs.groups;
  const taps = spatialTaps(xType.shape.slice(2), wType.shape.slice(2), type.shape.slice(2), attrs);
  const [xPlane, wPlane] = [elementCount(xType.shape.slice(2)), elementCount(wType.shape.slice(2))];
  const result = new Float64Array(elementCount(type.shape));
  let target = 0;
  for (let image = 0; image < n; image++)
    for (let channel = 0; channel < o; channel++) {
      const xFirst = (image * channels + Math.floor(channel / outputsPerGroup) * perGroup) * xPlane;
      const wFirst = channel * perGroup * wPlane;
      for (const products of taps) {
        let total = 0;
        for (let c = 0; c < perGroup; c++)
          for (const tap of products)
            total += (x[xFirst + c * xPlane + tap.x] ?? 0) * (w[wFirst + c * wPlane + tap.w] ?? 0);
        result[target++] = total;
      }
    }
  return result;
}

/** For each output position, in row-major order, the products that make it up. */
function spatialTaps(xShape: Shape, wShape: Shape, outShape: Shape, attrs: ConvAttrs): Tap[][] {
  const [xStrides, wStrides] = [rowMajorStrides(xShape), rowMajorStrides(wShape)];
  let taps: Tap[][] = [[{ x: 0, w: 0 }]];
  for (const [axis, extent] of outShape.entries()) {
    const along = Array.from({ length: extent }, (_, t) =>
      Array.from({ length: at(wShape, axis) }, (_element, k): Tap | undefined => {
        const position = t * at(attrs.strides, axis) + k * at(attrs.rhsDilation, axis) - at(at(attrs.padding, axis), 0);
        const i = position / at(attrs.lhsDilation, axis);
        return Number.isInteger(i) && i >= 0 && i < at(xShape, axis)
          ? { x: i * at(xStrides, axis), w: k * at(wStrides, axis) }
          : undefined;
      }).filter((tap) => tap !== undefined),
    );
    taps = taps.flatMap((outer) =>
      along.map((inner) => outer.flatMap((a) => inner.map((b) => ({ x: a.x + b.x, w: a.w + b.w })))),
    );
  }
  return taps;
}
