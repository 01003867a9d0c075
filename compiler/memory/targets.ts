/**
 * Where each value of a scheduled entry lies: inputs and data sets in the caller's buffers, states in the state region in
 * their layout, results in the caller's outputs, and everything else in the arena. A new state is written over the old
 * one where every reader of the old value can come first; else into the arena, and copied at the end.
 */
import type { HostExpr } from "../../ir/artifact/host-expr.ts";
import { invariant } from "../../ir/diagnostic/diagnostic.ts";
import { opDef, type Node } from "../../ir/graph.ts";
import { datasetType, storedType, type Machine } from "../../ir/machine.ts";
import { at, type DType } from "../../ir/type.ts";
import { exprKey } from "../lower/index-math.ts";
import type { Places } from "../lower/values.ts";
import { arrangedOperands } from "../schedule/arrange.ts";
import type { Group } from "../schedule/group.ts";
import { isProduct } from "../schedule/layout.ts";
import { axesOf, isInlinable, reach } from "../schedule/reach.ts";
import type { Schedule } from "../schedule/schedule.ts";
import { createBuffer, type Buffer } from "./buffer.ts";

/** A value copied to its place after everything that reads what is there now. */
export type LateCopy = { readonly node: Node; readonly target: Buffer };

/** The places of an entry's values. */
export type Targets = {
  readonly places: Places;
  /** Buffers that the group computing a value writes it to. */
  readonly targets: (node: Node) => readonly Buffer[];
  readonly lateCopies: readonly LateCopy[];
  /** For each group, the groups that must come before it because they read what it overwrites. */
  readonly readersFirst: ReadonlyMap<Group, ReadonlySet<Group>>;
  readonly scalars: readonly HostExpr[];
  /** Draws that the host makes, in order, and where it puts them. */
  readonly draws: readonly { readonly node: Node; readonly buffer: Buffer }[];
};

/** Gives every value of a schedule its place. `stateBuffers`: the program's states. */
export function placeValues(schedule: Schedule, stateBuffers: ReadonlyMap<string, Buffer>, machine: Machine): Targets {
  const { graph, grouping, placed } = schedule;
  const targets = new Map<Node, Buffer[]>();
  const lateCopies: LateCopy[] = [];
  const readersFirst = new Map<Group, Set<Group>>();
  const add = (node: Node, buffer: Buffer): void => {
    const list = targets.get(node) ?? [];
    targets.set(node, [...list, buffer]);
  };
  const stateBuffer = (name: string): Buffer => {
    const buffer = stateBuffers.get(name);
    invariant(buffer !== undefined, `unknown state ${name}`);
    return buffer;
  };

  const stored = (dtype: DType): DType => storedType(machine, dtype);
  const draws: { readonly node: Node; readonly buffer: Buffer }[] = [];
  if (machine.random === "host")
    for (const node of graph.nodes) {
      if (!isDraw(node)) continue;
      const buffer = createBuffer("draws", `draw${draws.length}`, stored(node.type.dtype), node.type.shape);
      draws.push({ node, buffer });
      add(node, buffer);
    }

  const readers = readersOf(schedule);
  for (const { state, value } of graph.writes) {
    const target = stateBuffer(state);
    if (value.op === "read" && value.attrs["state"] === state) continue;
    const group = grouping.owner.get(value);
    const before = group === undefined ? undefined : readersBefore(group, state, readers, readersFirst);
    if (group === undefined || before === undefined || isDraw(value)) {
      lateCopies.push({ node: value, target });
      continue;
    }
    const first = readersFirst.get(group) ?? new Set();
    for (const reader of before) first.add(reader);
    readersFirst.set(group, first);
    add(value, target);
  }
  for (const { name, value } of graph.outputs) {
    const buffer = createBuffer("output", name, stored(value.type.dtype), value.type.shape);
    if (grouping.owner.has(value) && !isDraw(value)) add(value, buffer);
    else lateCopies.push({ node: value, target: buffer });
  }
  // A value that others read needs a place that stays: the arena, unless it is already written to a result or state.
  for (const node of placed)
    if (!targets.has(node)) add(node, createBuffer("arena", `%${node.id}`, stored(node.type.dtype), node.type.shape));
  for (const { node } of lateCopies)
    if (grouping.owner.has(node) && !targets.has(node))
      add(node, createBuffer("arena", `%${node.id}`, stored(node.type.dtype), node.type.shape));

  const scalars = scalarsOf(schedule);
  const places = placesOf(targets, stateBuffer, scalars, machine);
  return { draws, places, targets: (node) => targets.get(node) ?? [], lateCopies, readersFirst, scalars };
}

/** The groups that read the old value of each state, with whether they read it only at the element they compute. */
type Readers = ReadonlyMap<string, ReadonlyMap<Group, boolean>>;

