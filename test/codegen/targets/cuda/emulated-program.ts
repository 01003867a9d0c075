/**
 * CUDA programs on the processor. Takes planned programs, or the text of emitted ones, compiles them unchanged together
 * with the emulation (`emulation/cuda-emulation.hpp`), several in one library, and runs their entries: buffers in, all
 * launches in order, buffers out. Each run is a process of its own, so that what a kernel breaks it breaks alone.
 * Needs g++ or clang++ on x86-64.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { emitCuda, type CudaLaunch, type CudaProgram } from "../../../../codegen/targets/cuda/emit.ts";
import type { PlannedProgram } from "../../../../ir/program.ts";
import { at } from "../../../../ir/type.ts";
import { packageRoot } from "../../../../runtime/package-root.ts";

/**
 * What is looked for while kernels run, beside barriers, alignment and wrong results: nothing (`plain`), accesses outside
 * of buffers and arrays (`addresses`, by the compiler's address sanitizer, about half as fast), or races between threads
 * and blocks (`races`, about a tenth as fast).
 */
export type Checks = "plain" | "addresses" | "races";

/** In which order the threads of a block run between barriers. */
export const threadOrders = ["ascending", "descending", "shuffled"] as const;

/** One of them. */
export type ThreadOrder = (typeof threadOrders)[number];

/** Options of a build. */
export type EmulateOptions = {
  readonly checks?: Checks;
  /** How hard the compiler optimises; 1 by default. */
  readonly level?: 0 | 1 | 2;
};

/** Options of a run. `order`: `ascending` by default; `seconds`: after which it counts as endless, 60 by default. */
export type RunOptions = { readonly order?: ThreadOrder; readonly seconds?: number };

/** One program in an emulated library. */
export type EmulatedProgram = {
  readonly cuda: CudaProgram;
  /**
   * Runs an entry, by its label, on its buffers (the bytes of each, changed in place). Throws an `EmulationError` that
   * says what a kernel did wrong.
   */
  readonly run: (entry: string, buffers: readonly Uint8Array[], options?: RunOptions) => void;
  /** Runs launches of one's own on buffers. */
  readonly launch: (launches: readonly CudaLaunch[], buffers: readonly Uint8Array[], options?: RunOptions) => void;
};

/** Programs compiled together; `close` removes what was compiled. */
export type EmulatedPrograms = { readonly programs: readonly EmulatedProgram[]; readonly close: () => void };

/** A kernel did what it may not. */
export class EmulationError extends Error {}

const emulation = join(packageRoot(), "test/codegen/targets/cuda/emulation");

const compiler = process.env["CXX"] ?? "g++";

/** Why programs cannot be emulated here, or `undefined`. */
export function emulationMissing(): string | undefined {
  if (process.arch !== "x64" || process.platform === "win32") return "the CUDA emulation needs x86-64 and a Unix";
  const found = spawnSync(compiler, ["--version"], { encoding: "utf8" });
  return found.status === 0 ? undefined : `there is no C++ compiler \`${compiler}\` (set CXX)`;
}

/** Emits, compiles and loads planned programs. */
export async function emulate(
  programs: readonly PlannedProgram[],
  options: EmulateOptions = {},
): Promise<EmulatedPrograms> {
  return emulateText(
    programs.map((program) => emitCuda(program)),
    options,
  );
}

