/**
 * Graphs that a pattern fits, made from the pattern itself: every op becomes a node, every captured name an input, every
 * constant a `full`. What the pattern leaves open (dtypes, one of several ops, values of constants) is enumerated; what
 * does not type-check is left out.
 */
import type { Pattern } from "../../../compiler/passes/pattern.ts";
import { DiagnosticError } from "../../../ir/diagnostic/diagnostic.ts";
import { createWriter, opDef, type Graph, type GraphWriter, type Node } from "../../../ir/graph.ts";
import { at, isFloat, type DType } from "../../../ir/type.ts";

const dtypesTried: readonly DType[] = ["f32", "i64", "u8", "i8", "bool"];
const floatsTried = [-1, 0.5, 3, -0, Infinity];
const wholesTried = [-1, 0, 3];
const extent = 24;

/** Makes choices by number; each run through takes the next combination. */
type Chooser = <T>(list: readonly T[]) => T;

/** All graphs for a pattern, at most `limit`. */
export function* graphsOfPattern(pattern: Pattern, limit = 4000): Generator<Graph> {
  let digits: number[] = [];
  for (let attempt = 0; attempt < limit; attempt++) {
    const radices: number[] = [];
    const choose: Chooser = (list) => {
      const position = radices.push(list.length) - 1;
      const digit = digits[position] ?? 0;
      digits[position] = digit;
      return at(list, digit);
    };
    const graph = buildGraph(pattern, choose);
    if (graph !== undefined) yield graph;
    digits = digits.slice(0, radices.length);
    let last = digits.length - 1;
    while (last >= 0 && at(digits, last) + 1 >= at(radices, last)) last--;
    if (last < 0) return;
    digits = [...digits.slice(0, last), at(digits, last) + 1];
  }
}

function buildGraph(pattern: Pattern, choose: Chooser): Graph | undefined {
  const writer = createWriter(() => undefined);
  try {
    const root = buildNode(pattern, { writer, choose, named: new Map() });
    return { name: "sample", nodes: writer.nodes, outputs: [{ name: "root", value: root }], writes: [] };
  } catch (error) {
    if (error instanceof DiagnosticError) return undefined;
    throw error;
  }
}

type Building = { readonly writer: GraphWriter; readonly choose: Chooser; readonly named: Map<string, Node> };

function buildNode(pattern: Pattern, building: Building): Node {
  const { writer, choose, named } = building;
  if (pattern.kind === "any") {
    const known = named.get(pattern.name);
    const input = known ?? writer.g.input({ name: pattern.name, dtype: choose(dtypesTried), shape: [extent] });
    named.set(pattern.name, input);
    return input;
  }
  if (pattern.kind === "constant") {
    const dtype = choose(dtypesTried);
    const value = pattern.value ?? choose(isFloat(dtype) ? floatsTried : wholesTried);
    return writer.g.full({ dtype, shape: [extent], value });
  }
  const name = choose(pattern.ops);
  const arity = opDef(name).arity;
  const operands = pattern.operands ?? Array.from({ length: arity === "variadic" ? 2 : arity }, openOperand);
  const inputs = operands.map((operand) => buildNode(operand, building));
  return writer.append(name, inputs, name === "cast" ? { dtype: choose(dtypesTried) } : {});
}

function openOperand(_: unknown, position: number): Pattern {
  return { kind: "any", name: `operand${position}`, when: undefined };
}
