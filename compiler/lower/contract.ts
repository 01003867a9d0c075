/**
 * Products (`dot`, `conv`) with their epilogue. A register tile of `rows` by a few vectors is summed over the reduced
 * loops with one operand read as vectors and the other element by element; the tile then goes through a small local
 * array, from which the epilogue (bias, activation, optimizer update …) is an ordinary elementwise loop. Sums run over
 * at most `longestChain` products in one register before they are added to the tile, which keeps rounding errors near
 * those of blocked libraries.
 */
import type { Node } from "../../ir/graph.ts";
import { assign, constant, int, load, scalar, splat, store, type Expr } from "../../ir/loop/loop.ts";
import { invariant } from "../../ir/diagnostic/diagnostic.ts";
import { at, type DType } from "../../ir/type.ts";
import { accessOf, contractionOf, type Contraction, type Loop, type Placed } from "../schedule/contraction.ts";
import type { Group } from "../schedule/group.ts";
import type { Buffer } from "../memory/buffer.ts";
import { affineExpr, simplify, substitute, type Affine } from "./index-math.ts";
import { nameOfVariable, Scope } from "./kernel-writer.ts";
import { draftOf, finish, storeIndex, writeAll, type Draft, type LowerContext, type Lowered } from "./lowered.ts";
import { cut, overTasks, rowBegin, type TaskAxis } from "./tasks.ts";

/** Products added up in one register before the sum goes to memory: blocked libraries use 256 to 512. */
const longestChain = 512;

/** Vectors a row of the register tile has at most. */
const widestTile = 3;

/** How a contraction's operands lie in memory, and which loop is the vector axis. */
export type ContractPlan = {
  readonly vector: Loop;
  /** Read as vectors along `vector`. */
  readonly vectorOperand: { readonly placed: Placed; readonly buffer: Buffer };
  /** Read one element at a time. */
  readonly scalarOperand: { readonly placed: Placed; readonly buffer: Buffer };
};

/** A panel of neighbouring vectors: `columns` valid elements from `begin` on, in `vectors` registers a row. */
type Panel = { readonly begin: number; readonly vectors: number; readonly columns: number; readonly repeat: number };

/** The rows of a tile: `count` neighbours along one loop, or a list of points. */
type Rows =
  | { readonly kind: "neighbours"; readonly loop: string; readonly begin: Expr; readonly count: number }
  | { readonly kind: "listed"; readonly points: readonly ReadonlyMap<string, Expr>[] };

function pointsOf(rows: Rows): readonly ReadonlyMap<string, Expr>[] {
  if (rows.kind === "listed") return rows.points;
  return Array.from({ length: rows.count }, (_, r) => new Map([[rows.loop, scalar("add", rows.begin, int(r))]]));
}

/** Everything the loops below need. */
type Tile = {
  readonly draft: Draft;
  readonly c: Contraction;
  readonly plan: ContractPlan;
  readonly vectorAccess: Affine;
  readonly scalarAccess: Affine;
  readonly lanes: number;
  readonly dtype: DType;
  readonly rowLoops: readonly Loop[];
  readonly epilogue: (scope: Scope, point: ReadonlyMap<string, Expr>) => void;
};

/** Lowers a product whose vector axis has been chosen. */
export function lowerContract(group: Group, context: LowerContext, plan: ContractPlan): Lowered {
  const draft = draftOf(group, context);
  const [node] = group.heavy;
  invariant(node !== undefined, "a contract group has a product");
  const c = longestInside(contractionOf(node));
  const vectorAccess = accessOf(plan.vectorOperand.placed, plan.vectorOperand.buffer.strides, c.ranges);
  const scalarAccess = accessOf(plan.scalarOperand.placed, plan.scalarOperand.buffer.strides, c.ranges);
  invariant(vectorAccess !== undefined && scalarAccess !== undefined, "operands of a product are affine");
  for (const [name, range] of c.ranges) draft.writer.ranges.set(name, range);
  const lanes = node.type.dtype === "f64" ? Math.max(2, context.vectors.lanes / 2) : context.vectors.lanes;
  const free = c.out.filter(({ name, extent }) => name !== plan.vector.name && extent > 1);
  const panels = panelsOf(plan.vector.extent, lanes);
  const widest = Math.max(...panels.map(({ vectors }) => vectors));
  const mostRows = context.vectors.registers >= 32 ? 8 : widest >= 3 ? 4 : 6;
  const rowLoops = rowLoopsOf(free, vectorAccess, mostRows);
  const tile: Tile = {
    draft,
    c,
    plan,
    vectorAccess,
    scalarAccess,
    lanes,
    dtype: node.type.dtype,
    rowLoops,
    epilogue: epilogueOf(draft, group, context, c, node),
  };
  const tasks = buildLoops(tile, free, panels, mostRows);
  const products = [...c.out, ...c.reduced].reduce((count, { extent }) => count * extent, 1);
  return finish(draft, tasks, 2 * products);
}

/** A reduced loop shorter than this is mostly overhead as the innermost one. */
const shortLoop = 8;

