/**
 * Row kernels on a GPU: reductions over the same axes and the elementwise values around them. The threads of a work-group
 * form `rows` rows of `lanes`: those of a row walk its elements in strides, and then add up what each has found, pairwise
 * by shuffles, always in the same order. Where the innermost axis is kept, neighbouring threads take
 * neighbouring rows instead of neighbouring elements, so that they read neighbours in memory either way.
 */
import type { Node } from "../../../ir/graph.ts";
import { opDef } from "../../../ir/graph.ts";
import { assign, branch, int, scalar, type Expr } from "../../../ir/loop/loop.ts";
import { invariant } from "../../../ir/diagnostic/diagnostic.ts";
import type { Gpu } from "../../../ir/machine.ts";
import { at, elementCount, isFloat } from "../../../ir/type.ts";
import { keptAxes, type Group } from "../../schedule/group.ts";
import { nameOfVariable, sameElement, Scope } from "../kernel-writer.ts";
import { draftOf, finish, storeIndex, writeAll, type Draft, type LowerContext, type Lowered } from "../lowered.ts";
import { combineOf, flopsOf, identity, isReduce, stagesOf, writeRow } from "../reduction.ts";
import { overGroups, thread } from "./threads.ts";

/**
 * Rows of at most so many elements are summed by one thread each, if there are rows enough for all threads; where threads
 * do not run in step, always: waiting for each other then costs more than a few additions.
 */
const shortRow = 64;
const manyRows = 256;

/** Threads side by side that read whole cache lines. */
const neighbours = 32;

/** How the threads of a work-group share rows. */
type Team = { readonly rows: number; readonly lanes: number };

/** A row group under construction. */
type Work = {
  readonly draft: Draft;
  readonly group: Group;
  readonly team: Team;
  /** Number of this thread within its row. */
  readonly lane: Expr;
  /** Whether neighbouring threads have neighbouring rows, not neighbouring elements. */
  readonly alongRows: boolean;
  /** Indices along the group's axes, changed as loops open. */
  readonly point: Expr[];
};

/** Lowers a row group for a GPU. */
export function lowerRowOnThreads(group: Group, context: LowerContext): Lowered {
  const { gpu } = context.machine;
  invariant(gpu !== undefined, "threads are a GPU's");
  const draft = draftOf(group, context);
  const kept = keptAxes(group).filter((axis) => at(group.shape, axis) > 1);
  const rows = elementCount(kept.map((axis) => at(group.shape, axis)));
  const innermost = group.shape.findLastIndex((extent) => extent > 1);
  const alongRows = innermost >= 0 && !group.axes.includes(innermost);
  const team = teamOf(group, rows, alongRows, gpu);
  const tasks = overGroups(draft, Math.max(1, Math.ceil(rows / team.rows)), team.rows * team.lanes, (scope, task) => {
    const { writer } = draft;
    const [row, lane] = alongRows
      ? [scalar("mod", thread, int(team.rows)), scalar("div", thread, int(team.rows))]
      : [scalar("div", thread, int(team.lanes)), scalar("mod", thread, int(team.lanes))];
    const number = scalar("add", scalar("mul", task, int(team.rows)), row);
    const isWhole = rows % team.rows === 0;
    // Threads of rows past the last go along with the last one, since all must come to the barriers; they write nothing.
    const own = isWhole ? number : writer.bind(scope, scalar("min", number, int(rows - 1)), "row");
    if (own.kind === "variable") writer.ranges.set(own.name, { min: 0, max: rows - 1 });
    const point: Expr[] = group.shape.map(() => int(0));
    let step = rows;
    for (const axis of kept) {
      const extent = at(group.shape, axis);
      step /= extent;
      point[axis] = scalar("mod", scalar("div", own, int(step)), int(extent));
    }
    const work: Work = { draft, group, team, lane, alongRows, point };
    emitRow(work, context, isWhole ? undefined : scalar("lt", number, int(rows)), scope);
  });
  return finish(draft, tasks, flopsOf(group));
}

