/**
 * One register tile of a product: a few rows by a few vectors, summed over the reduced loops with one operand read as
 * vectors and the other element by element. The tile then goes through a small local array, from which the epilogue
 * (bias, activation, optimizer update …) is an ordinary elementwise loop. Sums run over at most `longestChain` products
 * in one register before they are added to the tile, which keeps rounding errors near those of blocked libraries.
 */
import { assign, constant, int, load, scalar, splat, store, type Expr } from "../../ir/loop/loop.ts";
import { at, type DType } from "../../ir/type.ts";
import type { Contraction, Loop, Placed } from "../schedule/contraction.ts";
import type { Buffer } from "../memory/buffer.ts";
import { affineExpr, simplify, substitute, type Affine } from "./index-math.ts";
import { nameOfVariable, type Scope } from "./kernel-writer.ts";
import type { Draft } from "./lowered.ts";
import { rowBegin, type TaskAxis } from "./tasks.ts";

/** Products added up in one register before the sum goes to memory: blocked libraries use 256 to 512. */
const longestChain = 512;

/** An operand of a product: where its elements lie, and in which buffer. */
export type PlacedOperand = { readonly placed: Placed; readonly buffer: Buffer };

/** How a contraction's operands lie in memory, and which loop is the vector axis. */
export type ContractPlan = {
  readonly vector: Loop;
  /** Read as vectors along `vector`. */
  readonly vectorOperand: PlacedOperand;
  /** Read one element at a time. */
  readonly scalarOperand: PlacedOperand;
};

/** A panel of neighbouring vectors: `columns` valid elements from `begin` on, in `vectors` registers a row. */
export type Panel = {
  readonly begin: number;
  readonly vectors: number;
  readonly columns: number;
  readonly repeat: number;
};

/** The rows of a tile: `count` neighbours along one loop, or a list of points. */
export type Rows =
  | { readonly kind: "neighbours"; readonly loop: string; readonly begin: Expr; readonly count: number }
  | { readonly kind: "listed"; readonly points: readonly ReadonlyMap<string, Expr>[] };

/** Everything that the tiles of a kernel have in common. */
export type Tile = {
  readonly draft: Draft;
  readonly c: Contraction;
  readonly plan: ContractPlan;
  readonly vectorAccess: Affine;
  readonly scalarAccess: Affine;
  readonly lanes: number;
  readonly dtype: DType;
  readonly rowLoops: readonly Loop[];
  /** Most rows that a tile of the widest panel has registers for. */
  readonly mostRows: number;
  readonly epilogue: (scope: Scope, point: ReadonlyMap<string, Expr>) => void;
};

function pointsOf(rows: Rows): readonly ReadonlyMap<string, Expr>[] {
  if (rows.kind === "listed") return rows.points;
  return Array.from({ length: rows.count }, (_, r) => new Map([[rows.loop, scalar("add", rows.begin, int(r))]]));
}

/** One register tile: its sums, then its epilogue. */
export function emitTile(tile: Tile, panel: Panel, column: Expr, rows: Rows, scope: Scope): void {
  const { draft, dtype, lanes, c } = tile;
  const { writer } = draft;
  const points = pointsOf(rows);
  const width = panel.vectors * lanes;
  const tileName = writer.local(scope, dtype, points.length * width, "tile");
  const blocks = chainBlocks(c.reduced);
  if (blocks.length > 0) {
    const zero = (body: Scope, i: Expr): void => body.add(store(tileName, i, constant(dtype, 0)));
    writer.loop(writer.fresh("z"), int(0), int(points.length * width), zero, scope, { mode: "vector" });
  }
  overChains(tile, blocks, scope, (inner, reduced) => {
    const sums = points.map((_, r) =>
      Array.from({ length: panel.vectors }, (_lane, v) =>
        writer.mutable(inner, splat(constant(dtype, 0), lanes), `s${r}_${v}_`),
      ),
    );
    overReduced(tile, reduced, inner, (body) => multiply(tile, column, points, sums, body));
    sums.forEach((row, r) => {
      row.forEach((sum, v) => {
        const slot = int(r * width + v * lanes);
        const value = blocks.length > 0 ? scalar("add", load(tileName, dtype, slot, lanes), sum) : sum;
        inner.add(store(tileName, slot, value));
      });
    });
  });
  overTileRows(tile, rows, scope, (inner, point, row) => {
    const fill = (body: Scope, j: Expr): void => {
      const here = new Map<string, Expr>([...point, [tile.plan.vector.name, scalar("add", column, j)]]);
      const slot = scalar("add", scalar("mul", row, int(width)), j);
      draft.values.locals.set(c.node, () => load(tileName, dtype, simplify(slot, writer.ranges)));
      tile.epilogue(body, here);
    };
    writer.loop(writer.fresh("j"), int(0), int(panel.columns), fill, inner, { mode: "vector" });
  });
}

