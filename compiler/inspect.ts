/**
 * Reading an artifact as a person does: what was compiled, what each launch costs, any stage's text, any kernel's source.
 * Works from the artifact's files alone; nothing of the model is run.
 */
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import {
  manifestSchema,
  viewTarget,
  type LoadedManifest,
  type Manifest,
  type ManifestTarget,
  type TargetName,
} from "../ir/artifact/manifest.ts";
import { fail, printable } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { entryLabel } from "../ir/program.ts";
import { formatType } from "../ir/type.ts";
import { sideBySide } from "./side-by-side.ts";

/** What to show. */
export type InspectOptions = {
  /** Which stage's text; the overview if none is named. */
  readonly stage?: InspectStage;
  /** Which entry, such as `train@64`; all if none is named. */
  readonly entry?: string;
  /** Which kernel. */
  readonly kernel?: string;
  /** Which target's schedule, plan, kernels; the artifact's first if none is named. A kernel is shown on all then. */
  readonly target?: TargetName;
  /** The overview as JSON. */
  readonly json?: boolean;
  /** Columns that the reader's terminal has: from 160 on, a kernel's targets stand beside each other. */
  readonly width?: number;
};

/** Columns from which on targets stand beside each other. */
const wide = 160;

/** Stages whose text an artifact holds. */
export const inspectStages = ["traced", "graph", "schedule", "plan", "loops", "source", "memory"] as const;

/** One of them. */
export type InspectStage = (typeof inspectStages)[number];

/** Rates that predicted times assume of one core: typical of current server cores, for comparing launches with each other. */
const assumed = { flops: 100e9, bytes: 20e9 };

const reportSchema = v.object({
  entries: v.array(
    v.object({
      name: v.string(),
      batch: v.number(),
      phases: v.number(),
      arenaBytes: v.number(),
      launches: v.array(
        v.object({
          kernel: v.string(),
          phase: v.number(),
          tasks: v.number(),
          flops: v.number(),
          bytes: v.number(),
          computes: v.array(v.string()),
        }),
      ),
    }),
  ),
  kernels: v.array(v.object({ name: v.string(), doc: v.string(), tasks: v.number(), flops: v.number() })),
});

type Report = v.InferOutput<typeof reportSchema>;

/** The text that `options` ask for. Throws a `UserError` if the folder is no artifact, or names nothing that is there. */
export async function inspect(folder: string, options: InspectOptions = {}): Promise<string> {
  const whole = await readManifest(folder);
  if (options.kernel !== undefined) return showKernel(folder, whole, options.kernel, options);
  const manifest = viewTarget(whole, chooseTarget(whole, options.target));
  const own = `ir/${manifest.target.name}`;
  const report = await readReport(folder, manifest.target.name);
  const { stage } = options;
  if (stage === undefined)
    return options.json === true ? JSON.stringify(overviewData(manifest, report), null, 2) : overview(manifest, report);
  switch (stage) {
    case "traced":
      return entryTexts(join(folder, "ir"), manifest, options.entry, ".traced.ir");
    case "graph":
      return entryTexts(join(folder, "ir"), manifest, options.entry, ".ir");
    case "schedule":
      return entryTexts(join(folder, own), manifest, options.entry, ".schedule");
    case "plan":
      return readText(folder, `${own}/plan.txt`);
    case "loops":
      return readText(folder, `${own}/kernels.loop`);
    case "source":
      return sources(folder, manifest.target.name);
    case "memory":
      return memoryPlan(manifest, report);
  }
}

async function readManifest(folder: string): Promise<Manifest> {
  const parsed = v.safeParse(manifestSchema, await readJson(folder, "manifest.json"));
  if (!parsed.success) throw fail(messages.notAnArtifact(folder, parsed.issues[0].message));
  if (parsed.output.targets.length === 0) throw fail(messages.notAnArtifact(folder, "it has no target"));
  return parsed.output;
}

/** The target that was asked for, or the artifact's first. */
function chooseTarget({ targets }: Manifest, wanted: TargetName | undefined): ManifestTarget {
  const target = wanted === undefined ? targets[0] : targets.find(({ name }) => name === wanted);
  if (target !== undefined) return target;
  throw fail(
    messages.nothingToInspect(
      "target",
      wanted ?? "",
      targets.map(({ name }) => name),
    ),
  );
}

