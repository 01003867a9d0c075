/**
 * Running passes over the graph of one entry. Each pass takes a graph and gives an equal one, or the same object if it
 * has nothing to do. After each pass that changed something the graph can be verified and dumped; the time of each is
 * noted. The list of passes is in `pipeline.ts`.
 */
import { DiagnosticError, fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { Graph } from "../../ir/graph.ts";
import { verifyGraph } from "../../ir/verify.ts";
import type { Pass } from "./pass.ts";
import { pipeline } from "./pipeline.ts";
import { rewriteGraph } from "./rewrite.ts";

/** What may happen between passes. */
export type PassOptions = {
  /** The passes to run, in order; default: the pipeline. */
  readonly passes?: readonly Pass[];
  /** Whether to verify the graph after each pass that changed it. */
  readonly verify?: boolean;
  /** Given the name and the result of each pass. */
  readonly dump?: (pass: string, graph: Graph) => void;
};

/** What one pass took and did. */
export type PassTiming = {
  readonly pass: string;
  readonly milliseconds: number;
  /** Nodes after it. */
  readonly nodes: number;
  readonly changed: boolean;
};

/** The graph after the passes, and what each took. Throws an `InternalError` that names the pass if one breaks it. */
export function runPasses(
  graph: Graph,
  options: PassOptions = {},
): { readonly graph: Graph; readonly timings: readonly PassTiming[] } {
  const timings: PassTiming[] = [];
  let current = graph;
  for (const pass of options.passes ?? pipeline) {
    const begin = performance.now();
    const next = runPass(pass, current);
    const changed = next !== current;
    timings.push({ pass: pass.name, milliseconds: performance.now() - begin, nodes: next.nodes.length, changed });
    if (changed && options.verify === true) verifyAfter(pass, next);
    options.dump?.(pass.name, next);
    current = next;
  }
  return { graph: current, timings };
}

/** One pass over a graph. */
function runPass(pass: Pass, graph: Graph): Graph {
  return "rules" in pass ? rewriteGraph(graph, pass.rules) : pass.run(graph);
}

function verifyAfter(pass: Pass, graph: Graph): void {
  try {
    verifyGraph(graph);
  } catch (error) {
    const source = error instanceof DiagnosticError ? error.source : undefined;
    throw fail(messages.passBreaksGraph(pass.name, graph.name), source, error);
  }
}