/**
 * As many threads a row as it has work for, and rows to fill a work-group of the usual size, so that such kernels can be
 * merged; rows that are not there cost nothing.
 */
function teamOf(group: Group, rows: number, alongRows: boolean, gpu: Gpu): Team {
  const elements = elementCount(group.axes.map((axis) => at(group.shape, axis)));
  const most = Math.min(256, gpu.threads);
  // Where shuffles become shared arrays, there are two for each value that the threads of a stage combine.
  const bytes = stagesOf(group).map((stage) => stage.reduce((sum, node) => sum + (isReduce(node) ? 16 : 32), 0));
  const threads = Math.min(most, powerBelow(Math.floor(gpu.sharedBytes / Math.max(1, ...bytes))));
  const isShort = elements <= shortRow && (rows >= manyRows || gpu.warp === 0);
  if (elements <= 4 || isShort) return { rows: Math.min(64, threads), lanes: 1 };
  const lanes = Math.min(threads, powerBelow(Math.max(1, elements / 2)));
  if (!alongRows) return { rows: threads / lanes, lanes };
  const side = Math.min(threads, neighbours, powerAbove(rows));
  return { rows: threads / Math.min(lanes, threads / side), lanes: Math.min(lanes, threads / side) };
}

/** The largest power of two that is at most `x`, and the smallest that is at least `x`. */
function powerBelow(x: number): number {
  return 2 ** Math.floor(Math.log2(Math.max(1, x)));
}

function powerAbove(x: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, x)));
}

/** Everything that a row's threads do. `isRow`: whether there is such a row; `undefined` if there always is. */
function emitRow(work: Work, context: LowerContext, isRow: Expr | undefined, scope: Scope): void {
  const { draft, group, point, team, lane } = work;
  for (const stage of stagesOf(group)) {
    const plain = stage.filter(isReduce);
    if (plain.length > 0) reduceTogether(work, plain, scope);
    for (const node of stage) if (!isReduce(node)) findTogether(work, node, scope);
  }
  const full = group.stores.filter(({ node, level }) => level === "full" && context.targets(node).length > 0);
  if (full.length > 0)
    guarded(isRow, scope, (body) =>
      overElements(work, body, (inner) => {
        const pending = full.map((entry) => ({ node: entry.node, index: storeIndex(entry, point) }));
        writeAll(draft, context, pending, inner);
      }),
    );
  const first = team.lanes === 1 ? undefined : scalar("eq", lane, int(0));
  const writes = first === undefined || isRow === undefined ? (first ?? isRow) : scalar("and", first, isRow);
  guarded(writes, scope, (body) => writeRow(draft, group, context, point, body));
}

/** Statements under a condition, if there is one. */
function guarded(condition: Expr | undefined, scope: Scope, build: (body: Scope) => void): void {
  if (condition === undefined) {
    build(scope);
    return;
  }
  const inner = new Scope(scope, true);
  build(inner);
  if (inner.statements.length > 0) scope.add(branch(condition, inner.statements));
}

/** Runs over this thread's share of a row: every `lanes`-th element. */
function overElements(work: Work, scope: Scope, build: (inner: Scope) => void, first: Expr = work.lane): void {
  const { draft, group, team, point } = work;
  const axes = group.axes.filter((axis) => at(group.shape, axis) !== 1);
  for (const axis of group.axes) point[axis] = int(0);
  const total = elementCount(axes.map((axis) => at(group.shape, axis)));
  const fill = (inner: Scope, e: Expr): void => {
    let step = total;
    for (const axis of axes) {
      const extent = at(group.shape, axis);
      step /= extent;
      point[axis] = scalar("mod", scalar("div", e, int(step)), int(extent));
    }
    build(inner);
  };
  const range = { min: 0, max: total - 1 };
  draft.writer.loop(draft.writer.fresh("e"), first, int(total), fill, scope, { step: team.lanes, range });
}

