/**
 * The loops around a product's register tiles: which axis is cut into tasks, panels of vectors, tiles of rows. All
 * splits are balanced, so that no tile is much smaller than the others.
 */
import { int, scalar, type Expr } from "../../ir/loop/loop.ts";
import type { Loop } from "../schedule/contraction.ts";
import { emitTile, type Panel, type Rows, type Tile } from "./contract-tile.ts";
import type { Affine } from "./index-math.ts";
import { nameOfVariable, Scope } from "./kernel-writer.ts";
import { cut, overTasks, rowBegin, type TaskAxis } from "./tasks.ts";

/** Vectors a row of the register tile has at most. */
const widestTile = 3;

/** Tasks that are enough to keep a machine busy. */
const enoughTasks = 8;

/** Emits the tiles of some rows. */
type EmitRows = (rows: Rows, scope: Scope) => void;

/** Panels of a vector axis: balanced, so that no panel is much narrower than the others. */
export function panelsOf(extent: number, lanes: number): Panel[] {
  const vectors = Math.ceil(extent / lanes);
  const count = panelCount(vectors);
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
 * The number of panels: the fewest of at most `widestTile` vectors, or a few more if all of them are then equally wide and
 * share their code.
 */
function panelCount(vectors: number): number {
  const fewest = Math.ceil(vectors / widestTile);
  for (let count = fewest; count <= Math.ceil(vectors / (widestTile - 1)); count++)
    if (vectors % count === 0) return count;
  return fewest;
}

/**
 * The loops that make up the rows of a tile, outermost first: the innermost one that only the scalar operand has, and,
 * while they are short, those around it, whose rows are then written out one by one.
 */
export function rowLoopsOf(free: readonly Loop[], vectorAccess: Affine, mostRows: number): Loop[] {
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

/** Builds the loops of a kernel; the axis that is cut into tasks. `free`: the loops of the result but the vector axis. */
export function buildLoops(tile: Tile, free: readonly Loop[]): TaskAxis {
  const { draft, rowLoops } = tile;
  const outer = free.filter((loop) => !rowLoops.includes(loop));
  const rows = rowCount(tile);
  const rowTasks: TaskAxis = { extent: rows, tasks: Math.min(Math.ceil(rows / 8), cut(rows).tasks) };
  const taskLoop = taskLoopOf(outer, rowLoops.length === 1 ? rowTasks.tasks : 1);
  if (taskLoop !== undefined) return loopTasks(tile, outer, taskLoop);
  if (rowLoops.length !== 1 || rows === 1) {
    const single: TaskAxis = { extent: 1, tasks: 1 };
    overTasks(draft.writer, single, draft.root, (scope) => {
      overPanels(tile, scope, (body, emit) => overLoops(tile, outer, body, (inner) => overTiles(tile, inner, emit)));
    });
    return single;
  }
  const [first, ...inner] = outer;
  if (first !== undefined) return jointTasks(tile, first, inner, rowTasks);
  overPanels(tile, draft.root, (scope, emit) => {
    overTasks(draft.writer, rowTasks, scope, (body, task) => rowTask(tile, rowTasks, task, body, emit));
  });
  return rowTasks;
}

/** Tasks that are a block of rows in one iteration of an outer loop: the iterations one after the other, each in blocks. */
function jointTasks(tile: Tile, outer: Loop, inner: readonly Loop[], rowTasks: TaskAxis): TaskAxis {
  const { writer, root } = tile.draft;
  const tasks = outer.extent * rowTasks.tasks;
  const axis: TaskAxis = { extent: tasks, tasks };
  overPanels(tile, root, (scope, emit) => {
    overTasks(writer, axis, scope, (body, task) => {
      const end = scalar("add", scalar("div", task, int(rowTasks.tasks)), int(1));
      const range = { min: 0, max: outer.extent - 1 };
      const fill = (next: Scope): void => {
        const block = writer.bind(next, scalar("mod", task, int(rowTasks.tasks)), "block");
        overLoops(tile, inner, next, (innermost) => rowTask(tile, rowTasks, block, innermost, emit));
      };
      writer.loop(outer.name, scalar("div", task, int(rowTasks.tasks)), end, fill, body, { range });
    });
  });
  return axis;
}

/** Each task has some iterations of an outer loop. */
function loopTasks(tile: Tile, outer: readonly Loop[], taskLoop: Loop): TaskAxis {
  const { writer, root } = tile.draft;
  const tasks = cut(taskLoop.extent);
  const inner = outer.filter((loop) => loop !== taskLoop);
  writer.rows.set(taskLoop.name, 1);
  overPanels(tile, root, (scope, emit) => {
    overTasks(writer, tasks, scope, (body, task) => {
      const end = rowBegin(tasks, scalar("add", task, int(1)));
      const range = { min: 0, max: taskLoop.extent - 1 };
      const fill = (next: Scope): void => overLoops(tile, inner, next, (innermost) => overTiles(tile, innermost, emit));
      writer.loop(taskLoop.name, rowBegin(tasks, task), end, fill, body, { range });
    });
  });
  return tasks;
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
function overPanels(tile: Tile, scope: Scope, build: (inner: Scope, emit: EmitRows) => void): void {
  const { writer } = tile.draft;
  for (const panel of panelsOf(tile.plan.vector.extent, tile.lanes)) {
    const emitAt =
      (column: Expr): EmitRows =>
      (rows, inner) =>
        emitTile(tile, panel, column, rows, inner);
    if (panel.repeat === 1) {
      build(scope, emitAt(int(panel.begin)));
      continue;
    }
    const fill = (inner: Scope, i: Expr): void =>
      build(inner, emitAt(scalar("add", int(panel.begin), scalar("mul", i, int(panel.columns)))));
    writer.loop(writer.fresh("panel"), int(0), int(panel.repeat), fill, scope);
  }
}

/** The rows of one task: as many as its share of the row axis, which may differ by one between tasks. */
function rowTask(tile: Tile, axis: TaskAxis, task: Expr, scope: Scope, emit: EmitRows): void {
  const { writer } = tile.draft;
  const begin = writer.bind(scope, rowBegin(axis, task), "m");
  const name = nameOfVariable(begin);
  if (begin.kind === "variable") writer.ranges.set(name, { min: 0, max: axis.extent - 1 });
  const most = Math.ceil(axis.extent / axis.tasks);
  writer.rows.set(name, most);
  if (axis.extent % axis.tasks === 0) {
    overTilesFrom(tile, begin, most, scope, emit);
    return;
  }
  const count = scalar("sub", rowBegin(axis, scalar("add", task, int(1))), begin);
  for (const rows of [most, most - 1]) {
    const inner = new Scope(scope, true);
    overTilesFrom(tile, begin, rows, inner, emit);
    scope.add({ kind: "if", condition: scalar("eq", count, int(rows)), then: inner.statements, otherwise: [] });
  }
}

function rowCount({ rowLoops }: Tile): number {
  return rowLoops.reduce((product, { extent }) => product * extent, 1);
}

/** Tiles over all rows of the row loops. */
function overTiles(tile: Tile, scope: Scope, emit: EmitRows): void {
  if (tile.rowLoops.length > 1) emit({ kind: "listed", points: writtenOut(tile.rowLoops) }, scope);
  else overTilesFrom(tile, int(0), rowCount(tile), scope, emit);
}

/** All combinations of several short row loops, as one tile. */
function writtenOut(loops: readonly Loop[]): ReadonlyMap<string, Expr>[] {
  let points: ReadonlyMap<string, Expr>[] = [new Map<string, Expr>()];
  for (const { name, extent } of loops)
    points = points.flatMap((point) => Array.from({ length: extent }, (_, i) => new Map([...point, [name, int(i)]])));
  return points;
}

/** Balanced tiles over `rows` rows of the one row loop, from `begin` on. */
function overTilesFrom(tile: Tile, begin: Expr, rows: number, scope: Scope, emit: EmitRows): void {
  const [loop] = tile.rowLoops;
  if (loop === undefined) {
    emit({ kind: "listed", points: [new Map<string, Expr>()] }, scope);
    return;
  }
  const { writer } = tile.draft;
  const count = Math.ceil(rows / tile.mostRows);
  const height = Math.floor(rows / count);
  const taller = rows % count;
  const run = (first: number, times: number, size: number): void => {
    if (times === 0) return;
    const emitFrom = (inner: Scope, start: Expr): void =>
      emit({ kind: "neighbours", loop: loop.name, begin: start, count: size }, inner);
    if (times === 1) {
      emitFrom(scope, scalar("add", begin, int(first)));
      return;
    }
    const fill = (inner: Scope, i: Expr): void =>
      emitFrom(inner, scalar("add", scalar("add", begin, int(first)), scalar("mul", i, int(size))));
    writer.loop(writer.fresh("tile"), int(0), int(times), fill, scope);
  };
  run(0, taller, height + 1);
  run(taller * (height + 1), count - taller, height);
}
