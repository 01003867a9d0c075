/**
 * Opening a GPU by its kind. Each driver is a module of its own that is loaded only here and only when it is asked for, so
 * that a program on the processor never touches one.
 */
import type { GpuDevice } from "./device.ts";

/** How a GPU is driven. */
export type GpuKind = "wgpu" | "cuda";

/** What opens a GPU of each kind. */
const openers: Readonly<Record<GpuKind, () => Promise<GpuDevice>>> = {
  wgpu: async () => (await import("./wgpu.ts")).openWgpu(),
  cuda: async () => (await import("./cuda.ts")).openCuda(),
};

/** Opens the GPU that `kind` drives. @throws TargetError K52xx and K54xx of the driver. */
export async function openDevice(kind: GpuKind): Promise<GpuDevice> {
  return openers[kind]();
}