/** The same for emitted programs, as they are. */
export async function emulateText(
  programs: readonly CudaProgram[],
  { checks = "plain", level = 1 }: EmulateOptions = {},
): Promise<EmulatedPrograms> {
  const folder = mkdtempSync(join(tmpdir(), "kiln-emulated-"));
  const close = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const [library, runner] = await build(folder, programs, checks, level);
    const run = (index: number, cuda: CudaProgram) => ({
      cuda,
      launch: (launches: readonly CudaLaunch[], buffers: readonly Uint8Array[], options: RunOptions = {}) =>
        runJob({ library, runner, checks }, { index, cuda, launches, buffers }, options),
      run: (label: string, buffers: readonly Uint8Array[], options: RunOptions = {}) => {
        const entry = cuda.entries.find((each) => each.label === label);
        if (entry === undefined) throw new Error(`there is no entry ${label}`);
        runJob({ library, runner, checks }, { index, cuda, launches: entry.launches, buffers }, options);
      },
    });
    return { programs: programs.map((program, index) => run(index, program)), close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Flags of everything. Signed integers wrap where the device header says so; there is no other leave to take. */
const commonFlags = ["-std=c++17", "-fPIC", "-fvisibility=hidden", "-w", "-pipe", "-fno-math-errno", "-fwrapv"];

/** Compiled once for each kind of checks, and removed when the process ends. */
const bases = new Map<Checks, Promise<string>>();

/** The folder with what all libraries share: the running half of the emulation, and the runner. */
async function base(checks: Checks): Promise<string> {
  const known = bases.get(checks);
  if (known !== undefined) return known;
  const folder = mkdtempSync(join(tmpdir(), "kiln-emulation-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const flags = [...commonFlags, "-O2", ...addressFlags(checks)];
  const made = Promise.all([
    compile(folder, [...flags, "-c", join(emulation, "cuda-emulation.cpp"), "-o", "cuda-emulation.o"]),
    compile(folder, [...flags, join(emulation, "runner.cpp"), "-o", "runner", "-ldl"]),
  ]).then(() => folder);
  bases.set(checks, made);
  return made;
}

function addressFlags(checks: Checks): readonly string[] {
  return checks === "addresses" ? ["-fsanitize=address", "-g1"] : [];
}

async function build(
  folder: string,
  programs: readonly CudaProgram[],
  checks: Checks,
  level: number,
): Promise<readonly [library: string, runner: string]> {
  mkdirSync(join(folder, "programs"));
  programs.forEach(({ text }, index) => writeFileSync(join(folder, `programs/${index}.cu`), text));
  const flags = [...commonFlags, `-I${emulation}`, ...addressFlags(checks)];
  const kernels = [...flags, `-O${level}`, ...(checks === "races" ? ["-fsanitize=thread"] : [])];
  const parts = spread(programs.length, availableParallelism());
  const units = parts.map((part, unit) => {
    writeFileSync(join(folder, `unit_${unit}.cpp`), unitText(programs, part, unit));
    return compile(folder, [...kernels, "-c", `unit_${unit}.cpp`, "-o", `unit_${unit}.o`]);
  });
  writeFileSync(join(folder, "kernels.cpp"), tableText(parts));
  const [shared] = await Promise.all([base(checks), ...units]);
  const objects = [join(shared, "cuda-emulation.o"), ...parts.map((_, unit) => `unit_${unit}.o`)];
  await compile(folder, [...flags, "-shared", "kernels.cpp", ...objects, "-lm", "-o", "program.so"]);
  return [join(folder, "program.so"), join(shared, "runner")];
}

/** Numbers 0 to count - 1 in at most `parts` lists. */
function spread(count: number, parts: number): readonly (readonly number[])[] {
  const lists = Array.from({ length: Math.max(1, Math.min(parts, count)) }, () => [] as number[]);
  for (let index = 0; index < count; index++) at(lists, index % lists.length).push(index);
  return lists;
}

/** The name of a kernel in a library of several programs. */
function symbolOf(index: number, kernel: string): string {
  return `${kernel}_of_${index}`;
}

/** Some programs, each in a namespace of its own with kernels of names of their own. */
function unitText(programs: readonly CudaProgram[], part: readonly number[], unit: number): string {
  const texts = part.map((index) => {
    const names = at(programs, index).kernels.map(({ name }) => name);
    const defines = names.map((name) => `#define ${name} ${symbolOf(index, name)}\n`).join("");
    const undefines = names.map((name) => `#undef ${name}\n`).join("");
    return `${defines}namespace program_${index} {\n#include "programs/${index}.cu"\n}\n${undefines}`;
  });
  const rows = part.flatMap((index) =>
    at(programs, index).kernels.map(({ name }) => {
      const symbol = symbolOf(index, name);
      const call = `[](void **pointers) { kiln_emulation::call(program_${index}::${symbol}, pointers); }`;
      return `  {"${symbol}", ${call}},\n`;
    }),
  );
  const table = `extern const kiln_emulation::kernel kiln_unit_${unit}[] = {\n${rows.join("")}  {nullptr, nullptr},\n};\n`;
  return `#include "cuda-emulation.hpp"\n${texts.join("")}${table}`;
}

/** One list of the kernels of all units. */
function tableText(parts: readonly (readonly number[])[]): string {
  const units = parts.map((_, unit) => `kiln_unit_${unit}`);
  const externs = units.map((name) => `extern const kiln_emulation::kernel ${name}[];\n`).join("");
  const list = `extern const kiln_emulation::kernel *const kiln_emulated_units[] = {${units.join(", ")}, nullptr};\n`;
  return `#include "cuda-emulation.hpp"\n${externs}${list}`;
}

async function compile(folder: string, args: readonly string[]): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const child = spawn(compiler, args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
    let output = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.on("error", reject);
    child.on("close", (status) => {
      if (status === 0) resolve();
      else reject(new Error(`${compiler} ${args.join(" ")}\n${output.slice(0, 4000)}`));
    });
  });
}

type Built = { readonly library: string; readonly runner: string; readonly checks: Checks };

type Job = {
  readonly index: number;
  readonly cuda: CudaProgram;
  readonly launches: readonly CudaLaunch[];
  readonly buffers: readonly Uint8Array[];
};

/** A job in the words of `runner.cpp`. */
function jobBytes({ index, cuda, launches, buffers }: Job, checks: Checks, options: RunOptions): Uint8Array[] {
  const { order = "ascending", seconds = 60 } = options;
  const numbers = [threadOrders.indexOf(order), seconds, checks === "races" ? 1 : 0, buffers.length];
  numbers.push(...buffers.map(({ length }) => length), launches.length);
  const names: Uint8Array[] = [];
  for (const { kernel, groups, bindings } of launches) {
    const { name, threads } = at(cuda.kernels, kernel);
    const symbol = new TextEncoder().encode(symbolOf(index, name));
    names.push(symbol);
    numbers.push(symbol.length, groups, threads, bindings.length);
    for (const { buffer, offset, bytes } of bindings) numbers.push(buffer, offset, bytes);
  }
  const head = new Uint8Array(BigInt64Array.from(numbers, BigInt).buffer);
  return [head, ...names, ...buffers];
}

function runJob({ library, runner, checks }: Built, job: Job, options: RunOptions): void {
  const bytes = job.buffers.reduce((sum, { length }) => sum + length, 0);
  const input = Buffer.concat(jobBytes(job, checks, options));
  const env = { ...process.env, ASAN_OPTIONS: "detect_leaks=0:detect_stack_use_after_return=0:color=never" };
  const ran = spawnSync(runner, [library], { input, env, maxBuffer: bytes + 1_000_000 });
  if (ran.status !== 0 || ran.stdout.length !== bytes) {
    const why = ran.stderr.toString("utf8").trim();
    throw new EmulationError(why === "" ? `the emulation ended with ${ran.status ?? ran.signal}` : why);
  }
  let offset = 0;
  for (const buffer of job.buffers) buffer.set(ran.stdout.subarray(offset, (offset += buffer.length)));
}
