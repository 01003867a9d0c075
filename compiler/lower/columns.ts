/**
 * Row kernels whose rows are neighbours in memory: a task takes a block of them, and each stage runs down the reduced axes
 * with the block as its inner loop, one sum for each column in a local array.
 */
import type { Node } from "../../ir/graph.ts";
import { int, load, scalar, store, type Expr } from "../../ir/loop/loop.ts";
import { at } from "../../ir/type.ts";
import { keptAxes, type Group } from "../schedule/group.ts";
import { simplify } from "./index-math.ts";
import { nameOfVariable, sameElement, type Scope } from "./kernel-writer.ts";
import { draftOf, finish, storeIndex, writeAll, type Draft, type LowerContext, type Lowered } from "./lowered.ts";
import { combineOf, flopsOf, identity, overAxes, overReduced, stagesOf, writeRow } from "./reduction.ts";
import { cut, overRows, overTasks, rowBegin, type TaskAxis } from "./tasks.ts";

/** Columns a task works on side by side: a few vectors, and their sums stay in the first cache. */
const columnsPerTask = 64;

/** A block of neighbouring columns. */
type Block = {
  readonly draft: Draft;
  readonly group: Group;
  /** The group's axis that the columns run along. */
  readonly column: number;
  readonly begin: Expr;
  readonly end: Expr;
  /** Most columns of a block. */
  readonly widest: number;
  /** The indices of the point being computed, changed as loops open. */
  readonly point: Expr[];
  /** Whether the blocks are the kernel's tasks, so that a column is a row of the task axis. */
  readonly isTask: boolean;
};

/** Lowers a row group whose innermost axis `column` is kept. */
export function lowerColumns(group: Group, context: LowerContext, column: number): Lowered {
  const draft = draftOf(group, context);
  const { writer, root } = draft;
  const extent = at(group.shape, column);
  const [rowAxis, ...rest] = keptAxes(group).filter((axis) => axis !== column && at(group.shape, axis) > 1);
  const count = Math.ceil(extent / columnsPerTask);
  const blocks: TaskAxis = { extent, tasks: count };
  const point: Expr[] = group.shape.map(() => int(0));

  const perBlock = (scope: Scope, number: Expr): void => {
    const begin = writer.bind(scope, rowBegin(blocks, number), "c");
    writer.ranges.set(nameOfVariable(begin), { min: 0, max: extent - 1 });
    const end = rowBegin(blocks, scalar("add", number, int(1)));
    const widest = Math.ceil(extent / count);
    const block: Block = { draft, group, column, begin, end, widest, point, isTask: rowAxis === undefined };
    for (const stage of stagesOf(group)) sumStage(block, stage, scope);
    storeBlock(block, context, scope);
  };

  if (rowAxis === undefined) {
    overTasks(writer, blocks, root, perBlock);
    return finish(draft, blocks, flopsOf(group));
  }
  const tasks = cut(at(group.shape, rowAxis));
  overRows(writer, tasks, root, (scope, row) => {
    point[rowAxis] = row;
    overAxes(draft, group, rest, point, scope, (inner) => {
      writer.loop(writer.fresh("block"), int(0), int(count), perBlock, inner);
    });
  });
  return finish(draft, tasks, flopsOf(group));
}

/** Runs over the columns of a block; `slot` is a column's number within it. */
function overColumns(block: Block, scope: Scope, build: (body: Scope, slot: Expr) => void): void {
  const { draft, group, column, begin, end, point } = block;
  const { writer } = draft;
  const name = writer.fresh("row");
  if (block.isTask) writer.rows.set(name, 1);
  const fill = (body: Scope, c: Expr): void => {
    point[column] = c;
    build(body, simplify(scalar("sub", c, begin), writer.ranges));
  };
  const range = { min: 0, max: at(group.shape, column) - 1 };
  writer.loop(name, begin, end, fill, scope, { mode: "vector", range });
}

/** Runs the reductions of one stage down the block, and makes their results known as locals. */
function sumStage(block: Block, stage: readonly Node[], scope: Scope): void {
  const { draft, group, point } = block;
  const sums = stage.map((node) => draft.writer.local(scope, node.type.dtype, block.widest, "sums"));
  stage.forEach((node, i) => {
    overColumns(block, scope, (body, slot) => body.add(store(at(sums, i), slot, identity(node))));
  });
  overReduced(draft, group, point, scope, { flat: false, vector: false }, (inner) => {
    overColumns(block, inner, (body, slot) => {
      stage.forEach((node, i) => {
        const value = draft.values.at(at(node.inputs, 0), point, body);
        const sum = load(at(sums, i), node.type.dtype, slot);
        body.add(store(at(sums, i), slot, scalar(combineOf(node), sum, value)));
      });
    });
  });
  stage.forEach((node, i) => defineColumn(block, node, at(sums, i)));
}

/** Writes what the block computes: values of every element, then values of every column. */
function storeBlock(block: Block, context: LowerContext, scope: Scope): void {
  const { draft, group, point } = block;
  const full = group.stores.filter(({ node, level }) => level === "full" && context.targets(node).length > 0);
  if (full.length > 0)
    overReduced(draft, group, point, scope, { flat: false, vector: false }, (inner) => {
      overColumns(block, inner, (body) => {
        const pending = full.map((entry) => ({ node: entry.node, index: storeIndex(entry, point) }));
        writeAll(draft, context, pending, body);
      });
    });
  overColumns(block, scope, (body) => writeRow(draft, group, context, point, body));
}

/** Makes the sums of a block readable at each of its columns. */
function defineColumn({ draft, group, column, begin, point }: Block, node: Node, name: string): void {
  const kept = keptAxes(group);
  const position = kept.indexOf(column);
  const row = kept.map((axis) => at(point, axis));
  draft.values.locals.set(node, (index) => {
    const own = row.map((i, axis) => (axis === position ? at(index, axis) : i));
    if (!sameElement(index, own, node.type.shape, draft.writer.ranges)) return undefined;
    return load(name, node.type.dtype, simplify(scalar("sub", at(index, position), begin), draft.writer.ranges));
  });
}
