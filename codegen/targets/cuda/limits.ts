/**
 * CUDA, as the schedules see it: GPUs of compute capability 8.0 and newer. Memory holds every element type as it is.
 */
import type { Gpu, Machine } from "../../../ir/machine.ts";

/** Bytes of `__shared__` arrays that a block may have without asking for more, in every compute capability. */
export const sharedLimit = 48 * 1024;

/** Most threads of a block. */
export const threadLimit = 1024;

/** Threads of a warp, which run in step. */
export const warp = 32;

const gpu: Gpu = {
  // A kernel's parameters may take 4 KiB.
  bindings: 256,
  threads: 256,
  warp,
  // Arrays are padded to 16 bytes each.
  sharedBytes: sharedLimit - 512,
  tiles: "shared",
  matrix: undefined,
};

/** A CUDA GPU that multiplies in float32, as PyTorch does by default. */
export const cudaMachine: Machine = { lanes: 4, registers: 64, alignment: 256, random: "counter", gpu };

/** The same, with products on tensor cores: operands keep 10 bits of the mantissa, sums are float32. */
export const cudaTf32Machine: Machine = { ...cudaMachine, gpu: { ...gpu, matrix: "tf32" } };

/** The same with operands of 7 bits of the mantissa. */
export const cudaBf16Machine: Machine = { ...cudaMachine, gpu: { ...gpu, matrix: "bf16" } };

/** The same with operands of half precision: 10 bits of the mantissa, and numbers up to 65504. */
export const cudaF16Machine: Machine = { ...cudaMachine, gpu: { ...gpu, matrix: "f16" } };