async function readReport(folder: string, target: TargetName): Promise<Report> {
  const parsed = v.safeParse(reportSchema, await readJson(folder, `ir/${target}/report.json`));
  if (!parsed.success) throw fail(messages.notAnArtifact(folder, parsed.issues[0].message));
  return parsed.output;
}

async function readJson(folder: string, path: string): Promise<unknown> {
  const text = await readText(folder, path);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw fail(messages.notAnArtifact(folder, `${path} is not JSON`), undefined, error);
  }
}

async function readText(folder: string, path: string): Promise<string> {
  try {
    return await readFile(join(folder, path), "utf8");
  } catch (error) {
    throw fail(messages.notAnArtifact(folder, `${path} cannot be read`), undefined, error);
  }
}

/** Predicted seconds of a launch on one core: the slower of its arithmetic and its traffic. */
function predicted({ flops, bytes }: { readonly flops: number; readonly bytes: number }): number {
  return Math.max(flops / assumed.flops, bytes / assumed.bytes);
}

function overviewData(manifest: LoadedManifest, report: Report): unknown {
  return {
    name: manifest.name,
    kiln: manifest.kiln,
    command: manifest.command,
    target: manifest.target,
    state: { bytes: manifest.state.bytes, values: manifest.state.values.length },
    entries: report.entries.map((entry) => ({
      ...entry,
      launches: entry.launches.map((launch) => ({ ...launch, predictedMicroseconds: predicted(launch) * 1e6 })),
    })),
  };
}

function overview(manifest: LoadedManifest, report: Report): string {
  const parameters = manifest.state.values.filter(({ role }) => role === "parameter");
  const count = parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const lines = [
    `${printable(manifest.name)}: ${parameters.length} parameters, ${count} values; ${report.kernels.length} kernels; made by kiln ${manifest.kiln}: ${printable(manifest.command)}`,
  ];
  for (const entry of report.entries) {
    const total = entry.launches.reduce((sum, { flops }) => sum + flops, 0);
    lines.push(
      "",
      `${printable(entryLabel(entry))}: ${entry.launches.length} launches in ${entry.phases} phases, ${(total / 1e6).toFixed(2)} MFLOP, arena ${kilobytes(entry.arenaBytes)}`,
      table(
        ["phase", "kernel", "tasks", "MFLOP", "KB", "us (predicted)", "computes"],
        entry.launches.map((launch) => [
          String(launch.phase),
          launch.kernel,
          String(launch.tasks),
          (launch.flops / 1e6).toFixed(3),
          (launch.bytes / 1e3).toFixed(1),
          (predicted(launch) * 1e6).toFixed(1),
          launch.computes.join(" ").slice(0, 80),
        ]),
      ),
    );
  }
  lines.push(
    "",
    `Predicted times assume one core with ${assumed.flops / 1e9} GFLOP/s and ${assumed.bytes / 1e9} GB/s.`,
  );
  return `${lines.join("\n")}\n`;
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1e3).toFixed(1)} KB`;
}

/** Columns padded to the widest cell; numbers to the right. */
function table(head: readonly string[], texts: readonly (readonly string[])[]): string {
  const rows = texts.map((row) => row.map(printable));
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => (row[column] ?? "").length)));
  const isNumber = head.map((_, column) => rows.every((row) => /^[0-9.]+$/.test(row[column] ?? "")));
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, column) => {
          const width = widths[column] ?? 0;
          return isNumber[column] === true ? cell.padStart(width) : cell.padEnd(width);
        })
        .join("  ")
        .trimEnd(),
    )
    .map((line) => `  ${line}`)
    .join("\n");
}

function memoryPlan(manifest: LoadedManifest, report: Report): string {
  const lines = [`state: ${kilobytes(manifest.state.bytes)}`];
  lines.push(
    table(
      ["offset", "bytes apart", "type", "role", "name"],
      manifest.state.values.map((value) => [
        String(value.offset),
        `[${value.strides.join(",")}]`,
        formatType(value),
        value.role,
        value.name,
      ]),
    ),
  );
  for (const entry of report.entries) lines.push(`${entryLabel(entry)}: arena ${kilobytes(entry.arenaBytes)}`);
  return `${lines.join("\n")}\n`;
}

async function entryTexts(
  folder: string,
  manifest: LoadedManifest,
  wanted: string | undefined,
  suffix: string,
): Promise<string> {
  const labels = manifest.entries.map(entryLabel);
  const chosen = wanted === undefined ? labels : labels.filter((label) => label === wanted);
  if (chosen.length === 0) throw fail(messages.nothingToInspect("entry", wanted ?? "", labels));
  const texts = await Promise.all(chosen.map((label) => readText(folder, `${label}${suffix}`)));
  return texts.join("\n");
}

/** The texts of a target's kernels that are wanted; what compilers made of them is no text. */
async function sources(
  folder: string,
  target: TargetName,
  isWanted: (file: string) => boolean = (file) => /\.(c|h|wgsl|cu)$/.test(file),
): Promise<string> {
  const names = (await readdir(join(folder, "kernels", target))).filter(isWanted).toSorted();
  const texts = await Promise.all(names.map((name) => readText(folder, `kernels/${target}/${name}`)));
  return names.map((name, i) => `// ${name}\n${texts[i] ?? ""}`).join("\n");
}

