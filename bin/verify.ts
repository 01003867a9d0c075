/**
 * `kiln verify`: an artifact's kernels against the loop-IR interpreter, its entries against the reference interpreter,
 * and its gradients against finite differences, all on random numbers at the artifact's own shapes.
 */
import pc from "picocolors";
import {
  buildKernelLibrary,
  checkGradients,
  planTarget,
  readArtifact,
  type ArtifactProgram,
  type GradientCheck,
  type KernelLibraryOptions,
} from "../compiler/verify.ts";
import type { TargetName } from "../ir/artifact/manifest.ts";
import { Generator } from "../ir/random/generator.ts";
import type { GpuDevice } from "../runtime/gpu/device.ts";
import { openDevice } from "../runtime/gpu/open.ts";
import { loadNative } from "../runtime/native.ts";
import { showsColors } from "../runtime/training/report-error.ts";
import { checkEntries, type EntryCheck } from "./verify/entries.ts";
import { checkGpuKernels } from "./verify/gpu-kernels.ts";
import { checkKernels, type KernelCheck } from "./verify/kernels.ts";

/** Options of `verifyArtifact`. */
export type VerifyOptions = KernelLibraryOptions & {
  /** Which of the artifact's targets; the first if left out. */
  readonly target?: TargetName;
  /** A GPU that is open already, for a target that needs one; it stays open. */
  readonly gpu?: GpuDevice;
  /** Seed of the random numbers; 0 if left out. The same seed checks the same things, but for how much there is time for. */
  readonly seed?: number;
  /** Seconds that the interpreter may spend on one kernel, about; 0.3 if left out. */
  readonly kernelSeconds?: number;
  /** Seconds that the reference interpreter may spend on one entry, and on the gradients, about; 10 if left out. */
  readonly entrySeconds?: number;
  /** Threads that native code runs on; 2 if left out. */
  readonly threads?: number;
  /** Told of each result, as a line of text, as soon as it is there. */
  readonly onLine?: (line: string) => void;
};

/** What `verify` found. */
export type VerifyReport = {
  readonly kernels: readonly KernelCheck[];
  readonly entries: readonly EntryCheck[];
  readonly gradients: readonly GradientCheck[];
  /** Parameters whose gradients were left out, since there was no time for them. */
  readonly gradientsLeftOut: readonly string[];
  readonly ok: boolean;
};

/**
 * Checks the artifact in a folder. What differs is in the report, not an error.
 *
 * @throws UserError K3001 to K3004 for a faulty artifact; TargetError if this machine cannot build or run it.
 */
export async function verifyArtifact(folder: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const { seed = 0, entrySeconds = 10, onLine } = options;
  const random = Generator.seeded(seed);
  const program = await readArtifact(folder, options.target);
  const compared = program.manifest.target.name === "c" ? compareOnProcessor : compareOnGpu;
  const { kernels, entries } = await compared(folder, program, random, options);
  const { checks: gradients, leftOut } = checkGradients(program, () => random.nextFloat24(), entrySeconds);
  for (const check of gradients) onLine?.(gradientLine(check));
  const ok = [...kernels, ...entries].every((check) => check.ok) && gradients.every(({ agrees }) => agrees);
  const report = { kernels, entries, gradients, gradientsLeftOut: leftOut, ok };
  for (const line of summary(report)) onLine?.(line);
  return report;
}

type Compared = Pick<VerifyReport, "kernels" | "entries">;

/** What both ways of comparing are given: options of the checks of kernels and entries. */
function checkOptions(random: Generator, options: VerifyOptions) {
  const { kernelSeconds = 0.3, entrySeconds = 10, threads = 2, onLine } = options;
  return {
    kernels: {
      random,
      milliseconds: 1000 * kernelSeconds,
      threads,
      onCheck: (check: KernelCheck): void => onLine?.(kernelLine(check)),
    },
    entries: {
      random,
      seconds: entrySeconds,
      threads,
      onCheck: (check: EntryCheck): void => onLine?.(entryLine(check)),
    },
  };
}

/** Kernels are compiled anew, each as an entry of its own; entries are the artifact's. */
async function compareOnProcessor(
  folder: string,
  program: ArtifactProgram,
  random: Generator,
  options: VerifyOptions,
): Promise<Compared> {
  const checks = checkOptions(random, options);
  const addon = await loadNative();
  const built = await buildKernelLibrary(folder, program, options);
  const kernels = checkKernels(addon, built, checks.kernels);
  const entries = await checkEntries(folder, program, built.planned, { ...checks.entries, device: "cpu" });
  return { kernels, entries };
}