/** Sums and extrema of one stage. */
function reduceTogether(work: Work, stage: readonly Node[], scope: Scope): void {
  const { draft, point } = work;
  const { writer, values } = draft;
  const sums = stage.map((node) => writer.mutable(scope, identity(node), "sum"));
  overElements(work, scope, (body) => {
    stage.forEach((node, i) => {
      const sum = at(sums, i);
      const value = values.at(at(node.inputs, 0), point, body);
      body.add(assign(nameOfVariable(sum), scalar(combineOf(node), sum, value)));
    });
  });
  const totals = combineLanes(
    work,
    sums.map((sum) => [sum]),
    (mine, theirs, number) => [scalar(combineOf(at(stage, number)), at(mine, 0), at(theirs, 0))],
    scope,
  );
  stage.forEach((node, i) => define(work, node, at(at(totals, i), 0)));
}

/** How two partial results become one, the same in either order. Each may be of several numbers. */
type Combine = (mine: readonly Expr[], theirs: readonly Expr[], number: number) => readonly Expr[];

/**
 * Combines partial results over the threads of each row, pairwise in a fixed order; gives each result as variables that
 * all of the row's threads have.
 */
function combineLanes(
  { draft, team, alongRows }: Work,
  parts: readonly (readonly Expr[])[],
  combine: Combine,
  scope: Scope,
): (readonly Expr[])[] {
  const { writer } = draft;
  let results = [...parts];
  for (let half = team.lanes / 2; half >= 1; half /= 2) {
    const theirs = writer.shuffle(scope, results.flat(), alongRows ? half * team.rows : half);
    let next = 0;
    results = results.map((mine, i) => {
      const other = theirs.slice(next, (next += mine.length));
      return combine(mine, other, i).map((value) => writer.bind(scope, value, "both"));
    });
  }
  return results;
}

/** Index of the first best element of a row; NaN is better than any number. */
function findTogether(work: Work, node: Node, scope: Scope): void {
  const { draft, group, point, team, lane } = work;
  const { writer, values } = draft;
  const { lowering } = opDef(node.op);
  invariant(lowering.class === "argreduce", "not an argreduce");
  const operand = at(node.inputs, 0);
  const [axis] = group.axes;
  invariant(axis !== undefined, "argreduce has an axis");
  const isBetter = (x: Expr, y: Expr): Expr => {
    const beats = scalar(lowering.better === "max" ? "gt" : "lt", x, y);
    const isNan = scalar("and", scalar("ne", x, x), scalar("eq", y, y));
    return isFloat(operand.type.dtype) ? scalar("or", beats, isNan) : beats;
  };
  point[axis] = lane;
  const opening = new Scope(scope);
  const initial = values.at(operand, point, opening);
  scope.add(...opening.statements);
  const best = writer.mutable(scope, initial, "best");
  const index = writer.mutable(scope, lane, "at");
  const next = scalar("add", lane, int(team.lanes));
  overElements(
    work,
    scope,
    (body) => {
      const value = values.at(operand, point, body);
      const update = [assign(nameOfVariable(best), value), assign(nameOfVariable(index), at(point, axis))];
      body.add(branch(isBetter(value, best), update));
    },
    next,
  );
  const combine: Combine = ([v1, i1], [v2, i2]) => {
    invariant(v1 !== undefined && i1 !== undefined && v2 !== undefined && i2 !== undefined, "a value and its index");
    const tie = scalar("and", scalar("not", isBetter(v1, v2)), scalar("lt", i2, i1));
    const second = scalar("or", isBetter(v2, v1), tie);
    return [scalar("select", second, v2, v1), scalar("select", second, i2, i1)];
  };
  const [found] = combineLanes(work, [[best, index]], combine, scope);
  define(work, node, at(found ?? [], 1));
}

/** Makes a row's result readable at that row. */
function define({ draft, group, point }: Work, node: Node, value: Expr): void {
  const kept = keptAxes(group).map((axis) => at(point, axis));
  draft.values.locals.set(node, (index) =>
    sameElement(index, kept, node.type.shape, draft.writer.ranges) ? value : undefined,
  );
}
