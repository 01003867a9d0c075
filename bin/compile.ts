/**
 * `kiln compile`: compiles a model file and says what came of it. The model is type-checked beside the compilation, if a
 * TypeScript compiler is installed where it lies; what that finds is shown, and does not stop anything.
 */
import * as path from "node:path";
import pc from "picocolors";
import { compileModel, type CompileOptions, type CompileResult } from "../compiler/compile.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import type { OptionValues } from "../runtime/training/option-table.ts";
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
    ...(options.march === undefined ? {} : { march: options.march }),
    ...(options.dump === undefined ? {} : { dump: options.dump }),
    ...(options.maxMemory === undefined ? {} : { maxMemory: parseSize(options.maxMemory) }),
  };
  const checking = options.noCheck === true ? undefined : typeCheck(model);
  const [result, check] = await Promise.all([compileModel(model, compileOptions), checking]);
  const seconds = (performance.now() - started) / 1000;
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(jsonReport(result, seconds, check))}\n`);
  } else {
    if (check !== undefined && check !== "") process.stderr.write(`${pc.yellow("type check")}\n${check}\n`);
    process.stdout.write(report(result, seconds));
  }
  return 0;
}

/** Name of a model's artifact: its folder's, or its file's where that is not called `model`. */
function defaultName(model: string): string {
  const { dir, name, ext } = path.parse(path.resolve(model));
  if (ext === "") return name;
  return name === "model" ? path.basename(dir) : name;
}

const units = { "": 1, B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30 } as const;

/** Bytes of `500MB`, `2GiB`, `1000000`. */
function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = Object.entries(units).find(([name]) => name === match?.[2]?.toUpperCase());
  if (match === null || unit === undefined) throw fail(messages.badOptionValue("--max-memory", "a size such as 500MB or 2GB", text));
  return Math.floor(Number(match[1]) * unit[1]);
}

function report(result: CompileResult, seconds: number): string {
  const { manifest, memory, stages, kernels, cached } = result;
  const total = Object.values(memory).reduce((sum, bytes) => sum + bytes, 0);
  const uses = Object.entries(memory).filter(([, bytes]) => bytes > 0);
  const launches = result.reports.reduce((sum, { launches: all }) => sum + all.length, 0);
  const parameters = manifest.state.values.filter(({ role }) => role === "parameter");
  const values = parameters.reduce((sum, { shape }) => sum + shape.reduce((count, extent) => count * extent, 1), 0);
  const lines = [
    ["traced", `${manifest.name}: ${parameters.length} parameters, ${values} values, ${manifest.entries.length} entries`],
    ["fused", `${launches} launches of ${kernels} kernels`],
    ["memory", `peak ${size(total)} = ${uses.map(([use, bytes]) => `${use} ${size(bytes)}`).join(" + ")}`],
    ["built", `${manifest.target.name}${cached ? ", from the cache" : ""}`],
    ["times", stages.map(({ stage, seconds: each }) => `${stage} ${each.toFixed(2)}`).join(", ")],
    ["wrote", `${result.out}  ${seconds.toFixed(2)} s`],
    ["next", `node ${path.join(result.out, "trainer.js")}`],
  ];
  return `${lines.map(([title = "", text]) => `${pc.bold(title.padEnd(8))} ${text}`).join("\n")}\n`;
}

function jsonReport(result: CompileResult, seconds: number, check: string | undefined): object {
  const { out, manifest, memory, stages, kernels, cached } = result;
  return { out, name: manifest.name, target: manifest.target, memory, kernels, cached, stages, seconds, typeCheck: check ?? null };
}

/** Bytes for people, in decimal units. */
function size(bytes: number): string {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} KB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