/** Runs over the rows of a tile once more: in a loop where they are neighbours along one loop, else one by one. */
function overTileRows(
  tile: Tile,
  rows: Rows,
  scope: Scope,
  build: (inner: Scope, point: ReadonlyMap<string, Expr>, row: Expr) => void,
): void {
  if (rows.kind === "listed") {
    rows.points.forEach((point, r) => build(scope, point, int(r)));
    return;
  }
  const { writer } = tile.draft;
  const fill = (inner: Scope, r: Expr): void => build(inner, new Map([[rows.loop, scalar("add", rows.begin, r)]]), r);
  writer.loop(writer.fresh("r"), int(0), int(rows.count), fill, scope);
}

/** Reduced loops as they run: those whose sums are added up in memory, outermost first. */
type Chain = { readonly loop: Loop; readonly blocks: number };

/** The outer reduced loops (or blocks of one loop) after which a register's sum goes to memory; none if all fit one chain. */
function chainBlocks(reduced: readonly Loop[]): Chain[] {
  const total = reduced.reduce((product, { extent }) => product * extent, 1);
  if (total <= longestChain) return [];
  let length = 1;
  for (let first = reduced.length - 1; first >= 0; first--) {
    const loop = at(reduced, first);
    if (length * loop.extent > longestChain) {
      const blocks = Math.ceil(loop.extent / Math.max(1, Math.floor(longestChain / length)));
      return [...reduced.slice(0, first).map((outer) => ({ loop: outer, blocks: outer.extent })), { loop, blocks }];
    }
    length *= loop.extent;
  }
  return [];
}

/** A reduced loop with bounds that may depend on a block. */
type Bounds = { readonly loop: Loop; readonly begin: Expr; readonly end: Expr };

function overChains(
  tile: Tile,
  chains: readonly Chain[],
  scope: Scope,
  build: (inner: Scope, reduced: readonly Bounds[]) => void,
): void {
  const { writer } = tile.draft;
  const whole = (loop: Loop): Bounds => ({ loop, begin: int(0), end: int(loop.extent) });
  const visit = (rest: readonly Chain[], inner: Scope, bounds: readonly Bounds[]): void => {
    const [chain, ...others] = rest;
    if (chain === undefined) {
      const done = new Set(chains.map(({ loop }) => loop));
      build(inner, [...bounds, ...tile.c.reduced.filter((loop) => !done.has(loop)).map(whole)]);
      return;
    }
    const { loop, blocks } = chain;
    if (blocks === loop.extent) {
      writer.loop(
        loop.name,
        int(0),
        int(loop.extent),
        (body) => visit(others, body, bounds),
        scope === inner ? scope : inner,
      );
      return;
    }
    const axis: TaskAxis = { extent: loop.extent, tasks: blocks };
    const fill = (body: Scope, block: Expr): void =>
      visit(others, body, [
        ...bounds,
        { loop, begin: rowBegin(axis, block), end: rowBegin(axis, scalar("add", block, int(1))) },
      ]);
    writer.loop(writer.fresh("kb"), int(0), int(blocks), fill, inner);
  };
  visit(chains, scope, []);
}

function overReduced(tile: Tile, reduced: readonly Bounds[], scope: Scope, build: (inner: Scope) => void): void {
  const [first, ...rest] = reduced;
  if (first === undefined) {
    build(scope);
    return;
  }
  const { loop, begin, end } = first;
  const range = { min: 0, max: loop.extent - 1 };
  const fill = (inner: Scope): void => overReduced(tile, rest, inner, build);
  tile.draft.writer.loop(loop.name, begin, end, fill, scope, { range });
}

/** One step of the reduction: a few vectors times one element per row. */
function multiply(
  tile: Tile,
  column: Expr,
  points: readonly ReadonlyMap<string, Expr>[],
  sums: readonly (readonly Expr[])[],
  scope: Scope,
): void {
  const { draft, plan, lanes, vectorAccess, scalarAccess } = tile;
  const { writer } = draft;
  const at0 = substitute(affineExpr(vectorAccess), new Map([[plan.vector.name, column]]));
  const vectors = at(sums, 0).map((_, v) => {
    const value = writer.load(plan.vectorOperand.buffer, scalar("add", at0, int(v * lanes)), lanes);
    return writer.bind(scope, value, "v");
  });
  points.forEach((point, r) => {
    const element = writer.load(plan.scalarOperand.buffer, substitute(affineExpr(scalarAccess), point));
    const x = writer.bind(scope, splat(element, lanes), "x");
    at(sums, r).forEach((sum, v) => scope.add(assign(nameOfVariable(sum), scalar("fma", x, at(vectors, v), sum))));
  });
}
