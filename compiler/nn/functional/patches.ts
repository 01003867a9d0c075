/** Pictures as patches and back, and channels as space: movement between [n, c, h, w] and other arrangements. */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { at } from "../../../ir/type.ts";
import { composed } from "../../tensor/elementwise.ts";
import { make, nodeOf } from "../../trace/handle.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";
import { padConstant } from "./padding.ts";
import { perAxis, type PerAxis } from "./window.ts";

/** Options of `unfold` and `fold`. */
export type PatchOptions = { readonly dilation?: PerAxis; readonly padding?: PerAxis; readonly stride?: PerAxis };

type Patches = {
  readonly kernel: readonly number[];
  readonly dilation: readonly number[];
  readonly padding: readonly number[];
  readonly stride: readonly number[];
  /** Number of patches along each axis. */
  readonly counts: readonly number[];
};

function patchesOf(owner: string, kernelSize: PerAxis, size: readonly number[], options: PatchOptions): Patches {
  const kernel = perAxis(owner, "kernelSize", kernelSize, 2, 1);
  const dilation = perAxis(owner, "dilation", options.dilation ?? 1, 2, 1);
  const padding = perAxis(owner, "padding", options.padding ?? 0, 2, 0);
  const stride = perAxis(owner, "stride", options.stride ?? 1, 2, 1);
  const counts = kernel.map((extent, i) => {
    const span = (extent - 1) * at(dilation, i) + 1;
    return Math.floor((at(size, i) + 2 * at(padding, i) - span) / at(stride, i)) + 1;
  });
  if (counts.some((count) => count < 1))
    throw fail(
      messages.badLayerOption(owner, "kernelSize", `patches that fit into ${size.join(" x ")}`, kernel.join(" x ")),
      currentTrace(owner).here(),
    );
  return { kernel, dilation, padding, stride, counts };
}

/** Patches of [n, c, h, w] (or [c, h, w]) as columns: [n, c · kernel, patches]. */
export function unfold(x: Tensor, kernelSize: PerAxis, options: PatchOptions = {}): Tensor {
  if (x.ndim === 3) return unfold(x.unsqueeze(0), kernelSize, options).squeeze(0);
  if (x.ndim !== 4)
    throw fail(
      messages.layerInput("unfold", "[batch, channels, height, width]", x.type),
      currentTrace("unfold").here(),
    );
  return composed("unfold", () => {
    const { kernel, dilation, padding, stride, counts } = patchesOf("unfold", kernelSize, x.shape.slice(2), options);
    const padded = padConstant(x, [[0, 0], [0, 0], ...padding.map((both): [number, number] => [both, both])], 0);
    const rows = windowsAlong(padded, 2, at(kernel, 0), at(counts, 0), at(stride, 0), at(dilation, 0));
    const all = windowsAlong(rows, 4, at(kernel, 1), at(counts, 1), at(stride, 1), at(dilation, 1));
    // [n, c, kh, oh, kw, ow] to [n, c, kh, kw, oh, ow]
    const [n = 0, c = 0] = x.shape;
    return all
      .permute([0, 1, 2, 4, 3, 5])
      .reshape([n, c * at(kernel, 0) * at(kernel, 1), at(counts, 0) * at(counts, 1)]);
  });
}

/** Axis `axis` as [kernel, count]: element (k, t) is the one at t · stride + k · dilation. */
function windowsAlong(
  x: Tensor,
  axis: number,
  kernel: number,
  count: number,
  stride: number,
  dilation: number,
): Tensor {
  const parts = Array.from({ length: kernel }, (_, k) =>
    x.slice(axis, k * dilation, k * dilation + (count - 1) * stride + 1, stride).unsqueeze(axis),
  );
  const { g } = currentTrace("unfold");
  return x[make](g.concat(...parts.map((part) => nodeOf(part)), { axis }));
}

