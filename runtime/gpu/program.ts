/**
 * A program on a GPU: state, arena, kernels, and for each entry the sequence of its launches, ready to be run many times.
 * Takes a manifest with a GPU target and a device; runs stretches of steps as any executor does. The state has a mirror
 * on the host, copied only when one side needs what the other has changed. Nothing of Node's is imported, so that a
 * browser runs programs by this same code.
 */
import type { GpuTarget, LoadedManifest, ManifestEntry, ManifestLaunch } from "../../ir/artifact/manifest.ts";
import { fail, invariant } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { at } from "../../ir/type.ts";
import type { Executor, Work } from "../executor.ts";
import type { DeviceName } from "../select-target.ts";
import { entryLabel } from "../target-check.ts";
import type { TypedArray } from "../typed-array.ts";
import { DataSets } from "./data-sets.ts";
import type { GpuBinding, GpuDevice, GpuMemory, GpuModule, GpuProgramText, GpuSequence } from "./device.ts";
import { checkLimits } from "./limits.ts";
import { mostSteps, StepBuffers } from "./step-buffers.ts";
import { kernelFiles } from "./variants.ts";

/** What a program is loaded with, besides its manifest and the device. */
export type GpuProgramParts = {
  /** The bytes of one of the artifact's files. */
  readonly read: (file: string) => Promise<Uint8Array>;
  /** Whether the device is the program's own, to be closed with it. */
  readonly closes?: boolean;
};

/** Sequences of an entry that are kept: one for each set of data sets that it runs on. */
const keptSequences = 4;

/** What an entry needs to run. */
type Prepared = {
  readonly buffers: StepBuffers;
  /** By the numbers of the data sets that they read; the last one used is the last. */
  readonly sequences: Map<string, GpuSequence>;
  /** Whether its kernels change the state. */
  readonly writesState: boolean;
};

/** A program on a GPU. */
export class GpuProgram implements Executor {
  readonly device: DeviceName;
  readonly threads = 0;
  // The device rests between stretches; a stop is heard within one.
  readonly stretchTime = 50;
  readonly region: ArrayBuffer;
  readonly #target: GpuTarget;
  readonly #gpu: GpuDevice;
  readonly #module: GpuModule;
  readonly #state: GpuMemory;
  readonly #arena: GpuMemory;
  readonly #data: DataSets;
  readonly #closes: boolean;
  readonly #prepared: Map<string, Prepared> = new Map();
  /** Which side has what the other lacks. */
  #newer: "host" | "device" | undefined;
  #running: GpuSequence | undefined;
  #last: StepBuffers | undefined;

  private constructor(target: GpuTarget, gpu: GpuDevice, module: GpuModule, closes: boolean) {
    this.device = target.name === "cuda" ? "cuda" : "wgpu";
    this.#target = target;
    this.#gpu = gpu;
    this.#module = module;
    this.#closes = closes;
    this.region = new ArrayBuffer(Math.ceil(target.state.bytes / 4) * 4);
    this.#state = gpu.allocate(inVectors(target.state.bytes));
    try {
      this.#arena = gpu.allocate(inVectors(Math.max(0, ...target.entries.map((entry) => entry.arenaBytes))));
    } catch (error) {
      this.#state.free();
      throw error;
    }
    this.#data = new DataSets(gpu);
  }

  /**
   * Compiles the kernels of the manifest's target and gives the program memory on the device.
   *
   * @throws TargetError K5233 if the program needs more than the device allows, K52xx for whatever the device refuses.
   */
  static async load(manifest: LoadedManifest, gpu: GpuDevice, parts: GpuProgramParts): Promise<GpuProgram> {
    const { target } = manifest;
    invariant(target.name !== "c", "a processor's program for a GPU");
    checkLimits(manifest.name, target, gpu.info);
    const module = await gpu.load(await readKernels(target, parts.read));
    try {
      return new GpuProgram(target, gpu, module, parts.closes ?? false);
    } catch (error) {
      module.free();
      throw error;
    }
  }

  get description(): string {
    return this.#gpu.info.description;
  }

