/**
 * The two keys under which a tensor carries what it stands for. Symbols, so that a user's editor does not offer them,
 * and so that code that works on tensors needs the class as a type only.
 */
import type { Node } from "../../ir/graph.ts";
import { currentTrace, type Origin } from "./trace.ts";

/** What a tensor stands for: a node of a trace or a state. */
export const origin: unique symbol = Symbol("kiln.origin");

/** Makes another tensor of the current trace, of the same class library. */
export const make: unique symbol = Symbol("kiln.make");

/** Every tensor carries this, whichever copy of the library made it. */
export const brand: unique symbol = Symbol.for("kiln.tensor");

/** Anything that carries a tensor's origin. */
export type Handle = { readonly [origin]: Origin };

/** The node of the current trace that a tensor stands for. `what`: the op, for the error outside a trace. */
export function nodeOf(x: Handle, what?: string): Node {
  return currentTrace(what).resolve(x[origin]);
}
