/**
 * Resizing of [n, channels, ...spatial], by the coordinate rules of `torch.nn.functional.interpolate`: each axis in turn
 * takes elements, or weighted sums of neighbours, at positions that are computed from the index.
 */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { composed } from "../../tensor/elementwise.ts";
import { make } from "../../trace/handle.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";
import { adaptiveAvgPool } from "./window.ts";

/** How values between elements are found. */
export type InterpolateMode = "nearest" | "nearest-exact" | "linear" | "bilinear" | "bicubic" | "trilinear" | "area";

/** Options of `interpolate`: either `size` or `scaleFactor`. */
export type InterpolateOptions = {
  readonly size?: number | readonly number[] | undefined;
  readonly scaleFactor?: number | readonly number[] | undefined;
  readonly mode?: InterpolateMode;
  /** Whether the centres of the corner elements keep their places; for linear and cubic modes. */
  readonly alignCorners?: boolean | undefined;
  /** Whether positions are computed from the sizes, not from `scaleFactor`. */
  readonly recomputeScaleFactor?: boolean | undefined;
  /** Whether shrinking averages over all that lies in between; for bilinear and bicubic. */
  readonly antialias?: boolean;
};

/** Number of spatial axes a mode is for; `undefined`: any. */
const ranks: Readonly<Record<InterpolateMode, number | undefined>> = {
  nearest: undefined,
  "nearest-exact": undefined,
  area: undefined,
  linear: 1,
  bilinear: 2,
  bicubic: 2,
  trilinear: 3,
};

/** One axis: extents before and after, and input elements per output element. */
type Line = {
  readonly axis: number;
  readonly from: number;
  readonly to: number;
  readonly step: number;
  readonly align: boolean;
};

/** x: [n, channels, ...spatial] (1 to 3 spatial axes) with its spatial axes resized. */
export function interpolate(x: Tensor, options: InterpolateOptions = {}): Tensor {
  const { mode = "nearest", antialias = false } = options;
  const rank = x.ndim - 2;
  const fits = ranks[mode] ?? rank;
  if (rank < 1 || rank > 3 || fits !== rank)
    throw fail(
      messages.layerInput("interpolate", `[batch, channels, ${fits} spatial axes] for ${mode}`, x.type),
      currentTrace("interpolate").here(),
    );
  return composed("interpolate", () => {
    const lines = linesOf(x, rank, options);
    if (mode === "area")
      return adaptiveAvgPool(
        x,
        lines.map(({ to }) => to),
        rank,
      );
    if (antialias && mode !== "bilinear" && mode !== "bicubic")
      throw fail(
        messages.badLayerOption("interpolate", "antialias", "bilinear or bicubic", mode),
        currentTrace("interpolate").here(),
      );
    return lines.reduce((value, line) => resizeAxis(value, line, mode, antialias), x);
  });
}

function linesOf(x: Tensor, rank: number, options: InterpolateOptions): Line[] {
  const { size, scaleFactor, alignCorners = false, recomputeScaleFactor = false } = options;
  if ((size === undefined) === (scaleFactor === undefined))
    throw fail(
      messages.badLayerOption("interpolate", "size", "either size or scaleFactor", "both or none"),
      currentTrace("interpolate").here(),
    );
  return x.shape.slice(2).map((from, i) => {
    const each = (value: number | readonly number[]): number =>
      typeof value === "number" ? value : (value[i] ?? Number.NaN);
    const to = size === undefined ? Math.floor(from * each(scaleFactor ?? 1)) : each(size);
    if (!Number.isSafeInteger(to) || to < 1)
      throw fail(
        messages.badLayerOption("interpolate", "size", `extents of at least 1 for ${rank} axes`, String(to)),
        currentTrace("interpolate").here(),
      );
    const given = scaleFactor === undefined || recomputeScaleFactor ? undefined : 1 / each(scaleFactor);
    const step = alignCorners ? (to > 1 ? (from - 1) / (to - 1) : 0) : (given ?? from / to);
    return { axis: i + 2, from, to, step, align: alignCorners };
  });
}

function resizeAxis(x: Tensor, line: Line, mode: InterpolateMode, antialias: boolean): Tensor {
  const { from, to, axis } = line;
  const index = x[make](currentTrace("interpolate").g.iota({ axis: 0, dtype: "f32", shape: [to] }));
  if (mode === "nearest" || mode === "nearest-exact") {
    const position = mode === "nearest" ? index.mul(line.step) : index.add(0.5).mul(line.step);
    return x.indexSelect(
      axis,
      position
        .floor()
        .toLong()
        .minimum(from - 1),
    );
  }
  const cubic = mode === "bicubic";
  if (antialias) return smoothed(x, line, cubic);
  const centred = line.align ? index.mul(line.step) : index.add(0.5).mul(line.step).sub(0.5);
  if (cubic) return weighted(x, line, centred.floor(), cubicWeights(centred.sub(centred.floor())), -1);
  const position = centred.clamp({ min: 0 });
  const low = position.floor();
  const fraction = position.sub(low);
  return weighted(x, line, low, [fraction.rsub(1), fraction], 0);
}

/** Sum of neighbours of `base`, from `first` on, with the given weights ([to] each); places beyond the ends are the ends. */
function weighted(x: Tensor, { axis, from }: Line, base: Tensor, weights: readonly Tensor[], first: number): Tensor {
  const tail = x.shape.slice(axis + 1).map(() => 1);
  const terms = weights.map((weight, k) => {
    const place = base
      .add(first + k)
      .toLong()
      .maximum(0)
      .minimum(from - 1);
    return x.indexSelect(axis, place).mul(weight.to(x.dtype).reshape([-1, ...tail]));
  });
  return terms.reduce((sum, term) => sum.add(term));
}

/** Coefficient of Keys' cubic convolution (1981) that PyTorch uses, and the one it uses with antialiasing. */
const cubicCoefficient = -0.75;
const smoothCubicCoefficient = -0.5;

/** Weights of the neighbours at distances 1 + t, t, 1 - t, 2 - t. */
export function cubicWeights(t: Tensor): Tensor[] {
  return [t.add(1), t, t.rsub(1), t.rsub(2)].map((distance) => cubicKernel(distance, cubicCoefficient));
}

/** Keys' kernel at distances d >= 0: one cubic up to 1, another up to 2, 0 beyond. */
function cubicKernel(d: Tensor, a: number): Tensor {
  const near = d
    .mul(a + 2)
    .sub(a + 3)
    .mul(d)
    .mul(d)
    .add(1);
  const far = d.sub(5).mul(d).add(8).mul(d).sub(4).mul(a);
  return near.where(d.le(1), far.where(d.lt(2), 0));
}

/** Weighted mean over everything within reach, as a product with the matrix of weights. */
function smoothed(x: Tensor, { axis, from, to, step }: Line, cubic: boolean): Tensor {
  const { g } = currentTrace("interpolate");
  const shape = [to, from];
  const centre = x[make](g.iota({ axis: 0, dtype: "f32", shape }))
    .add(0.5)
    .mul(step);
  const place = x[make](g.iota({ axis: 1, dtype: "f32", shape })).add(0.5);
  const distance = place.sub(centre).div(Math.max(step, 1)).abs();
  const raw = cubic ? cubicKernel(distance, smoothCubicCoefficient) : distance.rsub(1).clamp({ min: 0 });
  const weights = raw.div(raw.sum(1, { keepdim: true })).to(x.dtype);
  const last = x.ndim - 1;
  return x.transpose(axis, last).matmul(weights.t()).transpose(axis, last);
}
