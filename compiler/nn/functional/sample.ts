/**
 * Sampling of pictures and volumes at given positions (Jaderberg et al., 2015, spatial transformers), by the rules of
 * `torch.nn.functional.grid_sample`. Positions run from -1 to 1 over each axis; the last axis of a grid holds (x, y[, z]).
 */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { at, elementCount, type Shape } from "../../../ir/type.ts";
import { linspace, ones, stack } from "../../tensor/create.ts";
import { composed } from "../../tensor/elementwise.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";
import { cubicWeights } from "./resize.ts";

/** What lies beyond the ends: zeros, the outermost elements, or the mirrored picture. */
export type SamplePadding = "zeros" | "border" | "reflection";

/** Options of `gridSample`. */
export type GridSampleOptions = {
  readonly mode?: "bilinear" | "nearest" | "bicubic";
  readonly paddingMode?: SamplePadding;
  /** Whether -1 and 1 are the centres of the outermost elements, not their far edges. */
  readonly alignCorners?: boolean;
};

type Rules = { readonly padding: SamplePadding; readonly align: boolean };

/** x: [n, c, ...spatial], grid: [n, ...positions, 2 or 3]; result [n, c, ...positions]. */
export function gridSample(x: Tensor, grid: Tensor, options: GridSampleOptions = {}): Tensor {
  const { mode = "bilinear", paddingMode = "zeros", alignCorners = false } = options;
  const rank = x.ndim - 2;
  if ((rank !== 2 && rank !== 3) || grid.ndim !== x.ndim || grid.shape.at(-1) !== rank || grid.shape[0] !== x.shape[0])
    throw fail(
      messages.layerInput("gridSample", `a grid [${x.shape[0]}, ...positions, ${rank}]`, grid.type),
      currentTrace("gridSample").here(),
    );
  if (mode === "bicubic" && rank !== 2)
    throw fail(
      messages.layerInput("gridSample", "[batch, channels, height, width] for bicubic", x.type),
      currentTrace("gridSample").here(),
    );
  return composed("gridSample", () => {
    const rules = { padding: paddingMode, align: alignCorners };
    const size = x.shape.slice(2);
    // The grid's order is x, y, z: the last spatial axis first.
    const given = size.map((extent, i) => toIndex(grid.select(-1, rank - 1 - i), extent, alignCorners));
    const lookUp = lookUpIn(x, grid.shape.slice(1, -1));
    if (mode === "bicubic") return bicubic(given, size, rules, lookUp);
    const places = given.map((place, i) => bounded(place, at(size, i), rules));
    if (mode === "nearest") return lookUp(places.map((place) => place.detach().round()));
    return linear(places, lookUp);
  });
}

/** Position -1 … 1 as an index of an axis. */
function toIndex(position: Tensor, extent: number, align: boolean): Tensor {
  return align ? position.add(1).mul((extent - 1) / 2) : position.add(1).mul(extent).sub(1).div(2);
}

/** An index brought into the axis, as the padding wants it; unchanged for zeros. */
function bounded(place: Tensor, extent: number, { padding, align }: Rules): Tensor {
  if (padding === "zeros") return place;
  const inside =
    padding === "border" ? place : align ? mirrored(place, 0, extent - 1) : mirrored(place, -0.5, extent - 0.5);
  // No gradient at or beyond the ends.
  return inside.maskedFill(inside.le(0), 0).maskedFill(inside.ge(extent - 1), extent - 1);
}

/** An index reflected at both ends until it lies between them. */
function mirrored(place: Tensor, low: number, high: number): Tensor {
  const span = high - low;
  if (span <= 0) return place.mul(0);
  const distance = place.sub(low).abs();
  const rest = distance.fmod(span);
  const turns = distance.detach().div(span).floor();
  return rest.add(low).where(turns.fmod(2).eq(0), rest.rsub(span + low));
}

type LookUp = (places: readonly Tensor[]) => Tensor;

