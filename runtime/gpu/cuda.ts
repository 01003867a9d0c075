/**
 * The device `cuda`: an NVIDIA GPU of compute capability 8.0 or newer, through the driver alone, which is opened when it is
 * needed. A program's fat binary is loaded if it fits the GPU and its driver; if it does not, or there is none, NVRTC
 * compiles the source. A sequence becomes CUDA graphs: a step's launches wait only for those whose memory they share, and
 * many steps are one launch. All that can be checked is checked here, before a call; whatever the driver answers is a
 * `TargetError`.
 *
 * `KILN_CUDA_DRIVER` names the driver's library, by default `libcuda.so.1` (on Windows `nvcuda.dll`, where this has never
 * been run). Which GPUs there are is for the driver's `CUDA_VISIBLE_DEVICES` to say.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { loadNative, type NativeCudaDevice, type NativeCudaTraits } from "../native.ts";
import { checkKernel } from "./check.ts";
import { checkCudaLaunch } from "./cuda-check.ts";
import type { GpuDevice, GpuInfo, GpuLaunch, GpuModule, GpuProgramText, GpuSequence } from "./device.ts";
import { abandon, NativeDevice, nativeFailure, OwnedMemory, OwnedModule, OwnedSequence } from "./native-device.ts";
import { nvrtcPlaces } from "./nvrtc.ts";

/** How to open a device. */
export type CudaOptions = {
  /** The GPU's number, in the driver's order; 0 if left out. */
  readonly number?: number;
};

/** An NVIDIA GPU. */
export type CudaDevice = Omit<GpuDevice, "sequence"> & {
  /** What the driver says of it; peak rates can be computed from it. */
  readonly traits: NativeCudaTraits;
  readonly readSync: NonNullable<GpuDevice["readSync"]>;
  sequence(module: GpuModule, launches: readonly GpuLaunch[]): CudaSequence;
};

/** A sequence of a CUDA device. */
export type CudaSequence = GpuSequence & { readonly runSync: NonNullable<GpuSequence["runSync"]> };

/** Oldest compute capability that kernels are compiled for. */
const oldest = 8;

/** A kernel's parameters have 4096 bytes at least, 8 for each binding. */
const mostBindings = 512;

/** Bytes that the widest access of a thread moves. */
const alignment = 16;

/** Opens a GPU. @throws TargetError K5420 to K5423, and what the addon's build throws. */
export async function openCuda(options: CudaOptions = {}): Promise<CudaDevice> {
  const path = cudaDriverPath();
  const { CudaDevice } = await loadNative();
  const native = new CudaDevice();
  let traits: NativeCudaTraits;
  try {
    traits = await native.open(path, options.number ?? 0);
  } catch (error) {
    await abandon(native);
    throw openError(path, error);
  }
  if (traits.major < oldest) {
    await abandon(native);
    throw fail(messages.cudaGpuTooOld(traits.name, `compute capability ${traits.major}.${traits.minor}`));
  }
  return new Device(native, traits);
}

/** The driver's library: what `KILN_CUDA_DRIVER` names, else the system's. */
export function cudaDriverPath(): string {
  const named = process.env["KILN_CUDA_DRIVER"];
  if (named !== undefined && named !== "") return named;
  return process.platform === "win32" ? "nvcuda.dll" : "libcuda.so.1";
}

/** What `kiln doctor` says of this device: one line for the GPU, or why there is none. Never rejects. */
export async function describeCuda(): Promise<{ readonly isUsable: boolean; readonly text: string }> {
  try {
    const device = await openCuda();
    const text = device.info.description;
    await device.close();
    return { isUsable: true, text };
  } catch (error) {
    return { isUsable: false, text: error instanceof Error ? error.message : String(error) };
  }
}

function openError(path: string, error: unknown): Error {
  const { kind, text } = nativeFailure("open", error);
  switch (kind) {
    case "library":
      return fail(messages.cudaDriverMissing(path, text), undefined, error);
    case "gpu":
      return fail(messages.cudaGpuMissing(text), undefined, error);
    case "driver":
    case "cuInit":
      return fail(messages.cudaDriverUnfit(text), undefined, error);
    default:
      return failureError(kind, text, error, 0);
  }
}

