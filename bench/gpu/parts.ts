/** The parts of the measurement on a GPU. Each gives rows, or throws, which costs no other part anything. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileModel } from "../../compiler/compile.ts";
import { at } from "../../ir/type.ts";
import type { CudaDevice } from "../../runtime/gpu/cuda.ts";
import { packageRoot } from "../../runtime/package-root.ts";
import { Program } from "../../runtime/program.ts";
import { mnistFolder, mnistSteps } from "../ours.ts";
import { operations, type Operation } from "../workloads/w6.ts";
import { checkKernels } from "./check.ts";
import { LoadedEntry } from "./entry.ts";
import { runPeers } from "./peers.ts";
import { buildModel, buildOperation, type CudaBuild } from "./planned.ts";
import { bytesOf, peaksOf, roof } from "./roofline.ts";

/** A line of the result. What does not apply is left out. */
export type Row = {
  readonly part: string;
  readonly name: string;
  /** Who runs it: `kiln`, or PyTorch in a mode. */
  readonly by?: string;
  readonly microseconds?: number;
  readonly gflops?: number;
  readonly gigabytes?: number;
  /** Percent of what the roofline allows. */
  readonly roof?: number;
  /** Who said what is right, and the largest error in parts of the largest number. */
  readonly checked?: string;
  readonly isRight?: boolean;
  /** Why there is no more to say. */
  readonly note?: string;
};

/** What the parts run on. */
export type Bench = {
  readonly device: CudaDevice | undefined;
  /** The same kernels on the processor, and the image that its driver takes for a text; `undefined` without it. */
  readonly reference: { readonly device: CudaDevice; readonly image: (text: string) => Uint8Array } | undefined;
  /** Seconds of a block of measuring. */
  readonly block: number;
  /** Python with PyTorch, if there is one, and what it runs on. */
  readonly python: string | undefined;
  readonly peerDevice: string;
};

/** By how much, relative, a loss may differ after some steps that rounded differently. */
const lossTolerance = 1e-4;

/** The models, by the names of their workloads. */
const models = { W1: "mlp", W2: "cnn" } as const;

/** Checks and times every kernel of a model's step, and times the step. */
export async function modelPart(bench: Bench, workload: keyof typeof models): Promise<readonly Row[]> {
  return programPart(bench, `${workload} kernels`, await buildModel(models[workload]), `${workload} step`);
}

/**
 * W1 as a person trains it: the compiled program on the GPU, fed with MNIST. Its first losses must be those of the same
 * program on the processor; then its steps are timed, losses and all.
 */
export async function trainingPart({ device, block }: Bench): Promise<readonly Row[]> {
  if (device === undefined) throw new Error("there is no GPU to run on");
  const folder = await mkdtemp(join(tmpdir(), "kiln-bench-"));
  try {
    const model = join(packageRoot(), "bench", "models", "mlp.ts");
    await compileModel(model, { out: folder, targets: ["c", "cuda"] });
    const losses: (readonly number[])[] = [];
    let seconds = NaN;
    for (const name of ["cpu", "cuda"] as const) {
      const program = await Program.load(folder, {
        device: name,
        seed: 0,
        ...(name === "cuda" ? { gpu: device } : {}),
      });
      const train = mnistSteps(program);
      losses.push(await train(10));
      if (name === "cuda") seconds = await secondsAStep(train, block);
      await program.dispose();
    }
    const [wanted = [], got = []] = losses;
    const worst = Math.max(...wanted.map((loss, i) => Math.abs(loss - (got[i] ?? NaN)) / loss));
    const checked = `losses of ${wanted.length} steps on the processor, ${worst.toExponential(1)}`;
    const note = "the whole program: batches, losses and all";
    const row = { part: "training", name: "W1 step", by: "kiln", microseconds: seconds * 1e6, note };
    return [{ ...row, checked, isRight: worst <= lossTolerance }];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Seconds a step of training, over at least five blocks' time. */
async function secondsAStep(train: (steps: number) => Promise<readonly number[]>, block: number): Promise<number> {
  await train(1);
  const begin = performance.now();
  let steps = 0;
  do steps += (await train(100)).length;
  while (performance.now() - begin < 5000 * block);
  return (performance.now() - begin) / 1000 / steps;
}

/** The single operations of W6 with a text in their name. */
export function chosenOperations(filter: string): readonly Operation[] {
  return operations.filter(({ name }) => name.includes(filter));
}

/** Checks and times single operations. */
export async function operationsPart(bench: Bench, chosen: readonly Operation[]): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const operation of chosen) {
    try {
      rows.push(...(await programPart(bench, "operations", await buildOperation(operation), operation.name)));
    } catch (error) {
      rows.push({ part: "operations", name: operation.name, note: reasonOf(error) });
    }
  }
  return rows;
}

