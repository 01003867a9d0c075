/**
 * Fusion: which values are computed together in one kernel. Takes a graph and the set of values that must have a place in
 * memory; gives groups in program order. A group has one root class. Heavy ops (reductions, products, windows, draws …)
 * root a group; a stored elementwise value joins the group of the last heavy value it reads at its own index (an
 * epilogue), else it becomes a map group of its own. A join is refused when something the value reads comes from a group
 * that itself waits for the group it would join.
 */
import { opDef, type Graph, type Node } from "../../ir/graph.ts";
import type { Expr } from "../../ir/loop/loop.ts";
import { at, byteLength, sameShape, type Shape } from "../../ir/type.ts";
import { exprKey } from "../lower/index-math.ts";
import { axesOf, isHeavy, isInlinable, reach, type Reached } from "./reach.ts";

/** How a group's kernel is built; `compiler/lower` has one schedule for each. */
export type GroupKind = "map" | "row" | "contract" | "nest" | "scatter" | "sort" | "cumulative" | "random";

/**
 * A value a group writes to memory. `order`: axis j of the value runs along axis `order[j]` of the group's shape.
 * `level` is `row` for a value with one element per row of a `row` group (its axes are the group's kept axes).
 */
export type Store = { readonly node: Node; readonly level: "full" | "row"; readonly order: readonly number[] };

/** Values computed by one kernel. */
export type Group = {
  readonly id: number;
  readonly kind: GroupKind;
  /** Shape of the iteration space: of a row group's operands, else of the root's result. */
  readonly shape: Shape;
  /** Axes a row group reduces over; empty for other kinds. */
  readonly axes: readonly number[];
  /** Heavy nodes computed in the group, in program order. */
  readonly heavy: Node[];
  /** Elementwise values written to memory, in program order. */
  readonly stores: Store[];
  /** Groups whose results this one reads. */
  readonly needs: Set<Group>;
};

/** The groups of a graph, and who computes what. */
export type Grouping = {
  readonly groups: readonly Group[];
  /** The group that computes each heavy or stored node. */
  readonly owner: ReadonlyMap<Node, Group>;
  /** Elementwise and moved values with a place in memory: those that were required, and those that fusion found cheaper to keep. */
  readonly stored: ReadonlySet<Node>;
};

/** Axes of a row group that are not reduced. */
export function keptAxes(group: Pick<Group, "shape" | "axes">): number[] {
  return group.shape.map((_, axis) => axis).filter((axis) => !group.axes.includes(axis));
}

/**
 * Partitions the heavy nodes of a graph and the `required` stored ones into groups. Values in `apart` join none that there
 * is.
 */
export function formGroups(graph: Graph, required: ReadonlySet<Node>, apart: ReadonlySet<Node> = new Set()): Grouping {
  const state: State = { groups: [], owner: new Map(), stored: new Set(required), rowReaders: new Map(), apart };
  for (const node of graph.nodes) {
    if (isReduction(node)) placeReduction(state, node);
    else if (isHeavy(node)) newGroup(state, node);
    else if (state.stored.has(node) && !state.owner.has(node)) placeStored(state, node);
  }
  return { groups: state.groups, owner: state.owner, stored: state.stored };
}

type State = {
  readonly groups: Group[];
  readonly owner: Map<Node, Group>;
  readonly stored: Set<Node>;
  /** The row groups that read a value, so that reductions of the same value meet. */
  readonly rowReaders: Map<Node, Set<Group>>;
  readonly apart: ReadonlySet<Node>;
};

function isReduction(node: Node): boolean {
  const { class: loweringClass } = opDef(node.op).lowering;
  return loweringClass === "reduce" || loweringClass === "argreduce";
}

/** The axes a reduction removes. */
export function reducedAxes(node: Node): readonly number[] {
  const { axes, axis } = node.attrs;
  return Array.isArray(axes) ? axes.map(Number) : [Number(axis)];
}

/** A boundary: a value with a place of its own. */
export function isBoundary(stored: ReadonlySet<Node>, node: Node): boolean {
  return stored.has(node) || !isInlinable(node);
}

/** What a heavy node or stored value reads, at the loop variables of `shape`. */
function reads(state: State, root: Node, shape: Shape): readonly Reached[] {
  const { variables, ranges } = axesOf(shape);
  return reach(root, variables, ranges, (node) => isBoundary(state.stored, node));
}

function kindOf(node: Node): GroupKind {
  const { class: loweringClass } = opDef(node.op).lowering;
  switch (loweringClass) {
    case "reduce":
    case "argreduce":
      return "row";
    case "dot":
    case "conv":
      return "contract";
    case "windowSum":
    case "windowArgmax":
      return "nest";
    case "scatter":
      return "scatter";
    case "argsort":
      return "sort";
    case "cumulative":
      return "cumulative";
    case "random":
      return "random";
    default:
      return "map";
  }
}

