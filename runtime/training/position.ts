/**
 * Where a training is: its epoch, the steps of it that are done, the place in the pass over the data, and what the
 * schedulers have counted. Changes the program's learning rates as the schedulers say.
 */
import type { ManifestScheduler } from "../../ir/artifact/manifest.ts";
import type { Progress } from "../checkpoint.ts";
import type { LoaderState } from "../data/position.ts";
import { createSchedulers, type Scheduler } from "../schedulers.ts";

/** What a checkpoint holds of a position. */
export type SavedPosition = Pick<Progress, "epoch" | "steps" | "totalSteps" | "schedulers" | "loader">;

/** The position of a training. */
export class Position {
  readonly #descriptions: readonly ManifestScheduler[];
  readonly #hyper: Map<string, number>;
  #schedulers: readonly Scheduler[] = [];
  #epoch = 1;
  #steps = 0;
  #totalSteps = 0;
  #loaderState: LoaderState | undefined = undefined;

  constructor(schedulers: readonly ManifestScheduler[], hyper: Map<string, number>) {
    this.#descriptions = schedulers;
    this.#hyper = hyper;
  }

  /** The epoch that is running or begins next; the first is 1. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Steps of this epoch that are done. */
  get steps(): number {
    return this.#steps;
  }

  /** Steps of all epochs that are done. */
  get totalSteps(): number {
    return this.#totalSteps;
  }

  /** Place in the pass over the training data; `undefined` between two epochs. */
  get loaderState(): LoaderState | undefined {
    return this.#loaderState;
  }

  /** Whether this epoch has trained at all, so that an end of the epoch is one. */
  get isPassOver(): boolean {
    return this.#steps > 0;
  }

  /** Whether any scheduler counts steps. */
  get hasStepSchedulers(): boolean {
    return this.#schedulers.some(({ per }) => per === "step");
  }

  /** Sets the learning rates that the user gave instead of the model's, and makes the schedulers, which start from them. */
  start(rates: ReadonlyMap<string, number>): void {
    this.setRates(rates);
    this.#schedulers = createSchedulers(this.#descriptions, this.#hyper);
  }

  /** Sets learning rates from the next step on. */
  setRates(rates: ReadonlyMap<string, number>): void {
    for (const [name, rate] of rates) this.#hyper.set(name, rate);
  }

  /** Notes that `steps` more steps of this epoch are done, and where the loader is. */
  advance(steps: number, loaderState: LoaderState | undefined): void {
    this.#steps += steps;
    this.#totalSteps += steps;
    this.#loaderState = loaderState;
  }

  /** Lets the schedulers that count epochs or steps go one on. `metricOf`: the newest value of a result. */
  stepSchedulers(
    per: ManifestScheduler["per"],
    metricOf: (name: string) => number | undefined = () => undefined,
  ): void {
    for (const scheduler of this.#schedulers)
      if (scheduler.per === per)
        scheduler.step(scheduler.metric === undefined ? undefined : metricOf(scheduler.metric));
  }

  /** The next epoch begins. */
  nextEpoch(): void {
    this.#epoch++;
    this.#steps = 0;
    this.#loaderState = undefined;
  }

  /** For a checkpoint. */
  save(): SavedPosition {
    return {
      epoch: this.#epoch,
      steps: this.#steps,
      totalSteps: this.#totalSteps,
      schedulers: this.#schedulers.map((scheduler) => scheduler.state()),
      loader:
        this.#loaderState === undefined
          ? null
          : { ...this.#loaderState, generators: [...this.#loaderState.generators] },
    };
  }

  /** Goes back to where a checkpoint was taken. Throws a `UserError` K3014 if a scheduler's state is none of its own. */
  restore(saved: SavedPosition): void {
    this.#epoch = saved.epoch;
    this.#steps = saved.steps;
    this.#totalSteps = saved.totalSteps;
    this.#loaderState = saved.loader ?? undefined;
    this.#schedulers.forEach((scheduler, i) => scheduler.restore(saved.schedulers[i]));
  }
}
