/**
 * A GPU as the runtime sees it, whoever drives it: wgpu-native or CUDA through the addon, or a browser's WebGPU. It holds
 * memory and runs sequences of kernels, in the order of the calls; it knows nothing of entries, state or element types.
 * Every failure is a `TargetError`; after a lost device every call fails with K5205.
 */
import type { GpuFeatures } from "../../ir/artifact/manifest.ts";

/** Memory on the device. */
export type GpuMemory = { readonly bytes: number; free(): void };

/**
 * How a kernel uses a binding. `uniform`: it only reads it, all threads much the same elements, and it is small (at most
 * 64 KiB; WebGPU's uniform address space, where such bindings do not count among the storage ones).
 */
export type BindingUse = "read" | "readwrite" | "uniform";

/** Another text of a kernel, for devices that have what it needs. */
export type GpuVariant = {
  readonly text: string;
  readonly sharedBytes: number;
  readonly needs: GpuFeatures;
};

/** A kernel's text and shape. */
export type GpuKernel = {
  /** Name of its function. */
  readonly name: string;
  /** Its text (WGSL: a module of its own; CUDA: the program's source, the same for all). */
  readonly text: string;
  readonly threads: number;
  readonly sharedBytes: number;
  readonly bindings: readonly BindingUse[];
  /** From the least demanding on. */
  readonly variants?: readonly GpuVariant[];
  /** What the text needs beyond what all devices have. */
  readonly needs?: GpuFeatures;
};

/** What is compiled together. `image`: a CUDA fat binary that holds all kernels. */
export type GpuProgramText = { readonly kernels: readonly GpuKernel[]; readonly image?: Uint8Array };

/** Compiled kernels. */
export type GpuModule = { free(): void };

/** `bytes` of `memory` from `offset` on at the first step, moved by `stride` bytes from one step to the next. */
export type GpuBinding = {
  readonly memory: GpuMemory;
  readonly offset: number;
  readonly bytes: number;
  readonly stride: number;
};

/** One use of a kernel: its number in the module, how many work-groups, and its bindings in order. */
export type GpuLaunch = { readonly kernel: number; readonly groups: number; readonly bindings: readonly GpuBinding[] };

/** The launches of a step, ready to be run many times. */
export type GpuSequence = {
  /** Runs `steps` steps; resolves to the number done, which is smaller only after `stop`. */
  run(steps: number): Promise<number>;
  /** The same, waiting on the calling thread; absent where a thread cannot wait (browsers). */
  runSync?(steps: number): number;
  /** Ends the run after the steps that are under way. */
  stop(): void;
  free(): void;
};

/** What a device is and allows. */
export type GpuInfo = {
  /** For people: the adapter's or GPU's name and driver. */
  readonly description: string;
  /** Every binding's offset is a multiple of it. */
  readonly alignment: number;
  /** Largest `bytes` of a memory, and of a binding. */
  readonly memoryBytes: number;
  readonly bindingBytes: number;
  /** Most bindings of a kernel beside uniform ones, threads of a work-group, bytes of its shared arrays. */
  readonly bindings: number;
  readonly threads: number;
  readonly sharedBytes: number;
};

/** A device that has been opened. */
export type GpuDevice = {
  readonly info: GpuInfo;
  /** Zeroed memory; `bytes` is rounded up to a multiple of 4. @throws TargetError K5203 if there is not enough. */
  allocate(bytes: number): GpuMemory;
  /** Copies to the device; `data` may change as soon as the call returns. `offset` and the length are multiples of 4. */
  write(memory: GpuMemory, offset: number, data: Uint8Array): void;
  /** Copies from the device once all that was asked for before is done. */
  read(memory: GpuMemory, offset: number, into: Uint8Array): Promise<void>;
  /** The same, waiting on the calling thread; absent where a thread cannot wait. */
  readSync?(memory: GpuMemory, offset: number, into: Uint8Array): void;
  /** Compiles kernels, off the calling thread, and makes them ready to run at full speed. */
  load(program: GpuProgramText): Promise<GpuModule>;
  /** Checks launches against the kernels and the device's limits, and prepares them. */
  sequence(module: GpuModule, launches: readonly GpuLaunch[]): GpuSequence;
  /** Gives everything back; waits for what is running. */
  close(): Promise<void>;
};
