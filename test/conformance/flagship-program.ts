/**
 * Whole programs of the reference data as the runtime has them: compiled for a target, loaded on its device, fed by the
 * loaders that PyTorch's program makes, in its order of draws.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileTraced } from "../../compiler/compile.ts";
import { traceTraining } from "../../compiler/trace/training.ts";
import type { TargetName } from "../../ir/artifact/manifest.ts";
import { describeLoader } from "../../ir/data/describe.ts";
import { defaultGenerator } from "../../ir/random/default.ts";
import { DataLoader, fashionMnist, mnist, randomSplit, transforms, type Dataset } from "../../runtime/data/index.ts";
import type { GpuDevice } from "../../runtime/gpu/device.ts";
import { openDevice } from "../../runtime/gpu/open.ts";
import { Program } from "../../runtime/program.ts";
import { evaluateLoader } from "../../runtime/training/evaluate.ts";
import { Feed } from "../../runtime/training/feed.ts";
import { EmulatedDriver } from "../runtime/gpu/emulated-driver.ts";
import type { Flagship } from "./flagship-judge.ts";
import type { MachineName } from "./machines.ts";
import { definitionOf, type ProgramParts } from "./ports/programs.ts";
import { Unsupported } from "./report.ts";
import type { TensorFile } from "./tensors.ts";

/** Where programs run: a target, and the GPU that all of them share. */
export type Place = {
  readonly target: TargetName;
  readonly gpu: GpuDevice | undefined;
  /** Longer programs would take too long there. */
  readonly mostEpochs: number;
  readonly close: () => Promise<void>;
};

/** Epochs that a program may have under emulation, where one takes minutes. */
const emulatedEpochs = 2;

/** What a program is run with. */
export type Given = {
  readonly file: TensorFile;
  readonly log: string | undefined;
  readonly folders: ReadonlyMap<string, string>;
  readonly place: Place;
};

/** Opens what a target's programs run on: CUDA's on the driver that `KILN_CUDA_DRIVER` names, else on the emulated one. */
export async function openPlace(target: MachineName): Promise<Place> {
  if (target === "browser") throw new Unsupported("training in a browser, which the exported page's own tests do");
  if (target === "c") return { target, gpu: undefined, mostEpochs: Infinity, close: () => Promise.resolve() };
  const isEmulated = target === "cuda" && (process.env["KILN_CUDA_DRIVER"] ?? "") === "";
  const driver = isEmulated ? new EmulatedDriver() : undefined;
  const gpu = await openDevice(target === "cuda" ? "cuda" : "wgpu");
  const close = async (): Promise<void> => {
    await gpu.close();
    driver?.close();
  };
  return { target, gpu, mostEpochs: isEmulated ? emulatedEpochs : Infinity, close };
}

function dataset(test: Flagship, split: "train" | "test", folders: ReadonlyMap<string, string>): Dataset {
  const root = folders.get(test.data);
  const options = { split, transform: transforms.toTensor(), ...(root === undefined ? {} : { root }) };
  if (test.data === "mnist" || root !== undefined) return mnist(options);
  if (test.data === "fashion_mnist" || test.data === "fashionMnist") return fashionMnist(options);
  throw new Unsupported(`the data set ${test.data}: name its folder with --data ${test.data}=DIR`);
}

/** Loaders as the program makes them. */
export function loaders(test: Flagship, folders: ReadonlyMap<string, string>): Record<string, DataLoader> {
  const batchSize = test.batch_size;
  const whole = dataset(test, "train", folders);
  const test_ = new DataLoader(dataset(test, "test", folders), { batchSize });
  if (test.program !== "split") return { train: new DataLoader(whole, { batchSize, shuffle: true }), test: test_ };
  const lengths = [test.order?.[0]?.count ?? 0, test.validation?.[0]?.total ?? 0];
  const [train, validation] = randomSplit(whole, lengths);
  if (train === undefined || validation === undefined) throw new Error("two parts of the data set");
  return {
    train: new DataLoader(train, { batchSize, shuffle: true }),
    validation: new DataLoader(validation, { batchSize }),
    test: test_,
  };
}

/** Compiles a program and loads it; gives it to `body`, and cleans up. */
export async function withProgram<T>(
  { target, gpu }: Place,
  parts: ProgramParts,
  body: (program: Program) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "kiln-flagship-"));
  try {
    const described = Object.entries(parts.data()).map(([name, loader]) => [name, describeLoader(loader)] as const);
    const traced = traceTraining(definitionOf(parts), Object.fromEntries(described));
    // The reference's numbers come from PyTorch's generator, dropout's too.
    await compileTraced(traced, { out: join(folder, "program"), name: "flagship", targets: [target], random: "torch" });
    const program = await Program.load(join(folder, "program"), gpu === undefined ? {} : { gpu });
    try {
      return await body(program);
    } finally {
      await program.dispose();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Losses of one pass of training, and the row numbers it took; ends after `most` steps. */
export async function trainPass(
  program: Program,
  loader: DataLoader,
  most: number = Infinity,
  afterSteps?: (done: number) => void,
  pause?: number,
): Promise<{ readonly losses: number[]; readonly order: number[] }> {
  const pass = new Feed(program, "train", "train", loader).begin();
  const losses: number[] = [];
  const order: number[] = [];
  for (;;) {
    const limit = Math.min(
      most - losses.length,
      pause === undefined || losses.length >= pause ? Infinity : pause - losses.length,
    );
    const call = limit > 0 ? await pass.next(limit) : undefined;
    if (call === undefined) break;
    const result = await program.run(call);
    losses.push(...Array.from(result.outputs["loss"] ?? [], Number));
    order.push(...(call.indices ?? []));
    afterSteps?.(losses.length);
  }
  await pass.close();
  return { losses, order };
}

/** Evaluates without taking a number from the generator, as the reference counts right answers after each epoch. */
export async function evaluateAside(program: Program, loader: DataLoader): Promise<number> {
  const saved = defaultGenerator.save();
  const { results } = await evaluateLoader(program, "test", loader);
  defaultGenerator.restore(saved);
  return results["correct"] ?? Number.NaN;
}
