/** What a GPU could do at most, from what its driver says of it, and which part of that a kernel reached. */
import type { Kernel } from "../../ir/loop/loop.ts";
import { at } from "../../ir/type.ts";
import type { GpuLaunch } from "../../runtime/gpu/device.ts";
import type { NativeCudaTraits } from "../../runtime/native.ts";

/** Peak rates: float32 operations outside of tensor cores, and bytes from memory, a second. */
export type Peaks = { readonly flops: number; readonly bytes: number };

/** The peaks of a GPU. */
export function peaksOf({ major, minor, multiprocessors, clock, memoryClock, memoryBus }: NativeCudaTraits): Peaks {
  // Compute capability 8.0 has 64 float32 units in a multiprocessor, all others from 8.6 on have 128.
  const units = major === 8 && minor === 0 ? 64 : 128;
  // A unit multiplies and adds at once; memory moves twice in each of its cycles.
  return { flops: multiprocessors * units * 2 * clock * 1e3, bytes: 2 * memoryClock * 1e3 * (memoryBus / 8) };
}

/** Bytes that a launch moves at least: each binding once in each direction it is used in. */
export function bytesOf(kernel: Kernel, launch: GpuLaunch): number {
  return launch.bindings.reduce(
    (sum, { bytes }, i) => sum + bytes * (at(kernel.buffers, i).access === "readwrite" ? 2 : 1),
    0,
  );
}

/** The part of what its peaks allow that work reached in a time; 1 is as quick as can be. */
export function roof(peaks: Peaks, work: { readonly flops: number; readonly bytes: number }, seconds: number): number {
  return Math.max(work.flops / peaks.flops, work.bytes / peaks.bytes) / seconds;
}
