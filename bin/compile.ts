/**
 * `kiln compile`: compiles a model file and says what came of it. The model is type-checked beside the compilation, if a
 * TypeScript compiler is installed where it lies; what that finds is shown, and does not stop anything.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import * as path from "node:path";
import pc from "picocolors";
import { compileModel, modelName, type CompileOptions, type CompileResult } from "../compiler/compile.ts";
import type { RandomSource } from "../compiler/targets/target.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { at, elementCount } from "../ir/type.ts";
import type { OptionValues } from "../runtime/training/option-table.ts";
import { showsColors } from "../runtime/training/report-error.ts";
import type { commands } from "./options.ts";
import { typeCheck } from "./type-check.ts";

/** Runs `kiln compile`. */
export async function runCompile(
  [model = ""]: readonly string[],
  options: OptionValues<typeof commands.compile.options>,
): Promise<number> {
  const started = performance.now();
  const out = options.out ?? path.join("build", defaultName(model));
  const compileOptions: CompileOptions = {
    out,
    command: `kiln compile ${path.relative(process.cwd(), path.resolve(model)) || "."}`,
    ...(options.target === undefined ? {} : { targets: options.target }),
    ...(options.random === undefined ? {} : { random: options.random }),
    ...(options.precision === undefined ? {} : { precision: options.precision }),
    ...(options.march === undefined ? {} : { march: options.march }),
    ...(options.dump === undefined ? {} : { dump: options.dump }),
    ...(options.maxMemory === undefined ? {} : { maxMemory: parseSize(options.maxMemory) }),
  };
  const stop = new AbortController();
  let check: string | undefined;
  let result: CompileResult;
  try {
    if (options.noCheck !== true) {
      const note = (found: string | undefined): void => void (check = found);
      void typeCheck(model, stop.signal).then(note);
    }
    result = await compileModel(model, compileOptions);
  } finally {
    // The check is an extra: it never takes longer than the compilation.
    stop.abort();
  }
  const seconds = (performance.now() - started) / 1000;
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(jsonReport(result, seconds, check))}\n`);
    return 0;
  }
  if (check !== undefined && check !== "") {
    process.stderr.write(`${pc.createColors(showsColors(process.stderr)).yellow("type check")}\n${check}\n`);
  }
  process.stdout.write(report(result, seconds));
  return 0;
}

/** Folder name for a model's artifact. */
function defaultName(model: string): string {
  const given = path.resolve(model);
  return existsSync(given) && statSync(given).isDirectory() ? path.basename(given) : modelName(given);
}

const units = { "": 1, B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30 } as const;

/** Bytes of `500MB`, `2GiB`, `1000000`. */
function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = Object.entries(units).find(([name]) => name === match?.[2]?.toUpperCase());
  if (match === null || unit === undefined)
    throw fail(messages.badOptionValue("--max-memory", "a size such as 500MB or 2GB", text));
  return Math.floor(Number(match[1]) * unit[1]);
}

/** What a compilation gave, counted. `operations`: of the entries' graphs after all passes; `values`: of all parameters. */
function counts({ manifest, reports, kernels }: CompileResult): Readonly<Record<string, number>> {
  const { state, entries } = at(manifest.targets, 0);
  const parameters = state.values.filter(({ role }) => role === "parameter");
  const launches = reports.flatMap((entry) => entry.launches);
  return {
    parameters: parameters.length,
    values: parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    entries: entries.length,
    operations: launches.reduce((sum, { computes }) => sum + computes.length, 0),
    launches: launches.length,
    kernels,
  };
}

/** By target, where the random numbers of its steps come from: PyTorch's generator, or a counter. Nothing where none is drawn. */
function randomnessOf({ targets }: CompileResult["manifest"]): Readonly<Record<string, RandomSource>> {
  const sources = targets.flatMap(({ name, entries }): [string, RandomSource][] => {
    const roles = new Set(entries.flatMap(({ buffers }) => buffers.map(({ role }) => role)));
    if (roles.has("key")) return [[name, "counter"]];
    return roles.has("generator") || roles.has("draws") ? [[name, "torch"]] : [];
  });
  return Object.fromEntries(sources);
}

function report(result: CompileResult, seconds: number): string {
  const { bold } = pc.createColors(showsColors(process.stdout));
  const { manifest, memory, stages, cached, out } = result;
  const { parameters, values, entries, operations, launches, kernels } = counts(result);
  const total = Object.values(memory).reduce((sum, bytes) => sum + bytes, 0);
  const uses = Object.entries(memory).filter(([, bytes]) => bytes > 0);
  const draws = Object.entries(randomnessOf(manifest));
  const lines = [
    ["traced", `${manifest.name}: ${parameters} parameters, ${values} values, ${entries} entries`],
    ["fused", `${operations} operations -> ${kernels} kernels, ${launches} launches`],
    ...(draws.length === 0 ? [] : [["random", draws.map(([target, source]) => `${target} ${source}`).join(", ")]]),
    ["memory", `peak ${size(total)} = ${uses.map(([use, bytes]) => `${use} ${size(bytes)}`).join(" + ")}`],
    ["times", stages.map(({ stage, seconds: each }) => `${stage} ${each.toFixed(2)}`).join(", ")],
    ["wrote", `${out}: ${filesIn(out).join(" ")}`],
    ["", `${seconds.toFixed(2)} s${cached ? ", objects from the cache" : ""}`],
    ...(manifest.training === null ? [] : [["next", `node ${path.join(out, "trainer.js")}`]]),
  ];
  return `${lines.map(([title = "", text]) => `${bold(title.padEnd(8))} ${text}`).join("\n")}\n`;
}

function jsonReport(result: CompileResult, seconds: number, check: string | undefined): object {
  const { out, manifest, memory, stages, cached } = result;
  const { name, targets } = manifest;
  return {
    out,
    name,
    targets: targets.map((target) => target.name),
    ...counts(result),
    random: randomnessOf(manifest),
    memory,
    cached,
    stages,
    seconds,
    files: filesIn(out),
    typeCheck: check ?? null,
  };
}

/** What lies in a folder; folders end with a slash. */
function filesIn(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).toSorted();
}

/** Bytes for people, in decimal units. */
function size(bytes: number): string {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} KB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
