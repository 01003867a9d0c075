/**
 * A program that is ready to run, wherever it runs: its state, its entries and its queue. Steps run off the JavaScript
 * thread; calls that overlap queue in the order they were made. Everything that is given to a call is checked before
 * anything runs. Imports nothing of Node's, so that a browser can use it.
 */
import type { LoadedManifest, ManifestEntry, ManifestState } from "../ir/artifact/manifest.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { defaultGenerator } from "../ir/random/default.ts";
import { initialize } from "../ir/random/initialize.ts";
import { elementCount } from "../ir/type.ts";
import type { Tensorlike } from "./data/tensorlike.ts";
import type { Executor } from "./executor.ts";
import { toInputs, type CallInput } from "./inputs.ts";
import { NamedNumbers } from "./named-numbers.ts";
import { entriesOf, Run, type Named, type RunContext, type RunOptions, type RunResult } from "./run.ts";
import type { DeviceName } from "./select-target.ts";
import { StateRegion, type LoadOptions } from "./state.ts";
import { entryLabel } from "./target-check.ts";
import { newTypedArray } from "./typed-array.ts";

const weights: readonly ManifestState["role"][] = ["parameter", "buffer"];
const slots: readonly ManifestState["role"][] = ["slot"];
const allRoles: readonly ManifestState["role"][] = ["parameter", "buffer", "slot"];

/** A program that is ready to run. */
export class LoadedProgram {
  readonly manifest: LoadedManifest;
  /** Where it runs. */
  readonly device: DeviceName;
  /** Threads that kernels run on; 0 where that is the device's affair. */
  readonly threads: number;
  /** Numbers that may be changed between steps, such as learning rates. */
  readonly hyper: NamedNumbers;
  /** Completed steps, as the manifest's counters count them. */
  readonly counters: NamedNumbers;
  readonly #executor: Executor;
  readonly #region: StateRegion;
  readonly #paces: Map<string, number> = new Map();
  #queue: Promise<void> = Promise.resolve();
  #pending = 0;
  #stops = 0;
  #mayInterrupt = false;
  #disposed = false;

  /** Takes over an executor of the manifest's target. */
  constructor(manifest: LoadedManifest, executor: Executor) {
    this.manifest = manifest;
    this.device = executor.device;
    this.threads = executor.threads;
    this.#executor = executor;
    this.#region = new StateRegion(manifest.state.values, executor.region);
    this.hyper = new NamedNumbers(Object.entries(manifest.hyper));
    const zeros = manifest.counters.map((name): [string, number] => [name, 0]);
    this.counters = new NamedNumbers(zeros, true);
  }

  /** What it runs on, for people. */
  get description(): string {
    return this.#executor.description;
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
    this.#executor.changed();
    for (const name of this.counters.keys()) this.counters.set(name, 0);
  }

  /**
   * Fetches the state from the device, so that reading it does not wait. Where the thread cannot wait for the device (in
   * browsers), this comes before every `stateDict`, `loadStateDict`, `optimizerState` and `loadOptimizerState` that
   * follows a step.
   */
  async settle(): Promise<void> {
    await this.#enqueue("read the state", () => this.#executor.fetch());
  }

  /** Copies of parameters and buffers under PyTorch's names, in PyTorch's layout. */
  stateDict(): Map<string, Tensorlike> {
    return this.#read("read the state", weights);
  }

  /** Takes over parameters and buffers. @throws UserError K3009 with all differences; nothing is loaded then. */
  loadStateDict(tensors: ReadonlyMap<string, Tensorlike>, options: LoadOptions = {}): void {
    this.#write("load the state", weights, tensors, options);
  }

  /** Copies of the optimizers' slots, named `<optimizer>.<slot>.<parameter>`. */
  optimizerState(): Map<string, Tensorlike> {
    return this.#read("read the optimizer's state", slots);
  }

  /** Takes over the optimizers' slots. @throws UserError K3009 with all differences; nothing is loaded then. */
  loadOptimizerState(tensors: ReadonlyMap<string, Tensorlike>, options: LoadOptions = {}): void {
    this.#write("load the optimizer's state", slots, tensors, options);
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
    return this.#enqueue("run steps", async (stopped) => this.#drive(this.#begin(options), options, stopped));
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
    for (let work = run.next(); work !== undefined; work = run.next()) {
      const start = performance.now();
      let done;
      try {
        done = this.#executor.runSync(work);
      } catch (error) {
        run.abandon();
        throw error;
      }
      run.finish(done, nanosecondsSince(start));
    }
    this.#learn(run);
    return run.result();
  }

  /** Ends all calls that are running or queued after the step that is under way; their promises tell how many were done. */
  stop(): void {
    this.#stops++;
    if (this.#mayInterrupt) this.#executor.stop();
  }

  /** Stops what is running and gives memory, kernels and threads back. The program cannot be used afterwards. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.stop();
    this.#disposed = true;
    await this.#queue;
    await this.#executor.close();
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
      executor: this.#executor,
      generator: defaultGenerator,
      hyper: this.hyper,
      counters: this.counters,
      pace: this.#paces.get(entryLabel(entry)),
    };
  }

  #read(what: string, roles: readonly ManifestState["role"][]): Map<string, Tensorlike> {
    this.#mustRest(what);
    this.#executor.fetchSync();
    return this.#region.read(roles);
  }

  #write(
    what: string,
    roles: readonly ManifestState["role"][],
    tensors: ReadonlyMap<string, Tensorlike>,
    options: LoadOptions,
  ): void {
    this.#mustRest(what);
    // What is not loaded keeps its value.
    this.#executor.fetchSync();
    this.#region.write(roles, tensors, options);
    this.#executor.changed();
  }

  #learn(run: Run): void {
    if (run.pace !== undefined) this.#paces.set(entryLabel(run.entry), run.pace);
  }

  async #drive(run: Run, options: RunOptions, stopped: () => boolean): Promise<RunResult> {
    while (!stopped()) {
      const work = run.next();
      if (work === undefined) break;
      const start = performance.now();
      let done;
      try {
        // Hyperparameters that were changed for steps ahead cannot be taken back: such a stretch runs to its end.
        this.#mayInterrupt = options.onStep === undefined;
        done = await this.#executor.run(work);
      } catch (error) {
        run.abandon();
        throw error;
      } finally {
        this.#mayInterrupt = false;
      }
      run.finish(done, nanosecondsSince(start));
      await options.onProgress?.(run.done);
    }
    this.#learn(run);
    return run.result();
  }

  /** Runs a task after all that were queued before; `stopped` tells it whether `stop` was called since it was queued. */
  async #enqueue<T>(what: string, task: (stopped: () => boolean) => Promise<T>): Promise<T> {
    if (this.#disposed) throw fail(messages.programDisposed(what));
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

function nanosecondsSince(start: number): number {
  return (performance.now() - start) * 1e6;
}
