/**
 * How many steps to run in one go: as many as asked for, but no longer than a quarter of a second, so that a stop, the
 * progress bar and a checkpoint that is due do not wait. The split changes no result.
 */

/** Longest run of steps, in milliseconds. */
const longest = 250;

/** Learns what a step takes. */
export class Stretch {
  readonly #now: () => number;
  #step: number | undefined;

  /** `now`: a monotonic clock in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The number of steps to run next, at most `wanted`. */
  limit(wanted: number): number {
    const affordable = this.#step === undefined ? 4 : Math.floor(longest / Math.max(this.#step, 1e-3));
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
