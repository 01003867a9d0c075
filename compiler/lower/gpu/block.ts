/** A block of a product: what the parts of the schedule through shared memory share. */
import { int, scalar, type Expr } from "../../../ir/loop/loop.ts";
import type { Loop } from "../../schedule/contraction.ts";
import type { PlacedOperand } from "../contract-tile.ts";
import { rangeOf, type Affine } from "../index-math.ts";
import type { Product } from "./product.ts";

/** Sizes of a block and of what each thread has of it; the sum's panel is `depth` deep. */
export type Shape = {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Rows and columns a thread has, in quads. */
  readonly height: number;
  readonly width: number;
};

/** Numbers behind each row of a shared panel, so that neighbouring rows begin in other banks. */
export const padding = 4;

/** A side of the product: its operand, and the loops that it alone has, flattened. */
export type Side = {
  readonly operand: PlacedOperand;
  readonly access: Affine;
  readonly loops: readonly Loop[];
  readonly extent: number;
  /** Rows or columns of a block. */
  readonly size: number;
  /** The shared array, and the first element of a panel in it. */
  readonly array: string;
};

/** A block under construction. */
export type Block = Product & {
  readonly shape: Shape;
  readonly threads: number;
  /** Loops of both operands, by the work-group. */
  readonly outer: ReadonlyMap<string, Expr>;
  readonly left: Side;
  readonly right: Side;
  /** First row and column of the block. */
  readonly row: Expr;
  readonly column: Expr;
  readonly depthExtent: number;
};

/** Where in the block one of a thread's sums belongs, and the variables that hold it and its right neighbours. */
export type Held = { readonly row: Expr; readonly column: Expr; readonly sums: readonly Expr[] };

/** That a number is below a count, if it may not be. */
export function limit({ draft }: Block, number: Expr, count: number): Expr[] {
  return rangeOf(number, draft.writer.ranges).max < count ? [] : [scalar("lt", number, int(count))];
}
