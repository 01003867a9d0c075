/**
 * The compiler from end to end: a model file or a traced program in, an artifact out. This is the list of arrows of the
 * architecture; each is timed, and its result can be dumped.
 */
import { createRequire } from "node:module";
import { basename, dirname, join, parse, relative, resolve } from "node:path";
import { mkdir, writeFile } from "node:fs/promises";
import { generateTrainer, type TrainerRequest } from "../codegen/trainer/trainer.ts";
import type { Manifest, ManifestTraining, TargetName } from "../ir/artifact/manifest.ts";
import { describeLoader } from "../ir/data/describe.ts";
import { fail, invariant } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { printGraph } from "../ir/print.ts";
import { printKernel } from "../ir/loop/print.ts";
import type { Machine } from "../ir/machine.ts";
import { entryLabel } from "../ir/program.ts";
import { printProgram } from "../ir/program-print.ts";
import {
  checkOutput,
  createManifest,
  manifestEntries,
  manifestState,
  manifestTraining,
  memoryReport,
  writeArtifact,
  type ArtifactFiles,
} from "./artifact.ts";
import { closeCache, openCache } from "./build/cache.ts";
import { loadModel } from "./load-model.ts";
import type { EntryReport, Plan } from "./memory/plan.ts";
import { optimiseTraced, planTraced, type BackResult, type Observer } from "./pipeline.ts";
import { printSchedule } from "./schedule/print.ts";
import { targets, targetsWith } from "./targets/index.ts";
import type { BuiltTarget, Precision, RandomSource, Timed } from "./targets/target.ts";
import { blaming } from "./trace/blame.ts";
import type { TrainingDefinition } from "./trace/definition.ts";
import { relativeFile } from "./trace/source.ts";
import { traceTraining, type LoaderDescriptions } from "./trace/training.ts";
import type { TracedProgram } from "./trace/traced.ts";

/** Options of a compilation. */
export type CompileOptions = {
  /** Folder of the artifact. */
  readonly out: string;
  /** CPU level to compile for: `native` (this machine), or what the C compiler's `-march` takes. Default: `native`. */
  readonly march?: string;
  /** What to compile for; `c` alone if left out. The first is the one that `kiln inspect` shows where none is asked for. */
  readonly targets?: readonly TargetName[];
  /** Where random numbers of a step come from: `torch` for processors and `counter` for GPUs if left out. */
  readonly random?: RandomSource;
  /** How precisely products are computed, on targets with tensor cores; `f32` if left out. */
  readonly precision?: Precision;
  /** Folder that gets the text of every stage. */
  readonly dump?: string;
  /** Upper bound of parameters, optimizer, activations and workspace together, in bytes. */
  readonly maxMemory?: number;
  /** The command to note in the artifact. Default: `kiln compile <name>`. */
  readonly command?: string;
};

/** What a compilation gave. */
export type CompileResult = {
  readonly out: string;
  readonly manifest: Manifest;
  /** Seconds by stage, in order. */
  readonly stages: readonly { readonly stage: string; readonly seconds: number }[];
  /** Bytes by use. */
  readonly memory: ReturnType<typeof memoryReport>;
  readonly reports: readonly EntryReport[];
  readonly kernels: number;
  /** Whether the compiled objects were found in the cache. */
  readonly cached: boolean;
};

/** Compiles the training definition in a model file (or in `model.ts` of a folder). */
export async function compileModel(path: string, options: CompileOptions): Promise<CompileResult> {
  const clock = new Clock();
  await checkOutput(options.out);
  const machines = probe(options);
  const model = await clock.time("load", () => loadModel(path));
  const root = dirname(model.file);
  const loaders = await clock.time("data", () => describeLoaders(model.definition, root));
  const traced = await clock.time("trace", () => traceTraining(model.definition, loaders, { root }));
  const name = modelName(model.file);
  const command = options.command ?? `kiln compile ${relative(process.cwd(), resolve(path))}`;
  const extra: Parts["extra"] = (manifest, training) => trainerFiles(model.file, manifest, training);
  return compileProgram(traced, { ...options, name, command }, { clock, machines, extra });
}

/** Asks for the machines of all targets: some by processes of their own, beside whatever comes first. */
function probe(options: CompileOptions): ReadonlyMap<TargetName, Promise<Machine>> {
  return new Map(
    chosenTargets(options).map((name) => {
      const machine = targets[name].machine(options);
      // A fault is reported where the machine is awaited, unless something else fails before that.
      machine.catch(() => undefined);
      return [name, machine];
    }),
  );
}

