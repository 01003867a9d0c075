/** Graphs as programs that the back of the compiler takes. */
import type { StateDecl, TracedInput, TracedProgram } from "../compiler/trace/traced.ts";
import type { Graph } from "../ir/graph.ts";

/** A graph as a program of one entry, without hyperparameters or counters. */
export function programOf(graph: Graph): TracedProgram {
  const inputs: TracedInput[] = [];
  const states = new Map<string, StateDecl>();
  for (const node of graph.nodes) {
    const { dtype, shape } = node.type;
    if (node.op === "input")
      inputs.push({ kind: "input", name: String(node.attrs["name"]), type: node.type, leaf: node });
    if (node.op === "read") {
      const name = String(node.attrs["state"]);
      states.set(name, { name, role: "parameter", dtype, shape });
    }
  }
  for (const { state, value } of graph.writes)
    if (!states.has(state)) states.set(state, { name: state, role: "parameter", ...value.type });
  return {
    entries: [{ name: "main", batch: 0, graph, inputs, increments: {} }],
    states: [...states.values()],
    init: [],
    hyper: {},
    counters: [],
    training: undefined,
  };
}
