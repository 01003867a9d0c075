/**
 * A program of one kernel, for tests: each of the kernel's buffers is a buffer of its entry.
 */
import type { CudaLaunch } from "../../../../codegen/targets/cuda/emit.ts";
import type { Kernel } from "../../../../ir/loop/loop.ts";
import type { PlannedProgram } from "../../../../ir/program.ts";
import { dtypeBytes } from "../../../../ir/type.ts";

/** The program; its entry is called `run`. */
export function loneKernel(kernel: Kernel): PlannedProgram {
  const buffers = kernel.buffers.map(({ name, dtype, size }) => ({
    role: "input" as const,
    name,
    dtype,
    stored: dtype,
    shape: [size],
  }));
  const args = buffers.map((_, buffer) => ({ buffer, offset: 0 }));
  const entry = { name: "run", batch: 0, buffers, arenaBytes: 0, scalars: [], increments: {} };
  return { name: kernel.name, kernels: [kernel], entries: [{ ...entry, phases: [[{ kernel: 0, args }]] }] };
}

/** A launch of the kernel over all its tasks. */
export function launchOf(kernel: Kernel): CudaLaunch {
  const bindings = kernel.buffers.map(({ dtype, size }, buffer) => ({
    buffer,
    offset: 0,
    bytes: size * dtypeBytes[dtype],
  }));
  return { kernel: 0, groups: kernel.tasks, bindings };
}
