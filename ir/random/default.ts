/**
 * The default generator: the one stream from which everything draws that was not given a generator of its own, as in
 * PyTorch. Its owner is the host; native calls borrow its state.
 */
import { Generator } from "./generator.ts";

/** The default generator of this process (of this thread, in a worker). */
export const defaultGenerator: Generator = new Generator();

/** Seeds the default generator. @throws UserError K3101 if `seed` is no 64-bit integer. */
export function manualSeed(seed: number | bigint): void {
  defaultGenerator.manualSeed(seed);
}
