/**
 * `kiln verify`: the kernels of one of an artifact's targets against the loop-IR interpreter, on the device that runs
 * them; its entries against the reference interpreter; and its gradients against finite differences, all on random
 * numbers at the artifact's own shapes.
 */
import pc from "picocolors";
import {
  checkGradients,
  planArtifact,
  readArtifact,
  type ArtifactProgram,
  type GradientCheck,
  type KernelLibraryOptions,
  type PlannedArtifact,
} from "../compiler/verify.ts";
import type { LoadedManifest, TargetName } from "../ir/artifact/manifest.ts";
import { printable } from "../ir/diagnostic/diagnostic.ts";
import { Generator } from "../ir/random/generator.ts";
import { at } from "../ir/type.ts";
import { readManifest } from "../runtime/manifest.ts";
import { Program } from "../runtime/program.ts";
import { selectTarget, targetDevices } from "../runtime/select-target.ts";
import { showsColors } from "../runtime/training/report-error.ts";
import { checkEntries, leaveOutEntries, type EntryCheck } from "./verify/entries.ts";
import { checkKernels, type KernelCheck } from "./verify/kernels.ts";
import { processorRunner } from "./verify/processor-runner.ts";
import type { KernelRunner } from "./verify/runner.ts";

/** Options of `verifyArtifact`. */
export type VerifyOptions = KernelLibraryOptions & {
  /** Which target; the artifact's first if left out. */
  readonly target?: TargetName;
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
  readonly target: TargetName;
  /** What the kernels ran on, for people. */
  readonly device: string;
  /** Files with kernels that are not what was compiled. */
  readonly changed: readonly string[];
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
 * @throws UserError K3001 to K3004 for a faulty artifact, K6063 for one of another version; TargetError K5230 if it was
 *   not compiled for the target, others if this machine cannot build or run it.
 */
export async function verifyArtifact(folder: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const { seed = 0, kernelSeconds = 0.3, entrySeconds = 10, threads = 2, onLine } = options;
  const random = Generator.seeded(seed);
  const whole = await readManifest(folder);
  const target = options.target ?? at(whole.targets, 0).name;
  const manifest = selectTarget(whole, targetDevices[target]);
  const artifact = await readArtifact(folder, target);
  const planned = await planArtifact(artifact, options.march);
  const device = await openDevice(folder, manifest, planned, { ...options, threads });
  try {
    onLine?.(headLine(target, device.description));
    const kernels = await checkKernels(device.runner, {
      random,
      milliseconds: 1000 * kernelSeconds,
      onCheck: (check) => onLine?.(kernelLine(check)),
    });
    const entries = await checkProgram(artifact, planned, device, {
      random,
      seconds: entrySeconds,
      onCheck: (check) => onLine?.(entryLine(check)),
    });
    const { checks: gradients, leftOut } = checkGradients(artifact, () => random.nextFloat24(), entrySeconds);
    for (const check of gradients) onLine?.(gradientLine(check));
    const { description, changed } = device;
    const agree = [...kernels, ...entries].every((check) => check.ok) && gradients.every(({ agrees }) => agrees);
    const ok = agree && changed.length === 0;
    const report = { target, device: description, changed, kernels, entries, gradients, gradientsLeftOut: leftOut, ok };
    for (const line of summary(report)) onLine?.(line);
    return report;
  } finally {
    await device.close();
  }
}

/** What runs an artifact for one of its targets. */
type OpenDevice = {
  readonly description: string;
  readonly runner: KernelRunner;
  readonly changed: readonly string[];
  /** Loads the whole program; only where nothing has changed. */
  program(): Promise<Program>;
  close(): Promise<void>;
};

type DeviceOptions = KernelLibraryOptions & { readonly threads: number };

/** Opens what runs the target. A GPU's driver is loaded only for a target that runs on one. */
async function openDevice(
  folder: string,
  manifest: LoadedManifest,
  { plan }: PlannedArtifact,
  options: DeviceOptions,
): Promise<OpenDevice> {
  const { target } = manifest;
  const device = targetDevices[target.name];
  if (target.name === "c" || device === "cpu") {
    const runner = await processorRunner(plan.program, options);
    const program = (): Promise<Program> => Program.load(folder, { device, threads: options.threads });
    const close = (): Promise<void> => runner.close();
    return { description: `${options.threads} threads of this processor`, runner, changed: [], program, close };
  }
  const { openDevice: open } = await import("../runtime/gpu/open.ts");
  const { gpuRunner } = await import("./verify/gpu-runner.ts");
  const gpu = await open(device);
  try {
    const { runner, changed } = await gpuRunner(folder, { ...manifest, target }, plan.program, gpu);
    const close = async (): Promise<void> => {
      await runner.close();
      await gpu.close();
    };
    const program = (): Promise<Program> => Program.load(folder, { device, gpu });
    return { description: gpu.info.description, runner, changed, program, close };
  } catch (error) {
    await gpu.close();
    throw error;
  }
}

/** Checks the entries, unless the artifact's kernels have changed, since the runtime refuses them then. */
async function checkProgram(
  artifact: ArtifactProgram,
  planned: PlannedArtifact,
  device: OpenDevice,
  options: Parameters<typeof checkEntries>[3],
): Promise<EntryCheck[]> {
  const [changed] = device.changed;
  if (changed !== undefined) {
    const checks = leaveOutEntries(artifact, `${changed} has changed since it was compiled`);
    for (const check of checks) options.onCheck?.(check);
    return checks;
  }
  const program = await device.program();
  try {
    return await checkEntries(program, artifact, planned, options);
  } finally {
    await program.dispose();
  }
}

/** A report as text: a line for each check, and how many there were. */
export function formatVerify(report: VerifyReport): string {
  const { kernels, entries, gradients } = report;
  const lines = [
    headLine(report.target, report.device),
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

function headLine(target: TargetName, device: string): string {
  return `target ${target} on ${printable(device)}`;
}

function kernelLine(check: KernelCheck): string {
  const isAll = check.wholeTasks && check.checkedTasks === check.tasks;
  const sample = isAll ? "" : `, ${check.wholeTasks ? "" : "parts of "}${check.checkedTasks} of ${check.tasks} tasks`;
  const unstable = check.unstable > 0 ? `, ${check.unstable} too sensitive to rounding to compare` : "";
  const head = `${mark(check.ok)}  kernel ${check.kernel}${fileOf(check)}`;
  const tail = `error ${shortNumber(check.worstError)} in ${check.elements} elements${sample}${unstable}`;
  if (check.fault !== undefined) return `${head}  ${check.doc}\n         ${check.fault}`;
  return `${head}  ${tail}${differenceLine(check.difference, check.doc)}`;
}

/** The file is told where something is wrong. */
function fileOf({ ok, file }: KernelCheck): string {
  return ok || file === undefined ? "" : ` (${printable(file)})`;
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

function summary(report: VerifyReport): string[] {
  const { kernels, entries, gradients, gradientsLeftOut, changed, ok } = report;
  const wrong =
    [...kernels, ...entries].filter((check) => !check.ok).length + gradients.filter((check) => !check.agrees).length;
  const done = entries.filter(({ leftOut }) => leftOut === undefined).length;
  const counts = `${kernels.length} kernels, ${done} entries, ${gradients.length} gradients checked`;
  const left =
    gradientsLeftOut.length === 0 ? [] : [`left    gradients by ${gradientsLeftOut.join(", ")}: no time for them`];
  const first = kernels.find((check) => !check.ok);
  return [
    ...left,
    ...changed.map((file) => colors().red(`changed ${printable(file)}: it is not what was compiled`)),
    ...(first === undefined ? [] : [`first   ${firstLine(first)}`]),
    ok
      ? colors().green(`${counts}: all agree`)
      : colors().red(`${counts}: ${wrong} ${wrong === 1 ? "differs" : "differ"}`),
  ];
}

/** The first kernel that differs, in the order of the step, and where. */
function firstLine(check: KernelCheck): string {
  const { where, element, got, expected } = check.difference ?? {};
  const what = where === undefined ? check.fault : `${where}[${element}] is ${got}, expected ${expected}`;
  return `kernel ${check.kernel}${fileOf(check)}: ${what}`;
}

function shortNumber(value: number): string {
  return value === 0 ? "0" : value.toExponential(1);
}
