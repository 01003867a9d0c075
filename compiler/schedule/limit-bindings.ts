/**
 * Keeps fusion within the number of buffers that a kernel may be given. Counts what each group reads and writes, and tells
 * what to change where that is too much: which values are not to join other groups, and which, inside an expression that
 * reads too much by itself, must have a place of their own.
 */
import { opDef, type Graph, type Node } from "../../ir/graph.ts";
import { isBoundary, type Group, type Grouping } from "./group.ts";
import { isElementwise, isHeavy, isInlinable } from "./reach.ts";

/** Values that fusion treats otherwise. */
export type Exceptions = {
  /** Values that root groups of their own. */
  readonly apart: ReadonlySet<Node>;
  /** Values that must be in memory. */
  readonly stored: ReadonlySet<Node>;
};

/** What must change for all groups to keep to `limit` buffers; nothing if they do, or nothing helps. */
export function overfullGroups(
  graph: Graph,
  grouping: Grouping,
  placed: ReadonlySet<Node>,
  limit: number,
): Exceptions | undefined {
  const apart = new Set<Node>();
  const stored = new Set<Node>();
  const results = new Map<Node, number>();
  for (const { value } of [...graph.outputs, ...graph.writes]) results.set(value, (results.get(value) ?? 0) + 1);
  const writtenTo = (node: Node): number => Math.max(results.get(node) ?? 0, placed.has(node) ? 1 : 0);
  for (const group of grouping.groups) {
    if (buffersOf(group, grouping, writtenTo) <= limit) continue;
    const own = ownValues(group);
    const last = own.at(-1);
    if (own.length > 1 && last !== undefined) apart.add(last);
    else for (const node of splittingPoint(group, grouping, limit)) stored.add(node);
  }
  return apart.size + stored.size === 0 ? undefined : { apart, stored };
}

function ownValues(group: Group): Node[] {
  return [...group.heavy, ...group.stores.map(({ node }) => node)];
}

/** Number of buffers a group's kernel is given. */
function buffersOf(group: Group, grouping: Grouping, writtenTo: (node: Node) => number): number {
  const own = new Set(ownValues(group));
  const read = new Set<string>();
  const seen = new Set<Node>();
  for (const node of own) for (const input of node.inputs) readFrom(input, { grouping, own, seen, read });
  if ([...own].some(({ op }) => opDef(op).lowering.class === "scatter")) read.add("status");
  const written = [...own].reduce((sum, node) => sum + writtenTo(node), 0);
  return read.size + written;
}

type Reading = {
  readonly grouping: Grouping;
  readonly own: ReadonlySet<Node>;
  readonly seen: Set<Node>;
  readonly read: Set<string>;
};

/** Notes the buffers that computing a value reads. */
function readFrom(node: Node, reading: Reading): void {
  const { grouping, own, seen, read } = reading;
  if (seen.has(node) || own.has(node)) return;
  seen.add(node);
  const { lowering } = opDef(node.op);
  if (lowering.class === "leaf") {
    // Host scalars are bound beside the others.
    if (lowering.source === "feed") read.add(`field ${String(node.attrs["field"])}`);
    else if (lowering.source !== "scalar") read.add(`${node.op} ${String(node.attrs["state"] ?? node.attrs["name"])}`);
    return;
  }
  if (isBoundary(grouping.stored, node)) {
    read.add(String(node.id));
    return;
  }
  if (lowering.class === "gather") read.add("status");
  for (const input of node.inputs) readFrom(input, reading);
}

/** A value inside a group's expression that reads about half of what it reads, or, without one, its largest operands. */
function splittingPoint(group: Group, grouping: Grouping, limit: number): Node[] {
  const own = new Set(ownValues(group));
  const inner = new Set<Node>();
  const pending = [...own].flatMap(({ inputs }) => inputs);
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (inner.has(node) || own.has(node) || isBoundary(grouping.stored, node) || isHeavy(node)) continue;
    inner.add(node);
    pending.push(...node.inputs);
  }
  const counted = [...inner]
    .filter((node) => isInlinable(node) && (isElementwise(node) || opDef(node.op).lowering.class === "movement"))
    .map((node) => {
      const read = new Set<string>();
      readFrom(node, { grouping, own, seen: new Set(), read });
      return { node, count: read.size };
    })
    .filter(({ count }) => count > 1 && count < limit);
  const [most] = counted.toSorted((a, b) => b.count - a.count || a.node.id - b.node.id);
  return most === undefined ? [] : [most.node];
}
