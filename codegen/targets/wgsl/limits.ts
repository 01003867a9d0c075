/**
 * What WebGPU allows everywhere, as data: the machine that schedules are made for, and the default limits that every
 * device grants. A program that keeps to them runs on any WebGPU device; checks against them happen before any text is
 * written.
 */
import type { Gpu, Machine } from "../../../ir/machine.ts";

const gpu: Gpu = { threads: 256, warp: 0, sharedBytes: 16384, bindings: 8, tiles: "direct", matrix: undefined };

/** The processor that schedules for WebGPU see: a GPU without subgroups or matrix units, and memory of 32-bit words. */
export const wgslMachine: Machine = {
  lanes: 4,
  registers: 32,
  alignment: 256,
  stored: { i64: "i32", i16: "i32", i8: "i32", u8: "i32", bool: "i32" },
  random: "counter",
  gpu,
};

/** The same, with products in half precision where a device has it. */
export const wgslF16Machine: Machine = { ...wgslMachine, gpu: { ...gpu, matrix: "f16" } };

/** Default limits of WebGPU. */
export const wgslLimits = {
  /** Storage buffers that a kernel may bind. */
  bindings: 8,
  /** Bytes of one binding in the uniform address space. */
  uniformBytes: 65536,
  /** Work-groups along one axis of a dispatch. */
  groups: 65535,
  /** Threads of a work-group. */
  threads: 256,
  /** Bytes of the shared arrays of a work-group. */
  sharedBytes: 16384,
  /** Multiple that offsets of bindings are. */
  alignment: 256,
} as const;
