/**
 * State layouts: in which order the axes of each state lie in memory. State is seen from outside only when it is loaded
 * and saved, so it is kept as the products that use it want it: the axis along which a product runs its vectors
 * innermost, so that no step copies a weight. One layout for each state and program; all entries vote, the train entry
 * most. An optimizer's slot lies as its parameter does, since one loop updates both.
 */
import { opDef, type Graph, type Node } from "../../ir/graph.ts";
import { at, rowMajorStrides } from "../../ir/type.ts";
import { orderedStrides } from "../memory/buffer.ts";
import type { StateDecl } from "../trace/traced.ts";
import { chooseVector, contractionOf, placeOperand, type Placed, type Vectors } from "./contraction.ts";
import { exprKey } from "../lower/index-math.ts";
import { axesOf, isInlinable, reach } from "./reach.ts";

/** Memory order of each state's axes, outermost first. */
export type Layouts = ReadonlyMap<string, readonly number[]>;

/** A graph and how much its wishes count. */
export type Voter = { readonly graph: Graph; readonly weight: number };

/** Whether a node is a product. */
export function isProduct(node: Node): boolean {
  const { class: loweringClass } = opDef(node.op).lowering;
  return loweringClass === "dot" || loweringClass === "conv";
}

/** Whether a node has a place before any scheduling: it is computed by loops of its own or comes from outside. */
export function hasPlace(node: Node): boolean {
  return !isInlinable(node);
}

/** Chooses the layout of every state. */
export function chooseLayouts(voters: readonly Voter[], states: readonly StateDecl[], vectors: Vectors): Layouts {
  const layouts = new Map<string, readonly number[]>();
  const uses = collectUses(voters);
  for (const state of states) {
    const identity = state.shape.map((_, axis) => axis);
    const own = uses.get(state.name) ?? [];
    let best = { order: identity, cycles: costOf(own, state, identity, vectors) };
    if (own.length > 0)
      for (const last of identity.slice(0, -1)) {
        const order = [...identity.filter((axis) => axis !== last), last];
        const cycles = costOf(own, state, order, vectors);
        if (cycles < best.cycles) best = { order, cycles };
      }
    layouts.set(state.name, best.order);
  }
  for (const state of states) {
    const parameter = state.role === "slot" ? parameterOf(state, states) : undefined;
    const order = parameter === undefined ? undefined : layouts.get(parameter.name);
    if (order !== undefined) layouts.set(state.name, order);
  }
  return layouts;
}

/** The parameter a slot belongs to, by its name `<optimizer>.<slot>.<parameter>` and its shape. */
function parameterOf(slot: StateDecl, states: readonly StateDecl[]): StateDecl | undefined {
  return states
    .filter(
      ({ name, role, shape }) =>
        role === "parameter" && slot.name.endsWith(`.${name}`) && shape.join() === slot.shape.join(),
    )
    .toSorted((a, b) => b.name.length - a.name.length)[0];
}

/** A product that reads or writes a state. */
type Use = { readonly node: Node; readonly weight: number; readonly written: readonly number[] | undefined };

function collectUses(voters: readonly Voter[]): ReadonlyMap<string, readonly Use[]> {
  const uses = new Map<string, Use[]>();
  const note = (state: string, use: Use): void => {
    const list = uses.get(state) ?? [];
    uses.set(state, [...list, use]);
  };
  for (const { graph, weight } of voters) {
    for (const node of graph.nodes) {
      if (!isProduct(node)) continue;
      for (const { place } of operandsOf(node))
        if (place.op === "read") note(String(place.attrs["state"]), { node, weight, written: undefined });
    }
    for (const { state, product, axes } of writtenProducts(graph))
      note(state, { node: product, weight, written: axes });
  }
  return uses;
}

/** The places of a product's operands. */
export function operandsOf(node: Node): [Placed, Placed] {
  const c = contractionOf(node);
  return [
    placeOperand(at(node.inputs, 0), c.lhsIndex, c.ranges, hasPlace),
    placeOperand(at(node.inputs, 1), c.rhsIndex, c.ranges, hasPlace),
  ];
}

/** A product whose result a state write reads element by element: its axis k is axis `axes[k]` of the state. */
export type WrittenProduct = { readonly state: string; readonly product: Node; readonly axes: readonly number[] };

/** All of them in a graph. */
export function writtenProducts(graph: Graph): readonly WrittenProduct[] {
  return graph.writes.flatMap(({ state, value }) => {
    const { variables, ranges } = axesOf(value.type.shape);
    const read = hasPlace(value) ? [{ node: value, index: variables }] : reach(value, variables, ranges, hasPlace);
    return read.flatMap(({ node, index }) => {
      if (!isProduct(node) || index.length !== variables.length) return [];
      const axes = index.map((i) => variables.findIndex((variable) => exprKey(variable) === exprKey(i)));
      return axes.includes(-1) ? [] : [{ state, product: node, axes }];
    });
  });
}

/** Predicted cycles of all uses of a state if its axes lay in `order`. */
function costOf(uses: readonly Use[], state: StateDecl, order: readonly number[], vectors: Vectors): number {
  const strides = orderedStrides(state.shape, order);
  const stridesOf = (place: Node): readonly number[] =>
    place.op === "read" && place.attrs["state"] === state.name ? strides : rowMajorStrides(place.type.shape);
  return uses.reduce((total, { node, weight, written }) => {
    const [lhs, rhs] = operandsOf(node);
    const c = contractionOf(node);
    const choice = chooseVector(
      c,
      {
        lhs,
        rhs,
        lhsStrides: stridesOf(lhs.place),
        rhsStrides: stridesOf(rhs.place),
        outStrides: written === undefined ? rowMajorStrides(node.type.shape) : written.map((axis) => at(strides, axis)),
      },
      vectors,
    );
    return total + weight * (choice?.cycles ?? 0);
  }, 0);
}
