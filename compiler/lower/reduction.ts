/** What the kernels that reduce have in common: stages, loops over kept and reduced axes, and what a reduction starts from. */
import { opDef, type Node } from "../../ir/graph.ts";
import { constant, int, scalar, variable, type Expr, type Reduction } from "../../ir/loop/loop.ts";
import type { ScalarOp } from "../../ir/loop/scalar.ts";
import { at, elementCount, type DType } from "../../ir/type.ts";
import { invariant } from "../../ir/diagnostic/diagnostic.ts";
import { keptAxes, type Group } from "../schedule/group.ts";
import { axesOf, isInlinable, reach } from "../schedule/reach.ts";
import type { Scope } from "./kernel-writer.ts";
import { storeIndex, writeAll, type Draft, type LowerContext } from "./lowered.ts";

/** Whether a heavy value of a row group is a sum, product or extremum (as opposed to the place of one). */
export function isReduce(node: Node): boolean {
  return opDef(node.op).lowering.class === "reduce";
}

/** Reductions by stage: one may use the results of earlier stages only. */
export function stagesOf(group: Group): Node[][] {
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

/** Operations of a row group. */
export function flopsOf(group: Group): number {
  return elementCount(group.shape) * (group.heavy.length + group.stores.length);
}

/** Writes the values that have one element per row. */
export function writeRow(
  draft: Draft,
  group: Group,
  context: LowerContext,
  point: readonly Expr[],
  scope: Scope,
): void {
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
export function overAxes(
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
export function overReduced(
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
