/**
 * A training session: what the generated trainer's loop calls. It owns the program, the run's folder and what is shown,
 * and promises PyTorch's order of random draws: seed, `data()`, initial weights, then each pass in turn. A session can be
 * stopped and resumed between any two steps without changing a bit of the result.
 */
import * as path from "node:path";
import type { ManifestEntry } from "../../ir/artifact/manifest.ts";
import { describe } from "../../ir/data/description.ts";
import { fail, invariant } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { defaultGenerator } from "../../ir/random/default.ts";
import { checkTensors, programHash, readCheckpoint, readWeights, type Progress } from "../checkpoint.ts";
import type { DataLoader } from "../data/loader.ts";
import { setDataRoot } from "../data/root.ts";
import type { Display } from "./display.ts";
import { evaluateLoader, evaluationEntry } from "./evaluate.ts";
import { Feed, isLoader } from "./feed.ts";
import { Interrupted, StopListener } from "./interrupt.ts";
import { drawCurve } from "./loss-curve.ts";
import { LossHistory } from "./loss-history.ts";
import { learningRates, type TrainerOptions } from "./options.ts";
import { Position } from "./position.ts";
import { lossResults, numberAt, scalarResults, type Numbers } from "./results.ts";
import { newestCheckpoint, RunFolder, type FoundCheckpoint } from "./run-folder.ts";
import { SaveClock } from "./save-clock.ts";
import { collectTensors, loadTensors, packGenerator, unpackGenerator } from "./snapshot.ts";
import { Stretch } from "./stretch.ts";
import type { StepsCall, StepsResult, TrainedProgram } from "./trained-program.ts";

/** The part of the generated `program.d.ts` that gives results their names. */
export type ProgramTypes = {
  readonly [entry: string]: { readonly results?: { readonly [name: string]: { readonly shape: readonly number[] } } };
};

/** Names of the scalar results of an entry. */
type ScalarNames<R> = { [K in keyof R]: R[K] extends { readonly shape: readonly [] } ? K : never }[keyof R];

/** The scalar results of entry `E` of program `P`, by name. */
export type ResultsOf<P, E extends string> = E extends keyof P
  ? P[E] extends { readonly results: infer R }
    ? { readonly [K in ScalarNames<R>]: number }
    : Readonly<Numbers>
  : Readonly<Numbers>;

/** What a session is opened with. */
export type SessionParts = {
  readonly program: TrainedProgram;
  /** Folder of the artifact. */
  readonly folder: string;
  readonly options: TrainerOptions;
  readonly display: Display;
  /** A monotonic clock in milliseconds, for tests. */
  readonly now?: () => number;
};

/** One training of a compiled program. `P` is the program's type in `program.d.ts`. */
export class Session<P = ProgramTypes> {
  /** The command line's options; what was not given is absent. */
  readonly options: TrainerOptions;
  readonly program: TrainedProgram;
  readonly #display: Display;
  readonly #run: RunFolder;
  readonly #hash: string;
  readonly #stop: StopListener;
  readonly #clock: SaveClock;
  readonly #stretch: Stretch;
  readonly #history = new LossHistory();
  readonly #metrics: Record<string, Numbers> = {};
  readonly #names = new Map<DataLoader, string>();
  readonly #position: Position;
  #seed = 0;
  #epochs = 0;
  #stepsPerEpoch = 0;
  /** What a checkpoint of the present tensors says besides them; `undefined` while a pass is under way. */
  #resumePoint: Progress | undefined;
  #saved = false;
  #hasCheckpoint = false;

