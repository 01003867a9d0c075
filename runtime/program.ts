/**
 * A compiled program, loaded from its artifact: its state, its entries, and the threads it runs on. Steps run off the
 * JavaScript thread; calls that overlap queue in the order they were made. Everything that comes from the artifact is
 * checked before it is used, and everything given to a call before anything runs.
 */
import { fileURLToPath } from "node:url";
import type { LoadedManifest, ManifestEntry, ManifestState } from "../ir/artifact/manifest.ts";
import { fail, invariant } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { defaultGenerator } from "../ir/random/default.ts";
import { initialize } from "../ir/random/initialize.ts";
import { elementCount } from "../ir/type.ts";
import { checkProcessor, usefulThreads } from "./cpu-features.ts";
import { toInputs, type CallInput } from "./inputs.ts";
import { readArtifactFile, readManifest } from "./manifest.ts";
import { allocateWords, Staging } from "./memory.ts";
import { NamedNumbers } from "./named-numbers.ts";
import { callNative, loadNative, nativeError, type NativeAddon, type NativeProgram } from "./native.ts";
import { selectTarget } from "./select-target.ts";
import { entriesOf, Run, type Named, type RunContext, type RunOptions, type RunResult } from "./run.ts";
import type { Tensorlike } from "./data/tensorlike.ts";
import { StateRegion, type LoadOptions } from "./state.ts";
import { entryLabel } from "./target-check.ts";
import { newTypedArray } from "./typed-array.ts";

/** Options of `Program.load`. */
export type ProgramOptions = {
  /** Threads to run kernels on; as many as there are cores if left out. Results do not depend on it. */
  readonly threads?: number;
  /** Seeds the default generator and initialises the state. Without it the state is zero until it is set. */
  readonly seed?: number;
};

const weights: readonly ManifestState["role"][] = ["parameter", "buffer"];
const slots: readonly ManifestState["role"][] = ["slot"];
const allRoles: readonly ManifestState["role"][] = ["parameter", "buffer", "slot"];

/** Most threads a program may be given. */
const mostThreads = 1024;

/** A program that is ready to run. */
export class Program {
  readonly manifest: LoadedManifest;
  /** Threads that kernels run on. */
  readonly threads: number;
  /** Numbers that may be changed between steps, such as learning rates. */
  readonly hyper: NamedNumbers;
  /** Completed steps, as the manifest's counters count them. */
  readonly counters: NamedNumbers;
  readonly #native: NativeProgram;
  readonly #region: StateRegion;
  readonly #memory: { readonly state: Float64Array; readonly arena: Float64Array; readonly staging: Staging };
  /** Index of each entry in the library, by label. */
  readonly #places: ReadonlyMap<string, number>;
  readonly #paces: Map<string, number> = new Map();
  #queue: Promise<void> = Promise.resolve();
  #pending = 0;
  #stops = 0;
  #mayInterrupt = false;
  #disposed = false;

  private constructor(manifest: LoadedManifest, addon: NativeAddon, native: NativeProgram, threads: number) {
    this.manifest = manifest;
    this.threads = threads;
    this.#native = native;
    this.#places = matchEntries(manifest, native);
    const state = allocateWords(addon, manifest.state.bytes);
    const arena = allocateWords(addon, Math.max(0, ...manifest.entries.map((entry) => entry.arenaBytes)));
    this.#memory = { state, arena, staging: new Staging(addon) };
    this.#region = new StateRegion(manifest.state.values, state.buffer as ArrayBuffer); // allocated as one just above
    this.hyper = new NamedNumbers(Object.entries(manifest.hyper));
    const zeros = manifest.counters.map((name): [string, number] => [name, 0]);
    this.counters = new NamedNumbers(zeros, true);
  }

  /**
   * Loads the artifact in a folder.
   *
   * @throws UserError K3001 to K3004 for a faulty artifact, K3015 for a bad option; TargetError K5001 to K5008 if this
   *   machine cannot run it.
   */
  static async load(folder: string | URL, options: ProgramOptions = {}): Promise<Program> {
    const threads = options.threads ?? usefulThreads();
    if (!Number.isInteger(threads) || threads < 1 || threads > mostThreads)
      throw fail(messages.badRuntimeOption("threads", `a whole number from 1 to ${mostThreads}`, String(threads)));
    const path = folder instanceof URL ? fileURLToPath(folder) : folder;
    const manifest = selectTarget(await readManifest(path), "cpu");
    const { target } = manifest;
    invariant(target.name === "c", "a target for another device");
    checkProcessor(target.arch, target.features);
    const image = await readArtifactFile(path, manifest, target.library);
    const addon = await loadNative();
    const native = callNative(() => new addon.NativeProgram(image));
    const program = new Program(manifest, addon, native, threads);
    if (options.seed !== undefined) {
      program.seed(options.seed);
      program.initialize();
    }
    return program;
  }

