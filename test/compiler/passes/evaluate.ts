/**
 * What the tests of passes evaluate graphs with: the reference interpreter's nodes, with every result rounded to what
 * its dtype can hold, as a kernel would. (The interpreter itself keeps float64 throughout; here a rule must hold for
 * float32 arithmetic, bit for bit.)
 */
import type { Graph } from "../../../ir/graph.ts";
import { evaluateNode, type Environment } from "../../../ir/interpret.ts";
import type { Elements } from "../../../ir/op.ts";
import { at } from "../../../ir/type.ts";
import { roundElements } from "../../random-numbers.ts";

/** The values of all outputs and writes, in that order. */
export function evaluateRounded(graph: Graph, environment: Environment): readonly Elements[] {
  const values: Elements[] = [];
  for (const node of graph.nodes) {
    const operands = node.inputs.map((input) => at(values, input.id));
    values.push(roundElements(node.type.dtype, evaluateNode(node, operands, environment)));
  }
  return [...graph.outputs, ...graph.writes].map(({ value }) => at(values, value.id));
}

/** How equal two elements must be. */
export type Equality = {
  /** Largest difference, relative to the larger of the two and 0. */
  readonly relative?: number;
  /** Largest difference. */
  readonly absolute?: number;
  /** Whether 0 equals -0. */
  readonly looseZero?: boolean;
};

/** Whether two elements are equal; NaN equals NaN. */
export function sameElement(
  x: number,
  y: number,
  { relative = 0, absolute = 0, looseZero = false }: Equality,
): boolean {
  if (Object.is(x, y)) return true;
  if (x === y) return looseZero;
  return Math.abs(x - y) <= absolute + relative * Math.max(Math.abs(x), Math.abs(y));
}
