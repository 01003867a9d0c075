/**
 * The panels of a block: parts of both operands that go through shared memory, each read by all threads of the work-group
 * into registers and then stored. Two take turns, so that the next is read while the last is multiplied.
 */
import { assign, barrier, branch, constant, int, lane, pack, scalar, store, type Expr } from "../../../ir/loop/loop.ts";
import { at } from "../../../ir/type.ts";
import type { Loop } from "../../schedule/contraction.ts";
import type { PlacedOperand } from "../contract-tile.ts";
import { affineExpr, simplify, substitute } from "../index-math.ts";
import { nameOfVariable, type Scope } from "../kernel-writer.ts";
import { limit, padding, type Block, type Side } from "./block.ts";
import { indicesOf } from "./product.ts";
import { thread } from "./threads.ts";

/** Reads all panels in turn; `multiply` gets the place of a panel's first element in each array, by its parity. */
export function overPanels(block: Block, scope: Scope, multiply: (parity: Expr, inner: Scope) => void): void {
  const { draft, shape, depthExtent, left, right } = block;
  const { writer } = draft;
  const panels = Math.ceil(depthExtent / shape.depth);
  const zero = int(0);
  for (const side of [left, right]) storePanel(block, side, zero, readPanel(block, side, zero, scope), scope);
  scope.add(barrier());
  if (panels > 1)
    writer.loop(
      writer.fresh("panel"),
      int(1),
      int(panels),
      (inner, panel) => {
        const next = [left, right].map((side) => readPanel(block, side, panel, inner));
        const parity = scalar("mod", panel, int(2));
        multiply(scalar("sub", int(1), parity), inner);
        [left, right].forEach((side, i) => storePanel(block, side, parity, at(next, i), inner));
        inner.add(barrier());
      },
      scope,
    );
  multiply(int((panels - 1) % 2), scope);
}

/** Elements of a panel that a thread reads: where each goes, and its value. */
type Piece = { readonly place: Expr; readonly value: Expr };

/** How many neighbours are read at once along the axis that lies together in memory. */
type Reading = { readonly along: "depth" | "side"; readonly count: number };

function readingOf({ c, depthExtent }: Block, side: Side): Reading {
  const { coefficients, constant: first } = side.access;
  const innermost = c.reduced.findLast(({ extent }) => extent > 1);
  const together = (loop: Loop | undefined): boolean => loop !== undefined && coefficients.get(loop.name) === 1;
  const aligned = (loop: Loop): boolean =>
    first % 4 === 0 &&
    loop.extent % 4 === 0 &&
    [...coefficients].every(([name, stride]) => name === loop.name || stride % 4 === 0);
  const last = side.loops.at(-1);
  if (last !== undefined && together(last))
    return { along: "side", count: aligned(last) && side.extent % 4 === 0 ? 4 : 1 };
  if (innermost !== undefined && together(innermost))
    return { along: "depth", count: aligned(innermost) && depthExtent % 4 === 0 ? 4 : 1 };
  return { along: "side", count: 1 };
}

/** Reads this thread's share of a panel into registers. */
function readPanel(block: Block, side: Side, panel: Expr, scope: Scope): Piece[] {
  const { draft, c, shape, threads, depthExtent, row, column, left } = block;
  const { writer } = draft;
  const { along, count } = readingOf(block, side);
  const first = side === left ? row : column;
  const total = (side.size * shape.depth) / count;
  const short = along === "depth" ? shape.depth / count : side.size / count;
  const pieces: Piece[] = [];
  for (let from = 0; from < total; from += threads) {
    const number = scalar("add", thread, int(from));
    const inner = scalar("mul", scalar("mod", number, int(short)), int(count));
    const across = scalar("div", number, int(short));
    const [k, i] = along === "depth" ? [inner, across] : [across, inner];
    const depth = writer.bind(scope, scalar("add", scalar("mul", panel, int(shape.depth)), k), "depth");
    const own = writer.bind(scope, scalar("add", first, i), "own");
    const conditions = [
      ...limit(block, own, side.extent),
      ...limit(block, depth, depthExtent),
      ...(from + threads > total ? [scalar("lt", number, int(total))] : []),
    ];
    const point = new Map([...block.outer, ...indicesOf(side.loops, own), ...indicesOf(c.reduced, depth)]);
    const index = substitute(affineExpr(side.access), point);
    const value = readGuarded(block, side.operand, index, count, conditions, scope);
    pieces.push({ place: scalar("add", scalar("mul", k, int(side.size + padding)), i), value });
  }
  return pieces;
}

/** Elements where the conditions hold, else zeros: what lies outside adds nothing to a sum. */
function readGuarded(
  { draft }: Block,
  { buffer }: PlacedOperand,
  index: Expr,
  count: number,
  conditions: readonly Expr[],
  scope: Scope,
): Expr {
  const { writer } = draft;
  const [first, ...others] = conditions;
  const zeros = Array.from({ length: count }, () => constant("f32", 0));
  if (first === undefined) return writer.bind(scope, writer.load(buffer, index, count), "read");
  const value = writer.mutable(scope, pack(zeros), "read");
  const condition = others.reduce((all, each) => scalar("and", all, each), first);
  scope.add(branch(condition, [assign(nameOfVariable(value), writer.load(buffer, index, count))]));
  return value;
}

/** Writes what was read to a panel; a panel lies with its depth outermost. */
function storePanel(block: Block, side: Side, parity: Expr, pieces: readonly Piece[], scope: Scope): void {
  const { shape, threads } = block;
  const { along, count } = readingOf(block, side);
  const base = scalar("mul", parity, int(shape.depth * (side.size + padding)));
  const total = (side.size * shape.depth) / count;
  pieces.forEach(({ place, value }, turn) => {
    const at0 = (moved: number): Expr =>
      simplify(scalar("add", scalar("add", base, place), int(moved)), block.draft.writer.ranges);
    const stores =
      along === "side" || count === 1
        ? [store(side.array, at0(0), value)]
        : Array.from({ length: count }, (_, d) => store(side.array, at0(d * (side.size + padding)), lane(value, d)));
    const isPartial = (turn + 1) * threads > total;
    scope.add(
      ...(isPartial ? [branch(scalar("lt", scalar("add", thread, int(turn * threads)), int(total)), stores)] : stores),
    );
  });
}