function newGroup(state: State, root: Node): Group {
  const kind = kindOf(root);
  const operand = kind === "row" ? at(root.inputs, 0) : root;
  const group: Group = {
    id: state.groups.length,
    kind,
    shape: operand.type.shape,
    axes: kind === "row" ? reducedAxes(root) : [],
    heavy: isHeavy(root) ? [root] : [],
    stores: [],
    needs: new Set(),
  };
  state.groups.push(group);
  state.owner.set(root, group);
  for (const input of isHeavy(root) ? root.inputs : [root]) addNeeds(state, group, input);
  return group;
}

/** Notes the groups that computing `root` waits for. */
function addNeeds(state: State, group: Group, root: Node): void {
  const isOwn = isBoundary(state.stored, root) && state.owner.get(root) !== group;
  const read = isOwn ? [{ node: root }] : reads(state, root, root.type.shape);
  for (const { node } of read) {
    const owner = state.owner.get(node);
    if (owner !== undefined && owner !== group) group.needs.add(owner);
  }
}

/** Whether `group` waits, directly or not, for `target`. */
function waitsFor(group: Group, target: Group): boolean {
  const seen = new Set<Group>([group]);
  const pending = [group];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (next === target) return true;
    for (const needed of next.needs) {
      if (seen.has(needed)) continue;
      seen.add(needed);
      pending.push(needed);
    }
  }
  return false;
}

/** A reduction joins the row group it reads row by row, or one that reduces the same values; else it roots its own. */
function placeReduction(state: State, node: Node): void {
  const operand = at(node.inputs, 0);
  const axes = reducedAxes(node);
  const fits = (group: Group): boolean =>
    group.kind === "row" && sameShape(group.shape, operand.type.shape) && sameShape(group.axes, axes);
  const read = operandReads(state, operand);
  const hosts = [
    ...hostsOf(state, read),
    ...read.flatMap(({ node: value }) => [...(state.rowReaders.get(value) ?? [])]),
  ];
  const host = deepestFirst(hosts).find(
    (group) =>
      !state.apart.has(node) && fits(group) && mayJoin(state, group, read) && readsOwnRow(state, group, operand, read),
  );
  if (host === undefined) {
    keepOperand(state, operand, read);
    noteRowReader(state, newGroup(state, node), operandReads(state, operand));
    return;
  }
  host.heavy.push(node);
  state.owner.set(node, host);
  addNeeds(state, host, operand);
  noteRowReader(state, host, read);
}

/** What a reduction reads of its operand: the operand itself if it has a place, else what it is computed from. */
function operandReads(state: State, operand: Node): readonly Reached[] {
  return isBoundary(state.stored, operand)
    ? [{ node: operand, index: axesOf(operand.type.shape).variables }]
    : reads(state, operand, operand.type.shape);
}

function noteRowReader(state: State, group: Group, read: readonly Reached[]): void {
  for (const { node } of read) {
    const readers = state.rowReaders.get(node) ?? new Set();
    state.rowReaders.set(node, readers.add(group));
  }
}

function hostsOf(state: State, read: readonly Reached[]): Group[] {
  return read.flatMap(({ node }) => state.owner.get(node) ?? []);
}

/**
 * Groups in the order in which a value would rather join them: the one that waits for the longest chain of others first,
 * since that chain does not grow by what the value adds; among equals the latest.
 */
function deepestFirst(groups: readonly Group[]): Group[] {
  const depths = new Map<Group, number>();
  return [...new Set(groups)].toSorted((a, b) => depthOf(b, depths) - depthOf(a, depths) || b.id - a.id);
}

/** Length of the longest chain of groups that a group waits for. */
function depthOf(group: Group, known: Map<Group, number>): number {
  const before = known.get(group);
  if (before !== undefined) return before;
  let depth = 0;
  for (const needed of group.needs) depth = Math.max(depth, depthOf(needed, known) + 1);
  known.set(group, depth);
  return depth;
}

function readsOwnRow(state: State, host: Group, operand: Node, read: readonly Reached[]): boolean {
  const asStore: Store = { node: operand, level: "full", order: operand.type.shape.map((_, axis) => axis) };
  return read.filter(({ node }) => state.owner.get(node) === host).every((value) => isOwnIndex(host, asStore, value));
}