/** The contraction with its longest reduced loop innermost, if the innermost one is short (a convolution's window). */
function longestInside(c: Contraction): Contraction {
  const last = c.reduced.at(-1);
  if (last === undefined || last.extent >= shortLoop) return c;
  const [longest] = c.reduced.toSorted((a, b) => b.extent - a.extent);
  if (longest === undefined || longest.extent === last.extent) return c;
  return { ...c, reduced: [...c.reduced.filter((loop) => loop !== longest), longest] };
}

/** Panels of a vector axis: balanced, so that no panel is much narrower than the others. */
function panelsOf(extent: number, lanes: number): Panel[] {
  const vectors = Math.ceil(extent / lanes);
  const count = Math.ceil(vectors / widestTile);
  const panels: Panel[] = [];
  for (let i = 0, first = 0; i < count; i++) {
    const width = Math.floor((vectors * (i + 1)) / count) - first;
    const begin = first * lanes;
    const columns = Math.min(width * lanes, extent - begin);
    const last = panels.at(-1);
    if (last !== undefined && last.vectors === width && last.columns === columns)
      panels[panels.length - 1] = { ...last, repeat: last.repeat + 1 };
    else panels.push({ begin, vectors: width, columns, repeat: 1 });
    first += width;
  }
  return panels;
}

/**
 * The loops that make up the rows of a tile, outermost first: the innermost one that only the scalar operand has, and,
 * while they are short, those around it, whose rows are then written out one by one.
 */
function rowLoopsOf(free: readonly Loop[], vectorAccess: Affine, mostRows: number): Loop[] {
  const candidates = free.filter(({ name }) => !vectorAccess.coefficients.has(name));
  const innermost = candidates.at(-1);
  if (innermost === undefined) return [];
  const chosen = [innermost];
  let rows = innermost.extent;
  for (const loop of candidates.slice(0, -1).toReversed()) {
    if (rows * loop.extent > Math.max(mostRows, 9)) break;
    chosen.unshift(loop);
    rows *= loop.extent;
  }
  return chosen;
}

/** Tasks that are enough to keep a machine busy. */
const enoughTasks = 8;

/** The loops around the tile, and the axis that is cut into tasks. */
function buildLoops(tile: Tile, free: readonly Loop[], panels: readonly Panel[], mostRows: number): TaskAxis {
  const { draft, rowLoops } = tile;
  const { writer, root } = draft;
  const outer = free.filter((loop) => !rowLoops.includes(loop));
  const rows = rowLoops.reduce((product, { extent }) => product * extent, 1);
  const rowTasks: TaskAxis = { extent: rows, tasks: Math.min(Math.ceil(rows / 8), cut(rows).tasks) };
  const taskLoop = taskLoopOf(outer, rowLoops.length === 1 ? rowTasks.tasks : 1);
  if (taskLoop !== undefined) {
    const tasks = cut(taskLoop.extent);
    const inner = outer.filter((loop) => loop !== taskLoop);
    overPanels(tile, panels, root, (scope, panel, column) => {
      overTasks(writer, tasks, scope, (body, task) => {
        const end = rowBegin(tasks, scalar("add", task, int(1)));
        writer.rows.set(taskLoop.name, 1);
        const range = { min: 0, max: taskLoop.extent - 1 };
        const fill = (next: Scope): void => {
          overLoops(tile, inner, next, (innermost) => overTiles(tile, panel, column, 0, rows, mostRows, innermost));
        };
        writer.loop(taskLoop.name, rowBegin(tasks, task), end, fill, body, { range });
      });
    });
    return tasks;
  }
  if (rowLoops.length === 1 && rows > 1) {
    overPanels(tile, panels, root, (scope, panel, column) => {
      overLoops(tile, outer, scope, (inner) => {
        overTasks(writer, rowTasks, inner, (body, task) =>
          rowTask(tile, panel, column, rowTasks, task, mostRows, body),
        );
      });
    });
    return rowTasks;
  }
  const single: TaskAxis = { extent: 1, tasks: 1 };
  overTasks(writer, single, root, (scope) => {
    overPanels(tile, panels, scope, (body, panel, column) => {
      overLoops(tile, outer, body, (inner) => overTiles(tile, panel, column, 0, rows, mostRows, inner));
    });
  });
  return single;
}

/** The loop to cut into tasks: the outermost that gives enough of them, else the one that gives most, if not the rows do. */
function taskLoopOf(outer: readonly Loop[], rowTasks: number): Loop | undefined {
  const enough = outer.find(({ extent }) => cut(extent).tasks >= enoughTasks);
  if (enough !== undefined || rowTasks >= enoughTasks) return enough;
  const [most] = outer.toSorted((a, b) => cut(b.extent).tasks - cut(a.extent).tasks);
  return most !== undefined && cut(most.extent).tasks > rowTasks ? most : undefined;
}

/** Serial loops over what is neither in the tile nor cut into tasks. */
function overLoops(tile: Tile, loops: readonly Loop[], scope: Scope, build: (inner: Scope) => void): void {
  const [loop, ...rest] = loops;
  if (loop === undefined) {
    build(scope);
    return;
  }
  const fill = (inner: Scope): void => overLoops(tile, rest, inner, build);
  tile.draft.writer.loop(loop.name, int(0), int(loop.extent), fill, scope);
}

