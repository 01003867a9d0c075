/**
 * Elementwise kernels (`map`), and kernels that compute one heavy value per element by loops of its own (`nest`). The
 * outermost axis in memory is cut into tasks; the others are one flat loop where their values lie together.
 */
import { int, scalar, variable, type Expr } from "../../ir/loop/loop.ts";
import type { Node } from "../../ir/graph.ts";
import type { Buffer } from "../memory/buffer.ts";
import { at, elementCount, type Shape } from "../../ir/type.ts";
import type { Group } from "../schedule/group.ts";
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
import { overItems } from "./gpu/threads.ts";
import { vectorize } from "./gpu/vectorize.ts";
import { Scope } from "./kernel-writer.ts";
import { cut, overRows, type TaskAxis } from "./tasks.ts";

/** Computes the heavy value of a `nest` group at a point, into a local of the draft. */
export type PointBuilder = (draft: Draft, point: readonly Expr[], scope: Scope) => void;

/** Lowers an elementwise group. */
export function lowerMap(group: Group, context: LowerContext): Lowered {
  const flat = lowerPoints(group, context, { flat: true, vector: true });
  return context.machine.gpu === undefined && dividesIndex(flat)
    ? lowerPoints(group, context, { flat: false, vector: true })
    : flat;
}

/** Lowers a group whose heavy value is computed point by point. */
export function lowerNest(group: Group, context: LowerContext, build: PointBuilder): Lowered {
  return lowerPoints(group, context, { flat: false, vector: false, build });
}

/** A kernel that copies a value to another buffer. */
export function lowerCopy(node: Node, target: Buffer, context: LowerContext): Lowered {
  const { shape } = node.type;
  const group: Group = {
    id: -1,
    kind: "map",
    shape,
    axes: [],
    heavy: [],
    stores: [{ node, level: "full", order: shape.map((_, axis) => axis) }],
    needs: new Set(),
  };
  const toTarget: LowerContext = { ...context, targets: (value) => (value === node ? [target] : []) };
  const flat = lowerPoints(group, toTarget, { flat: true, vector: true, copies: true });
  return context.machine.gpu === undefined && dividesIndex(flat)
    ? lowerPoints(group, toTarget, { flat: false, vector: true, copies: true })
    : flat;
}

type PointOptions = {
  readonly flat: boolean;
  readonly vector: boolean;
  readonly build?: PointBuilder;
  readonly copies?: boolean;
};

function lowerPoints(group: Group, context: LowerContext, options: PointOptions): Lowered {
  if (context.machine.gpu !== undefined) return lowerPointsOnThreads(group, context, options);
  const draft = draftOf(group, context, options.copies);
  const { writer, root } = draft;
  const order = memoryOrder(group, context);
  const [rowAxis, ...inner] = order;
  const point: Expr[] = group.shape.map(() => int(0));
  const emit = (scope: Scope): void => emitPoint(draft, group, context, point, options, scope);
  const tasks: TaskAxis = rowAxis === undefined ? { extent: 1, tasks: 1 } : cut(at(group.shape, rowAxis));
  const innermostRow = inner.every((axis) => group.shape[axis] === 1);
  overRows(
    writer,
    tasks,
    root,
    (scope, row) => {
      if (rowAxis !== undefined) point[rowAxis] = row;
      if (innermostRow) emit(scope);
      else if (options.flat) flatLoop(draft, group, inner, point, options.vector, scope, emit);
      else nestedLoops(draft, group, inner, point, options.vector, scope, emit);
    },
    options.vector && innermostRow,
  );
  return finish(draft, tasks, elementCount(group.shape) * Math.max(1, group.stores.length));
}

/** Computes what a group has at a point. */
function emitPoint(
  draft: Draft,
  group: Group,
  context: LowerContext,
  point: readonly Expr[],
  { build }: PointOptions,
  scope: Scope,
): void {
  build?.(draft, point, scope);
  const pending = [
    ...group.heavy.map((node) => ({ node, index: point })),
    ...group.stores.map((store) => ({ node: store.node, index: storeIndex(store, point) })),
  ].filter(({ node }) => context.targets(node).length > 0);
  writeAll(draft, context, pending, scope);
}

