/** What a pass is: a name, a line of documentation, and either a function of graphs or rules for the rewriting driver. */
import type { Graph } from "../../ir/graph.ts";
import type { Rule } from "./rewrite.ts";

/** A pass. Both forms give an equal graph, and the same object if there is nothing to do. */
export type Pass = {
  readonly name: string;
  /** One line: what it does and why. */
  readonly doc: string;
} & ({ readonly run: (graph: Graph) => Graph } | { readonly rules: readonly Rule[] });