/** Checks and times the launches of a program's first entry, then all of them as a step called `name`. */
async function programPart(bench: Bench, part: string, build: CudaBuild, name: string): Promise<readonly Row[]> {
  const { device, reference } = bench;
  if (device === undefined) throw new Error("there is no GPU to run on");
  const peaks = peaksOf(device.traits);
  const entry = await LoadedEntry.load(device, build);
  const emulated =
    reference === undefined
      ? undefined
      : await LoadedEntry.load(reference.device, build, { ...build.text, image: reference.image(build.cuda.text) });
  try {
    const checks = checkKernels(build, entry, emulated);
    const works = entry.launches.map((launch) => {
      const kernel = at(build.plan.program.kernels, launch.kernel);
      return { flops: kernel.flops, bytes: bytesOf(kernel, launch) };
    });
    const rows = entry.launches.map((launch, i): Row => {
      const seconds = entry.time([launch], bench.block);
      const { kernel, by, worst, isRight } = at(checks, i);
      const checked = by === "nobody" ? "not checked" : `${by}, ${worst.toExponential(1)}`;
      return { part, name: kernel, by: "kiln", ...rates(at(works, i), seconds, peaks), checked, isRight };
    });
    const seconds = entry.time(entry.launches, bench.block);
    const work = {
      flops: works.reduce((sum, { flops }) => sum + flops, 0),
      bytes: works.reduce((sum, { bytes }) => sum + bytes, 0),
    };
    const note = `${entry.launches.length} launches in a graph; compiled by ${build.compiler}`;
    return [...rows, { part: "steps", name, by: "kiln", ...rates(work, seconds, peaks), note }];
  } finally {
    entry.free();
    emulated?.free();
  }
}

function rates(
  work: { readonly flops: number; readonly bytes: number },
  seconds: number,
  peaks: ReturnType<typeof peaksOf>,
): Pick<Row, "microseconds" | "gflops" | "gigabytes" | "roof"> {
  return {
    microseconds: seconds * 1e6,
    gflops: work.flops / seconds / 1e9,
    gigabytes: work.bytes / seconds / 1e9,
    roof: 100 * roof(peaks, work, seconds),
  };
}

/** PyTorch's steps and products. */
export async function peersPart({ python, peerDevice, block }: Bench): Promise<readonly Row[]> {
  if (python === undefined || python === "")
    throw new Error("KILN_PEER_PYTHON is not set: it names a Python with torch for CUDA");
  const lines = await runPeers({ python, device: peerDevice, data: mnistFolder(), seconds: 5 * block });
  return lines.map(({ workload, mode, seconds, flops, loss, reason }) => ({
    part: "steps",
    name: /^W\d/.test(workload) ? `${workload} step` : workload,
    by: `torch ${mode}`,
    ...(seconds === undefined ? {} : { microseconds: seconds * 1e6 }),
    ...(seconds === undefined || flops === undefined ? {} : { gflops: flops / seconds / 1e9 }),
    ...(reason === undefined ? (loss === undefined ? {} : { note: `loss ${loss.toFixed(4)}` }) : { note: reason }),
  }));
}

/** Why something could not be done, in one line. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text
    .split("\n")
    .map((line) => line.trim())
    .join(" ")
    .slice(0, 400);
}
