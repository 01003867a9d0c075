/** What the schedules of products on a GPU have in common: the product itself, and loops as numbers. */
import { int, scalar, type Expr } from "../../../ir/loop/loop.ts";
import type { DType } from "../../../ir/type.ts";
import type { Contraction, Loop } from "../../schedule/contraction.ts";
import type { ContractPlan } from "../contract-tile.ts";
import type { Affine } from "../index-math.ts";
import type { Scope } from "../kernel-writer.ts";
import type { Draft } from "../lowered.ts";

/** A product as its schedule sees it. */
export type Product = {
  readonly draft: Draft;
  readonly c: Contraction;
  readonly plan: ContractPlan;
  /** Elements that a loop moves in each operand. */
  readonly vectorAccess: Affine;
  readonly scalarAccess: Affine;
  readonly dtype: DType;
  /** Writes what belongs to one element of the result. */
  readonly epilogue: (scope: Scope, point: ReadonlyMap<string, Expr>) => void;
};

/** Iterations of nested loops. */
export function extentOf(loops: readonly Loop[]): number {
  return loops.reduce((count, { extent }) => count * extent, 1);
}

/** Indices of loops from their number when they run nested, outermost first. */
export function indicesOf(loops: readonly Loop[], number: Expr): Map<string, Expr> {
  let step = extentOf(loops);
  return new Map(
    loops.map(({ name, extent }): [string, Expr] => {
      step /= extent;
      return [name, scalar("mod", scalar("div", number, int(step)), int(extent))];
    }),
  );
}