/** Kernels and entries are the artifact's own. */
async function compareOnGpu(
  folder: string,
  program: ArtifactProgram,
  random: Generator,
  options: VerifyOptions,
): Promise<Compared> {
  const checks = checkOptions(random, options);
  const device = program.manifest.target.name === "cuda" ? "cuda" : "wgpu";
  const { planned, launches } = await planTarget(folder, program);
  const gpu = options.gpu ?? (await openDevice(device));
  try {
    const kernels = await checkGpuKernels({ folder, program, launches, gpu }, checks.kernels);
    const entries = await checkEntries(folder, program, planned, { ...checks.entries, device, gpu });
    return { kernels, entries };
  } finally {
    if (options.gpu === undefined) await gpu.close();
  }
}

/** A report as text: a line for each check, and how many there were. */
export function formatVerify(report: VerifyReport): string {
  const { kernels, entries, gradients } = report;
  const lines = [
    ...kernels.map(kernelLine),
    ...entries.map(entryLine),
    ...gradients.map(gradientLine),
    ...summary(report),
  ];
  return lines.join("\n");
}

/** Lines are for stdout. */
function colors(): ReturnType<typeof pc.createColors> {
  return pc.createColors(showsColors(process.stdout));
}

function mark(ok: boolean): string {
  return ok ? colors().green("ok     ") : colors().red("DIFFERS");
}

function kernelLine(check: KernelCheck): string {
  const isAll = check.wholeTasks && check.checkedTasks === check.tasks;
  const sample = isAll ? "" : `, ${check.wholeTasks ? "" : "parts of "}${check.checkedTasks} of ${check.tasks} tasks`;
  const unstable = check.unstable > 0 ? `, ${check.unstable} too sensitive to rounding to compare` : "";
  const head = `${mark(check.ok)}  kernel ${check.kernel}`;
  const tail = `error ${shortNumber(check.worstError)} in ${check.elements} elements${sample}${unstable}`;
  if (check.fault !== undefined) return `${head}  ${check.doc}\n         ${check.fault}`;
  return `${head}  ${tail}${differenceLine(check.difference, check.doc)}`;
}

function entryLine(check: EntryCheck): string {
  if (check.leftOut !== undefined) return `left    entry ${check.entry}  ${check.leftOut}`;
  const unstable = check.unstable > 0 ? `, ${check.unstable} too sensitive to rounding to compare` : "";
  const tail = `error ${shortNumber(check.worstError)} in ${check.elements} elements of outputs and states${unstable}`;
  return `${mark(check.ok)}  entry ${check.entry}  ${tail}${differenceLine(check.difference, "")}`;
}

function differenceLine(difference: KernelCheck["difference"], doc: string): string {
  if (difference === undefined) return "";
  const { where, element, got, expected } = difference;
  return `\n         ${doc === "" ? "" : `${doc}: `}${where}[${element}] is ${got}, expected ${expected}`;
}

function gradientLine({ agrees, entry, output, states, analytic, numeric }: GradientCheck): string {
  const [first = ""] = states;
  const by = states.length === 1 ? first : `all ${states.length} parameters`;
  const values = `analytic ${analytic.toPrecision(7)}, numeric ${numeric.toPrecision(7)}`;
  return `${mark(agrees)}  gradient of ${output} by ${by} in ${entry}  ${values}`;
}

function summary({ kernels, entries, gradients, gradientsLeftOut, ok }: VerifyReport): string[] {
  const wrong =
    [...kernels, ...entries].filter((check) => !check.ok).length + gradients.filter((check) => !check.agrees).length;
  const done = entries.filter(({ leftOut }) => leftOut === undefined).length;
  const counts = `${kernels.length} kernels, ${done} entries, ${gradients.length} gradients checked`;
  const left =
    gradientsLeftOut.length === 0 ? [] : [`left    gradients by ${gradientsLeftOut.join(", ")}: no time for them`];
  const first = kernels.find((check) => !check.ok);
  return [
    ...left,
    ...(first === undefined ? [] : [firstLine(first)]),
    ok
      ? colors().green(`${counts}: all agree`)
      : colors().red(`${counts}: ${wrong} ${wrong === 1 ? "differs" : "differ"}`),
  ];
}

/** The first kernel that differs, in the order of the step, and where. */
function firstLine({ kernel, difference, fault = "" }: KernelCheck): string {
  if (difference === undefined) return `first   kernel ${kernel}: ${fault}`;
  const { where, element, got, expected } = difference;
  return `first   kernel ${kernel}: ${where}[${element}] is ${got}, expected ${expected}`;
}

function shortNumber(value: number): string {
  return value === 0 ? "0" : value.toExponential(1);
}
