/** What lowering a group gives: a kernel without a name, and what the planner must know about it. */
import type { Node } from "../../ir/graph.ts";
import type { BufferParam, Expr, Stmt } from "../../ir/loop/loop.ts";
import { partsOf } from "../../ir/loop/walk.ts";
import type { Machine } from "../../ir/machine.ts";
import { slackElements, type Buffer } from "../memory/buffer.ts";
import type { Group, Store } from "../schedule/group.ts";
import { KernelWriter, Scope, type Access } from "./kernel-writer.ts";
import type { TaskAxis } from "./tasks.ts";
import { Values, type Places } from "./values.ts";

/** A kernel's content, its buffers in call order, and how it touches them. */
export type Lowered = {
  readonly params: readonly BufferParam[];
  readonly body: readonly Stmt[];
  readonly tasks: TaskAxis;
  readonly flops: number;
  readonly buffers: readonly Buffer[];
  readonly accesses: readonly Access[];
  /** Row variables of the accesses and how many rows each stands for. */
  readonly rows: ReadonlyMap<string, number>;
  /** Ranges of the variables in the accesses. */
  readonly ranges: KernelWriter["ranges"];
};

/** What the schedules are given besides a group. */
export type LowerContext = {
  readonly places: Places;
  /** Buffers that a value of the group is written to; empty if it only lives inside the kernel. */
  readonly targets: (node: Node) => readonly Buffer[];
  readonly machine: Machine;
};

/** A kernel under construction for a group. */
export type Draft = {
  readonly writer: KernelWriter;
  readonly values: Values;
  readonly root: Scope;
};

/** Starts a kernel for a group, which computes the group's own values unless it only copies them. */
export function draftOf(group: Group, context: LowerContext, copies = false): Draft {
  // Schedules for GPUs read whole vectors only where there are any.
  const writer = new KernelWriter(context.machine.gpu === undefined ? slackElements : 0);
  const own = [...group.heavy, ...group.stores.map(({ node }) => node)];
  const computed = new Set<Node>(copies ? [] : own);
  return { writer, values: new Values(writer, context.places, computed), root: new Scope() };
}

/** Finishes a kernel. */
export function finish(draft: Draft, tasks: TaskAxis, flops: number): Lowered {
  const { writer, root } = draft;
  return {
    params: writer.params(),
    body: root.statements,
    tasks,
    flops,
    buffers: writer.buffers,
    accesses: writer.accesses,
    rows: writer.rows,
    ranges: writer.ranges,
  };
}

/** A value to be written, at an index of its own. */
export type Pending = { readonly node: Node; readonly index: readonly Expr[] };

/** The index of a store's value at a point of the group's iteration space. */
export function storeIndex(store: Store, point: readonly Expr[]): Expr[] {
  return store.order.map((axis) => {
    const i = point[axis];
    if (i === undefined) throw new RangeError(`no axis ${axis}`);
    return i;
  });
}

/**
 * Writes values at one point. All are computed before any is written: a kernel may overwrite in place what it reads.
 */
export function writeAll(draft: Draft, context: LowerContext, pending: readonly Pending[], scope: Scope): void {
  const { writer, values } = draft;
  const computed = pending.map(({ node, index }) => ({ node, index, value: values.at(node, index, scope) }));
  for (const { node, index, value } of computed)
    for (const buffer of context.targets(node)) scope.add(writer.store(buffer, writer.offset(buffer, index), value));
}

/** Whether an index had to fall back to divisions: a sign that axes were merged that do not lie together. */
export function dividesIndex(lowered: Lowered): boolean {
  return lowered.accesses.some(({ index }) => divides(index));
}

function divides(expr: Expr): boolean {
  return (expr.kind === "scalar" && (expr.op === "div" || expr.op === "mod")) || partsOf(expr).some(divides);
}
