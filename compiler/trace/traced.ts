/**
 * What the front of the compiler hands to its back: a traced program, as plain data. Every entry is one graph at one
 * batch size; states, their initialisation, hyperparameters and counters are shared by all entries.
 */
import type { LoaderDescription } from "../../ir/data/description.ts";
import type { Graph, Node } from "../../ir/graph.ts";
import type { InitStep } from "../../ir/random/init.ts";
import type { DType, Shape, TensorType } from "../../ir/type.ts";
import type { ManifestMetric, ManifestScheduler } from "../../ir/artifact/manifest.ts";

/** A value that lives between calls, as PyTorch sees it. */
export type StateDecl = {
  /** State-dict key of a parameter or buffer; `<optimizer>.<slot>.<parameter>` for an optimizer's slot. */
  readonly name: string;
  readonly role: "parameter" | "buffer" | "slot";
  readonly dtype: DType;
  readonly shape: Shape;
};

/**
 * A tensor an entry is called with. `feed`: rows of a resident data set picked by the batch's indices; `input`: handed
 * over by the host. `type`: of the whole batch. `leaf`: the node that stands for it.
 */
export type TracedInput = {
  readonly kind: "feed" | "input";
  readonly name: string;
  readonly type: TensorType;
  readonly leaf: Node;
};

/** One entry at one batch size. */
export type TracedEntry = {
  /** `train`, `evaluate`, `evaluate.<loader>` (a loader whose fields differ from the others'), `predict`, or a function's name. */
  readonly name: string;
  /** Batch size; 0 for a plain function. */
  readonly batch: number;
  readonly graph: Graph;
  /** In the order of the batch's fields or the function's arguments. */
  readonly inputs: readonly TracedInput[];
  /** Counters that a call increments, and by how much. */
  readonly increments: Readonly<Record<string, number>>;
};

/** A loader under the name that `data()` gives it. */
export type NamedLoader = { readonly name: string; readonly loader: LoaderDescription };

/** What the trainer needs beyond the entries. */
export type TracedTraining = {
  readonly seed: number;
  readonly epochs: number;
  readonly logEvery: number;
  readonly loaders: readonly NamedLoader[];
  readonly metrics: readonly ManifestMetric[];
  readonly schedulers: readonly ManifestScheduler[];
};

/** A whole program after tracing. */
export type TracedProgram = {
  readonly entries: readonly TracedEntry[];
  readonly states: readonly StateDecl[];
  /** Initial state, in order of the draws. */
  readonly init: readonly InitStep[];
  /** Hyperparameters by name, with their first values. */
  readonly hyper: Readonly<Record<string, number>>;
  readonly counters: readonly string[];
  /** Present for a training definition. */
  readonly training: TracedTraining | undefined;
};
