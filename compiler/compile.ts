/**
 * The compiler from end to end: a model file or a traced program in, an artifact out. This is the list of arrows of the
 * architecture; each is timed, and its result can be dumped.
 */
import { createRequire } from "node:module";
import { basename, dirname, join, parse, relative, resolve } from "node:path";
import { mkdir, writeFile } from "node:fs/promises";
import { emitC, type CProgram } from "../codegen/targets/c/emit.ts";
import { generateTrainer } from "../codegen/trainer/trainer.ts";
import { viewTarget, type Manifest } from "../ir/artifact/manifest.ts";
import { describeLoader } from "../ir/data/describe.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { printGraph } from "../ir/print.ts";
import { printKernel } from "../ir/loop/print.ts";
import { entryLabel } from "../ir/program.ts";
import { printProgram } from "../ir/program-print.ts";
import {
  checkOutput,
  createManifest,
  cTarget,
  libraryPath,
  memoryReport,
  writeArtifact,
  type ArtifactFiles,
} from "./artifact.ts";
import { buildC, type CLibrary } from "./build/c.ts";
import { closeCache, openCache } from "./build/cache.ts";
import { cpuProfile, type CpuProfile } from "./build/features.ts";
import { loadModel } from "./load-model.ts";
import type { EntryReport, Plan } from "./memory/plan.ts";
import { planTraced, type BackResult, type Observer } from "./pipeline.ts";
import { printSchedule } from "./schedule/print.ts";
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
  const profile = probe(options);
  const model = await clock.time("load", () => loadModel(path));
  const root = dirname(model.file);
  const loaders = await clock.time("data", () => describeLoaders(model.definition, root));
  const traced = await clock.time("trace", () => traceTraining(model.definition, loaders, { root }));
  const name = modelName(model.file);
  const command = options.command ?? `kiln compile ${relative(process.cwd(), resolve(path))}`;
  const extra = (manifest: Manifest): Promise<Record<string, string>> => trainerFiles(model.file, manifest);
  return compileProgram(traced, { ...options, name, command }, { clock, profile, extra });
}

/** Asks the C compiler about the processor: by processes of its own, beside whatever comes first. */
function probe(options: CompileOptions): Promise<CpuProfile> {
  const profile = cpuProfile(options.march);
  // A fault is reported where the profile is awaited, unless something else fails before that.
  profile.catch(() => undefined);
  return profile;
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
    { clock: new Clock(), profile: probe(options), extra: () => Promise.resolve({}) },
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

/** What a compilation goes on with. `extra`: further files of the artifact, by name. */
type Parts = {
  readonly clock: Clock;
  readonly profile: Promise<CpuProfile>;
  readonly extra: (manifest: Manifest) => Promise<Record<string, string>>;
};

async function compileProgram(
  traced: TracedProgram,
  options: NamedOptions,
  { clock, extra, ...parts }: Parts,
): Promise<CompileResult> {
  const profile = await clock.time("probe", () => parts.profile);
  const dumps: Promise<void>[] = [];
  const observer: Observer = {
    time: (stage, milliseconds) => clock.add(stage, milliseconds / 1000),
    ...(options.dump === undefined ? {} : { dump: dumperTo(options.dump, dumps) }),
  };
  const back = planTraced(traced, { machine: profile, name: options.name, observer });
  const memory = memoryReport(traced, back.plan);
  checkMemory(memory, options.maxMemory);
  const source = clock.timeSync("emit", () => emitC(back.plan.program));
  const manifest = createManifest({
    name: options.name,
    version: packageVersion(),
    command: options.command,
    traced,
    targets: [cTarget(traced, back.plan, profile.features)],
  });
  // The C compiler runs in processes of its own; the trainer is written meanwhile.
  const [library, trainer] = await Promise.all([
    clock.time("compile", () => buildC(source, options.march === undefined ? {} : { march: options.march })),
    clock.time("trainer", () => extra(manifest)),
  ]);
  const files = artifactFiles(traced, back, source, library, trainer);
  await Promise.all(dumps);
  await clock.time("write", () => writeArtifact(options.out, manifest, files));
  return {
    out: options.out,
    manifest,
    stages: clock.stages,
    memory,
    reports: back.plan.reports,
    kernels: back.plan.program.kernels.length,
    cached: library.cached,
  };
}

function artifactFiles(
  traced: TracedProgram,
  back: BackResult,
  source: CProgram,
  library: CLibrary,
  trainer: Readonly<Record<string, string>>,
): ArtifactFiles {
  const { plan, graphs, schedules } = back;
  const files = new Map<string, Uint8Array | string>([[libraryPath, library.library]]);
  for (const { name, text } of source.files) files.set(`kernels/c/${name}`, text);
  for (const [name, text] of Object.entries(trainer)) files.set(name, text);
  for (const entry of traced.entries) files.set(`ir/${entryLabel(entry)}.traced.ir`, printGraph(entry.graph));
  for (const [label, graph] of graphs) files.set(`ir/${label}.ir`, printGraph(graph));
  for (const [label, schedule] of schedules) files.set(`ir/${label}.schedule`, printSchedule(schedule));
  files.set("ir/kernels.loop", plan.program.kernels.map(printKernel).join("\n"));
  files.set("ir/plan.txt", printProgram(plan.program));
  files.set("ir/report.json", `${JSON.stringify(reportOf(plan), null, 1)}\n`);
  return files;
}

/** What `inspect` reads: every launch, and the kernels' sizes. */
function reportOf(plan: Plan): unknown {
  return {
    entries: plan.reports,
    kernels: plan.program.kernels.map(({ name, doc, tasks, flops }) => ({ name, doc, tasks, flops })),
  };
}

async function trainerFiles(modelFile: string, manifest: Manifest): Promise<Record<string, string>> {
  const { training } = manifest;
  const [target] = manifest.targets;
  if (training === null || target === undefined) return {};
  const cache = await openCache();
  try {
    const displayName = basename(modelFile);
    return await generateTrainer({
      // What a trainer is made from is the same for all targets.
      manifest: viewTarget(manifest, target),
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
