/**
 * What the schedules know of the processor that a program is compiled for, as plain data: each target gives its own. A
 * schedule reads limits from here and never asks for a target's name.
 */
import type { DType } from "./type.ts";

/** A GPU, as the schedules see it. */
export type Gpu = {
  /** Most threads a task (a work-group, a block) may have. */
  readonly threads: number;
  /** Threads that run in step and can multiply matrices together; 0 if nothing may rely on it. */
  readonly warp: number;
  /** Bytes of shared arrays a task may have. */
  readonly sharedBytes: number;
  /** Most buffers a kernel may be given, beside a few small ones that it only reads. */
  readonly bindings: number;
  /** How products tile: each thread alone from memory (`direct`), or through shared arrays. */
  readonly tiles: "direct" | "shared";
  /** Precision that products may be computed in, by tensor cores or by `dot`; `undefined` for plain f32. */
  readonly matrix: "tf32" | "bf16" | "f16" | undefined;
};

/** A processor. */
export type Machine = {
  /** f32 numbers a vector. */
  readonly lanes: number;
  /** Vector registers of a thread. */
  readonly registers: number;
  /** Alignment of every buffer in a region, in bytes; 64 if left out. */
  readonly alignment?: number;
  /** Element types that memory holds in place of others; the rest are held as they are. */
  readonly stored?: Readonly<Partial<Record<DType, DType>>>;
  /** Where draws of the generator come from: a kernel (`torch`), the host (`host`), or a counter (`counter`); `torch` if left out. */
  readonly random?: "torch" | "host" | "counter";
  /** Set for GPUs. */
  readonly gpu?: Gpu;
};

/** The type under which memory holds elements of `dtype`. */
export function storedType(machine: Machine, dtype: DType): DType {
  return machine.stored?.[dtype] ?? dtype;
}

/** The type under which a data set holds elements of `dtype`: bytes stay bytes, since kernels only read them. */
export function datasetType(machine: Machine, dtype: DType): DType {
  return dtype === "u8" || dtype === "bool" ? dtype : storedType(machine, dtype);
}