/** One element a thread, or as many neighbours as a vector has where they are many and come out even. */
function lowerPointsOnThreads(group: Group, context: LowerContext, options: PointOptions): Lowered {
  const draft = draftOf(group, context, options.copies);
  const { writer } = draft;
  const { lanes } = context.machine;
  const order = memoryOrder(group, context).filter((axis) => at(group.shape, axis) > 1);
  const innermost = order.at(-1);
  const count = elementCount(group.shape);
  const isWide = innermost !== undefined && options.vector && at(group.shape, innermost) % lanes === 0;
  const width = isWide && count >= lanes * fewestVectors ? lanes : 1;
  const tasks = overItems(draft, count / width, (scope, item) => {
    const point = pointOf(group.shape, order, item, width);
    if (width === 1 || innermost === undefined) {
      emitPoint(draft, group, context, point, options, scope);
      return;
    }
    const name = writer.fresh("j");
    writer.ranges.set(name, { min: 0, max: width - 1 });
    const body = new Scope(scope, true);
    const here = point.map((i, axis) => (axis === innermost ? scalar("add", i, variable(name)) : i));
    emitPoint(draft, group, context, here, options, body);
    scope.add(...vectorize(body.statements, name, width, writer.ranges));
  });
  return finish(draft, tasks, count * Math.max(1, group.stores.length));
}

/** Fewer vectors than this leave threads idle that a vector's lanes would keep busy. */
const fewestVectors = 1024;

/** The indices of item number `item`, `width` neighbours along the innermost axis counting as one. */
function pointOf(shape: Shape, order: readonly number[], item: Expr, width: number): Expr[] {
  const point: Expr[] = shape.map(() => int(0));
  let step = 1;
  for (const axis of order.toReversed()) {
    const inner = axis === order.at(-1);
    const extent = at(shape, axis) / (inner ? width : 1);
    const i = scalar("mod", scalar("div", item, int(step)), int(extent));
    point[axis] = inner ? scalar("mul", i, int(width)) : i;
    step *= extent;
  }
  return point;
}

/** The group's axes from the outermost in memory to the innermost, as its first written buffer has them. */
function memoryOrder(group: Group, context: LowerContext): number[] {
  const axes = group.shape.map((_, axis) => axis);
  for (const store of group.stores) {
    const [buffer] = context.targets(store.node);
    if (buffer === undefined) continue;
    const stride = (axis: number): number => at(buffer.strides, store.order.indexOf(axis));
    return axes.toSorted((a, b) => stride(b) - stride(a) || a - b);
  }
  return axes;
}

function flatLoop(
  draft: Draft,
  group: Group,
  axes: readonly number[],
  point: Expr[],
  vector: boolean,
  scope: Scope,
  emit: (scope: Scope) => void,
): void {
  const { writer } = draft;
  const extents = axes.map((axis) => at(group.shape, axis));
  const total = elementCount(extents);
  const name = writer.fresh("e");
  writer.loop(
    name,
    int(0),
    int(total),
    (body) => {
      let step = total;
      axes.forEach((axis, i) => {
        const extent = at(extents, i);
        step /= extent;
        point[axis] = scalar("mod", scalar("div", variable(name), int(step)), int(extent));
      });
      emit(body);
    },
    scope,
    { mode: vector ? "vector" : "serial" },
  );
}

function nestedLoops(
  draft: Draft,
  group: Group,
  axes: readonly number[],
  point: Expr[],
  vector: boolean,
  scope: Scope,
  emit: (scope: Scope) => void,
): void {
  const [axis, ...rest] = axes;
  if (axis === undefined) {
    emit(scope);
    return;
  }
  const mode = vector && rest.length === 0 ? "vector" : "serial";
  draft.writer.loop(
    draft.writer.fresh("i"),
    int(0),
    int(at(group.shape, axis)),
    (body, i) => {
      point[axis] = i;
      nestedLoops(draft, group, rest, point, vector, body, emit);
    },
    scope,
    { mode },
  );
}
