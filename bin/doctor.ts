/**
 * `kiln doctor`: looks for everything Kiln needs on this machine and says for each whether it is there, and what to do if
 * not. What is missing is not an error of the command; its exit code is 3 only if nothing could be compiled or run.
 */
import { tmpdir } from "node:os";
import pc from "picocolors";
import { closeCache, openCache } from "../compiler/build/cache.ts";
import { findCompiler } from "../compiler/build/c-compiler.ts";
import { cpuProfile } from "../compiler/build/features.ts";
import { runCommand } from "../compiler/build/run-command.ts";
import { DiagnosticError, fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { cpuFeatures, usefulThreads } from "../runtime/cpu-features.ts";
import { mnist } from "../runtime/data/mnist.ts";
import { setDataRoot } from "../runtime/data/root.ts";
import { addonCompilers, loadNative } from "../runtime/native.ts";
import type { OptionValues } from "../runtime/training/option-table.ts";
import { exitCodes, showsColors } from "../runtime/training/report-error.ts";
import { cudaGpu, nvcc, nvrtc, wgpuAdapters, wgpuLibrary } from "./gpu-findings.ts";
import type { commands } from "./options.ts";
import { kilnVersion } from "./version.ts";

/** One thing that was looked for. */
export type Finding = {
  readonly name: string;
  readonly ok: boolean;
  /** Whether Kiln cannot work without it. */
  readonly needed: boolean;
  /** What was found, or why it was not. */
  readonly detail: string;
  /** What to do if it is missing. */
  readonly remedy?: string;
};

/** Runs `kiln doctor`. */
export async function runDoctor(
  _words: readonly string[],
  options: OptionValues<typeof commands.doctor.options>,
): Promise<number> {
  if (options.data !== undefined) setDataRoot(options.data);
  const findings = await examine();
  const isSick = findings.some(({ ok, needed }) => needed && !ok);
  if (options.json === true) process.stdout.write(`${JSON.stringify({ ok: !isSick, findings })}\n`);
  else for (const finding of findings) process.stdout.write(`${lineOf(finding)}\n`);
  return isSick ? exitCodes.target : exitCodes.ok;
}

/** Looks for everything, one thing after the other. */
export async function examine(): Promise<Finding[]> {
  return [
    await look("kiln", true, () => kilnVersion()),
    await look("node", true, nodeVersion),
    await look("cache", true, async () => {
      const cache = await openCache();
      await closeCache(cache);
      return cache.lasting
        ? cache.folder
        : `${cache.folder}, for this run only: set KILN_CACHE to a folder that can be written`;
    }),
    await look("C compiler", true, async () => {
      const cache = await openCache();
      try {
        const { file, version } = await findCompiler(cache);
        return `${file}, ${version}`;
      } finally {
        await closeCache(cache);
      }
    }),
    // Only the addon is built with it; once that is there, nothing needs it.
    await look("C++ compiler", false, cppCompiler),
    await look("addon", true, async () => {
      await loadNative();
      return "built and loaded";
    }),
    await look("CPU", true, processor),
    await look("wgpu library", false, wgpuLibrary),
    await look("wgpu GPUs", false, wgpuAdapters),
    await look("nvcc", false, nvcc),
    await look("NVRTC", false, nvrtc),
    await look("CUDA GPU", false, cudaGpu),
    await look("data: MNIST", false, () => {
      const train = mnist({ split: "train" });
      return `${train.length} training pictures`;
    }),
  ];
}

async function cppCompiler(): Promise<string> {
  for (const command of addonCompilers()) {
    const [file = "", ...args] = command.trim().split(/\s+/);
    const result = await runCommand({ file, args: [...args, "--version"], cwd: tmpdir(), seconds: 10 });
    if (result.kind === "done") return `${command}, ${result.stdout.split("\n")[0] ?? ""}`;
  }
  throw fail(messages.noAddonCompiler(addonCompilers()));
}

/** The CPU, and what kernels get out of it; without a C compiler only what the system tells. */
async function processor(): Promise<string> {
  const known = cpuFeatures();
  const profile = await cpuProfile().catch((error: unknown) => {
    if (error instanceof DiagnosticError) return undefined;
    throw error;
  });
  const cores = `${process.arch}, ${usefulThreads()} cores`;
  if (profile === undefined) return cores;
  const lacking = known === undefined ? [] : profile.features.filter((feature) => !known.has(feature));
  if (lacking.length > 0) throw fail(messages.cpuLacksAssumed(lacking));
  return `${cores}, ${profile.lanes} lanes of f32, ${profile.features.join(" ") || "baseline"}`;
}

function nodeVersion(): string {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return process.version;
  throw fail(messages.nodeTooOld(process.version));
}

async function look(name: string, needed: boolean, find: () => string | Promise<string>): Promise<Finding> {
  try {
    return { name, ok: true, needed, detail: await find() };
  } catch (error) {
    const isKnown = error instanceof DiagnosticError;
    const detail = isKnown ? error.diagnostic.what : error instanceof Error ? error.message : String(error);
    const remedy = isKnown ? error.diagnostic.hint : undefined;
    return { name, ok: false, needed, detail, ...(remedy === undefined ? {} : { remedy }) };
  }
}

function lineOf({ name, ok, needed, detail, remedy }: Finding): string {
  const colors = pc.createColors(showsColors(process.stdout));
  const mark = ok ? colors.green("ok     ") : needed ? colors.red("missing") : colors.yellow("missing");
  return `${mark}  ${name.padEnd(12)} ${detail}${remedy === undefined ? "" : `\n${" ".repeat(22)}${remedy}`}`;
}
