/**
 * Row kernels: any number of reductions over the same axes, and the elementwise values around them, in one pass per
 * stage over a row. Where the innermost axis is reduced, a row's sums are scalars and the loop along the row is left to
 * the vectoriser with a reduction clause. Where it is kept, a block of neighbouring rows is worked on side by side, with
 * one sum for each in a local array.
 */
import { opDef, type Node } from "../../ir/graph.ts";
import {
  assign,
  branch,
  constant,
  int,
  load,
  scalar,
  store,
  variable,
  type Expr,
  type Reduction,
} from "../../ir/loop/loop.ts";
import type { ScalarOp } from "../../ir/loop/scalar.ts";
import { at, elementCount, isFloat, type DType } from "../../ir/type.ts";
import { invariant } from "../../ir/diagnostic/diagnostic.ts";
import { keptAxes, type Group } from "../schedule/group.ts";
import { axesOf, isInlinable, reach } from "../schedule/reach.ts";
import { nameOfVariable, sameElement, Scope } from "./kernel-writer.ts";
import {
  dividesIndex,
  draftOf,
  finish,
  storeIndex,
  writeAll,
  type Draft,
  type LowerContext,
  type Lowered,
} from "./lowered.ts";
import { cut, overRows, overTasks, rowBegin, type TaskAxis } from "./tasks.ts";

/** Columns a task of a column kernel works on side by side: a few vectors, and their sums stay in the first cache. */
const columnsPerTask = 64;

/** Lowers a row group. */
export function lowerRow(group: Group, context: LowerContext): Lowered {
  const innermost = group.shape.findLastIndex((extent) => extent > 1);
  if (innermost >= 0 && !group.axes.includes(innermost) && group.heavy.every(isReduce))
    return lowerColumns(group, context, innermost);
  const flat = lowerRows(group, context, true);
  return dividesIndex(flat) ? lowerRows(group, context, false) : flat;
}

function isReduce(node: Node): boolean {
  return opDef(node.op).lowering.class === "reduce";
}

/** Reductions by stage: one may use the results of earlier stages only. */
function stagesOf(group: Group): Node[][] {
  const stageOf = new Map<Node, number>();
  const stages: Node[][] = [];
  const own = new Set<Node>(group.heavy);
  for (const node of group.heavy) {
    const operand = at(node.inputs, 0);
    const { variables, ranges } = axesOf(operand.type.shape);
    // Stored values of the group are computed on the spot, so only its reductions separate the stages.
    const read = own.has(operand)
      ? [operand]
      : reach(operand, variables, ranges, (value) => own.has(value) || !isInlinable(value)).map(
          ({ node: value }) => value,
        );
    const stage = Math.max(-1, ...read.map((value) => stageOf.get(value) ?? -1)) + 1;
    stageOf.set(node, stage);
    (stages[stage] ??= []).push(node);
  }
  return stages;
}

function tasksOf(group: Group): { readonly tasks: TaskAxis; readonly rowAxis: number | undefined } {
  const [rowAxis] = keptAxes(group).filter((axis) => at(group.shape, axis) > 1);
  return { tasks: rowAxis === undefined ? { extent: 1, tasks: 1 } : cut(at(group.shape, rowAxis)), rowAxis };
}

function flopsOf(group: Group): number {
  return elementCount(group.shape) * (group.heavy.length + group.stores.length);
}

function lowerRows(group: Group, context: LowerContext, flat: boolean): Lowered {
  const draft = draftOf(group, context);
  const { tasks, rowAxis } = tasksOf(group);
  const point: Expr[] = group.shape.map(() => int(0));
  const rest = keptAxes(group).filter((axis) => axis !== rowAxis);
  overRows(draft.writer, tasks, draft.root, (scope, row) => {
    if (rowAxis !== undefined) point[rowAxis] = row;
    overAxes(draft, group, rest, point, scope, (inner) => {
      for (const stage of stagesOf(group)) reduceStage(draft, group, stage, point, inner, flat);
      const full = group.stores.filter(({ node, level }) => level === "full" && context.targets(node).length > 0);
      if (full.length > 0)
        overReduced(draft, group, point, inner, { flat, vector: true }, (body) => {
          const pending = full.map((entry) => ({ node: entry.node, index: storeIndex(entry, point) }));
          writeAll(draft, context, pending, body);
        });
      writeRow(draft, group, context, point, inner);
    });
  });
  return finish(draft, tasks, flopsOf(group));
}

/** Writes the values that have one element per row. */
function writeRow(draft: Draft, group: Group, context: LowerContext, point: readonly Expr[], scope: Scope): void {
  const kept = keptAxes(group).map((axis) => at(point, axis));
  const pending = [
    ...group.heavy.map((node) => ({ node, index: kept })),
    ...group.stores
      .filter(({ level }) => level === "row")
      .map((entry) => ({ node: entry.node, index: storeIndex(entry, point) })),
  ].filter(({ node }) => context.targets(node).length > 0);
  writeAll(draft, context, pending, scope);
}

