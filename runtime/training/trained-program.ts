/**
 * What the training loop asks of a program. `runtime/program.ts` gives it; a test may give its own. Nothing here knows
 * about devices or files.
 */
import type { LoadedManifest } from "../../ir/artifact/manifest.ts";
import type { Tensorlike } from "../data/tensorlike.ts";
import type { TypedArray } from "../typed-array.ts";

/** A run of equal steps: one entry at one batch size. */
export type StepsCall = {
  readonly entry: string;
  readonly batch: number;
  readonly steps: number;
  /** By name, `[steps, batch, ...shape]`: fields handed over by the host. */
  readonly inputs?: Readonly<Record<string, TypedArray>>;
  /** By name, `[rows, ...shape]`: fields that the steps gather from. */
  readonly datasets?: Readonly<Record<string, Tensorlike>>;
  /** Row numbers, `[steps, batch]`. */
  readonly indices?: Int32Array;
  /** Called before each step but the first; what it changes of `hyper` holds from that step on. */
  readonly onStep?: () => void;
};

/** Results of a run: by name, `[steps, ...shape]`. */
export type StepsResult = { readonly steps: number; readonly outputs: Readonly<Record<string, TypedArray>> };

/** A loaded program that can be trained. */
export type TrainedProgram = {
  readonly manifest: LoadedManifest;
  /** Hyperparameters by name; what is set holds from the next step on. */
  readonly hyper: Map<string, number>;
  /** Completed steps by counter. */
  readonly counters: Map<string, number>;
  seed(seed: number): void;
  /** Gives every state its first value, drawing from the default generator. */
  initialize(): void;
  run(call: StepsCall): Promise<StepsResult>;
  /** Fetches the state from where the program runs, so that reading it does not wait. */
  settle(): Promise<void>;
  /** Parameters and buffers, in PyTorch's layout. */
  stateDict(): Map<string, Tensorlike>;
  loadStateDict(tensors: ReadonlyMap<string, Tensorlike>): void;
  /** Optimizer slots, in the layout of their parameters. */
  optimizerState(): Map<string, Tensorlike>;
  loadOptimizerState(tensors: ReadonlyMap<string, Tensorlike>): void;
  dispose(): void | Promise<void>;
};
