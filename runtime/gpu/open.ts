/**
 * Opening a GPU by its kind. Each driver is a module of its own that is loaded only here and only when it is asked for, so
 * that a program on the processor never touches one.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { GpuDevice } from "./device.ts";

/** How a GPU is driven. */
export type GpuKind = "wgpu" | "cuda";

/** The module of each driver, and the name of its function that opens a device. */
const drivers: Readonly<Record<GpuKind, { readonly module: string; readonly opener: string }>> = {
  wgpu: { module: "./wgpu.js", opener: "openWgpu" },
  cuda: { module: "./cuda.js", opener: "openCuda" },
};

/** Opens the device that `kind` drives. @throws TargetError K5234 if this build has no such driver, K52xx or K54xx of the driver. */
export async function openDevice(kind: GpuKind): Promise<GpuDevice> {
  const { module, opener } = drivers[kind];
  const loaded: unknown = await import(new URL(module, import.meta.url).href).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND")
      throw fail(messages.noDriver(kind), undefined, error);
    throw error;
  });
  // The module's own declaration of its opener says so.
  return (
    (loaded as Record<string, () => Promise<GpuDevice>>)[opener]?.() ?? Promise.reject(fail(messages.noDriver(kind)))
  );
}