  /** Most steps of an entry in a stretch: as many as there is room for. */
  mostSteps(entry: ManifestEntry): number {
    return mostSteps(entry, this.#gpu);
  }

  /** Runs a stretch. @throws UserError K5231 for a value that the device cannot hold, TargetError K52xx. */
  async run(work: Work): Promise<number> {
    const { sequence, buffers } = this.#begin(work);
    this.#running = sequence;
    try {
      // All is asked for at once, so that the device need not wait for this thread in between.
      const [ran, fetched] = await Promise.allSettled([sequence.run(work.steps), buffers.download(work.steps)]);
      if (ran.status === "rejected") throw ran.reason;
      if (fetched.status === "rejected") throw fetched.reason;
      return ran.value;
    } finally {
      this.#running = undefined;
    }
  }

  /** Runs a stretch, waiting for it. @throws as `run`; TargetError K5232 where a thread cannot wait for the device. */
  runSync(work: Work): number {
    const gpu = this.#gpu;
    if (gpu.readSync === undefined) throw fail(messages.deviceCannotWait("callSync", "call"));
    const { sequence, buffers } = this.#begin(work);
    const done = sequence.runSync?.(work.steps);
    if (done === undefined) throw fail(messages.deviceCannotWait("callSync", "call"));
    buffers.downloadSync(done);
    return done;
  }

  /** Ends the stretch that runs after the steps under way. */
  stop(): void {
    this.#running?.stop();
  }

  /** The words of the last stretch's status buffer. */
  status(): Int32Array {
    invariant(this.#last !== undefined, "a status before anything ran");
    return this.#last.status();
  }

  /** Copies results of the last stretch, converted to the type they have outside. */
  collect(place: number, into: TypedArray): void {
    invariant(this.#last !== undefined, "results before anything ran");
    this.#last.collect(place, into);
  }

  /** Copies the state to the host if a step has changed it. */
  async fetch(): Promise<void> {
    if (this.#newer !== "device") return;
    await this.#gpu.read(this.#state, 0, new Uint8Array(this.region));
    this.#newer = undefined;
  }

  /** The same, waiting for it. @throws TargetError K5232 where a thread cannot wait for the device. */
  fetchSync(): void {
    if (this.#newer !== "device") return;
    if (this.#gpu.readSync === undefined) throw fail(messages.deviceCannotWait("stateDict", "settle"));
    this.#gpu.readSync(this.#state, 0, new Uint8Array(this.region));
    this.#newer = undefined;
  }

  /** The state is copied to the device before the next step. */
  changed(): void {
    this.#newer = "host";
  }

  /** Gives kernels and memory back, and the device if it is the program's own. */
  async close(): Promise<void> {
    for (const prepared of this.#prepared.values()) free(prepared);
    this.#prepared.clear();
    this.#data.close();
    this.#arena.free();
    this.#state.free();
    this.#module.free();
    if (this.#closes) await this.#gpu.close();
  }

  /** Hands everything that a stretch needs to the device. */
  #begin(work: Work): { readonly sequence: GpuSequence; readonly buffers: StepBuffers } {
    const prepared = this.#prepare(work);
    const sequence = this.#sequence(work, prepared);
    prepared.buffers.upload(work);
    if (this.#newer === "host") {
      if (this.region.byteLength > 0) this.#gpu.write(this.#state, 0, new Uint8Array(this.region));
      this.#newer = undefined;
    }
    if (prepared.writesState) this.#newer = "device";
    this.#last = prepared.buffers;
    return { sequence, buffers: prepared.buffers };
  }

  /** The buffers of an entry, with room for the stretch. */
  #prepare({ entry, steps }: Work): Prepared {
    const label = entryLabel(entry);
    const known = this.#prepared.get(label);
    if (known !== undefined && known.buffers.capacity >= steps) return known;
    // Grows by large steps, since every time all launches are prepared anew.
    const capacity = known === undefined ? steps : Math.min(this.mostSteps(entry), Math.max(steps, 8 * steps));
    if (known !== undefined) free(known);
    this.#prepared.delete(label);
    const buffers = new StepBuffers(this.#gpu, entry, capacity);
    const prepared = { buffers, sequences: new Map<string, GpuSequence>(), writesState: this.#writesState(entry) };
    this.#prepared.set(label, prepared);
    return prepared;
  }

  #writesState(entry: ManifestEntry): boolean {
    return (entry.launches ?? []).some(({ kernel, bindings }) =>
      bindings.some(
        ({ buffer }, i) =>
          at(entry.buffers, buffer).role === "state" && at(this.#target.kernels, kernel).bindings[i] === "readwrite",
      ),
    );
  }

  /** The launches of an entry on these data sets. */
  #sequence({ entry, given }: Work, { buffers, sequences }: Prepared): GpuSequence {
    const fields = new Map(
      entry.buffers.flatMap((buffer, place) => {
        const data = given[place];
        if (buffer.role !== "dataset" || data === undefined || data instanceof Uint32Array) return [];
        return [[place, this.#data.resident(buffer, data)] as const];
      }),
    );
    const key = [...fields.values()].map(({ id }) => id).join(" ");
    const known = sequences.get(key);
    sequences.delete(key);
    const [oldest] = sequences;
    if (known === undefined && oldest !== undefined && sequences.size >= keptSequences) {
      oldest[1].free();
      sequences.delete(oldest[0]);
    }
    const bind = (binding: ManifestLaunch["bindings"][number]): GpuBinding => {
      const field = fields.get(binding.buffer)?.memory;
      if (field !== undefined) return { memory: field, offset: 0, bytes: field.bytes, stride: 0 };
      const place = buffers.placeOf(binding.buffer) ?? this.#region(at(entry.buffers, binding.buffer).role);
      const { memory, offset, stride } = place;
      return { memory, offset: offset + binding.offset, bytes: binding.bytes, stride };
    };
    const launches = (entry.launches ?? []).map(({ kernel, groups, bindings }) => ({
      kernel,
      groups,
      bindings: bindings.map(bind),
    }));
    const sequence = known ?? this.#gpu.sequence(this.#module, launches);
    sequences.set(key, sequence);
    return sequence;
  }

  #region(role: string): { readonly memory: GpuMemory; readonly offset: number; readonly stride: number } {
    return { memory: role === "state" ? this.#state : this.#arena, offset: 0, stride: 0 };
  }
}

/** `bytes` in whole vectors of four words, at least one, as uniform bindings are. */
function inVectors(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / 16)) * 16;
}

function free({ buffers, sequences }: Prepared): void {
  for (const sequence of sequences.values()) sequence.free();
  buffers.free();
}

/** The text of a target's kernels, as a device loads it; each file is read once. */
export async function readKernels(target: GpuTarget, read: GpuProgramParts["read"]): Promise<GpuProgramText> {
  const files = [...new Set(target.kernels.flatMap(kernelFiles))];
  const decode = async (file: string): Promise<string> => new TextDecoder().decode(await read(file));
  const texts = new Map(await Promise.all(files.map(async (file) => [file, await decode(file)] as const)));
  const kernels = target.kernels.map(({ file, variants = [], ...kernel }) => ({
    ...kernel,
    text: texts.get(file) ?? "",
    variants: variants.map(({ file: other, ...variant }) => ({ ...variant, text: texts.get(other) ?? "" })),
  }));
  const image = target.name === "cuda" && target.image !== null ? await read(target.image) : undefined;
  return image === undefined ? { kernels } : { kernels, image };
}
