/**
 * Kernels whose work has an order: scatter (sums in index order, so that results do not depend on threads), running sums
 * and products, and sorting. Rows that do not touch each other are still cut into tasks.
 */
import { opDef, type Node } from "../../ir/graph.ts";
import { assign, branch, cast, constant, int, scalar, type Expr } from "../../ir/loop/loop.ts";
import { invariant } from "../../ir/diagnostic/diagnostic.ts";
import { at, elementCount, isFloat, type Shape } from "../../ir/type.ts";
import type { Buffer } from "../memory/buffer.ts";
import type { Group } from "../schedule/group.ts";
import { nameOfVariable, type Scope } from "./kernel-writer.ts";
import { draftOf, finish, type Draft, type LowerContext, type Lowered } from "./lowered.ts";
import { overItems } from "./gpu/threads.ts";
import { cut, overRows, overTasks, type TaskAxis } from "./tasks.ts";

/** All work in one task. */
export const oneTask: TaskAxis = { extent: 1, tasks: 1 };

/** The value that a group is built around. */
export function rootOf(group: Group): Node {
  const [node] = group.heavy;
  invariant(node !== undefined, `a ${group.kind} group has a heavy value`);
  return node;
}

/** The buffers a heavy value is written to, and the first of them, which the kernel may read back. */
export function targetsOf(node: Node, context: LowerContext): readonly [Buffer, ...Buffer[]] {
  const [first, ...others] = context.targets(node);
  invariant(first !== undefined, `${node.op} (%${node.id}) has no place`);
  return [first, ...others];
}

/** Serial loops over all axes of a shape, but those fixed already. */
export function overShape(
  draft: Draft,
  shape: Shape,
  fixed: ReadonlyMap<number, Expr>,
  scope: Scope,
  build: (scope: Scope, index: readonly Expr[]) => void,
): void {
  const visit = (axis: number, index: readonly Expr[], inner: Scope): void => {
    const extent = shape[axis];
    if (extent === undefined) {
      build(inner, index);
      return;
    }
    const known = fixed.get(axis);
    if (known !== undefined) visit(axis + 1, [...index, known], inner);
    else {
      const fill = (body: Scope, i: Expr): void => visit(axis + 1, [...index, i], body);
      draft.writer.loop(draft.writer.fresh("i"), int(0), int(extent), fill, inner);
    }
  };
  visit(0, [], scope);
}

/**
 * Runs over rows that share no work, and fixes the indices along `axes`, any of which tells rows apart: tasks of the first
 * of them, and on GPUs a thread for each row of all of them.
 */
function overIndependentRows(
  draft: Draft,
  context: LowerContext,
  axes: readonly number[],
  shape: Shape,
  build: (scope: Scope, fixed: ReadonlyMap<number, Expr>) => void,
): TaskAxis {
  const { writer, root } = draft;
  if (context.machine.gpu !== undefined) {
    const extents = axes.map((axis) => at(shape, axis));
    return overItems(draft, elementCount(extents), (scope, item) => {
      let step = elementCount(extents);
      const fixed = axes.map((axis, i): [number, Expr] => {
        const extent = at(extents, i);
        step /= extent;
        return [axis, scalar("mod", scalar("div", item, int(step)), int(extent))];
      });
      build(scope, new Map(fixed));
    });
  }
  const [axis] = axes;
  if (axis === undefined) {
    overTasks(writer, oneTask, root, (scope) => build(scope, new Map()));
    return oneTask;
  }
  const tasks = cut(at(shape, axis));
  overRows(writer, tasks, root, (scope, row) => build(scope, new Map([[axis, row]])));
  return tasks;
}

/** Axes of a shape for which something holds. */
function axesWhere(shape: Shape, holds: (extent: number, axis: number) => boolean): number[] {
  return shape.flatMap((extent, axis) => (holds(extent, axis) ? [axis] : []));
}

/** `base`, with each update added at its index, in the order of the updates. */
export function lowerScatter(group: Group, context: LowerContext): Lowered {
  const draft = draftOf(group, context);
  const { writer, values } = draft;
  const node = rootOf(group);
  const [base, positions, updates] = node.inputs;
  invariant(base !== undefined && positions !== undefined && updates !== undefined, "scatter takes three operands");
  const [target, ...copies] = targetsOf(node, context);
  const axis = Number(node.attrs["axis"]);
  const { lowering } = opDef(node.op);
  const along = lowering.class === "scatter" && lowering.along;
  const rank = positions.type.shape.length;
  // Axis k of the result is axis k of the updates up to the scattered one, and moved by the index's rank behind it.
  const updateAxisOf = (k: number): number => (along || k < axis ? k : k + rank - 1);
  const free = axesWhere(
    node.type.shape,
    (extent, k) => k !== axis && extent > 1 && updates.type.shape[updateAxisOf(k)] === extent,
  );
  const tasks = overIndependentRows(draft, context, free, node.type.shape, (scope, fixed) => {
    overShape(draft, node.type.shape, fixed, scope, (body, index) => {
      body.add(writer.store(target, writer.offset(target, index), values.at(base, index, body)));
    });
    const fixedUpdate = new Map([...fixed].map(([k, i]) => [updateAxisOf(k), i]));
    overShape(draft, updates.type.shape, fixedUpdate, scope, (body, index) => {
      const indexPlace = along ? index : index.slice(axis, axis + rank);
      const raw = cast(values.at(positions, indexPlace, body), "i64");
      const position = values.checked(raw, at(node.type.shape, axis), body);
      const place = along
        ? index.map((i, k) => (k === axis ? position : i))
        : [...index.slice(0, axis), position, ...index.slice(axis + rank)];
      const offset = writer.offset(target, place);
      const value = values.at(updates, index, body);
      body.add(writer.store(target, offset, scalar("add", cast(writer.load(target, offset), node.type.dtype), value)));
    });
    for (const copy of copies)
      overShape(draft, node.type.shape, fixed, scope, (body, index) => {
        const value = writer.load(target, writer.offset(target, index));
        body.add(writer.store(copy, writer.offset(copy, index), value));
      });
  });
  return finish(draft, tasks, elementCount(updates.type.shape));
}

