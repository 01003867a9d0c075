/** Convolution and pooling. Inputs are [n, channels, ...spatial], or without the batch axis. */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { at, elementCount, isFloat } from "../../../ir/type.ts";
import { composed } from "../../tensor/elementwise.ts";
import { make, nodeOf } from "../../trace/handle.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";

/** One number for all spatial axes, or one each. */
export type PerAxis = number | readonly number[];

/** One number for each of `rank` axes; `least`: the smallest one allowed. */
export function perAxis(owner: string, option: string, value: PerAxis, rank: number, least: number): number[] {
  const list = typeof value === "number" ? Array.from({ length: rank }, () => value) : [...value];
  if (list.length !== rank || !list.every((each) => Number.isSafeInteger(each) && each >= least)) {
    const expected = `a whole number of at least ${least}, or ${rank} of them`;
    throw fail(messages.badLayerOption(owner, option, expected, `[${list.join(", ")}]`), currentTrace(owner).here());
  }
  return list;
}

/** Options of convolutions. */
export type ConvOptions = {
  readonly stride?: PerAxis;
  /** Zeros on both sides of each axis; `same` keeps the extents, for stride 1. */
  readonly padding?: PerAxis | "same" | "valid";
  readonly dilation?: PerAxis;
  readonly groups?: number;
};

/** Zeros before and after each axis. */
export function convPadding(
  owner: string,
  padding: PerAxis | "same" | "valid",
  kernel: readonly number[],
  dilation: readonly number[],
): [number, number][] {
  if (padding === "same") {
    return kernel.map((extent, axis) => {
      const total = (extent - 1) * at(dilation, axis);
      return [Math.floor(total / 2), Math.ceil(total / 2)];
    });
  }
  return perAxis(owner, "padding", padding === "valid" ? 0 : padding, kernel.length, 0).map((both) => [both, both]);
}

/** The input with a batch axis, and the result without it if there was none. */
function batched(x: Tensor, rank: number, owner: string, body: (x: Tensor) => Tensor): Tensor {
  if (x.ndim === rank + 2) return body(x);
  if (x.ndim === rank + 1) return body(x.unsqueeze(0)).squeeze(0);
  const expected = `rank ${rank + 2} [batch, channels, ${rank} spatial axes] or ${rank + 1} without the batch`;
  throw fail(messages.layerInput(owner, expected, x.type), currentTrace(owner).here());
}

/** Cross-correlation. `weight`: [out, in / groups, ...kernel], `bias`: [out]. */
export function conv(x: Tensor, weight: Tensor, bias: Tensor | undefined, options: ConvOptions = {}): Tensor {
  const kernel = weight.shape.slice(2);
  const rank = kernel.length;
  const owner = `conv${rank}d`;
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  return composed(owner, () =>
    batched(x, rank, owner, (input) => {
      const trace = currentTrace(owner);
      const rhsDilation = perAxis(owner, "dilation", dilation, rank, 1);
      const channels = at(weight.shape, 1) * groups;
      if (at(input.shape, 1) !== channels)
        throw fail(messages.layerInput(owner, `${channels} channels on axis 1`, input.type), trace.here());
      if (input.dtype !== weight.dtype) throw fail(messages.dtypesDiffer(owner, input.type, weight.type), trace.here());
      const attrs = {
        strides: perAxis(owner, "stride", stride, rank, 1),
        padding: convPadding(owner, padding, kernel, rhsDilation),
        lhsDilation: kernel.map(() => 1),
        rhsDilation,
        groups,
      };
      const result = trace.g.conv(nodeOf(input), nodeOf(weight), attrs);
      const product = input[make](result);
      return bias === undefined ? product : product.add(bias.reshape([1, -1, ...kernel.map(() => 1)]));
    }),
  );
}

/** Options of pooling. */
export type PoolOptions = {
  /** The kernel's extents by default. */
  readonly stride?: PerAxis | undefined;
  readonly padding?: PerAxis;
  /** Whether windows that reach beyond the end count. */
  readonly ceilMode?: boolean;
};

type Windows = {
  readonly window: readonly number[];
  readonly strides: readonly number[];
  readonly padding: readonly (readonly [number, number])[];
  readonly dilation: readonly number[];
};

/** Windows over the last axes; in ceil mode the padding after an axis grows so far that the last window fits. */
function windows(
  owner: string,
  x: Tensor,
  kernel: PerAxis,
  rank: number,
  options: PoolOptions & { readonly dilation?: PerAxis },
): Windows {
  const window = perAxis(owner, "kernelSize", kernel, rank, 1);
  const strides = perAxis(owner, "stride", options.stride ?? window, rank, 1);
  const pads = perAxis(owner, "padding", options.padding ?? 0, rank, 0);
  const dilation = perAxis(owner, "dilation", options.dilation ?? 1, rank, 1);
  const padding = window.map((extent, axis): [number, number] => {
    const [pad, stride] = [at(pads, axis), at(strides, axis)];
    const span = (extent - 1) * at(dilation, axis) + 1;
    const size = at(x.shape, x.ndim - rank + axis);
    if (2 * pad > extent)
      throw fail(
        messages.badLayerOption(owner, "padding", `at most half the kernel, ${extent}`, String(pad)),
        currentTrace(owner).here(),
      );
    if (options.ceilMode !== true) return [pad, pad];
    let count = Math.ceil((size + 2 * pad - span) / stride) + 1;
    // The last window must begin inside the input or its left padding.
    if ((count - 1) * stride >= size + pad) count -= 1;
    return [pad, Math.max((count - 1) * stride + span - size - pad, pad)];
  });
  return { window, strides, padding, dilation };
}