/** Loops over panels; equal ones share their code. */
function overPanels(
  tile: Tile,
  panels: readonly Panel[],
  scope: Scope,
  build: (inner: Scope, panel: Panel, column: Expr) => void,
): void {
  for (const panel of panels) {
    if (panel.repeat === 1) {
      build(scope, panel, int(panel.begin));
      continue;
    }
    const fill = (inner: Scope, i: Expr): void =>
      build(inner, panel, scalar("add", int(panel.begin), scalar("mul", i, int(panel.columns))));
    tile.draft.writer.loop(tile.draft.writer.fresh("panel"), int(0), int(panel.repeat), fill, scope);
  }
}

/** The rows of one task: as many as its share of the row axis, which may differ by one between tasks. */
function rowTask(
  tile: Tile,
  panel: Panel,
  column: Expr,
  axis: TaskAxis,
  task: Expr,
  mostRows: number,
  scope: Scope,
): void {
  const { writer } = tile.draft;
  const begin = writer.bind(scope, rowBegin(axis, task), "m");
  const name = nameOfVariable(begin);
  writer.ranges.set(name, { min: 0, max: axis.extent - 1 });
  const most = Math.ceil(axis.extent / axis.tasks);
  writer.rows.set(name, most);
  if (axis.extent % axis.tasks === 0) {
    overTilesFrom(tile, panel, column, begin, most, mostRows, scope);
    return;
  }
  const count = scalar("sub", rowBegin(axis, scalar("add", task, int(1))), begin);
  for (const rows of [most, most - 1]) {
    const inner = new Scope(scope, true);
    overTilesFrom(tile, panel, column, begin, rows, mostRows, inner);
    scope.add({ kind: "if", condition: scalar("eq", count, int(rows)), then: inner.statements, otherwise: [] });
  }
}

/** Tiles over all rows of the row loops. */
function overTiles(
  tile: Tile,
  panel: Panel,
  column: Expr,
  begin: number,
  rows: number,
  mostRows: number,
  scope: Scope,
): void {
  if (tile.rowLoops.length > 1)
    emitTile(tile, panel, column, { kind: "listed", points: writtenOut(tile.rowLoops) }, scope);
  else overTilesFrom(tile, panel, column, int(begin), rows, mostRows, scope);
}

/** All combinations of several short row loops, as one tile. */
function writtenOut(loops: readonly Loop[]): ReadonlyMap<string, Expr>[] {
  let points: ReadonlyMap<string, Expr>[] = [new Map<string, Expr>()];
  for (const { name, extent } of loops)
    points = points.flatMap((point) => Array.from({ length: extent }, (_, i) => new Map([...point, [name, int(i)]])));
  return points;
}

/** Balanced tiles over `rows` rows of the one row loop, from `begin` on. */
function overTilesFrom(
  tile: Tile,
  panel: Panel,
  column: Expr,
  begin: Expr,
  rows: number,
  mostRows: number,
  scope: Scope,
): void {
  const [loop] = tile.rowLoops;
  if (loop === undefined) {
    emitTile(tile, panel, column, { kind: "listed", points: [new Map<string, Expr>()] }, scope);
    return;
  }
  const { writer } = tile.draft;
  const count = Math.ceil(rows / mostRows);
  const height = Math.floor(rows / count);
  const taller = rows % count;
  const run = (first: number, times: number, size: number): void => {
    if (times === 0) return;
    const emit = (inner: Scope, start: Expr): void => {
      emitTile(tile, panel, column, { kind: "neighbours", loop: loop.name, begin: start, count: size }, inner);
    };
    if (times === 1) {
      emit(scope, scalar("add", begin, int(first)));
      return;
    }
    const fill = (inner: Scope, i: Expr): void =>
      emit(inner, scalar("add", scalar("add", begin, int(first)), scalar("mul", i, int(size))));
    writer.loop(writer.fresh("tile"), int(0), int(times), fill, scope);
  };
  run(0, taller, height + 1);
  run(taller * (height + 1), count - taller, height);
}

/** One register tile: its sums, then its epilogue. */
function emitTile(tile: Tile, panel: Panel, column: Expr, rows: Rows, scope: Scope): void {
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

/** Writes the tile's values: the product itself where it has a place, and everything computed from it. */
function epilogueOf(
  draft: Draft,
  group: Group,
  context: LowerContext,
  c: Contraction,
  node: Node,
): (scope: Scope, point: ReadonlyMap<string, Expr>) => void {
  const singletons = new Map<string, Expr>(
    c.out.filter(({ extent }) => extent === 1).map(({ name }) => [name, int(0)]),
  );
  return (scope, point) => {
    const index = c.outIndex.map((i) => substitute(i, new Map([...singletons, ...point])));
    const pending = [
      { node, index },
      ...group.stores.map((entry) => ({ node: entry.node, index: storeIndex(entry, index) })),
    ].filter(({ node: value }) => context.targets(value).length > 0);
    writeAll(draft, context, pending, scope);
  };
}
