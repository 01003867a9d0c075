/** Adaptive max pooling: the largest element of each of a given number of spans along every spatial axis. */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { at, elementCount } from "../../../ir/type.ts";
import { composed } from "../../tensor/elementwise.ts";
import type { ValuesAndIndices } from "../../tensor/reduction.ts";
import { make } from "../../trace/handle.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";

/** Number of parts along each spatial axis: one for all, or one each; `undefined` keeps an axis. */
export type AdaptiveSize = number | readonly (number | undefined)[];

/** Largest element of each span and its position in the flattened spatial axes. x: [n, c, ...spatial] or without n. */
function adaptiveMaxPool(x: Tensor, size: AdaptiveSize, rank: number): ValuesAndIndices {
  const owner = `adaptiveMaxPool${rank}d`;
  if (x.ndim !== rank + 1 && x.ndim !== rank + 2)
    throw fail(messages.layerInput(owner, `rank ${rank + 1} or ${rank + 2}`, x.type), currentTrace(owner).here());
  return composed(owner, () => {
    const lead = x.shape.slice(0, x.ndim - rank);
    const spatial = x.shape.slice(x.ndim - rank);
    const parts = spatial.map((extent, i) => (typeof size === "number" ? size : (size[i] ?? extent)));
    const places = spansOf(x, spatial, parts);
    const flat = x.reshape([...lead, elementCount(spatial)]);
    const cells = elementCount(parts);
    const windows = flat
      .detach()
      .indexSelect(-1, places.reshape([-1]))
      .reshape([...lead, cells, -1]);
    const best = windows.argmax(-1, { keepdim: true });
    const spread = places.reshape([...lead.map(() => 1), cells, -1]).broadcastTo(windows.shape);
    const indices = spread.gather(-1, best).squeeze(-1);
    const shape = [...lead, ...parts];
    return { values: flat.gather(-1, indices).reshape(shape), indices: indices.reshape(shape) };
  });
}

/**
 * Positions that each cell covers, in order: [...parts, positions of a span]. Span i of n elements in p parts is from
 * ⌊i n / p⌋ to ⌈(i + 1) n / p⌉; shorter spans repeat their last position.
 */
function spansOf(x: Tensor, spatial: readonly number[], parts: readonly number[]): Tensor {
  const { g } = currentTrace("adaptiveMaxPool");
  let places: Tensor | undefined;
  spatial.forEach((n, i) => {
    const p = at(parts, i);
    const longest = Math.max(
      ...Array.from({ length: p }, (_, t) => Math.ceil(((t + 1) * n) / p) - Math.floor((t * n) / p)),
    );
    const part = x[make](g.iota({ axis: 0, dtype: "i64", shape: [p, longest] }));
    const offset = x[make](g.iota({ axis: 1, dtype: "i64", shape: [p, longest] }));
    const begin = part.mul(n).div(p, { roundingMode: "trunc" });
    const end = part
      .add(1)
      .mul(n)
      .add(p - 1)
      .div(p, { roundingMode: "trunc" });
    const own = begin.add(offset).minimum(end.sub(1));
    if (places === undefined) places = own;
    else {
      const [cells = 0, width = 0] = places.shape;
      // [cells, 1, width, 1] · n + [1, p, 1, longest]
      const joined = places
        .reshape([cells, 1, width, 1])
        .mul(n)
        .add(own.reshape([1, p, 1, longest]));
      places = joined.reshape([cells * p, width * longest]);
    }
  });
  return places ?? x;
}

/** Largest element of each span of [n, c, length]. */
export function adaptiveMaxPool1d(x: Tensor, outputSize: AdaptiveSize): Tensor {
  return adaptiveMaxPool(x, outputSize, 1).values;
}

/** The same, with positions (i64). */
export function adaptiveMaxPool1dWithIndices(x: Tensor, outputSize: AdaptiveSize): ValuesAndIndices {
  return adaptiveMaxPool(x, outputSize, 1);
}

/** Largest element of each span of [n, c, height, width]. */
export function adaptiveMaxPool2d(x: Tensor, outputSize: AdaptiveSize): Tensor {
  return adaptiveMaxPool(x, outputSize, 2).values;
}

/** The same, with positions in the flattened picture (i64). */
export function adaptiveMaxPool2dWithIndices(x: Tensor, outputSize: AdaptiveSize): ValuesAndIndices {
  return adaptiveMaxPool(x, outputSize, 2);
}

/** Largest element of each span of [n, c, depth, height, width]. */
export function adaptiveMaxPool3d(x: Tensor, outputSize: AdaptiveSize): Tensor {
  return adaptiveMaxPool(x, outputSize, 3).values;
}

/** The same, with positions in the flattened volume (i64). */
export function adaptiveMaxPool3dWithIndices(x: Tensor, outputSize: AdaptiveSize): ValuesAndIndices {
  return adaptiveMaxPool(x, outputSize, 3);
}
