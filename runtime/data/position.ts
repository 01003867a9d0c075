/**
 * A loader's position as plain JSON data, for checkpoints. Not the order of the samples is kept but what it was drawn
 * from: the generators as they were when the pass began. Only where a user's own sampler made the order, which nothing
 * could make again, the order itself is kept.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { Generator } from "../../ir/random/generator.ts";
import { at } from "../../ir/type.ts";
import type { Plan } from "./pass.ts";
import { nameOf } from "./tensorlike.ts";

/** A position within a pass over a loader. */
export type LoaderState = {
  /** Number of batches of the pass that are done. */
  readonly batches: number;
  /** Number of samples of the pass, to know a foreign position by. */
  readonly samples: number;
  readonly batchSize: number;
  /** States at the start of the pass: the default generator's, then the loader's and its samplers' own. Base64. */
  readonly generators: readonly string[];
  /** Sample numbers of the pass, and the end of each batch: only where a user's own sampler gave them. Base64. */
  readonly order?: string;
  readonly ends?: string;
};

/** By what a foreign position is known; 0 stands for what is not known. */
export type PassSize = { readonly samples: number; readonly batchSize: number };

/** Numbers as base64 of their little-endian bytes. */
function encode(words: Uint32Array | Int32Array): string {
  const bytes = Buffer.alloc(words.length * 4);
  words.forEach((word, i) => bytes.writeInt32LE(word | 0, i * 4));
  return bytes.toString("base64");
}

/** The numbers that `encode` made a text of. @throws UserError K2033 if it is none. */
function decode(text: unknown, what: string): Int32Array {
  if (typeof text !== "string") throw fail(messages.badLoaderState(`${what} in base64`, nameOf(text)));
  const bytes = Buffer.from(text, "base64");
  if (bytes.length % 4 !== 0 || bytes.toString("base64") !== text)
    throw fail(messages.badLoaderState(`${what} in base64`, "other text"));
  return Int32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readInt32LE(i * 4));
}

/** The position after `batches` batches of a pass that began with `generators`. `made` is kept if it is given. */
export function saveLoaderState(
  batches: number,
  expected: PassSize,
  generators: readonly Uint32Array[],
  made: Plan | undefined,
): LoaderState {
  return {
    batches,
    ...expected,
    generators: generators.map(encode),
    ...(made === undefined ? {} : { order: encode(made.order) }),
    ...(made?.ends === undefined ? {} : { ends: encode(made.ends) }),
  };
}

/** What `saveLoaderState` was given. */
export type RestoredState = {
  readonly batches: number;
  readonly generators: readonly Uint32Array[];
  /** The order, where it was kept. */
  readonly made: Pick<Plan, "order" | "ends"> | undefined;
};

/**
 * Reads a saved position back.
 *
 * @throws UserError K2033 if it is damaged or belongs to another loader, K3102 if a generator's state is damaged.
 */
export function restoreLoaderState(
  state: LoaderState,
  expected: PassSize & { readonly generators: number; readonly keepsOrder: boolean },
): RestoredState {
  if (typeof state !== "object" || state === null)
    throw fail(messages.badLoaderState("a position that `state` gave", nameOf(state)));
  for (const key of ["samples", "batchSize"] as const)
    if (state[key] !== expected[key])
      throw fail(messages.badLoaderState(`${key} ${expected[key]}`, `${key} ${nameOf(state[key])}`));
  if ((state.order !== undefined) !== expected.keepsOrder)
    throw fail(messages.badLoaderState(`${expected.keepsOrder ? "an" : "no"} order of its own`, "the other"));
  if (!Number.isSafeInteger(state.batches) || state.batches < 0)
    throw fail(messages.badLoaderState("a number of batches", nameOf(state.batches)));
  if (!Array.isArray(state.generators) || state.generators.length !== expected.generators)
    throw fail(messages.badLoaderState(`${expected.generators} generators`, nameOf(state.generators)));
  const generators = state.generators.map((text) => new Uint32Array(decode(text, "a generator")));
  const checked = new Generator();
  for (const words of generators) checked.restore(words); // throws for a damaged state before anything is changed
  const order = state.order === undefined ? undefined : decode(state.order, "an order");
  const ends = state.ends === undefined ? undefined : decode(state.ends, "the ends of batches");
  if (ends !== undefined) checkEnds(ends, order?.length ?? 0);
  return { batches: state.batches, generators, made: order === undefined ? undefined : { order, ends } };
}

/** Throws unless `ends` rise to `length`. */
function checkEnds(ends: Int32Array, length: number): void {
  for (let i = 0, before = 0; i < ends.length; before = at(ends, i++))
    if (at(ends, i) < before || at(ends, i) > length)
      throw fail(messages.badLoaderState("batches one after the other", `a batch that ends at ${at(ends, i)}`));
}