/** Nested serial loops over some axes of the group. */
function overAxes(
  draft: Draft,
  group: Group,
  axes: readonly number[],
  point: Expr[],
  scope: Scope,
  build: (inner: Scope) => void,
): void {
  const [axis, ...rest] = axes;
  if (axis === undefined) {
    build(scope);
    return;
  }
  draft.writer.loop(
    draft.writer.fresh("i"),
    int(0),
    int(at(group.shape, axis)),
    (inner, i) => {
      point[axis] = i;
      overAxes(draft, group, rest, point, inner, build);
    },
    scope,
  );
}

type ReducedOptions = { readonly flat: boolean; readonly vector: boolean; readonly reductions?: readonly Reduction[] };

/** Loops over the reduced axes of a row: one flat loop, or nested ones with the innermost for the vectoriser. */
function overReduced(
  draft: Draft,
  group: Group,
  point: Expr[],
  scope: Scope,
  options: ReducedOptions,
  build: (inner: Scope) => void,
): void {
  const { writer } = draft;
  const mode = options.vector ? "vector" : "serial";
  const reductions = options.reductions ?? [];
  const axes = group.axes.filter((axis) => at(group.shape, axis) !== 1);
  for (const axis of group.axes) point[axis] = int(0);
  if (options.flat && axes.length > 1) {
    const extents = axes.map((axis) => at(group.shape, axis));
    const total = elementCount(extents);
    const name = writer.fresh("e");
    const fill = (inner: Scope): void => {
      let step = total;
      axes.forEach((axis, i) => {
        step /= at(extents, i);
        point[axis] = scalar("mod", scalar("div", variable(name), int(step)), int(at(extents, i)));
      });
      build(inner);
    };
    writer.loop(name, int(0), int(total), fill, scope, { mode, reductions });
    return;
  }
  const innermost = axes.at(-1);
  if (innermost === undefined) {
    build(scope);
    return;
  }
  overAxes(draft, group, axes.slice(0, -1), point, scope, (inner) => {
    const fill = (body: Scope, i: Expr): void => {
      point[innermost] = i;
      build(body);
    };
    writer.loop(writer.fresh("i"), int(0), int(at(group.shape, innermost)), fill, inner, { mode, reductions });
  });
}

/** Runs the reductions of one stage over a row and makes their results known as locals. */
function reduceStage(
  draft: Draft,
  group: Group,
  stage: readonly Node[],
  point: Expr[],
  scope: Scope,
  flat: boolean,
): void {
  const plain = stage.filter(isReduce);
  if (plain.length > 0) {
    const sums = plain.map((node) => draft.writer.mutable(scope, identity(node), "sum"));
    const reductions = plain.map((node, i) => ({ name: nameOfVariable(at(sums, i)), op: combineOf(node) }));
    const vector = plain.every((node) => isFloat(node.type.dtype));
    overReduced(draft, group, point, scope, { flat, vector, reductions: vector ? reductions : [] }, (body) => {
      plain.forEach((node, i) => {
        const sum = at(sums, i);
        const value = draft.values.at(at(node.inputs, 0), point, body);
        body.add(assign(nameOfVariable(sum), scalar(combineOf(node), sum, value)));
      });
    });
    plain.forEach((node, i) => define(draft, group, node, point, at(sums, i)));
  }
  for (const node of stage) if (!isReduce(node)) argreduce(draft, group, node, point, scope);
}

/** Makes a row's result readable at that row. */
function define(draft: Draft, group: Group, node: Node, point: readonly Expr[], value: Expr): void {
  const kept = keptAxes(group).map((axis) => at(point, axis));
  draft.values.locals.set(node, (index) =>
    sameElement(index, kept, node.type.shape, draft.writer.ranges) ? value : undefined,
  );
}

/** Index of the first best element of a row; NaN is better than any number. */
function argreduce(draft: Draft, group: Group, node: Node, point: Expr[], scope: Scope): void {
  const { lowering } = opDef(node.op);
  invariant(lowering.class === "argreduce", "not an argreduce");
  const { writer, values } = draft;
  const operand = at(node.inputs, 0);
  const [axis] = group.axes;
  invariant(axis !== undefined, "argreduce has an axis");
  point[axis] = int(0);
  const first = new Scope(scope);
  const initial = values.at(operand, point, first);
  scope.add(...first.statements);
  const best = writer.mutable(scope, initial, "best");
  const index = writer.mutable(scope, int(0), "at");
  writer.loop(
    writer.fresh("i"),
    int(1),
    int(at(group.shape, axis)),
    (body, i) => {
      point[axis] = i;
      const value = values.at(operand, point, body);
      const isBetter = scalar(lowering.better === "max" ? "gt" : "lt", value, best);
      const isNan = scalar("and", scalar("ne", value, value), scalar("eq", best, best));
      body.add(
        branch(isFloat(operand.type.dtype) ? scalar("or", isBetter, isNan) : isBetter, [
          assign(nameOfVariable(best), value),
          assign(nameOfVariable(index), i),
        ]),
      );
    },
    scope,
  );
  define(draft, group, node, point, index);
}