/** Running sums and products along an axis. */
export function lowerCumulative(group: Group, context: LowerContext): Lowered {
  const draft = draftOf(group, context);
  const { writer, values } = draft;
  const node = rootOf(group);
  const operand = at(node.inputs, 0);
  const { lowering } = opDef(node.op);
  invariant(lowering.class === "cumulative", `${node.op} is not cumulative`);
  const axis = Number(node.attrs["axis"]);
  const extent = at(node.type.shape, axis);
  const reverse = node.attrs["reverse"] === true;
  const free = axesWhere(node.type.shape, (size, k) => k !== axis && size > 1);
  const tasks = overIndependentRows(draft, context, free, node.type.shape, (scope, fixed) => {
    overShape(draft, node.type.shape, new Map([...fixed, [axis, int(0)]]), scope, (inner, index) => {
      const total = writer.mutable(inner, constant(node.type.dtype, lowering.combine === "mul" ? 1 : 0), "total");
      const fill = (body: Scope, step: Expr): void => {
        const i = reverse ? scalar("sub", int(extent - 1), step) : step;
        const here = index.map((j, k) => (k === axis ? i : j));
        const value = values.at(operand, here, body);
        body.add(assign(nameOfVariable(total), scalar(lowering.combine, total, value)));
        for (const target of context.targets(node)) body.add(writer.store(target, writer.offset(target, here), total));
      };
      writer.loop(writer.fresh("i"), int(0), int(extent), fill, inner);
    });
  });
  return finish(draft, tasks, elementCount(node.type.shape));
}

/**
 * Indices in sorted order: each element's rank is the number of elements before it, counted; ties keep their order and
 * NaN counts as larger than every number. Quadratic in the axis, but every row is independent.
 */
export function lowerSort(group: Group, context: LowerContext): Lowered {
  const draft = draftOf(group, context);
  const { writer, values } = draft;
  const node = rootOf(group);
  const operand = at(node.inputs, 0);
  const axis = Number(node.attrs["axis"]);
  const extent = at(node.type.shape, axis);
  const descending = node.attrs["descending"] === true;
  // Elements of a row are ranked independently, but as tasks they would share its cache lines.
  const isGpu = context.machine.gpu !== undefined;
  const free = axesWhere(node.type.shape, (size, k) => (isGpu || k !== axis) && size > 1);
  const before = (x: Expr, y: Expr): Expr => {
    const [low, high] = descending ? [y, x] : [x, y];
    const less = scalar("lt", low, high);
    if (!isFloat(operand.type.dtype)) return less;
    return scalar("or", less, scalar("and", scalar("eq", low, low), scalar("ne", high, high)));
  };
  const tasks = overIndependentRows(draft, context, free, node.type.shape, (scope, fixed) => {
    const own = fixed.get(axis);
    overShape(draft, node.type.shape, new Map([...fixed, [axis, int(0)]]), scope, (inner, index) => {
      const element = (i: Expr, body: Scope): Expr =>
        values.at(
          operand,
          index.map((j, k) => (k === axis ? i : j)),
          body,
        );
      const outer = (body: Scope, i: Expr): void => {
        const mine = element(i, body);
        const rank = writer.mutable(body, int(0), "rank");
        const count = (inside: Scope, j: Expr): void => {
          const other = element(j, inside);
          const tie = scalar("and", scalar("lt", j, i), scalar("not", before(mine, other)));
          const comesFirst = scalar("or", before(other, mine), tie);
          inside.add(branch(comesFirst, [assign(nameOfVariable(rank), scalar("add", rank, int(1)))]));
        };
        writer.loop(writer.fresh("j"), int(0), int(extent), count, body);
        // A count below `extent` by construction; said so that whoever reads the loops can tell.
        const slot = writer.bind(body, scalar("max", scalar("min", rank, int(extent - 1)), int(0)), "slot");
        const place = index.map((j, k) => (k === axis ? slot : j));
        for (const target of context.targets(node)) body.add(writer.store(target, writer.offset(target, place), i));
      };
      if (own === undefined) writer.loop(writer.fresh("i"), int(0), int(extent), outer, inner);
      else outer(inner, own);
    });
  });
  return finish(draft, tasks, elementCount(node.type.shape) * extent);
}
