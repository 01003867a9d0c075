/**
 * The schedule of an entry: which values have a place in memory, and which kernel computes what. Takes the graph after
 * the passes; gives the graph with the copies that products need, the fusion groups, and for each product its vector
 * axis. Costs decide: a value computed in several kernels is kept when computing it again is dearer than a round trip to
 * memory.
 */
import { opDef, type Graph, type Node } from "../../ir/graph.ts";
import type { Machine } from "../../ir/machine.ts";
import type { ScalarOp } from "../../ir/loop/scalar.ts";
import { nameLeafResults } from "../passes/map-graph.ts";
import { arrangeOperands, type Arranged } from "./arrange.ts";
import { formGroups, isBoundary, type Group, type Grouping } from "./group.ts";
import { overfullGroups } from "./limit-bindings.ts";
import { splitReductions } from "./split-reduction.ts";
import { isElementwise, isHeavy, isInlinable } from "./reach.ts";

/** A scheduled graph. */
export type Schedule = {
  readonly graph: Graph;
  readonly grouping: Grouping;
  readonly vector: Arranged["vector"];
  /** Values that must be in memory: the stored ones, and the heavy ones that other kernels read. */
  readonly placed: ReadonlySet<Node>;
};

/** Estimated cost of scalar operations that are not one instruction, in instructions. */
const operationCost: Readonly<Partial<Record<ScalarOp, number>>> = {
  div: 4,
  sqrt: 4,
  exp: 10,
  expm1: 15,
  log: 15,
  log1p: 15,
  tanh: 15,
  erf: 15,
  erfc: 20,
  pow: 30,
  sin: 15,
  cos: 15,
  tan: 20,
};

/** Instructions above which a value needed by several kernels is kept in memory: about what a store and a load cost. */
const recomputeLimit = 12;

/** Instructions above which the operand of a guarded movement (padding, concat) is kept: inside the guard nothing is shared. */
const guardedLimit = 8;

/** Each round takes a value out of every group that is given too many buffers. */
const mostRounds = 32;

/** Schedules the graph of an entry. `updated`: the states that any entry of the program writes. */
export function scheduleGraph(
  graph: Graph,
  stateStrides: (state: string) => readonly number[],
  machine: Machine,
  updated: ReadonlySet<string>,
): Schedule {
  const named = nameLeafResults(graph);
  // Only cores have caches of their own to keep a part of a state in.
  const prepared = machine.gpu === undefined ? splitReductions(named, stateStrides, machine, updated) : named;
  const arranged = arrangeOperands(prepared, stateStrides, machine);
  const required = new Set(arranged.stored);
  for (const { value } of [...arranged.graph.outputs, ...arranged.graph.writes])
    if (isInlinable(value)) required.add(value);
  for (const node of arranged.graph.nodes) for (const value of operandsToKeep(node)) required.add(value);
  const apart = new Set<Node>();
  let grouping = formGroups(arranged.graph, required);
  for (let round = 0; round < 3; round++) {
    const dear = dearToRepeat(arranged.graph, grouping);
    if (dear.length === 0) break;
    for (const node of dear) required.add(node);
    grouping = formGroups(arranged.graph, required);
  }
  let placed = placedValues(arranged.graph, grouping);
  const limit = machine.gpu?.bindings ?? Infinity;
  for (let round = 0; round < mostRounds; round++) {
    const over = overfullGroups(arranged.graph, grouping, placed, limit);
    if (over === undefined) break;
    for (const node of over.apart) apart.add(node);
    for (const node of over.stored) required.add(node);
    grouping = formGroups(arranged.graph, required, apart);
    placed = placedValues(arranged.graph, grouping);
  }
  return { graph: arranged.graph, grouping, vector: arranged.vector, placed };
}

/** Operands that a node reads many times each, or inside a guard, and which are dear to compute. */
function operandsToKeep(node: Node): Node[] {
  const { lowering } = opDef(node.op);
  switch (lowering.class) {
    case "windowSum":
    case "windowArgmax":
    case "argsort":
      return node.inputs.filter((input) => isInlinable(input) && inlineCost(input) > 1);
    case "movement":
      return node.op === "pad" || node.op === "concat"
        ? node.inputs.filter((input) => isInlinable(input) && inlineCost(input) > guardedLimit)
        : [];
    default:
      return [];
  }
}

function ownCost(node: Node): number {
  const { lowering } = opDef(node.op);
  if (lowering.class === "map") return operationCost[lowering.scalar] ?? 1;
  return isElementwise(node) ? 1 : 0;
}

/** Instructions an element costs when it is computed on the spot, down to values with places of their own. */
function inlineCost(root: Node, isPlace: (node: Node) => boolean = (node) => !isInlinable(node)): number {
  let cost = 0;
  const seen = new Set<Node>();
  const pending = [root];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (seen.has(node) || (node !== root && isPlace(node))) continue;
    seen.add(node);
    cost += ownCost(node);
    if (cost > 1000) return cost;
    pending.push(...node.inputs);
  }
  return cost;
}

/** What each group computes on the spot: nodes without a place, walked from the group's own values. */
function inlinedIn(group: Group, stored: ReadonlySet<Node>): Set<Node> {
  const inlined = new Set<Node>();
  const pending = [...group.heavy, ...group.stores.map(({ node }) => node)].flatMap((node) => node.inputs);
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (inlined.has(node) || isBoundary(stored, node)) continue;
    inlined.add(node);
    pending.push(...node.inputs);
  }
  return inlined;
}

/** Elementwise values that several groups compute and that are dearer than memory; of a chain, only the last. */
function dearToRepeat(graph: Graph, grouping: Grouping): Node[] {
  const groups = new Map<Node, number>();
  const consumers = new Map<Node, Node[]>();
  for (const group of grouping.groups)
    for (const node of inlinedIn(group, grouping.stored)) groups.set(node, (groups.get(node) ?? 0) + 1);
  for (const node of graph.nodes)
    for (const input of node.inputs) consumers.set(input, [...(consumers.get(input) ?? []), node]);
  const isPlace = (node: Node): boolean => isBoundary(grouping.stored, node);
  const dear = new Set<Node>();
  for (const [node, count] of groups)
    if (count > 1 && isElementwise(node) && inlineCost(node, isPlace) >= recomputeLimit) dear.add(node);
  return [...dear].filter((node) => (consumers.get(node) ?? []).some((user) => !dear.has(user)));
}

/** The stored values, and the heavy ones that are read outside their group or are results of the entry. */
function placedValues(graph: Graph, { groups, owner, stored }: Grouping): Set<Node> {
  const placed = new Set<Node>(stored);
  const results = new Set([...graph.outputs, ...graph.writes].map(({ value }) => value));
  for (const node of graph.nodes) if (results.has(node) && isHeavy(node)) placed.add(node);
  for (const group of groups) {
    const reached = new Set<Node>();
    const pending = [...group.heavy, ...group.stores.map(({ node }) => node)].flatMap((node) => node.inputs);
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      if (reached.has(node)) continue;
      reached.add(node);
      if (isHeavy(node)) {
        if (owner.get(node) !== group) placed.add(node);
      } else if (!stored.has(node)) pending.push(...node.inputs);
    }
    for (const node of group.heavy) if (isDraw(node)) placed.add(node);
  }
  return placed;
}

function isDraw(node: Node): boolean {
  return opDef(node.op).lowering.class === "random";
}
