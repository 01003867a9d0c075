/** `defineTraining`: the one object a model file exports. Nothing runs here; the definition is checked and marked. */
import type { DescribedLoader } from "../../ir/data/describe.ts";
import { fail, type SourceLocation } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { captureSource } from "./source.ts";
import type { Tensor } from "./tensor.ts";

/** Marks definitions of every copy of the library. */
export const definitionBrand: unique symbol = Symbol.for("kiln.definition");

/** A batch as a step gets it: one tensor for each field of a sample, `[batch, ...]`. */
export type Batch = readonly [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];

/** Results of a step by name. */
export type Results = Readonly<Record<string, Tensor>>;

/** What a training is: data, what `setup` makes, and the steps. */
export type TrainingOptions<S> = {
  /** Seed of the default generator; 0 by default. */
  readonly seed?: number;
  /** Passes over `train`; 1 by default. */
  readonly epochs?: number;
  /** Loaders by name; `train` is trained on, every other one is evaluated. */
  readonly data: () => Readonly<Record<string, DescribedLoader>>;
  /** Makes modules, optimizers and schedulers, once for all steps. */
  readonly setup: () => S;
  /** One step of training. */
  readonly trainStep: (setup: S, batch: Batch) => Results;
  /** One step over a loader that is evaluated: in evaluation mode, without gradients. */
  readonly evalStep?: (setup: S, batch: Batch) => Results;
  /** What `predict` computes from a batch: in evaluation mode, without gradients. */
  readonly predictStep?: (setup: S, batch: Batch) => Results | Tensor;
  /** How results combine over batches: integers add up, other results are averaged, unless said here. */
  readonly metrics?: Readonly<Record<string, "mean" | "sum">>;
  /** Steps between two log lines; 100 by default. */
  readonly logEvery?: number;
};

/** A checked definition. */
export type TrainingDefinition<S = unknown> = TrainingOptions<S> & {
  readonly [definitionBrand]: true;
  /** The function that made it: tells copies of the library apart. */
  readonly madeBy: unknown;
  /** Where it was made, with the absolute path. */
  readonly place: SourceLocation | undefined;
};

const callbacks = ["data", "setup", "trainStep"] as const;
const optionalCallbacks = ["evalStep", "predictStep"] as const;
const known = [...callbacks, ...optionalCallbacks, "seed", "epochs", "metrics", "logEvery"];

/** Defines a training; export the result as default. */
export function defineTraining<S extends object>(options: TrainingOptions<S>): TrainingDefinition<S> {
  const place = captureSource(undefined);
  const given: Readonly<Record<string, unknown>> = options;
  for (const name of callbacks) {
    if (typeof given[name] !== "function")
      throw fail(messages.badDefinition(name, "a function", typeof given[name]), place);
  }
  for (const name of optionalCallbacks) {
    if (given[name] !== undefined && typeof given[name] !== "function")
      throw fail(messages.badDefinition(name, "a function", typeof given[name]), place);
  }
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) throw fail(messages.unknownDefinitionKey(name, known), place);
  }
  requireWhole("seed", options.seed ?? 0, Number.MIN_SAFE_INTEGER, place);
  requireWhole("epochs", options.epochs ?? 1, 0, place);
  requireWhole("logEvery", options.logEvery ?? 100, 1, place);
  for (const [name, combine] of Object.entries(options.metrics ?? {})) {
    if (combine !== "mean" && combine !== "sum")
      throw fail(messages.badDefinition(`metrics.${name}`, '"mean" or "sum"', String(combine)), place);
  }
  return { ...options, [definitionBrand]: true, madeBy: defineTraining, place };
}

function requireWhole(name: string, value: unknown, least: number, place: SourceLocation | undefined): void {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < least) {
    const expected = least < 0 ? "a whole number" : `a whole number of at least ${least}`;
    throw fail(messages.badDefinition(name, expected, String(value)), place);
  }
}

/** Whether `x` is a definition, of whichever copy of the library. */
export function isDefinition(x: unknown): x is TrainingDefinition {
  return typeof x === "object" && x !== null && definitionBrand in x;
}
