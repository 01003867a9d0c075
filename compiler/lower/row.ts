/**
 * Row kernels: any number of reductions over the same axes, and the elementwise values around them, in one pass per
 * stage over a row. Where the innermost axis is reduced, a row's sums are scalars and the loop along the row is left to
 * the vectoriser with a reduction clause. Where it is kept, neighbouring rows are worked on side by side (`columns.ts`).
 */
import { opDef, type Node } from "../../ir/graph.ts";
import { assign, branch, int, scalar, type Expr } from "../../ir/loop/loop.ts";
import { at, isFloat } from "../../ir/type.ts";
import { invariant } from "../../ir/diagnostic/diagnostic.ts";
import { keptAxes, type Group } from "../schedule/group.ts";
import { lowerColumns } from "./columns.ts";
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
import { combineOf, flopsOf, identity, isReduce, overAxes, overReduced, stagesOf, writeRow } from "./reduction.ts";
import { cut, overRows, type TaskAxis } from "./tasks.ts";

/** Lowers a row group. */
export function lowerRow(group: Group, context: LowerContext): Lowered {
  const innermost = group.shape.findLastIndex((extent) => extent > 1);
  if (innermost >= 0 && !group.axes.includes(innermost) && group.heavy.every(isReduce))
    return lowerColumns(group, context, innermost);
  const flat = lowerRows(group, context, true);
  return dividesIndex(flat) ? lowerRows(group, context, false) : flat;
}

function tasksOf(group: Group): { readonly tasks: TaskAxis; readonly rowAxis: number | undefined } {
  const [rowAxis] = keptAxes(group).filter((axis) => at(group.shape, axis) > 1);
  return { tasks: rowAxis === undefined ? { extent: 1, tasks: 1 } : cut(at(group.shape, rowAxis)), rowAxis };
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
