/**
 * Loading a compiled program from its artifact, for the device that is asked for. Everything that comes from the artifact
 * is checked before it is used. What it takes to drive a GPU is loaded only for programs that run on one.
 */
import { fileURLToPath } from "node:url";
import type { CTarget, LoadedManifest } from "../ir/artifact/manifest.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { checkProcessor, usefulThreads } from "./cpu-features.ts";
import { CpuExecutor } from "./cpu-executor.ts";
import type { Executor } from "./executor.ts";
import type { GpuDevice } from "./gpu/device.ts";
import { LoadedProgram } from "./loaded-program.ts";
import { readArtifactFile, readManifest } from "./manifest.ts";
import { callNative, loadNative } from "./native.ts";
import { selectTarget, type DeviceChoice } from "./select-target.ts";

/** Options of `Program.load`. */
export type ProgramOptions = {
  /**
   * Where to run: `cpu`, `wgpu` or `cuda`; the artifact must hold the target for it. `auto`, the default, is the processor
   * if the artifact was compiled for it, else what it was compiled for.
   */
  readonly device?: DeviceChoice;
  /** A GPU that is open already; it stays open when the program is disposed of. */
  readonly gpu?: GpuDevice;
  /** Threads to run kernels on, on processors; as many as there are cores if left out. Results do not depend on it. */
  readonly threads?: number;
  /** Seeds the default generator and initialises the state. Without it the state is zero until it is set. */
  readonly seed?: number;
};

/** Most threads a program may be given. */
const mostThreads = 1024;

/** A program that is ready to run. */
export class Program extends LoadedProgram {
  /**
   * Loads the artifact in a folder.
   *
   * @throws UserError K3001 to K3004 for a faulty artifact, K3015 for a bad option; TargetError K5001 to K5008 and K52xx
   *   if this machine cannot run it, K5230 if it was not compiled for the device.
   */
  static async load(folder: string | URL, options: ProgramOptions = {}): Promise<Program> {
    const threads = options.threads ?? usefulThreads();
    if (!Number.isInteger(threads) || threads < 1 || threads > mostThreads)
      throw fail(messages.badRuntimeOption("threads", `a whole number from 1 to ${mostThreads}`, String(threads)));
    const path = folder instanceof URL ? fileURLToPath(folder) : folder;
    const manifest = selectTarget(await readManifest(path), options.device);
    const { target } = manifest;
    const executor =
      target.name === "c"
        ? await openProcessor(path, manifest, target, threads)
        : await openGpu(path, manifest, options.gpu);
    const program = new Program(manifest, executor);
    if (options.seed !== undefined) {
      program.seed(options.seed);
      program.initialize();
    }
    return program;
  }
}

async function openProcessor(
  folder: string,
  manifest: LoadedManifest,
  target: CTarget,
  threads: number,
): Promise<Executor> {
  checkProcessor(target.arch, target.features);
  const image = await readArtifactFile(folder, manifest, target.library);
  const addon = await loadNative();
  return new CpuExecutor(
    manifest,
    addon,
    callNative(() => new addon.NativeProgram(image)),
    threads,
  );
}

async function openGpu(folder: string, manifest: LoadedManifest, open: GpuDevice | undefined): Promise<Executor> {
  const { GpuProgram } = await import("./gpu/program.ts");
  const { openDevice } = await import("./gpu/open.ts");
  const device = open ?? (await openDevice(manifest.target.name === "cuda" ? "cuda" : "wgpu"));
  try {
    const read = (file: string): Promise<Uint8Array> => readArtifactFile(folder, manifest, file);
    return await GpuProgram.load(manifest, device, { read, closes: open === undefined });
  } catch (error) {
    if (open === undefined) await device.close();
    throw error;
  }
}
