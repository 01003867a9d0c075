/**
 * What runs an artifact's kernels one at a time, so that each can be checked by itself: the processor for the C target, a
 * GPU for the others. A kernel is given regions of memory; where its buffers lie in them is as its first launch has it.
 */
import type { Kernel } from "../../ir/loop/loop.ts";
import type { PlannedBuffer } from "../../ir/program.ts";

/** What a kernel's buffer is at a launch, and where it lies: a byte of one of the regions. */
export type BufferPlace = Pick<PlannedBuffer, "role" | "shape"> & { readonly region: number; readonly offset: number };

/** A kernel that a runner can run. */
export type RunnableKernel = {
  readonly kernel: Kernel;
  /** File of the artifact that holds its text, where the text has been read from it. */
  readonly file?: string;
  /** One for each of the kernel's buffers. */
  readonly places: readonly BufferPlace[];
  /** Least bytes of each region. */
  readonly regions: readonly number[];
};

/** Runs single kernels. */
export type KernelRunner = {
  readonly kernels: readonly RunnableKernel[];
  /** Zeroed memory of at least so many bytes that `run` takes as a region. */
  allocate(bytes: number): ArrayBuffer;
  /** Runs all tasks of kernel number `index` on its regions, in place. @throws TargetError of the device. */
  run(index: number, regions: readonly ArrayBuffer[]): Promise<void>;
  close(): Promise<void>;
};