/** The sum of patches laid into a picture: the adjoint of `unfold`. x: [n, c · kernel, patches] (or without n). */
export function fold(x: Tensor, outputSize: PerAxis, kernelSize: PerAxis, options: PatchOptions = {}): Tensor {
  if (x.ndim === 2) return fold(x.unsqueeze(0), outputSize, kernelSize, options).squeeze(0);
  return composed("fold", () => {
    const size = perAxis("fold", "outputSize", outputSize, 2, 1);
    const { kernel, dilation, padding, stride, counts } = patchesOf("fold", kernelSize, size, options);
    const [kh, kw, oh, ow] = [at(kernel, 0), at(kernel, 1), at(counts, 0), at(counts, 1)];
    const [n = 0, columns = 0, patches = 0] = x.shape;
    if (x.ndim !== 3 || columns % (kh * kw) !== 0 || patches !== oh * ow)
      throw fail(
        messages.layerInput("fold", `[batch, channels · ${kh * kw}, ${oh * ow}]`, x.type),
        currentTrace("fold").here(),
      );
    const split = x.reshape([n, columns / (kh * kw), kh, kw, oh, ow]).permute([0, 1, 2, 4, 3, 5]);
    const wide = laidAlong(split, 4, {
      extent: at(size, 1) + 2 * at(padding, 1),
      stride: at(stride, 1),
      dilation: at(dilation, 1),
    });
    const whole = laidAlong(wide, 2, {
      extent: at(size, 0) + 2 * at(padding, 0),
      stride: at(stride, 0),
      dilation: at(dilation, 0),
    });
    return padConstant(whole, [[0, 0], [0, 0], ...padding.map((both): [number, number] => [-both, -both])], 0);
  });
}

type Line = { readonly extent: number; readonly stride: number; readonly dilation: number };

/** Axes `axis`, `axis + 1` of extents [kernel, count] added up into one of `extent`: the adjoint of `windowsAlong`. */
function laidAlong(x: Tensor, axis: number, { extent, stride, dilation }: Line): Tensor {
  const [kernel, count] = [at(x.shape, axis), at(x.shape, axis + 1)];
  const { g } = currentTrace("fold");
  const parts = Array.from({ length: kernel }, (_, k) => {
    const part = x.select(axis, k);
    const along = (here: number): number[] => part.shape.map((_extent, i) => (i === axis ? here : 0));
    const span = (count - 1) * stride + 1;
    return x[make](
      g.pad(nodeOf(part), {
        low: along(k * dilation),
        high: along(extent - span - k * dilation),
        interior: along(stride - 1),
        value: 0,
      }),
    );
  });
  return parts.reduce((sum, part) => sum.add(part));
}

/** Channels as space: [..., c · r², h, w] to [..., c, h · r, w · r] (Shi et al., 2016). */
export function pixelShuffle(x: Tensor, upscaleFactor: number): Tensor {
  return composed("pixelShuffle", () => {
    const r = upscaleFactor;
    const [channels = 0, height = 0, width = 0] = x.shape.slice(-3);
    if (x.ndim < 3 || channels % (r * r) !== 0)
      throw fail(messages.layerInput("pixelShuffle", `channels divisible by ${r * r}`, x.type), currentTrace().here());
    const lead = x.shape.slice(0, -3);
    const n = lead.length;
    const split = x.reshape([...lead, channels / (r * r), r, r, height, width]);
    const order = [...lead.map((_, i) => i), n, n + 3, n + 1, n + 4, n + 2];
    return split.permute(order).reshape([...lead, channels / (r * r), height * r, width * r]);
  });
}

/** Space as channels: the inverse of `pixelShuffle`. */
export function pixelUnshuffle(x: Tensor, downscaleFactor: number): Tensor {
  return composed("pixelUnshuffle", () => {
    const r = downscaleFactor;
    const [channels = 0, height = 0, width = 0] = x.shape.slice(-3);
    if (x.ndim < 3 || height % r !== 0 || width % r !== 0)
      throw fail(
        messages.layerInput("pixelUnshuffle", `height and width divisible by ${r}`, x.type),
        currentTrace().here(),
      );
    const lead = x.shape.slice(0, -3);
    const n = lead.length;
    const split = x.reshape([...lead, channels, height / r, r, width / r, r]);
    const order = [...lead.map((_, i) => i), n, n + 2, n + 4, n + 1, n + 3];
    return split.permute(order).reshape([...lead, channels * r * r, height / r, width / r]);
  });
}