/** How the first line of a kernel's definition is told, where all kernels share files; in C there are declarations, too. */
const sourceHeads: Readonly<Record<Exclude<TargetName, "wgsl">, (name: string) => RegExp>> = {
  c: (name) => new RegExp(`^void kiln_k_${name}\\(.*\\{$`),
  cuda: (name) => new RegExp(`^extern "C" __global__ .*\\bkiln_k_${name}\\(`),
};

/** A kernel's source: its function, or the modules that it has on WebGPU, one for each way its buffers are bound. */
async function sourceOf(folder: string, target: TargetName, name: string): Promise<string> {
  const isModule = new RegExp(`^kiln_k_${name}(_\\d+)?(\\.f16)?(\\.subgroup\\d+)?\\.wgsl$`);
  if (target === "wgsl") return sources(folder, target, (file) => isModule.test(file));
  return section(await sources(folder, target), sourceHeads[target](name));
}

/** A kernel's cost, loops and source, on one target or, side by side, on all that have a kernel of this name. */
async function showKernel(
  folder: string,
  manifest: Manifest,
  name: string,
  { target: wanted, width = 0 }: InspectOptions,
): Promise<string> {
  const shown = wanted === undefined ? manifest.targets : [chooseTarget(manifest, wanted)];
  const found: string[] = [];
  const known = new Set<string>();
  for (const target of shown) {
    const report = await readReport(folder, target.name);
    for (const each of report.kernels) known.add(each.name);
    const text = await kernelText(folder, report, name, target.name);
    if (text !== undefined) found.push(shown.length === 1 ? text : `== ${target.name} ==\n${text}`);
  }
  if (found.length === 0) throw fail(messages.nothingToInspect("kernel", name, [...known]));
  return (found.length > 1 && width >= wide ? sideBySide(found, width) : undefined) ?? found.join("\n");
}

async function kernelText(
  folder: string,
  report: Report,
  name: string,
  target: TargetName,
): Promise<string | undefined> {
  const kernel = report.kernels.find((candidate) => candidate.name === name);
  if (kernel === undefined) return undefined;
  const launches = report.entries.flatMap((entry) =>
    entry.launches
      .filter((launch) => launch.kernel === name)
      .map((launch) => ({ entry: entryLabel(entry), ...launch })),
  );
  const uses = launches.map(
    (launch) =>
      `  ${launch.entry} phase ${launch.phase}: ${(launch.flops / 1e6).toFixed(3)} MFLOP, ${(launch.bytes / 1e3).toFixed(1)} KB, predicted ${(predicted(launch) * 1e6).toFixed(1)} us`,
  );
  const loops = section(await readText(folder, `ir/${target}/kernels.loop`), new RegExp(`^kernel ${name}\\b`));
  const source = await sourceOf(folder, target, name);
  return [`${name}: ${printable(kernel.doc)}`, ...uses, "", loops, "", source, ""].join("\n");
}

/** The lines from the one that matches to the closing brace at the margin. */
function section(text: string, start: RegExp): string {
  const lines = text.split("\n");
  const first = lines.findIndex((line) => start.test(line));
  if (first < 0) return "";
  const last = lines.findIndex((line, i) => i > first && line === "}");
  return lines.slice(first, last + 1).join("\n");
}