  /** Seeds the default generator. @throws UserError K3101 if `seed` is no 64-bit integer. */
  seed(seed: number | bigint): void {
    this.#mustRest("seed the generator");
    defaultGenerator.manualSeed(seed);
  }

  /**
   * Gives all state its first value, drawing from the default generator as PyTorch would: parameters and buffers by the
   * model's initialisation, slots and counters zero.
   */
  initialize(): void {
    this.#mustRest("initialise the state");
    const tensors = new Map<string, Tensorlike>();
    for (const { name, dtype, shape } of this.#region.values)
      tensors.set(name, { dtype, shape, data: newTypedArray(dtype, elementCount(shape)) });
    initialize(this.manifest.init, tensors, defaultGenerator);
    this.#region.write(allRoles, tensors);
    for (const name of this.counters.keys()) this.counters.set(name, 0);
  }

  /** Copies of parameters and buffers under PyTorch's names, in PyTorch's layout. */
  stateDict(): Map<string, Tensorlike> {
    this.#mustRest("read the state");
    return this.#region.read(weights);
  }

  /** Takes over parameters and buffers. @throws UserError K3009 with all differences; nothing is loaded then. */
  loadStateDict(tensors: ReadonlyMap<string, Tensorlike>, options: LoadOptions = {}): void {
    this.#mustRest("load the state");
    this.#region.write(weights, tensors, options);
  }

  /** Copies of the optimizers' slots, named `<optimizer>.<slot>.<parameter>`. */
  optimizerState(): Map<string, Tensorlike> {
    this.#mustRest("read the optimizer's state");
    return this.#region.read(slots);
  }

  /** Takes over the optimizers' slots. @throws UserError K3009 with all differences; nothing is loaded then. */
  loadOptimizerState(tensors: ReadonlyMap<string, Tensorlike>, options: LoadOptions = {}): void {
    this.#mustRest("load the optimizer's state");
    this.#region.write(slots, tensors, options);
  }

  /** Batch sizes an entry was compiled for, `[0]` for one without a batch axis. @throws UserError K3005. */
  batchSizes(entry: string): number[] {
    return this.#variants(entry).map((variant) => variant.batch);
  }

  /**
   * Runs steps of an entry off the JavaScript thread.
   *
   * Typed arrays that are given may be read until the promise is settled and must not be changed or transferred before.
   *
   * @throws UserError K3005 to K3008, K3015 before anything runs, K3011 if a step met an index outside its axis.
   */
  async run(options: RunOptions): Promise<RunResult> {
    return this.#enqueue(async (stopped) => this.#drive(this.#begin(options), options, stopped));
  }

  /**
   * Runs one step with plain values: typed arrays, (nested) arrays of numbers, numbers. The batch size is that of the inputs.
   *
   * @throws as `run`
   */
  async call(entry: string, inputs: Named<CallInput> = {}): Promise<RunResult["outputs"]> {
    const { options } = this.#prepareCall(entry, inputs);
    return (await this.run(options)).outputs;
  }

  /** `call` on the JavaScript thread, for scripts and tests. @throws as `call`, and K3012 while another call runs. */
  callSync(entry: string, inputs: Named<CallInput> = {}): RunResult["outputs"] {
    this.#mustRest("run a step");
    const { options } = this.#prepareCall(entry, inputs);
    return this.runSync(options).outputs;
  }

  /** `run` on the JavaScript thread; `onProgress` is not called. @throws as `run`, and K3012 while another call runs. */
  runSync(options: RunOptions): RunResult {
    this.#mustRest("run steps");
    const run = this.#begin(options);
    const place = this.#placeOf(run.entry);
    for (let stretch = run.next(); stretch !== undefined; stretch = run.next()) {
      const { steps, buffers } = stretch;
      const start = process.hrtime.bigint();
      let done;
      try {
        done = this.#native.runSync(place, steps, this.threads, buffers.views, buffers.strides, buffers.bytes);
      } catch (error) {
        run.abandon();
        throw nativeError(error);
      }
      run.finish(done, Number(process.hrtime.bigint() - start));
    }
    this.#learn(run);
    return run.result();
  }

  /** Ends all calls that are running or queued after the step that is under way; their promises tell how many were done. */
  stop(): void {
    this.#stops++;
    if (this.#mayInterrupt) this.#native.stop();
  }

  /** Stops what is running and gives memory, library and threads back. The program cannot be used afterwards. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.stop();
    this.#disposed = true;
    await this.#queue;
    this.#native.close();
  }

  /** The same as `dispose`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  /** Throws unless no call is under way. */
  #mustRest(what: string): void {
    if (this.#disposed) throw fail(messages.programDisposed(what));
    if (this.#pending > 0) throw fail(messages.programBusy(what));
  }

  #variants(name: string): ManifestEntry[] {
    const variants = this.manifest.entries.filter((entry) => entry.name === name);
    if (variants.length === 0)
      throw fail(messages.unknownEntry(name, [...new Set(this.manifest.entries.map((entry) => entry.name))]));
    return variants;
  }

  #placeOf(entry: ManifestEntry): number {
    return this.#places.get(entryLabel(entry)) ?? 0;
  }

  #prepareCall(name: string, inputs: Named<CallInput>): { readonly options: RunOptions } {
    const { entry, views } = toInputs(this.#variants(name), entriesOf(inputs));
    return { options: { entry: name, batch: entry.batch, inputs: views } };
  }

  /** Checks what a run is given. */
  #begin(options: RunOptions): Run {
    const variants = this.#variants(options.entry);
    const entry =
      variants.find((variant) => variant.batch === options.batch) ??
      (options.batch === undefined ? variants[0] : undefined);
    if (entry === undefined || (options.batch === undefined && variants.length > 1)) {
      const sizes = variants.map((variant) => variant.batch);
      throw fail(messages.programBatchNotCompiled(options.entry, String(options.batch ?? "no given size"), sizes));
    }
    return new Run(entry, options, this.#context(entry));
  }

  #context(entry: ManifestEntry): RunContext {
    return {
      ...this.#memory,
      generator: defaultGenerator.state,
      hyper: this.hyper,
      counters: this.counters,
      pace: this.#paces.get(entryLabel(entry)),
    };
  }