/** The error for a failure that any call may meet. */
function failureError(kind: string, text: string, error: unknown, bytes: number): Error {
  if (kind === "lost") return fail(messages.gpuLost(text), undefined, error);
  if (kind === "memory") return fail(messages.gpuOutOfMemory(bytes, text), undefined, error);
  if (kind === "kernel") return fail(messages.cudaKernelMismatch(text), undefined, error);
  if (kind === "compile") return fail(messages.cudaCompileFailed(text), undefined, error);
  return fail(messages.gpuCallFailed(kind, text), undefined, error);
}

function versionText(version: number): string {
  return `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;
}

function infoOf(traits: NativeCudaTraits): GpuInfo {
  const capability = `compute capability ${traits.major}.${traits.minor}`;
  return {
    description: `${traits.name} (${capability}, driver for CUDA ${versionText(traits.driver)})`,
    alignment,
    memoryBytes: traits.memoryBytes,
    bindingBytes: traits.memoryBytes,
    bindings: mostBindings,
    threads: traits.threads,
    sharedBytes: traits.sharedBytes,
  };
}

class Device extends NativeDevice<NativeCudaDevice> implements CudaDevice {
  readonly traits: NativeCudaTraits;

  constructor(native: NativeCudaDevice, traits: NativeCudaTraits) {
    super(native, infoOf(traits));
    this.traits = traits;
  }

  async load({ kernels, image }: GpuProgramText): Promise<OwnedModule> {
    for (const kernel of kernels) checkKernel(this.info, kernel);
    const shapes = kernels.map(({ name, threads, sharedBytes }) => ({ name, threads, sharedBytes }));
    const source = kernels[0]?.text ?? "";
    let refusal: string | undefined;
    if (image !== undefined) {
      try {
        const id = await this.answered(async (native) => native.load(shapes, image));
        return new OwnedModule(this, id, kernels);
      } catch (error) {
        const { kind, text } = nativeFailure("load", error);
        if (kind !== "image") throw failureError(kind, text, error, 0);
        refusal = text;
      }
    }
    const id = await this.compile(source, refusal, async (native, place) => native.compile(shapes, source, place));
    return new OwnedModule(this, id, kernels);
  }

  sequence(module: GpuModule, launches: readonly GpuLaunch[]): OwnedSequence {
    const owned = this.own("module", module, OwnedModule);
    const described = launches.map((launch) => {
      const ids = launch.bindings.map(({ memory }) => this.own("memory", memory, OwnedMemory).id);
      const kernel = checkCudaLaunch(owned.kernels, launch, this.traits.groups);
      const ranges = launch.bindings.flatMap(({ offset, bytes, stride }, index) => {
        const writes = kernel.bindings[index] === "readwrite" ? 1 : 0;
        return [ids[index] ?? 0, offset, bytes, stride, writes];
      });
      return { kernel: launch.kernel, groups: launch.groups, ranges };
    });
    const id = this.called("sequence", (native) => native.sequence(owned.id, described));
    return new OwnedSequence(this, id, launches);
  }

  protected errorFor(call: string, error: unknown, bytes: number): Error {
    const { kind, text } = nativeFailure(call, error);
    return failureError(kind, text, error, bytes);
  }

  /** Compiles with the first NVRTC that can be used. `refusal`: why the compiled code was not. */
  private async compile(
    source: string,
    refusal: string | undefined,
    action: (native: NativeCudaDevice, place: string) => Promise<number>,
  ): Promise<number> {
    const tried: string[] = [];
    for (const place of source === "" ? [] : await nvrtcPlaces()) {
      try {
        return await this.answered(async (native) => action(native, place));
      } catch (error) {
        const { kind, text } = nativeFailure("compile", error);
        if (kind !== "nvrtc" && kind !== "image") throw failureError(kind, text, error, 0);
        if (kind === "image") refusal ??= text;
        tried.push(text);
      }
    }
    if (tried.length === 0) tried.push("the program has no source");
    if (refusal === undefined) throw fail(messages.cudaCompilerMissing(tried));
    throw fail(
      messages.cudaImageRefused(this.info.description, versionText(this.traits.driver), refusal, tried.join("; ")),
    );
  }
}