  /** Opens the run's folder and listens for Ctrl-C. Throws `UserError`s (K3206, K3207). */
  constructor(parts: SessionParts) {
    this.options = parts.options;
    this.program = parts.program;
    this.#display = parts.display;
    const { manifest } = parts.program;
    this.#hash = programHash(manifest, parts.folder);
    this.#run = RunFolder.open(parts.options.out ?? path.join("runs", path.basename(manifest.name)));
    this.#clock = new SaveClock(parts.options.saveEvery, parts.now);
    this.#stretch = new Stretch(parts.now);
    this.#position = new Position(manifest.training?.schedulers ?? [], parts.program.hyper);
    this.#stop = new StopListener(() =>
      this.#display.note("Stopping after this step; press Ctrl-C again to quit at once."),
    );
  }

  /**
   * Begins: seeds, makes the loaders, gives the weights their first values or those of `--init`, or goes back to where
   * the checkpoint of `--resume` was taken. Returns what `data` gave. Throws `UserError`s (K32xx, K40xx).
   */
  async begin<L extends Readonly<Record<string, unknown>>>(seed: number, data: () => L | Promise<L>): Promise<L> {
    const { options, program } = this;
    if (options.data !== undefined) setDataRoot(options.data);
    const resumed = this.#findCheckpoint();
    if (resumed !== undefined) this.#checkCheckpoint(resumed);
    this.#seed = resumed?.checkpoint.progress.seed ?? seed;
    program.seed(this.#seed);
    const loaders = await data();
    for (const [name, loader] of Object.entries(loaders)) {
      // Loaders are told from other things that `data` may return by what a loader does.
      if (isLoader(loader)) this.#names.set(loader, name);
    }
    const isNamed = (name: string): boolean => Object.hasOwn(loaders, name) && isLoader(loaders[name]);
    const missing = program.manifest.training?.loaders.find(({ name }) => !isNamed(name));
    if (missing !== undefined) throw fail(messages.loaderMissing(missing.name, Object.keys(loaders)));
    if (resumed !== undefined) checkData(resumed, loaders["train"]);
    program.initialize();
    if (options.init !== undefined) this.#loadWeights(options.init);
    const rates =
      options.lr === undefined ? new Map<string, number>() : learningRates(options.lr, program.manifest.hyper);
    this.#position.start(rates);
    if (resumed !== undefined) this.#restore(resumed);
    // A rate that was asked for holds against the checkpoint's too.
    if (resumed !== undefined) this.#position.setRates(rates);
    this.#resumePoint = this.#progress();
    const { epoch, steps } = this.#position;
    const resumedFrom = resumed?.file ?? null;
    this.#display.event({
      event: "start",
      program: program.manifest.name,
      seed: this.#seed,
      epoch,
      steps,
      resumed: resumedFrom,
    });
    if (resumed === undefined) await this.#write(this.#resumePoint);
    else [this.#saved, this.#hasCheckpoint] = [true, true];
    if (resumed !== undefined) this.#display.note(`Resumed ${resumed.file} at epoch ${epoch}, step ${steps}.`);
    return loaders;
  }

  /** The epochs still to be trained, the first is 1, up to `last`. */
  *epochs(last: number): Generator<number, void> {
    this.#epochs = last;
    while (this.#position.epoch <= last) {
      const { epoch } = this.#position;
      yield epoch;
      // A loop that never saves must not train the same epoch forever.
      if (this.#position.epoch === epoch) this.#position.nextEpoch();
    }
  }

  /**
   * Trains one pass over `loader`. Yields for every `every` steps the number of steps of this pass and the results of the
   * last of them. The program runs ahead of what is yielded by up to a quarter of a second, since waking JavaScript for
   * every line of the log would cost more than the steps; a hyperparameter that is changed in the loop holds from the
   * next run on. Throws a `UserError` (K4001) if a loss is not finite, and `Interrupted` when a stop was asked for and the
   * state is saved.
   */
  async *train(
    loader: DataLoader,
    { every }: { readonly every: number },
  ): AsyncGenerator<{ readonly step: number; readonly results: ResultsOf<P, "train"> }, void> {
    const { loaderState } = this.#position;
    if (loaderState !== undefined) loader.startAt(loaderState);
    this.#mustHave("train");
    const feed = new Feed(this.program, "train", this.#nameOf(loader), loader);
    const pass = feed.begin();
    this.#stepsPerEpoch = loader.length;
    let step = pass.first;
    let losses: string[] | undefined;
    try {
      for (;;) {
        const call = await pass.next(this.#stretch.limit(this.#clock.stepsLeft(this.#position.totalSteps)));
        if (call === undefined) break;
        const entry = this.#entryOf(call);
        losses ??= lossResults(entry);
        [this.#resumePoint, this.#saved] = [undefined, false];
        const result = await this.#runSteps(call);
        const fault = this.#note(call, result, losses, step);
        const first = step;
        step += result.steps;
        this.#position.advance(result.steps, loader.state(step));
        await this.#showProgress(step, losses, result);
        const sound = fault === undefined ? step : fault.step - 1;
        for (let line = first - (first % every) + every; line <= sound; line += every)
          yield { step: line, results: this.#resultsAt(entry, result, line - first - 1, line) };
        if (fault !== undefined) throw fault.error;
        await this.#saveOrStop();
      }
    } finally {
      await pass.close();
      this.#display.endProgress();
    }
    this.#resumePoint = this.#progress();
    await this.#saveOrStop();
  }

  /** Lets the schedulers that count epochs take a step, as `scheduler.step()` at the end of an epoch does. */
  stepSchedulers(): void {
    const newest = (name: string): number | undefined =>
      Object.values(this.#metrics).findLast((results) => name in results)?.[name] ?? this.#history.points.at(-1);
    this.#position.stepSchedulers("epoch", newest);
  }

  /**
   * Evaluates one pass over `loader`: the number of its samples, and the combined results. Throws `Interrupted` when a
   * stop was asked for; the state from before the pass is saved then.
   */
  async evaluate<E extends string = "evaluate">(
    loader: DataLoader,
  ): Promise<{ readonly samples: number; readonly results: ResultsOf<P, E> }> {
    const name = this.#nameOf(loader);
    this.#mustHave(evaluationEntry(this.program, name));
    const run = async (call: StepsCall): Promise<StepsResult> => {
      const result = await this.#runSteps(call);
      if (this.#stop.exitCode !== undefined) await this.#leave(this.#stop.exitCode);
      return result;
    };
    const limit = (): number => this.#stretch.limit(Infinity);
    const { samples, results } = await evaluateLoader(this.program, name, loader, run, limit);
    this.#metrics[name] = results;
    this.#display.event({ event: "evaluate", epoch: this.#position.epoch, loader: name, samples, results });
    // The names are those of the entry, from which program.d.ts was made.
    return { samples, results: results as ResultsOf<P, E> };
  }

  /** Ends an epoch: the next one begins, and a checkpoint is saved unless that would take too much of the time. */
  async save(): Promise<void> {
    if (this.#position.isPassOver) this.#position.nextEpoch();
    this.#resumePoint = this.#progress();
    this.#saved = false;
    if (this.#clock.isAffordable()) await this.#write(this.#resumePoint);
    if (this.#stop.exitCode !== undefined) await this.#leave(this.#stop.exitCode);
  }

  /** Prints one line of the log. */
  log(text: string): void {
    this.#display.log(text);
  }

  /** Ends the session: saves what is not saved, draws the loss curve. */
  async finish(): Promise<void> {
    if (!this.#saved && this.#resumePoint !== undefined) await this.#write(this.#resumePoint);
    const { points, stride } = this.#history;
    let curve: string | null = null;
    if (points.length > 1) {
      const title = `Training loss of ${this.program.manifest.name}`;
      const stepsPerEpoch = this.#stepsPerEpoch > 0 ? this.#stepsPerEpoch : points.length * stride;
      curve = this.#run.writeText("loss.svg", drawCurve({ title, points, stride, stepsPerEpoch }));
      await this.#display.curve(this.#history);
    }
    this.#display.note(`Saved ${this.#run.lastCheckpoint}${curve === null ? "" : ` and ${curve}`}`);
    const steps = this.#position.totalSteps;
    this.#display.event({ event: "end", steps, checkpoint: this.#run.lastCheckpoint, curve });
  }

  /** Gives folder, signals and program back. */
  async close(): Promise<void> {
    this.#display.endProgress();
    this.#stop.close();
    this.#run.close();
    await this.program.dispose();
  }

  #findCheckpoint(): FoundCheckpoint | undefined {
    const { resume } = this.options;
    if (resume === undefined) return undefined;
    const warn = (error: Error): void => this.#display.note(`${error.message}\n  The one before it is used.`);
    if (resume === true) {
      const found = newestCheckpoint(this.#run.path, warn);
      if (found === undefined)
        this.#display.note(`No checkpoint in ${this.#run.path} yet: starting from the beginning.`);
      return found;
    }
    return newestCheckpoint(resume, warn) ?? { file: resume, checkpoint: readCheckpoint(resume) };
  }

  #checkCheckpoint({ file, checkpoint }: FoundCheckpoint): void {
    const { progress, tensors } = checkpoint;
    const { seed } = this.options;
    checkTensors(file, tensors, this.program.manifest.state.values);
    if (progress.program !== this.#hash) throw fail(messages.checkpointOfOtherProgram(file, progress.name));
    if (seed !== undefined && seed !== progress.seed) throw fail(messages.seedConflict(file, progress.seed, seed));
  }

  #restore({ file, checkpoint }: FoundCheckpoint): void {
    const { progress, tensors } = checkpoint;
    loadTensors(this.program, tensors);
    for (const [name, value] of Object.entries(progress.counters)) this.program.counters.set(name, value);
    for (const [name, value] of Object.entries(progress.hyper)) this.program.hyper.set(name, value);
    this.#position.restore(progress);
    this.#history.restore({ ...progress.history, points: progress.history.points.map((loss) => loss ?? Number.NaN) });
    defaultGenerator.restore(unpackGenerator(progress.generator, file));
  }

  #loadWeights(file: string): void {
    const states = this.program.manifest.state.values.filter((state) => state.role !== "slot");
    const weights = readWeights(file);
    checkTensors(file, weights, states);
    loadTensors(this.program, weights);
  }

  /** What a checkpoint taken now says besides the tensors. */
  #progress(): Progress {
    const { manifest, hyper, counters } = this.program;
    return {
      format: 1,
      kiln: manifest.kiln,
      name: manifest.name,
      program: this.#hash,
      seed: this.#seed,
      ...this.#position.save(),
      counters: Object.fromEntries(counters),
      hyper: Object.fromEntries(hyper),
      generator: packGenerator(defaultGenerator.save()),
      history: { ...this.#history.save(), points: [...this.#history.points] },
      metrics: structuredClone(this.#metrics),
      slots: manifest.state.values.filter((state) => state.role === "slot").map((state) => state.name),
    };
  }

  async #write(progress: Progress): Promise<void> {
    // The state may lie on a device; waiting for it here keeps the thread free.
    await this.program.settle();
    this.#clock.measure(() => this.#run.writeCheckpoint({ tensors: collectTensors(this.program), progress }));
    [this.#saved, this.#hasCheckpoint] = [true, true];
    this.#display.event({ event: "save", file: this.#run.lastCheckpoint, epoch: progress.epoch, step: progress.steps });
  }

  /** Between two runs of steps: leaves if a stop was asked for, saves if that is due. */
  async #saveOrStop(): Promise<void> {
    if (this.#stop.exitCode !== undefined) {
      this.#resumePoint ??= this.#progress();
      await this.#leave(this.#stop.exitCode);
    }
    if (!this.#saved && this.#clock.isDue(this.#position.totalSteps))
      await this.#write(this.#resumePoint ?? this.#progress());
  }

  async #leave(exitCode: number): Promise<never> {
    if (!this.#saved && this.#resumePoint !== undefined) await this.#write(this.#resumePoint);
    const { epoch, steps } = this.#position;
    this.#display.endProgress();
    this.#display.note(
      `Stopped at epoch ${epoch}, step ${steps}; saved ${this.#run.lastCheckpoint}. Go on with --resume ${this.#run.lastCheckpoint}`,
    );
    throw new Interrupted(exitCode);
  }

  async #runSteps(call: StepsCall): Promise<StepsResult> {
    const isTraining = call.entry === "train" && this.#position.hasStepSchedulers;
    const onStep = (): void => this.#position.stepSchedulers("step");
    const withSchedulers = isTraining ? { ...call, onStep } : call;
    const result = await this.#stretch.measure(call.steps, () => this.program.run(withSchedulers));
    if (isTraining) this.#position.stepSchedulers("step");
    invariant(result.steps === call.steps, `a run of ${call.steps} steps ended after ${result.steps}`);
    return result;
  }

  /** Notes the losses of a run that began after `done` steps of its pass; the first that is not finite, and its error. */
  #note(
    call: StepsCall,
    result: StepsResult,
    losses: readonly string[],
    done: number,
  ): { readonly step: number; readonly error: Error } | undefined {
    for (let step = 0; step < result.steps; step++) {
      for (const name of losses) {
        const value = numberAt(result.outputs[name], step);
        if (Number.isFinite(value)) continue;
        const checkpoint = this.#hasCheckpoint ? this.#run.lastCheckpoint : "";
        const place = done + step + 1;
        return {
          step: place,
          error: fail(messages.lossNotFinite(name, value, this.#position.epoch, place, checkpoint)),
        };
      }
    }
    const [name] = losses;
    if (name !== undefined)
      this.#history.add(Array.from({ length: call.steps }, (_, step) => numberAt(result.outputs[name], step)));
    return undefined;
  }

  async #showProgress(step: number, losses: readonly string[], { steps, outputs }: StepsResult): Promise<void> {
    const loss = numberAt(outputs[losses[0] ?? ""], steps - 1);
    await this.#display.progress(this.#position.epoch, this.#epochs, step, this.#stepsPerEpoch, loss);
  }

  /** The results of step `index` of a run, which is step `step` of its pass. */
  #resultsAt(entry: ManifestEntry, { outputs }: StepsResult, index: number, step: number): ResultsOf<P, "train"> {
    const results: Numbers = {};
    for (const name of scalarResults(entry)) results[name] = numberAt(outputs[name], index);
    this.#display.event({ event: "step", epoch: this.#position.epoch, step, steps: this.#stepsPerEpoch, results });
    // The names are those of the entry, from which program.d.ts was made.
    return results as ResultsOf<P, "train">;
  }

  #entryOf(call: StepsCall): ManifestEntry {
    const entry = this.program.manifest.entries.find(({ name, batch }) => name === call.entry && batch === call.batch);
    invariant(entry !== undefined, `a run of ${call.entry}@${call.batch}, which was not compiled`);
    return entry;
  }

  #mustHave(entry: string): void {
    const { name, entries } = this.program.manifest;
    if (entries.some((each) => each.name === entry)) return;
    throw fail(messages.entryMissing(name, entry, "Define the step in defineTraining, and compile the model again."));
  }

  #nameOf(loader: DataLoader | undefined): string {
    if (loader === undefined) throw fail(messages.loaderMissing("given to the session", [...this.#names.values()]));
    return this.#names.get(loader) ?? "loader";
  }
}

/** Throws a `UserError` (K3210) if a pass is to go on over other data than it began with. */
function checkData({ file, checkpoint }: FoundCheckpoint, loader: unknown): void {
  const { loader: saved } = checkpoint.progress;
  if (saved === null || !isLoader(loader)) return;
  const { samples, batchSize } = loader[describe]();
  if (samples === saved.samples && batchSize === saved.batchSize) return;
  const text = (size: { readonly samples: number; readonly batchSize: number }): string =>
    `${size.samples} samples in batches of ${size.batchSize}`;
  throw fail(messages.dataChangedSinceCheckpoint(file, text(saved), text({ samples, batchSize })));
}
