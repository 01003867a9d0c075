/**
 * Reading an artifact as a person does: what was compiled, what each launch costs, any stage's text, any kernel's source.
 * Works from the artifact's files alone; nothing of the model is run.
 */
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { manifestSchema, viewTarget, type LoadedManifest } from "../ir/artifact/manifest.ts";
import { fail, printable } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { entryLabel } from "../ir/program.ts";
import { formatType } from "../ir/type.ts";

/** What to show. */
export type InspectOptions = {
  /** Which stage's text; the overview if none is named. */
  readonly stage?: InspectStage;
  /** Which entry, such as `train@64`; all if none is named. */
  readonly entry?: string;
  /** Which kernel. */
  readonly kernel?: string;
  /** The overview as JSON. */
  readonly json?: boolean;
};

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
  const manifest = await readManifest(folder);
  const report = await readReport(folder);
  if (options.kernel !== undefined) return showKernel(folder, report, options.kernel);
  const { stage } = options;
  if (stage === undefined)
    return options.json === true ? JSON.stringify(overviewData(manifest, report), null, 2) : overview(manifest, report);
  switch (stage) {
    case "traced":
      return entryTexts(folder, manifest, options.entry, ".traced.ir");
    case "graph":
      return entryTexts(folder, manifest, options.entry, ".ir");
    case "schedule":
      return entryTexts(folder, manifest, options.entry, ".schedule");
    case "plan":
      return readText(folder, "ir/plan.txt");
    case "loops":
      return readText(folder, "ir/kernels.loop");
    case "source":
      return sources(folder);
    case "memory":
      return memoryPlan(manifest, report);
  }
}

async function readManifest(folder: string): Promise<LoadedManifest> {
  const parsed = v.safeParse(manifestSchema, await readJson(folder, "manifest.json"));
  if (!parsed.success) throw fail(messages.notAnArtifact(folder, parsed.issues[0].message));
  const [target] = parsed.output.targets;
  if (target === undefined) throw fail(messages.notAnArtifact(folder, "it has no target"));
  return viewTarget(parsed.output, target);
}

async function readReport(folder: string): Promise<Report> {
  const parsed = v.safeParse(reportSchema, await readJson(folder, "ir/report.json"));
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
  const texts = await Promise.all(chosen.map((label) => readText(folder, `ir/${label}${suffix}`)));
  return texts.join("\n");
}

async function sources(folder: string): Promise<string> {
  const names = (await readdir(join(folder, "kernels", "c"))).toSorted();
  const texts = await Promise.all(names.map((name) => readText(folder, `kernels/c/${name}`)));
  return names.map((name, i) => `// ${name}\n${texts[i] ?? ""}`).join("\n");
}

/** A kernel's cost, loops and source. */
async function showKernel(folder: string, report: Report, name: string): Promise<string> {
  const kernel = report.kernels.find((candidate) => candidate.name === name);
  if (kernel === undefined)
    throw fail(
      messages.nothingToInspect(
        "kernel",
        name,
        report.kernels.map((each) => each.name),
      ),
    );
  const launches = report.entries.flatMap((entry) =>
    entry.launches
      .filter((launch) => launch.kernel === name)
      .map((launch) => ({ entry: entryLabel(entry), ...launch })),
  );
  const uses = launches.map(
    (launch) =>
      `  ${launch.entry} phase ${launch.phase}: ${(launch.flops / 1e6).toFixed(3)} MFLOP, ${(launch.bytes / 1e3).toFixed(1)} KB, predicted ${(predicted(launch) * 1e6).toFixed(1)} us`,
  );
  const loops = section(await readText(folder, "ir/kernels.loop"), new RegExp(`^kernel ${name}\\b`));
  const source = section(await sources(folder), new RegExp(`^void \\w*${name}\\(`));
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
