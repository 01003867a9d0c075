/**
 * Numbers of a program that may change between steps without compiling it again: hyperparameters such as `optimizer.0.lr`
 * (the learning rate of the optimizer's first group of parameters), and counters of completed steps. All in float64.
 */
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";

/** A map whose names are fixed and whose values are checked as they are set. */
export class NamedNumbers extends Map<string, number> {
  readonly #whole: boolean;

  /** `whole`: whether values are whole numbers of at least 0, as counters are. */
  constructor(initial: Iterable<readonly [string, number]>, whole = false) {
    super();
    this.#whole = whole;
    for (const [name, value] of initial) super.set(name, value);
  }

  /** Sets a value, from the next step on. @throws UserError K3010 for an unknown name, K3015 for a value it cannot have. */
  override set(name: string, value: number): this {
    if (!this.has(name)) throw fail(messages.unknownHyper(name, [...this.keys()]));
    const fits = this.#whole ? Number.isSafeInteger(value) && value >= 0 : Number.isFinite(value);
    if (!fits)
      throw fail(
        messages.badRuntimeOption(
          name,
          this.#whole ? "a whole number of at least 0" : "a finite number",
          String(value),
        ),
      );
    return super.set(name, value);
  }

  /** Names cannot be taken away. @throws UserError K3015. */
  override delete(name: string): never {
    throw fail(messages.badRuntimeOption(name, "to keep its place", "a deletion"));
  }

  /** Names cannot be taken away. @throws UserError K3015. */
  override clear(): never {
    throw fail(messages.badRuntimeOption("the names", "to keep their places", "a deletion"));
  }
}