function readersOf({ grouping }: Schedule): Readers {
  const readers = new Map<string, Map<Group, boolean>>();
  const isPlace = (node: Node): boolean => grouping.stored.has(node) || !isInlinable(node);
  const note = (node: Node, group: Group, own: boolean): void => {
    if (node.op !== "read") return;
    const state = String(node.attrs["state"]);
    const groups = readers.get(state) ?? new Map<Group, boolean>();
    groups.set(group, own && (groups.get(group) ?? true));
    readers.set(state, groups);
  };
  for (const group of grouping.groups) {
    for (const heavy of group.heavy) {
      if (isProduct(heavy)) for (const { place } of arrangedOperands(heavy, grouping.stored)) note(place, group, false);
      for (const input of heavy.inputs) for (const value of readBy(input, isPlace)) note(value, group, false);
    }
    for (const { node } of group.stores) {
      const { variables, ranges } = axesOf(node.type.shape);
      for (const value of reach(node, variables, ranges, isPlace)) {
        const own =
          value.index.length === variables.length &&
          value.index.every((i, axis) => node.type.shape[axis] === 1 || exprKey(i) === exprKey(at(variables, axis)));
        note(value.node, group, own);
      }
    }
  }
  return readers;
}

/** Values with places that an operand is made of. */
function readBy(operand: Node, isPlace: (node: Node) => boolean): Node[] {
  if (isPlace(operand)) return [operand];
  const { variables, ranges } = axesOf(operand.type.shape);
  return reach(operand, variables, ranges, isPlace).map(({ node }) => node);
}

/** The other readers of a state's old value, if all of them can come before `group`; `undefined` if not. */
function readersBefore(
  group: Group,
  state: string,
  readers: Readers,
  readersFirst: ReadonlyMap<Group, ReadonlySet<Group>>,
): Group[] | undefined {
  const own = readers.get(state) ?? new Map<Group, boolean>();
  if (own.get(group) === false) return undefined;
  const others = [...own.keys()].filter((reader) => reader !== group);
  return others.every((reader) => !comesAfter(reader, group, readersFirst)) ? others : undefined;
}

/** Whether `reader` must run after `group`, by data or by what was decided before. */
function comesAfter(reader: Group, group: Group, readersFirst: ReadonlyMap<Group, ReadonlySet<Group>>): boolean {
  const seen = new Set<Group>([reader]);
  const pending = [reader];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (next === group) return true;
    for (const earlier of [...next.needs, ...(readersFirst.get(next) ?? [])]) {
      if (seen.has(earlier)) continue;
      seen.add(earlier);
      pending.push(earlier);
    }
  }
  return false;
}

/** Draws fill a buffer in row-major order, so they go to a place of their own first. */
function isDraw(node: Node): boolean {
  return opDef(node.op).lowering.class === "random";
}

/** The host scalars of a graph, each formula once. */
function scalarsOf(schedule: Schedule): HostExpr[] {
  const exprs = new Map<string, HostExpr>();
  for (const node of schedule.graph.nodes) {
    const { lowering } = opDef(node.op);
    if (lowering.class !== "leaf" || lowering.source !== "scalar") continue;
    // The op's attribute type says what it holds; generic attributes do not.
    const expr = node.attrs["expr"] as HostExpr;
    exprs.set(JSON.stringify(expr), expr);
  }
  return [...exprs.values()];
}

function placesOf(
  targets: ReadonlyMap<Node, readonly Buffer[]>,
  stateBuffer: (name: string) => Buffer,
  scalars: readonly HostExpr[],
  machine: Machine,
): Places {
  const external = new Map<string, Buffer>();
  const once = (key: string, make: () => Buffer): Buffer => {
    const known = external.get(key) ?? make();
    external.set(key, known);
    return known;
  };
  const slots = new Map(scalars.map((expr, slot) => [JSON.stringify(expr), slot]));
  return {
    buffer: (node) => {
      const { lowering } = opDef(node.op);
      if (lowering.class === "leaf" && lowering.source === "state") return stateBuffer(String(node.attrs["state"]));
      if (lowering.class === "leaf" && lowering.source === "input")
        return once(`input ${String(node.attrs["name"])}`, () =>
          createBuffer("input", String(node.attrs["name"]), storedType(machine, node.type.dtype), node.type.shape),
        );
      return targets.get(node)?.[0];
    },
    dataset: (node) => {
      const field = String(node.attrs["field"]);
      const [batch, ...sample] = node.type.shape;
      return {
        rows: once(`dataset ${field}`, () =>
          createBuffer("dataset", field, datasetType(machine, node.type.dtype), sample),
        ),
        indices: once("indices", () => createBuffer("indices", "indices", "i32", [batch ?? 1])),
      };
    },
    scalars: createBuffer("scalars", "scalars", "f32", [scalars.length]),
    scalarSlot: (expr) => {
      const slot = slots.get(JSON.stringify(expr));
      invariant(slot !== undefined, "a host scalar without a slot");
      return slot;
    },
    generator: createBuffer("generator", "generator", "i32", [630]),
    key: createBuffer("key", "key", "i32", [4]),
    status: createBuffer("status", "status", "i32", [4]),
  };
}
