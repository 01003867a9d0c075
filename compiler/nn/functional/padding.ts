/** Padding at the ends of axes: with a number, or with the tensor's own elements mirrored, repeated or from the far end. */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../../ir/diagnostic/messages.ts";
import { at } from "../../../ir/type.ts";
import { cat } from "../../tensor/create.ts";
import { composed } from "../../tensor/elementwise.ts";
import { make, nodeOf } from "../../trace/handle.ts";
import type { Tensor } from "../../trace/tensor.ts";
import { currentTrace } from "../../trace/trace.ts";

/** Where the padding comes from. */
export type PadMode = "constant" | "reflect" | "replicate" | "circular";

/**
 * x padded as `torch.nn.functional.pad`: `padding` has two numbers (before, after) for each axis, the last axis first.
 * Negative numbers cut. `value` fills in mode `constant`.
 */
export function pad(
  x: Tensor,
  padding: readonly number[],
  { mode = "constant", value = 0 }: { readonly mode?: PadMode; readonly value?: number } = {},
): Tensor {
  if (padding.length % 2 !== 0 || padding.length / 2 > x.ndim || !padding.every(Number.isSafeInteger))
    throw fail(
      messages.badLayerOption(
        "pad",
        "padding",
        `two whole numbers for each of at most ${x.ndim} axes`,
        `[${padding.join(", ")}]`,
      ),
      currentTrace("pad").here(),
    );
  return composed("pad", () => {
    const borders = x.shape.map((_, axis): readonly [number, number] => {
      const place = 2 * (x.ndim - 1 - axis);
      return [padding[place] ?? 0, padding[place + 1] ?? 0];
    });
    if (mode === "constant") return padConstant(x, borders, value);
    return borders.reduce((padded, border, axis) => padAxis(padded, axis, border, mode), x);
  });
}

/** x with `value` around it; negative borders cut. */
export function padConstant(x: Tensor, borders: readonly (readonly [number, number])[], value: number): Tensor {
  const cut = borders.reduce(
    (part, [low, high], axis) =>
      part.slice(axis, Math.max(-low, 0), Math.max(at(part.shape, axis) - Math.max(-high, 0), 0)),
    x,
  );
  if (borders.every(([low, high]) => low <= 0 && high <= 0)) return cut;
  const { g } = currentTrace("pad");
  return x[make](
    g.pad(nodeOf(cut), {
      low: borders.map(([low]) => Math.max(low, 0)),
      high: borders.map(([, high]) => Math.max(high, 0)),
      interior: borders.map(() => 0),
      value,
    }),
  );
}

/** How far a mode can reach into an axis of extent n. */
const reaches: Readonly<Record<Exclude<PadMode, "constant">, (n: number) => number>> = {
  reflect: (n) => n - 1,
  replicate: () => Infinity,
  circular: (n) => n,
};

function padAxis(
  x: Tensor,
  axis: number,
  [low, high]: readonly [number, number],
  mode: Exclude<PadMode, "constant">,
): Tensor {
  if (low === 0 && high === 0) return x;
  const extent = at(x.shape, axis);
  if (Math.max(low, high) > reaches[mode](extent))
    throw fail(
      messages.badLayerOption(
        "pad",
        "padding",
        `at most ${reaches[mode](extent)} for mode ${mode}`,
        `[${low}, ${high}]`,
      ),
      currentTrace("pad").here(),
    );
  const before = low > 0 ? [border(x, axis, low, "before", mode)] : [];
  const after = high > 0 ? [border(x, axis, high, "after", mode)] : [];
  const middle = x.slice(axis, Math.max(-low, 0), extent - Math.max(-high, 0));
  return cat([...before, middle, ...after], axis);
}

function border(
  x: Tensor,
  axis: number,
  count: number,
  side: "before" | "after",
  mode: Exclude<PadMode, "constant">,
): Tensor {
  const extent = at(x.shape, axis);
  if (mode === "circular") return side === "before" ? x.slice(axis, extent - count, extent) : x.slice(axis, 0, count);
  if (mode === "reflect")
    return (side === "before" ? x.slice(axis, 1, count + 1) : x.slice(axis, extent - 1 - count, extent - 1)).flip(axis);
  const end = side === "before" ? x.slice(axis, 0, 1) : x.slice(axis, extent - 1, extent);
  return end.broadcastTo(x.shape.map((whole, i) => (i === axis ? count : whole)));
}
