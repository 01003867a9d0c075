/**
 * Training in a page: the loop of a generated trainer, with a user who starts, pauses and stops it between runs of steps.
 * Seeds, first weights, the order of the samples and the host's draws are those of Node: the same settings give the same
 * training, however often it was paused.
 */
import type { ManifestEntry } from "../../ir/artifact/manifest.ts";
import type { PageDescription } from "../../ir/artifact/page.ts";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { defaultGenerator } from "../../ir/random/default.ts";
import type { DataLoader } from "../data/loader.ts";
import type { Tensorlike } from "../data/tensorlike.ts";
import type { LoadedProgram } from "../loaded-program.ts";
import { evaluateLoader, evaluationEntry, type Evaluation } from "../training/evaluate.ts";
import { Feed, type FeedPass } from "../training/feed.ts";
import { LossHistory } from "../training/loss-history.ts";
import { learningRates } from "../training/options.ts";
import { Position } from "../training/position.ts";
import { lossResults, numberAt } from "../training/results.ts";
import { Stretch } from "../training/stretch.ts";
import type { StepsCall, StepsResult } from "../training/trained-program.ts";
import { decodeWords, makeLoaders } from "./loaders.ts";

/** What the user chooses. */
export type Settings = { readonly seed: number; readonly epochs: number; readonly rate: number | undefined };

/** Where a training is. */
export type Phase = "ready" | "training" | "evaluating" | "paused" | "finished" | "failed";

/** An evaluation, and when it was made. */
export type Scored = Evaluation & { readonly loader: string; readonly epoch: number; readonly step: number };

/** Longest run of steps between two looks at what the user wants, in milliseconds. */
const longest = 80;

/** A training of the page's program. */
export class PageTrainer {
  readonly program: LoadedProgram;
  /** The loaders by name, made anew by each `reset`. */
  loaders: ReadonlyMap<string, DataLoader> = new Map();
  settings: Settings;
  phase: Phase = "ready";
  history: LossHistory = new LossHistory();
  scores: Scored[] = [];
  /** Steps of the current epoch, done and in all. */
  stepsPerEpoch = 0;
  /** Steps and samples a second, lately; 0 while nothing is known. */
  pace: { steps: number; samples: number } = { steps: 0, samples: 0 };
  fault: unknown = undefined;
  readonly #page: PageDescription;
  readonly #arrays: readonly Tensorlike[];
  readonly #changed: () => void;
  readonly #stretch = new Stretch(undefined, longest);
  #position: Position;
  #pass: FeedPass | undefined;
  #wish: "run" | "pause" | "stop" = "pause";
  #running: Promise<void> = Promise.resolve();
  /** What uses the program beside the training. */
  #beside: Promise<void> = Promise.resolve();
  #isResetting = false;

  /** `changed` is called whenever anything of this has changed. */
  constructor(
    program: LoadedProgram,
    data: { readonly page: PageDescription; readonly arrays: readonly Tensorlike[] },
    changed: () => void,
  ) {
    this.program = program;
    this.#page = data.page;
    this.#arrays = data.arrays;
    this.#changed = changed;
    const { training } = program.manifest;
    this.settings = { seed: training?.seed ?? 0, epochs: training?.epochs ?? 1, rate: undefined };
    this.#position = new Position(training?.schedulers ?? [], program.hyper);
    this.#begin(this.settings);
  }

  /** The epoch under way or next; the first is 1. */
  get epoch(): number {
    return this.#position.epoch;
  }

  /** Steps of this epoch that are done. */
  get steps(): number {
    return this.#position.steps;
  }

  /** Steps that are done in all. */
  get totalSteps(): number {
    return this.#position.totalSteps;
  }

  /** The learning rate now, of the first group. */
  get rate(): number | undefined {
    return [...this.program.hyper].find(([name]) => name.endsWith(".lr"))?.[1];
  }