/**
 * Keeps a reduction's operand in memory where a group that computes what it is made of can write it, and that moves
 * fewer bytes than reading the parts again: the losses of a batch, for one, are written by the kernel that has the
 * rows' sums, and their mean reads only them.
 */
function keepOperand(state: State, operand: Node, read: readonly Reached[]): void {
  if (isBoundary(state.stored, operand) || state.apart.has(operand)) return;
  for (const host of deepestFirst(hostsOf(state, read))) {
    const own = read.filter(({ node }) => state.owner.get(node) === host);
    const parts = own.reduce((bytes, { node }) => bytes + byteLength(node.type), 0);
    if (parts < 2 * byteLength(operand.type)) continue;
    if (storeIn(state, host, operand, read) === undefined || !mayJoin(state, host, read)) continue;
    state.stored.add(operand);
    placeStored(state, operand);
    return;
  }
}

function placeStored(state: State, node: Node): void {
  const shape = node.type.shape;
  const read = reads(state, node, shape);
  for (const host of state.apart.has(node) ? [] : deepestFirst(hostsOf(state, read))) {
    const store = storeIn(state, host, node, read);
    if (store === undefined || !mayJoin(state, host, read)) continue;
    host.stores.push(store);
    state.owner.set(node, host);
    addNeeds(state, host, node);
    return;
  }
  const group = newGroup(state, node);
  group.stores.push({ node, level: "full", order: shape.map((_, axis) => axis) });
}

/** Whether `host` may compute a value with these reads: every read of its own is at its own index, no other waits for it. */
function mayJoin(state: State, host: Group, read: readonly Reached[]): boolean {
  if (host.kind !== "map" && host.kind !== "row" && host.kind !== "contract" && host.kind !== "nest") return false;
  return read.every(({ node }) => {
    const owner = state.owner.get(node);
    return owner === undefined || owner === host || !waitsFor(owner, host);
  });
}

/** How `node` would be stored by `host`, if each value of the host that it reads is read at its own index. */
function storeIn(state: State, host: Group, node: Node, read: readonly Reached[]): Store | undefined {
  const own = read.filter(({ node: value }) => state.owner.get(value) === host);
  const candidates = host.kind === "row" ? rowStores(host, node) : permutedStores(host, node, own);
  return candidates.find((store) => own.every((value) => isOwnIndex(host, store, value)));
}

function rowStores(host: Group, node: Node): Store[] {
  const shape = node.type.shape;
  const kept = keptAxes(host);
  const stores: Store[] = [];
  if (sameShape(shape, host.shape)) stores.push({ node, level: "full", order: shape.map((_, axis) => axis) });
  if (
    sameShape(
      shape,
      kept.map((axis) => at(host.shape, axis)),
    )
  )
    stores.push({ node, level: "row", order: kept });
  return stores;
}

/** The store whose axis order makes the first own value read at its own index. */
function permutedStores(host: Group, node: Node, own: readonly Reached[]): Store[] {
  const [first] = own;
  const { shape } = node.type;
  if (first === undefined || shape.length !== host.shape.length) return [];
  const held = storeOf(host, first.node);
  const order = axesOf(shape).variables.map((axisVariable) => {
    const position = first.index.findIndex((i) => exprKey(i) === exprKey(axisVariable));
    return position < 0 ? -1 : at(held, position);
  });
  // An axis of one element is read at index 0, not at its variable; it may run along any axis of one element.
  const free = held.filter((axis) => !order.includes(axis));
  const completed = order.map((axis) => (axis < 0 ? (free.shift() ?? -1) : axis));
  const fits =
    completed.toSorted((a, b) => a - b).every((axis, i) => axis === i) &&
    completed.every((axis, j) => at(host.shape, axis) === at(shape, j));
  return fits ? [{ node, level: "full", order: completed }] : [];
}

/** The group axes along which a value of the group runs. */
function storeOf(host: Group, node: Node): readonly number[] {
  const store = host.stores.find((candidate) => candidate.node === node);
  if (store !== undefined) return store.order;
  return host.kind === "row" ? keptAxes(host) : host.shape.map((_, axis) => axis);
}

/** Whether a value of the host is read by `store` at exactly the element that the same iteration computes. */
function isOwnIndex(host: Group, store: Store, { node, index }: Reached): boolean {
  const held = storeOf(host, node);
  const { variables } = axesOf(store.node.type.shape);
  const along = new Map<number, Expr>(store.order.map((axis, j) => [axis, at(variables, j)]));
  return (
    index.length === held.length &&
    index.every((i, position) => {
      const axis = at(held, position);
      const expected = along.get(axis);
      return at(host.shape, axis) === 1 || (expected !== undefined && exprKey(i) === exprKey(expected));
    })
  );
}