/** The scalar operation of a reduction. */
export function combineOf(node: Node): Reduction["op"] {
  const { lowering } = opDef(node.op);
  invariant(lowering.class === "reduce", `${node.op} is not a reduction`);
  return lowering.combine;
}

/** What a reduction starts from. */
export function identity(node: Node): Expr {
  return constant(node.type.dtype, identityOf(combineOf(node), node.type.dtype));
}

/** Least and largest value of each integer type; of i64, those that the compiler's own numbers hold exactly. */
const integerLimits: Readonly<Partial<Record<DType, readonly [number, number]>>> = {
  bool: [0, 1],
  u8: [0, 255],
  i8: [-128, 127],
  i16: [-32768, 32767],
  i32: [-(2 ** 31), 2 ** 31 - 1],
  i64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
};

function identityOf(op: ScalarOp, dtype: DType): number {
  const [low, high] = integerLimits[dtype] ?? [-Infinity, Infinity];
  if (op === "max") return low;
  if (op === "min") return high;
  return op === "mul" ? 1 : 0;
}

/**
 * Reductions whose rows are neighbours in memory: a task takes a block of them, and each stage runs down the reduced axes
 * with the block as its inner loop.
 */
function lowerColumns(group: Group, context: LowerContext, column: number): Lowered {
  const draft = draftOf(group, context);
  const { writer, values, root } = draft;
  const extent = at(group.shape, column);
  const outer = keptAxes(group).filter((axis) => axis !== column && at(group.shape, axis) > 1);
  const [rowAxis, ...rest] = outer;
  const blocks = Math.ceil(extent / columnsPerTask);
  const block: TaskAxis = { extent, tasks: blocks };
  const widest = Math.ceil(extent / blocks);
  const point: Expr[] = group.shape.map(() => int(0));

  const perBlock = (scope: Scope, task: Expr): void => {
    const begin = writer.bind(scope, rowBegin(block, task), "c");
    writer.ranges.set(nameOfVariable(begin), { min: 0, max: extent - 1 });
    const end = rowBegin(block, scalar("add", task, int(1)));
    const overColumns = (inner: Scope, build: (body: Scope, slot: Expr) => void): void => {
      const name = writer.fresh("row");
      if (rowAxis === undefined) writer.rows.set(name, 1);
      const fill = (body: Scope, c: Expr): void => {
        point[column] = c;
        build(body, scalar("sub", c, begin));
      };
      writer.loop(name, begin, end, fill, inner, { mode: "vector", range: { min: 0, max: extent - 1 } });
    };
    const sums = new Map<Node, string>();
    for (const stage of stagesOf(group)) {
      for (const node of stage) {
        const name = writer.local(scope, node.type.dtype, widest, "sums");
        sums.set(node, name);
        overColumns(scope, (body, slot) => body.add(store(name, slot, identity(node))));
      }
      overReduced(draft, group, point, scope, { flat: false, vector: false }, (inner) => {
        overColumns(inner, (body, slot) => {
          for (const node of stage) {
            const name = sums.get(node) ?? "";
            const value = values.at(at(node.inputs, 0), point, body);
            body.add(store(name, slot, scalar(combineOf(node), load(name, node.type.dtype, slot), value)));
          }
        });
      });
      for (const node of stage) defineColumn(draft, group, node, point, column, begin, sums.get(node) ?? "");
    }
    const full = group.stores.filter(({ node, level }) => level === "full" && context.targets(node).length > 0);
    if (full.length > 0)
      overReduced(draft, group, point, scope, { flat: false, vector: false }, (inner) => {
        overColumns(inner, (body) => {
          const pending = full.map((entry) => ({ node: entry.node, index: storeIndex(entry, point) }));
          writeAll(draft, context, pending, body);
        });
      });
    overColumns(scope, (body) => writeRow(draft, group, context, point, body));
  };

  if (rowAxis === undefined) {
    overTasks(writer, block, root, perBlock);
    return finish(draft, block, flopsOf(group));
  }
  const tasks = cut(at(group.shape, rowAxis));
  overRows(writer, tasks, root, (scope, row) => {
    point[rowAxis] = row;
    overAxes(draft, group, rest, point, scope, (inner) => {
      writer.loop(writer.fresh("block"), int(0), int(blocks), perBlock, inner);
    });
  });
  return finish(draft, tasks, flopsOf(group));
}

/** Makes the sums of a block of columns readable at each of its columns. */
function defineColumn(
  draft: Draft,
  group: Group,
  node: Node,
  point: readonly Expr[],
  column: number,
  begin: Expr,
  name: string,
): void {
  const kept = keptAxes(group);
  const position = kept.indexOf(column);
  const row = kept.map((axis) => at(point, axis));
  draft.values.locals.set(node, (index) => {
    const own = row.map((i, axis) => (axis === position ? at(index, axis) : i));
    if (!sameElement(index, own, node.type.shape, draft.writer.ranges)) return undefined;
    return load(name, node.type.dtype, scalar("sub", at(index, position), begin));
  });
}