/** Largest element of each window and its position in the flattened spatial axes. */
export function maxPoolWithIndices(
  x: Tensor,
  kernel: PerAxis,
  rank: number,
  options: PoolOptions & { readonly dilation?: PerAxis } = {},
): { readonly values: Tensor; readonly indices: Tensor } {
  const owner = `maxPool${rank}d`;
  if (x.ndim !== rank + 1 && x.ndim !== rank + 2)
    throw fail(messages.layerInput(owner, `rank ${rank + 1} or ${rank + 2}`, x.type), currentTrace(owner).here());
  const trace = currentTrace(owner);
  return trace.at(trace.here(), () => {
    const indices = x[make](trace.g.windowArgmax(nodeOf(x), windows(owner, x, kernel, rank, options)));
    const lead = x.shape.slice(0, x.ndim - rank);
    const flat = x.reshape([...lead, elementCount(x.shape.slice(x.ndim - rank))]);
    const picked = flat.gather(-1, indices.reshape([...lead, -1]));
    return { values: picked.reshape(indices.shape), indices };
  });
}

/** Largest element of each window. */
export function maxPool(
  x: Tensor,
  kernel: PerAxis,
  rank: number,
  options: PoolOptions & { readonly dilation?: PerAxis } = {},
): Tensor {
  return maxPoolWithIndices(x, kernel, rank, options).values;
}

/** Mean of each window. Padding counts as elements unless `countIncludePad` is false. */
export function avgPool(
  x: Tensor,
  kernel: PerAxis,
  rank: number,
  options: PoolOptions & { readonly countIncludePad?: boolean; readonly divisorOverride?: number | undefined } = {},
): Tensor {
  const owner = `avgPool${rank}d`;
  const { countIncludePad = true, divisorOverride } = options;
  if (!isFloat(x.dtype)) throw fail(messages.needsFloats(owner, x.type), currentTrace(owner).here());
  return composed(owner, () => {
    const { g } = currentTrace(owner);
    const attrs = windows(owner, x, kernel, rank, options);
    const total = x[make](g.windowSum(nodeOf(x), attrs));
    const whole = elementCount(attrs.window);
    const pads = perAxis(owner, "padding", options.padding ?? 0, rank, 0);
    const overhangs = attrs.padding.some(([, high], axis) => high > at(pads, axis));
    const padded = pads.some((pad) => pad > 0);
    if (divisorOverride !== undefined) return total.div(divisorOverride);
    if (!overhangs && (countIncludePad || !padded)) return total.div(whole);
    // What counts: the elements themselves, and where asked the padding on both sides, but not what ceil mode adds.
    const ones = x.onesLike();
    const spatial = (axis: number): number => axis - (x.ndim - rank);
    const border = x.shape.map((_, axis) => (countIncludePad && spatial(axis) >= 0 ? at(pads, spatial(axis)) : 0));
    const none = x.shape.map(() => 0);
    const counted = ones[make](g.pad(nodeOf(ones), { low: border, high: border, interior: none, value: 1 }));
    const rest = attrs.padding.map(([low, high], axis): [number, number] => {
      const own = countIncludePad ? at(pads, axis) : 0;
      return [low - own, high - own];
    });
    return total.div(counted[make](g.windowSum(nodeOf(counted), { ...attrs, padding: rest })));
  });
}

/** Mean over parts that cover each spatial axis in the given number. `undefined` keeps an axis. */
export function adaptiveAvgPool(x: Tensor, size: number | readonly (number | undefined)[], rank: number): Tensor {
  const owner = `adaptiveAvgPool${rank}d`;
  return composed(owner, () => {
    const first = x.ndim - rank;
    const sizes = x.shape.slice(first).map((extent, i) => (typeof size === "number" ? size : (size[i] ?? extent)));
    if (sizes.every((parts, i) => at(x.shape, first + i) % parts === 0)) {
      const kernel = sizes.map((parts, i) => at(x.shape, first + i) / parts);
      return avgPool(x, kernel, rank);
    }
    return sizes.reduce((pooled, parts, i) => pooledAxis(pooled, first + i, parts), x);
  });
}

/** Means of `parts` spans of one axis: span i is from ⌊i·n/parts⌋ to ⌈(i+1)·n/parts⌉. */
function pooledAxis(x: Tensor, axis: number, parts: number): Tensor {
  const extent = at(x.shape, axis);
  if (extent === parts) return x;
  const means = Array.from({ length: parts }, (_, i) => {
    const start = Math.floor((i * extent) / parts);
    const end = Math.ceil(((i + 1) * extent) / parts);
    return x.slice(axis, start, end).mean(axis, { keepdim: true });
  });
  const { g } = currentTrace("adaptiveAvgPool");
  return x[make](g.concat(...means.map((mean) => nodeOf(mean)), { axis }));
}