  #learn(run: Run): void {
    if (run.pace !== undefined) this.#paces.set(entryLabel(run.entry), run.pace);
  }

  async #drive(run: Run, options: RunOptions, stopped: () => boolean): Promise<RunResult> {
    const place = this.#placeOf(run.entry);
    while (!stopped()) {
      const stretch = run.next();
      if (stretch === undefined) break;
      const { steps, buffers } = stretch;
      const start = process.hrtime.bigint();
      let done;
      try {
        // Hyperparameters that were changed for steps ahead cannot be taken back: such a stretch runs to its end.
        this.#mayInterrupt = options.onStep === undefined;
        done = await this.#native.run(place, steps, this.threads, buffers.views, buffers.strides, buffers.bytes);
      } catch (error) {
        run.abandon();
        throw nativeError(error);
      } finally {
        this.#mayInterrupt = false;
      }
      run.finish(done, Number(process.hrtime.bigint() - start));
      await options.onProgress?.(run.done);
    }
    this.#learn(run);
    return run.result();
  }

  /** Runs a task after all that were queued before; `stopped` tells it whether `stop` was called since it was queued. */
  async #enqueue<T>(task: (stopped: () => boolean) => Promise<T>): Promise<T> {
    if (this.#disposed) throw fail(messages.programDisposed("run steps"));
    const stops = this.#stops;
    this.#pending++;
    const result = this.#queue.then(async () => {
      try {
        return await task(() => this.#stops !== stops);
      } finally {
        this.#pending--;
      }
    });
    this.#queue = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }
}

/** The place of each of the manifest's entries in the library. @throws TargetError K5008 if they do not belong together. */
function matchEntries(manifest: LoadedManifest, native: NativeProgram): Map<string, number> {
  const found = native.entries;
  return new Map(
    manifest.entries.map((entry) => {
      const label = entryLabel(entry);
      const place = found.findIndex((each) => each.name === label);
      const declared = found[place];
      const expected = `${entry.buffers.length} buffers, ${entry.phases} phases`;
      if (declared === undefined) throw fail(messages.libraryMismatch(label, expected, "no such entry"));
      if (declared.buffers !== entry.buffers.length || declared.phases !== entry.phases)
        throw fail(messages.libraryMismatch(label, expected, `${declared.buffers} buffers, ${declared.phases} phases`));
      return [label, place];
    }),
  );
}
