/**
 * What runs a program's steps: this machine's processor, or a GPU. A run (`run.ts`) hands it stretches of steps as plain
 * arrays, one for each buffer of the entry; where memory lies, how it is aligned and in which types a device holds it is
 * the executor's own affair.
 */
import type { ManifestEntry } from "../ir/artifact/manifest.ts";
import type { DeviceName } from "./select-target.ts";
import type { TypedArray } from "./typed-array.ts";

/** A stretch of steps of one entry. */
export type Work = {
  readonly entry: ManifestEntry;
  readonly steps: number;
  /**
   * For each buffer of the entry what the host gives: the values of all steps behind each other in the type they have
   * outside, a whole data set, the generator's state; `undefined` for state, arena, outputs and status.
   */
  readonly given: readonly (TypedArray | Uint32Array | undefined)[];
};

/** Runs one stretch after another, and keeps the state. */
export type Executor = {
  readonly device: DeviceName;
  /** For people: the processor's name, or the GPU's. */
  readonly description: string;
  /** Threads that kernels run on; 0 where that is the device's affair. */
  readonly threads: number;
  /** Milliseconds that a stretch should take: what a stop waits for on a processor, and a pause of the device on a GPU. */
  readonly stretchTime: number;
  /** The state region as the host sees it: current after `fetch`, until the next stretch. */
  readonly region: ArrayBuffer;
  /** Most steps of an entry that a stretch may have. */
  mostSteps(entry: ManifestEntry): number;
  /** Runs a stretch; resolves to the number of steps done, which is smaller only after `stop`. */
  run(work: Work): Promise<number>;
  /** The same on the calling thread. @throws TargetError K5232 if it cannot wait for the device. */
  runSync(work: Work): number;
  /** Ends the stretch that runs after the step under way. */
  stop(): void;
  /** The words of the last stretch's status buffer, if its entry has one: code, value, limit. */
  status(): ArrayLike<number>;
  /** Copies to `into` what the first steps of the last stretch wrote to buffer `place`, behind each other. */
  collect(place: number, into: TypedArray): void;
  /** Brings the state region up to date. */
  fetch(): Promise<void>;
  /** The same on the calling thread. @throws TargetError K5232 if it would have to wait for the device and cannot. */
  fetchSync(): void;
  /** Told that the host has changed the state region. */
  changed(): void;
  /** Gives everything back. */
  close(): Promise<void>;
};