/** The elements at whole-numbered places (one tensor [n, ...positions] for each axis), 0 outside. */
function lookUpIn(x: Tensor, positions: Shape): LookUp {
  const [n = 0, c = 0, ...size] = x.shape;
  const flat = x.reshape([n, c, elementCount(size)]);
  return (places) => {
    const outside = places
      .map((place, i) =>
        place
          .lt(0)
          .logicalOr(place.gt(at(size, i) - 1))
          .logicalOr(place.isnan()),
      )
      .reduce((some, each) => some.logicalOr(each));
    const index = places.reduce((sum: Tensor | undefined, place, i) => {
      const own = place.detach().maskedFill(outside, 0).toLong();
      return sum === undefined ? own : sum.mul(at(size, i)).add(own);
    }, undefined);
    const count = elementCount(positions);
    const spread = (index ?? outside).reshape([n, 1, count]).broadcastTo([n, c, count]);
    const picked = flat.gather(2, spread).reshape([n, c, ...positions]);
    return picked.maskedFill(outside.unsqueeze(1), 0);
  };
}

/** Sum over the corners of the cell that each position lies in. */
function linear(places: readonly Tensor[], lookUp: LookUp): Tensor {
  const lows = places.map((place) => place.detach().floor());
  const fractions = places.map((place, i) => place.sub(at(lows, i)));
  let sum: Tensor | undefined;
  for (let corner = 0; corner < 2 ** places.length; corner++) {
    const isHigh = (i: number): boolean => ((corner >> (places.length - 1 - i)) & 1) === 1;
    const weight = fractions
      .map((fraction, i) => (isHigh(i) ? fraction : fraction.rsub(1)))
      .reduce((product, each) => product.mul(each));
    const term = lookUp(lows.map((low, i) => (isHigh(i) ? low.add(1) : low))).mul(weight.unsqueeze(1));
    sum = sum === undefined ? term : sum.add(term);
  }
  return sum ?? lookUp(lows);
}

/** Keys' cubic convolution over the 4 x 4 neighbours; each neighbour is brought into the picture by itself. */
function bicubic(places: readonly Tensor[], size: Shape, rules: Rules, lookUp: LookUp): Tensor {
  const lows = places.map((place) => place.detach().floor());
  const weights = places.map((place, i) => cubicWeights(place.sub(at(lows, i))));
  const neighbour = (i: number, k: number): Tensor => bounded(at(lows, i).add(k - 1), at(size, i), rules);
  const rows = [0, 1, 2, 3].map((row) =>
    [0, 1, 2, 3]
      .map((column) =>
        lookUp([neighbour(0, row), neighbour(1, column)].map((place) => place.round())).mul(
          at(at(weights, 1), column).unsqueeze(1),
        ),
      )
      .reduce((sum, term) => sum.add(term)),
  );
  return rows.map((row, i) => row.mul(at(at(weights, 0), i).unsqueeze(1))).reduce((sum, term) => sum.add(term));
}

/** A grid for `gridSample` from affine maps theta: [n, 2, 3] or [n, 3, 4], for results of shape `size` [n, c, ...spatial]. */
export function affineGrid(
  theta: Tensor,
  size: Shape,
  { alignCorners = false }: { readonly alignCorners?: boolean } = {},
): Tensor {
  const spatial = size.slice(2);
  const rank = spatial.length;
  if (theta.ndim !== 3 || theta.shape[0] !== size[0] || theta.shape[1] !== rank || theta.shape[2] !== rank + 1)
    throw fail(
      messages.layerInput("affineGrid", `[${size[0]}, ${rank}, ${rank + 1}]`, theta.type),
      currentTrace("affineGrid").here(),
    );
  return composed("affineGrid", () => {
    const coordinate = (axis: number): Tensor => {
      const extent = at(spatial, axis);
      const reach = extent <= 1 ? 0 : alignCorners ? 1 : (extent - 1) / extent;
      const line = linspace(-reach, reach, extent, { dtype: theta.dtype });
      return line.reshape(spatial.map((_, i) => (i === axis ? extent : 1))).broadcastTo(spatial);
    };
    const columns = spatial.map((_, i) => coordinate(rank - 1 - i));
    const base = stack([...columns, ones(spatial, { dtype: theta.dtype })], -1).reshape([1, -1, rank + 1]);
    const points = base.broadcastTo([at(size, 0), elementCount(spatial), rank + 1]).matmul(theta.transpose(1, 2));
    return points.reshape([at(size, 0), ...spatial, rank]);
  });
}