/** What the program of a model file is called: after its folder if the file is called `model`, else after the file. */
export function modelName(file: string): string {
  const { dir, name } = parse(file);
  return name === "model" ? basename(dir) || name : name;
}

/** Compiles a traced program. Throws `UserError`s of the model, and `TargetError`s of the C compiler. */
export async function compileTraced(
  traced: TracedProgram,
  options: CompileOptions & { readonly name: string },
): Promise<CompileResult> {
  const command = options.command ?? `kiln compile ${options.name}`;
  return compileProgram(
    traced,
    { ...options, command },
    { clock: new Clock(), machines: probe(options), extra: () => Promise.resolve({}) },
  );
}

/** What the loaders of a definition say about themselves. */
function describeLoaders(definition: TrainingDefinition, root: string): LoaderDescriptions {
  const { place } = definition;
  const from = place === undefined ? undefined : { ...place, file: relativeFile(place.file, root) };
  return blaming({ what: "data()", root, place: from }, () => {
    const loaders: unknown = definition.data();
    if (loaders instanceof Promise) {
      loaders.catch(() => undefined);
      throw fail(messages.asyncInTrace("data()"));
    }
    if (typeof loaders !== "object" || loaders === null) throw fail(messages.noTrainLoader([]));
    if (Object.hasOwn(loaders, "__proto__")) throw fail(messages.reservedName("loader", "__proto__"));
    return Object.fromEntries(
      Object.entries(loaders).map(([name, loader]) => [name, describeLoader(loader, `data().${name}`)]),
    );
  });
}

type NamedOptions = CompileOptions & { readonly name: string; readonly command: string };

/** What a compilation goes on with. `extra`: further files of the artifact, by name, from what a trainer is written from. */
type Parts = {
  readonly clock: Clock;
  readonly machines: ReadonlyMap<TargetName, Promise<Machine>>;
  readonly extra: (
    manifest: TrainerRequest["manifest"],
    training: ManifestTraining | null,
  ) => Promise<Record<string, string>>;
};

async function compileProgram(
  traced: TracedProgram,
  options: NamedOptions,
  { clock, extra, machines }: Parts,
): Promise<CompileResult> {
  const { precision = "f32" } = options;
  const able = targetsWith(precision);
  if (!chosenTargets(options).some((name) => able.includes(name)))
    throw fail(messages.badOptionValue("--precision", `f32, or ${able.join(" or ")} among the targets`, precision));
  const dumps: Promise<void>[] = [];
  const graphs = optimiseTraced(traced, observerFor(options, clock, dumps));
  const planned: Planned[] = [];
  for (const name of chosenTargets(options)) {
    const machine = await clock.time(`probe ${name}`, () => machines.get(name) ?? targets[name].machine(options));
    const dumped = planned.length === 0 ? undefined : name;
    const back = planTraced(traced, {
      machine,
      name: options.name,
      graphs,
      observer: observerFor(options, clock, dumps, dumped),
    });
    planned.push({ name, back });
  }
  const memory = memoryReport(
    traced,
    planned.map(({ back }) => back.plan),
  );
  checkMemory(memory, options.maxMemory);
  // Compilers run in processes of their own; the trainer is written meanwhile.
  const time: Timed = (stage, run) => clock.time(stage, run);
  const [first] = planned;
  invariant(first !== undefined, "a compilation without a target");
  const [built, trainer] = await Promise.all([
    Promise.all(planned.map(({ name, back }) => targets[name].build({ traced, plan: back.plan }, options, time))),
    clock.time("trainer", () => extra(trainerProgram(traced, options, first.back.plan), manifestTraining(traced))),
  ]);
  const manifest = createManifest({
    name: options.name,
    version: packageVersion(),
    command: options.command,
    traced,
    targets: built.map(({ target }) => target),
  });
  const files = artifactFiles(traced, planned, built, trainer);
  await Promise.all(dumps);
  await clock.time("write", () => writeArtifact(options.out, manifest, files));
  return {
    out: options.out,
    manifest,
    stages: clock.stages,
    memory,
    reports: first.back.plan.reports,
    kernels: first.back.plan.program.kernels.length,
    cached: built.every(({ cached, target }) => cached || target.name !== "c"),
  };
}

/** A plan for a target. */
type Planned = { readonly name: TargetName; readonly back: BackResult };

