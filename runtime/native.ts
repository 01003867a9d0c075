/**
 * The native addon as TypeScript sees it. This is the only file that loads it, at first use, building it if need be;
 * what it throws becomes a `TargetError` with the call's name and text.
 */
import { createRequire } from "node:module";
import { isMainThread } from "node:worker_threads";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { buildAddon } from "./native-build.ts";
import type { TypedArray } from "./typed-array.ts";

export { addonCompilers } from "./native-build.ts";

/** A view that native code can take: any typed array, also one of shared memory. */
export type NativeView = TypedArray | Uint32Array;

/** An entry as a program's library declares it. */
export type NativeEntry = { readonly name: string; readonly buffers: number; readonly phases: number };

/** What a run of steps is given, besides the entry, the steps and the threads: one of each for every buffer, in order. */
export type NativeBuffers = {
  readonly views: readonly NativeView[];
  /** By how many bytes a buffer moves from one step to the next; 0 for one that all steps share. */
  readonly strides: readonly number[];
  /** Bytes a step touches. A view must have `stride × (steps - 1) + bytes`, else the call throws before anything runs. */
  readonly bytes: readonly number[];
};

/** A program opened on a device. Calls run one after another, in the order they were made. */
export type NativeProgram = {
  readonly entries: readonly NativeEntry[];
  /** Runs steps off the JavaScript thread; resolves to the number that were done, which is smaller only after `stop`. */
  run(
    entry: number,
    steps: number,
    threads: number,
    views: readonly NativeView[],
    strides: readonly number[],
    bytes: readonly number[],
  ): Promise<number>;
  /** The same on the calling thread. */
  runSync(
    entry: number,
    steps: number,
    threads: number,
    views: readonly NativeView[],
    strides: readonly number[],
    bytes: readonly number[],
  ): number;
  /** Ends the queued and running calls after the step that is under way. */
  stop(): void;
  /** Gives the library back once its calls are over. */
  close(): void;
};

/**
 * What an adapter's driver says of it. `subgroup`: threads that a subgroup has at least, 0 if the driver does not tell;
 * left out where there are none.
 */
export type NativeAdapter = {
  readonly name: string;
  readonly driver: string;
  readonly kind: string;
  readonly subgroup?: number;
  /** Whether it computes with halves. */
  readonly f16: boolean;
};

/** A kernel for wgpu-native: its text, the name of its function, and how it uses its bindings (0 reads, 1 writes, 2 uniform). */
export type NativeKernel = { readonly name: string; readonly text: string; readonly uses: readonly number[] };

/** A launch: `ranges` holds four numbers for each binding, memory, offset, bytes and stride. */
export type NativeLaunch = {
  readonly module: number;
  readonly kernel: number;
  readonly groups: number;
  readonly ranges: readonly number[];
};

/**
 * A GPU that the addon drives from a thread of its own. Calls are queued for that thread and run in order; what is made is
 * known by its number. The caller checks bounds and limits.
 */
export type NativeGpuDevice = {
  allocate(bytes: number): number;
  /** Gives memory, a module or a sequence back, once nothing queued uses it. */
  free(id: number): void;
  write(memory: number, offset: number, data: Uint8Array): void;
  /** At most `gpuReadLimit` bytes. */
  read(memory: number, offset: number, into: Uint8Array): Promise<void>;
  readSync(memory: number, offset: number, into: Uint8Array): void;
  run(sequence: number, steps: number): Promise<number>;
  runSync(sequence: number, steps: number): number;
  stop(sequence: number): void;
  close(): Promise<void>;
};

/** Most bytes that one call reads from a GPU: what is copied on JavaScript's thread at once. */
export const gpuReadLimit = 4 * 2 ** 20;

/** A device of wgpu-native. */
export type NativeWgpuDevice = NativeGpuDevice & {
  /** Opens the best adapter of those whose name or driver holds `adapter`. Called once, before everything else. */
  open(
    library: string,
    adapter: string,
  ): Promise<{ readonly adapter: NativeAdapter; readonly limits: Readonly<Record<NativeLimit, number>> }>;
  /** What adapters there are; no device need be open. */
  adapters(library: string): Promise<readonly NativeAdapter[]>;
  load(kernels: readonly NativeKernel[]): Promise<number>;
  sequence(launches: readonly NativeLaunch[]): number;
  /** Destroys the device under what uses it, as a driver that resets would: for tests. */
  lose(): void;
};

