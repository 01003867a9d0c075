/**
 * When checkpoints are written. After every epoch and about every ten seconds, but never so often that writing takes more
 * than a hundredth of the time; every `saveEvery` steps without that limit.
 */

/** Longest training that a crash may cost, in milliseconds. */
const interval = 9000;

/** Share of the time that saving may take is 1 / this. */
const thrift = 100;

/** Decides when to save, and measures what it costs. */
export class SaveClock {
  readonly #saveEvery: number | undefined;
  readonly #now: () => number;
  #last: number;
  #cost = 0;

  /** `now`: a monotonic clock in milliseconds. */
  constructor(saveEvery: number | undefined, now: () => number = () => performance.now()) {
    this.#saveEvery = saveEvery;
    this.#now = now;
    this.#last = now();
  }

  /** Steps until the next save that was asked for by number of steps. */
  stepsLeft(totalSteps: number): number {
    return this.#saveEvery === undefined ? Infinity : this.#saveEvery - (totalSteps % this.#saveEvery);
  }

  /** Whether to save between two steps of an epoch, after `totalSteps` steps. */
  isDue(totalSteps: number): boolean {
    if (this.#saveEvery !== undefined && totalSteps % this.#saveEvery === 0) return true;
    return this.#now() - this.#last >= Math.max(interval, thrift * this.#cost);
  }

  /** Whether a save after an epoch is within the limit. */
  isAffordable(): boolean {
    return this.#now() - this.#last >= thrift * this.#cost;
  }

  /** Runs a save and measures it. */
  measure(save: () => void): void {
    const start = this.#now();
    save();
    this.#last = this.#now();
    this.#cost = this.#last - start;
  }
}
