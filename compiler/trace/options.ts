/**
 * Options objects of layers, losses, optimizers and schedulers. Model files run with their types blanked and unchecked, so a
 * mistyped option would be lost without a word: here it is an error at the user's line.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { currentTrace } from "./trace.ts";

/** `options`, unchanged, which must be an object with no other properties than `known`. @throws UserError K1603. */
export function checkOptions<T extends object>(owner: string, options: T, known: readonly string[]): T {
  const given: unknown = options;
  const isObject = typeof given === "object" && given !== null && !Array.isArray(given);
  const unknown = isObject ? Object.keys(given).find((key) => !known.includes(key)) : undefined;
  if (isObject && unknown === undefined) return options;
  const got = unknown === undefined ? (Array.isArray(given) ? "an array" : String(given)) : `\`${unknown}\``;
  throw fail(messages.unknownLayerOption(owner, known, got), currentTrace(owner).here());
}

/** The options that are given: those that are `undefined` leave the default in place. */
export function givenOptions<T extends object>(options: T): Partial<T> {
  // Entries of a T are some of the entries of a T.
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}