  /** Whether a rate that the user sets holds at once: schedulers would set it again. */
  get isRateFree(): boolean {
    return (this.program.manifest.training?.schedulers ?? []).length === 0;
  }

  /** Whether epochs are left to train. */
  get isUnfinished(): boolean {
    return this.#position.epoch <= this.settings.epochs;
  }

  /** Trains, or goes on training, to the last epoch. */
  start(): void {
    const isBusy = this.phase === "training" || this.phase === "evaluating" || this.#isResetting;
    if (isBusy || !this.isUnfinished) return;
    this.#wish = "run";
    this.#set("training");
    this.#running = this.#train();
  }

  /** Holds the training after the steps under way. */
  async pause(): Promise<void> {
    this.#wish = "pause";
    await this.#running;
  }

  /** Holds the training and evaluates what it has come to; it can go on afterwards, as if it had not been stopped. */
  async stop(): Promise<void> {
    this.#wish = "stop";
    await this.#running;
    if (this.phase !== "paused") return;
    const now = defaultGenerator.save();
    this.#running = this.#guarded(async () => {
      await this.#evaluate(() => true);
      defaultGenerator.restore(now);
      this.#set("paused");
    });
    await this.#running;
  }

  /** Starts over with first weights by `settings`. @throws UserError K3101 for a bad seed. */
  async reset(settings: Settings): Promise<void> {
    this.#isResetting = true;
    try {
      await this.pause();
      await this.#pass?.close();
      await this.beside(async () => this.#begin(settings));
    } finally {
      this.#isResetting = false;
    }
    this.#set("ready");
  }

  /** Runs what uses the program besides the training: one such thing after the other, and none while it is reset. */
  async beside<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#beside.then(task);
    this.#beside = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  /** Changes the number of epochs, and the learning rate where it is free, of a training under way. */
  change({ epochs, rate }: Pick<Settings, "epochs" | "rate">): void {
    this.settings = { ...this.settings, epochs, rate };
    if (rate !== undefined && this.isRateFree)
      this.#position.setRates(learningRates(String(rate), this.program.manifest.hyper));
    if (this.phase === "finished" && this.isUnfinished) this.#set("paused");
    else if (this.phase === "paused" && !this.isUnfinished) this.#set("finished");
    else this.#changed();
  }

  /** Evaluates the program as it is, on all loaders but the training one. */
  async evaluate(): Promise<void> {
    const now = defaultGenerator.save();
    const { phase } = this;
    this.#running = this.#guarded(async () => {
      await this.#evaluate(() => true);
      defaultGenerator.restore(now);
      this.#set(phase);
    });
    await this.#running;
  }

  #set(phase: Phase): void {
    this.phase = phase;
    this.#changed();
  }

  /** Seeds, makes loaders and first weights: in this order, as a trainer in Node does. */
  #begin(settings: Settings): void {
    const { manifest, hyper } = this.program;
    this.program.seed(settings.seed);
    // What `data()` drew with the model's seed is known; with another seed its choices stay those of the export.
    if (this.#page.drawn !== null && settings.seed === manifest.training?.seed)
      defaultGenerator.restore(decodeWords(this.#page.drawn));
    this.loaders = makeLoaders(this.#page, this.#arrays);
    this.program.initialize();
    for (const [name, value] of Object.entries(manifest.hyper)) hyper.set(name, value);
    this.#position = new Position(manifest.training?.schedulers ?? [], hyper);
    const { rate } = settings;
    this.#position.start(rate === undefined ? new Map() : learningRates(String(rate), manifest.hyper));
    this.settings = settings;
    this.#pass = undefined;
    this.history = new LossHistory();
    this.scores = [];
    this.pace = { steps: 0, samples: 0 };
    this.fault = undefined;
    this.stepsPerEpoch = this.#loader("train").length;
  }

  #loader(name: string): DataLoader {
    const loader = this.loaders.get(name);
    if (loader === undefined) throw fail(messages.loaderMissing(name, [...this.loaders.keys()]));
    return loader;
  }

  async #guarded(task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      this.fault = error;
      this.#set("failed");
    }
  }

  async #train(): Promise<void> {
    await this.#guarded(async () => {
      while (this.isUnfinished) {
        if (!(await this.#trainPass())) return this.#set("paused");
        // In Node, the test set is evaluated when all is done: what its passes draw must not move what comes after.
        await this.#evaluate((name) => name === "test");
        const { results } = this.scores.at(-1) ?? {};
        this.#position.stepSchedulers("epoch", (name) => results?.[name] ?? this.history.points.at(-1));
        this.#position.nextEpoch();
      }
      this.#set("finished");
    });
  }

  /** Trains to the end of the epoch; false if the user wants a rest before that. */
  async #trainPass(): Promise<boolean> {
    this.#set("training");
    const pass = (this.#pass ??= new Feed(this.program, "train", "train", this.#loader("train")).begin());
    for (;;) {
      if (this.#wish !== "run") return false;
      const call = await pass.next(this.#stretch.limit(Infinity));
      if (call === undefined) break;
      const start = performance.now();
      const result = await this.#runTraining(call);
      this.#measure(call, performance.now() - start);
      this.#note(call, result);
      this.#position.advance(result.steps, undefined);
      this.#changed();
    }
    await pass.close();
    this.#pass = undefined;
    return true;
  }

  async #runTraining(call: StepsCall): Promise<StepsResult> {
    const scheduled = this.#position.hasStepSchedulers;
    const onStep = (): void => this.#position.stepSchedulers("step");
    const result = await this.#stretch.measure(call.steps, () =>
      this.program.run(scheduled ? { ...call, onStep } : call),
    );
    if (scheduled) onStep();
    return result;
  }

  #measure({ steps, batch }: StepsCall, milliseconds: number): void {
    const seconds = Math.max(milliseconds, 1e-3) / 1000;
    const [now, before] = [{ steps: steps / seconds, samples: (steps * batch) / seconds }, this.pace];
    const mix = (a: number, b: number): number => (a === 0 ? b : a + 0.15 * (b - a));
    this.pace = { steps: mix(before.steps, now.steps), samples: mix(before.samples, now.samples) };
  }

  /** Keeps the losses of a run. @throws UserError K4001 for one that is not finite. */
  #note({ entry: name, batch }: StepsCall, { steps, outputs }: StepsResult): void {
    const isRun = (entry: ManifestEntry): boolean => entry.name === name && entry.batch === batch;
    const entry = this.program.manifest.entries.find(isRun);
    const [loss] = entry === undefined ? [] : lossResults(entry);
    if (loss === undefined) return;
    const losses = Array.from({ length: steps }, (_, step) => numberAt(outputs[loss], step));
    const bad = losses.findIndex((value) => !Number.isFinite(value));
    this.history.add(bad < 0 ? losses : losses.slice(0, bad));
    if (bad >= 0) throw fail(messages.lossNotFinite(loss, losses[bad] ?? NaN, this.epoch, this.steps + bad + 1, ""));
  }

  /** Evaluates every loader but the training one; after those that `isAside` names, the generator is as before. */
  async #evaluate(isAside: (loader: string) => boolean): Promise<void> {
    const { entries } = this.program.manifest;
    for (const [loader, { dataset }] of this.loaders) {
      const entry = evaluationEntry(this.program, loader);
      if (loader === "train" || !entries.some(({ name }) => name === entry) || !("get" in dataset)) continue;
      this.#set("evaluating");
      const before = defaultGenerator.save();
      const run = (call: StepsCall): Promise<StepsResult> => this.program.run(call);
      const evaluation = await evaluateLoader(this.program, loader, this.#loader(loader), run, () => 64);
      if (isAside(loader)) defaultGenerator.restore(before);
      this.scores.push({ ...evaluation, loader, epoch: this.epoch, step: this.totalSteps });
    }
  }
}
