/**
 * What is compared: something that can run a number of equal steps and say how long they took. Ours runs in this process,
 * a peer in one of its own; whoever measures cannot tell them apart.
 */

/** One side of a comparison. */
export type Contestant = {
  /** As tables show it: `kiln`, `torch-tuned`. */
  readonly name: string;
  /** Process whose CPU time is this contestant's. */
  readonly pid: number;
  /** Kernels that a step starts on a GPU. */
  readonly dispatches?: number;
  /** Runs `steps` steps, batches gathered and the loss read every 100 steps; gives the milliseconds they took. */
  run(steps: number): Promise<number>;
  /** The last loss that was read; `undefined` before the first, and for work that has none. */
  lastLoss(): number | undefined;
  close(): Promise<void>;
};

/** Steps between two readings of the loss. */
export const logEvery = 100;
