/**
 * How many steps to run in one go: as many as asked for, but no longer than a quarter of a second, so that a stop, the
 * progress bar and a checkpoint that is due do not wait. The split changes no result.
 */

/** Learns what a step takes. */
export class Stretch {
  readonly #now: () => number;
  readonly #longest: number;
  #step: number | undefined;

  /** `now`: a monotonic clock in milliseconds; `longest`: the longest run of steps, in the same. */
  constructor(now: () => number = () => performance.now(), longest: number = 250) {
    this.#now = now;
    this.#longest = longest;
  }

  /** The number of steps to run next, at most `wanted`. */
  limit(wanted: number): number {
    const affordable = this.#step === undefined ? 4 : Math.floor(this.#longest / Math.max(this.#step, 1e-3));
    return Math.max(1, Math.min(wanted, affordable));
  }

  /** Runs `steps` steps and measures them. */
  async measure<T>(steps: number, run: () => Promise<T>): Promise<T> {
    const start = this.#now();
    const result = await run();
    this.#step = (this.#now() - start) / steps;
    return result;
  }
}