/** Limits of a device, as `GpuInfo` names them. */
export type NativeLimit = "alignment" | "memoryBytes" | "bindingBytes" | "bindings" | "threads" | "sharedBytes";

/** What a GPU that CUDA drives is and allows. Clocks are in kilohertz, the memory's bus in bits. */
export type NativeCudaTraits = {
  readonly name: string;
  /** 1000 × major + 10 × minor of the newest CUDA that the driver supports. */
  readonly driver: number;
  /** Compute capability. */
  readonly major: number;
  readonly minor: number;
  readonly memoryBytes: number;
  readonly multiprocessors: number;
  readonly threads: number;
  readonly sharedBytes: number;
  readonly groups: number;
  readonly clock: number;
  readonly memoryClock: number;
  readonly memoryBus: number;
};

/** A kernel in compiled CUDA code. */
export type NativeCudaKernel = { readonly name: string; readonly threads: number; readonly sharedBytes: number };

/** A launch: `ranges` holds five numbers for each binding, memory, offset, bytes, stride and 1 if it is written. */
export type NativeCudaLaunch = {
  readonly kernel: number;
  readonly groups: number;
  readonly ranges: readonly number[];
};

/** A GPU that CUDA drives. */
export type NativeCudaDevice = NativeGpuDevice & {
  /** Opens GPU `number` with the driver's library. Called once, before everything else. */
  open(driver: string, number: number): Promise<NativeCudaTraits>;
  /** Loads compiled code. */
  load(kernels: readonly NativeCudaKernel[], code: Uint8Array): Promise<number>;
  /** Compiles source with the NVRTC at a path and loads the result. */
  compile(kernels: readonly NativeCudaKernel[], source: string, compiler: string): Promise<number>;
  sequence(module: number, launches: readonly NativeCudaLaunch[]): number;
};

/** The addon. */
export type NativeAddon = {
  /** Memory for programs: zeroed, aligned to 64 bytes, with `slackBytes` readable bytes behind it. */
  allocate(bytes: number): ArrayBuffer;
  /** The floating-point control register of this thread (MXCSR, FPCR); 0 where there is none. */
  floatMode(): number;
  /** Ends the threads of all GPU devices of the process, runs of theirs after the steps that are under way. */
  endThreads(): void;
  /** Opens a program from the bytes of its shared object. */
  readonly NativeProgram: new (image: Uint8Array) => NativeProgram;
  /** A device of wgpu-native, not yet open. */
  readonly WgpuDevice: new () => NativeWgpuDevice;
  /** A GPU that CUDA drives, not yet open. */
  readonly CudaDevice: new () => NativeCudaDevice;
};

/** Bytes behind every buffer that a program may read, though it does not use them: 16 elements of the widest type. */
export const slackBytes = 128;

let loading: Promise<NativeAddon> | undefined;

/** The addon, loaded once. @throws TargetError K5004 to K5007. */
export async function loadNative(): Promise<NativeAddon> {
  loading ??= load();
  try {
    return await loading;
  } catch (error) {
    // What was missing may be there the next time.
    loading = undefined;
    throw error;
  }
}

async function load(): Promise<NativeAddon> {
  const path = await buildAddon();
  try {
    // The addon's shape is fixed by the sources it was built from, which the file's name is a hash of.
    const addon = createRequire(import.meta.url)(path) as NativeAddon;
    // `process.exit` takes drivers down under the threads that use them; workers end their devices themselves.
    if (isMainThread) process.once("exit", () => addon.endThreads());
    return addon;
  } catch (error) {
    throw fail(
      messages.addonUnloadable(path, error instanceof Error ? error.message : String(error)),
      undefined,
      error,
    );
  }
}

/** The error for what a native call threw. */
export function nativeError(error: unknown): Error {
  const call =
    typeof error === "object" && error !== null && "call" in error && typeof error.call === "string"
      ? error.call
      : "native call";
  const text = error instanceof Error ? error.message : String(error);
  return fail(messages.nativeCallFailed(call, text), undefined, error);
}

/** Runs a native call, turning what it throws into a `TargetError` K5003. */
export function callNative<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw nativeError(error);
  }
}
