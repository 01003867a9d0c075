/**
 * Transposed convolution: the derivative of a convolution with respect to its input, as a layer. It is itself a `conv` of
 * the input spread by the stride with the flipped kernel, so its own derivatives are convolutions too.
 */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { at } from "../../../ir/type.ts";
import { composed } from "../../tensor/elementwise.ts";
import { make, nodeOf } from "../../trace/handle.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";
import { perAxis, type PerAxis } from "./window.ts";

/** Options of transposed convolutions. */
export type ConvTransposeOptions = {
  /** [out] */
  readonly bias?: Tensor | undefined;
  readonly stride?: PerAxis;
  /** By how much the result is cut on both sides of each axis. */
  readonly padding?: PerAxis;
  /** By how much the result is longer at the end of each axis; below the stride or the dilation. */
  readonly outputPadding?: PerAxis;
  readonly dilation?: PerAxis;
  readonly groups?: number;
};

/** x: [n, in, ...spatial] (or without n); weight: [in, out / groups, ...kernel]. */
function convTranspose(x: Tensor, weight: Tensor, rank: number, options: ConvTransposeOptions): Tensor {
  const owner = `convTranspose${rank}d`;
  if (x.ndim === rank + 1) return convTranspose(x.unsqueeze(0), weight, rank, options).squeeze(0);
  const { groups = 1, bias } = options;
  const channels = weight.shape[0] ?? 0;
  if (x.ndim !== rank + 2 || weight.ndim !== rank + 2 || x.shape[1] !== channels || channels % groups !== 0)
    throw fail(
      messages.layerInput(owner, `[batch, ${channels}, ${rank} spatial axes] for ${weight.toString()}`, x.type),
      currentTrace(owner).here(),
    );
  return composed(owner, () => {
    const stride = perAxis(owner, "stride", options.stride ?? 1, rank, 1);
    const cut = perAxis(owner, "padding", options.padding ?? 0, rank, 0);
    const longer = perAxis(owner, "outputPadding", options.outputPadding ?? 0, rank, 0);
    const dilation = perAxis(owner, "dilation", options.dilation ?? 1, rank, 1);
    longer.forEach((extent, axis) => {
      if (extent >= Math.max(at(stride, axis), at(dilation, axis)))
        throw fail(
          messages.badLayerOption(owner, "outputPadding", "less than stride or dilation", String(extent)),
          currentTrace(owner).here(),
        );
    });
    const kernel = weight.shape.slice(2);
    const borders = kernel.map((extent, axis): [number, number] => {
      const reach = (extent - 1) * at(dilation, axis);
      return [reach - at(cut, axis), reach - at(cut, axis) + at(longer, axis)];
    });
    // The kernel from [in, out / g] to [out, in / g] with each group transposed, back to front.
    const perGroup = at(weight.shape, 1);
    const flipped = weight.flip(kernel.map((_, i) => i + 2)).reshape([groups, channels / groups, perGroup, ...kernel]);
    const turned = flipped.transpose(1, 2).reshape([groups * perGroup, channels / groups, ...kernel]);
    const product = spreadConv(x, turned, { stride, dilation, borders, groups });
    return bias === undefined ? product : product.add(bias.reshape([1, -1, ...kernel.map(() => 1)]));
  });
}

type Spread = {
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  readonly borders: readonly (readonly [number, number])[];
  readonly groups: number;
};

/** Convolution of x with its elements `stride` apart; a negative border cuts the result. */
function spreadConv(x: Tensor, kernel: Tensor, { stride, dilation, borders, groups }: Spread): Tensor {
  const padding = borders.map(([low, high]): [number, number] => [Math.max(low, 0), Math.max(high, 0)]);
  const one = stride.map(() => 1);
  const { g } = currentTrace("convTranspose");
  const result = x[make](
    g.conv(nodeOf(x), nodeOf(kernel), { strides: one, padding, lhsDilation: stride, rhsDilation: dilation, groups }),
  );
  return borders.reduce(
    (part, [low, high], axis) => part.slice(axis + 2, Math.max(-low, 0), at(part.shape, axis + 2) - Math.max(-high, 0)),
    result,
  );
}

/** Transposed convolution of [n, in, length]. weight: [in, out / groups, kernel]. */
export function convTranspose1d(x: Tensor, weight: Tensor, options: ConvTransposeOptions = {}): Tensor {
  return convTranspose(x, weight, 1, options);
}

/** Transposed convolution of [n, in, height, width]. weight: [in, out / groups, ...kernel]. */
export function convTranspose2d(x: Tensor, weight: Tensor, options: ConvTransposeOptions = {}): Tensor {
  return convTranspose(x, weight, 2, options);
}

/** Transposed convolution of [n, in, depth, height, width]. weight: [in, out / groups, ...kernel]. */
export function convTranspose3d(x: Tensor, weight: Tensor, options: ConvTransposeOptions = {}): Tensor {
  return convTranspose(x, weight, 3, options);
}
