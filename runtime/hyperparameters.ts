/**
 * Hyperparameters: the numbers of a program that may change between steps without compiling it again, such as
 * `optimizer.0.lr`, the learning rate of the optimizer's first group of parameters. All in float64.
 */
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";

/** Named numbers. The names are fixed, the values are not. */
export class Hyperparameters {
  readonly #values: Map<string, number>;

  constructor(initial: Iterable<readonly [string, number]>) {
    this.#values = new Map(initial);
  }

  /** All values by name; a live view. */
  get values(): ReadonlyMap<string, number> {
    return this.#values;
  }

  /** The names, in the manifest's order. */
  names(): string[] {
    return [...this.#values.keys()];
  }

  /** Whether there is one of this name. */
  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** One value. @throws UserError K3010 for an unknown name. */
  get(name: string): number {
    const value = this.#values.get(name);
    if (value === undefined) throw fail(messages.unknownHyper(name, this.names()));
    return value;
  }

  /** Sets a value, from the next step on. @throws UserError K3010 for an unknown name, K3015 if `value` is no finite number. */
  set(name: string, value: number): void {
    if (!this.#values.has(name)) throw fail(messages.unknownHyper(name, this.names()));
    if (!Number.isFinite(value)) throw fail(messages.badRuntimeOption(name, "a finite number", String(value)));
    this.#values.set(name, value);
  }
}