/** The targets of a compilation, each once, in the order they were given. */
function chosenTargets({ targets: chosen = ["c"] }: CompileOptions): readonly TargetName[] {
  return [...new Set(chosen)];
}

/** Stages are timed and dumped; those of further targets under their name. */
function observerFor(options: NamedOptions, clock: Clock, dumps: Promise<void>[], target?: TargetName): Observer {
  const suffix = target === undefined ? "" : ` ${target}`;
  const write = options.dump === undefined ? undefined : dumperTo(options.dump, dumps);
  return {
    time: (stage, milliseconds) => clock.add(`${stage}${suffix}`, milliseconds / 1000),
    ...(write === undefined
      ? {}
      : { dump: (name, text) => write(target === undefined ? name : `${target}.${name}`, text) }),
  };
}

/** What the trainer is written from: the same for all targets, so that it need not wait for any. */
function trainerProgram(
  traced: TracedProgram,
  { name, command }: NamedOptions,
  plan: Plan,
): TrainerRequest["manifest"] {
  const state = manifestState(traced, plan);
  return { name, command, kiln: packageVersion(), state, entries: manifestEntries(plan) };
}

function artifactFiles(
  traced: TracedProgram,
  planned: readonly Planned[],
  built: readonly BuiltTarget[],
  trainer: Readonly<Record<string, string>>,
): ArtifactFiles {
  const files = new Map<string, Uint8Array | string>(built.flatMap((each) => [...each.files]));
  for (const [name, text] of Object.entries(trainer)) files.set(name, text);
  for (const entry of traced.entries) files.set(`ir/${entryLabel(entry)}.traced.ir`, printGraph(entry.graph));
  for (const { name, back } of planned) {
    const { plan, graphs, schedules } = back;
    for (const [label, graph] of graphs) files.set(`ir/${label}.ir`, printGraph(graph));
    for (const [label, schedule] of schedules) files.set(`ir/${name}/${label}.schedule`, printSchedule(schedule));
    files.set(`ir/${name}/kernels.loop`, plan.program.kernels.map(printKernel).join("\n"));
    files.set(`ir/${name}/plan.txt`, printProgram(plan.program));
    files.set(`ir/${name}/report.json`, `${JSON.stringify(reportOf(plan), null, 1)}\n`);
  }
  return files;
}

/** What `inspect` reads: every launch, and the kernels' sizes. */
function reportOf(plan: Plan): unknown {
  return {
    entries: plan.reports,
    kernels: plan.program.kernels.map(({ name, doc, tasks, flops }) => ({ name, doc, tasks, flops })),
  };
}

async function trainerFiles(
  modelFile: string,
  manifest: TrainerRequest["manifest"],
  training: ManifestTraining | null,
): Promise<Record<string, string>> {
  if (training === null) return {};
  const cache = await openCache();
  try {
    const displayName = basename(modelFile);
    return await generateTrainer({
      manifest,
      training,
      modelFile,
      displayName,
      cache: cache.lasting ? cache.folder : undefined,
    });
  } finally {
    await closeCache(cache);
  }
}

function checkMemory(memory: ReturnType<typeof memoryReport>, limit: number | undefined): void {
  const total = Object.values(memory).reduce((sum, bytes) => sum + bytes, 0);
  if (limit !== undefined && total > limit) throw fail(messages.needsTooMuchMemory(total, limit, memory));
}

function dumperTo(folder: string, pending: Promise<void>[]): (name: string, text: string) => void {
  return (name, text) => {
    pending.push(mkdir(folder, { recursive: true }).then(() => writeFile(join(folder, name), text)));
  };
}

/** Version of this package. */
export function packageVersion(): string {
  // The package's own description lies beside the compiled files or above the sources.
  const require = createRequire(import.meta.url);
  const description: unknown = require("kilnjs/package.json");
  return typeof description === "object" && description !== null && "version" in description
    ? String(description.version)
    : "unknown";
}

/** Times of stages. */
class Clock {
  readonly stages: { readonly stage: string; readonly seconds: number }[] = [];

  add(stage: string, seconds: number): void {
    this.stages.push({ stage, seconds });
  }

  async time<T>(stage: string, run: () => T | Promise<T>): Promise<T> {
    const begin = performance.now();
    const result = await run();
    this.add(stage, (performance.now() - begin) / 1000);
    return result;
  }

  timeSync<T>(stage: string, run: () => T): T {
    const begin = performance.now();
    const result = run();
    this.add(stage, (performance.now() - begin) / 1000);
    return result;
  }
}
