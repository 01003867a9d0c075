/**
 * The family of whole programs: compiled, loaded and trained on the real data by the runtime's own loaders and steps, in
 * PyTorch's order of draws, and judged by the rules of the reference data's README.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defaultGenerator } from "../../ir/random/default.ts";
import { at } from "../../ir/type.ts";
import type { Tensorlike } from "../../runtime/data/tensorlike.ts";
import type { DataLoader } from "../../runtime/data/index.ts";
import type { Program } from "../../runtime/program.ts";
import { createSchedulers } from "../../runtime/schedulers.ts";
import { evaluateLoader } from "../../runtime/training/evaluate.ts";
import {
  centre,
  centres,
  compareLog,
  compareWeights,
  initTolerance,
  judgeTutorial,
  same,
  type Flagship,
  type TrainingRecord,
} from "./flagship-judge.ts";
import { evaluateAside, loaders, openPlace, trainPass, withProgram, type Given } from "./flagship-program.ts";
import type { FamilyOptions } from "./ops.ts";
import { Cnn, Mlp, parseTraining, type ProgramParts } from "./ports/programs.ts";
import { ended, judged, Unsupported, type CaseResult, type FamilyResult } from "./report.ts";
import { TensorFile, type Mismatch } from "./tensors.ts";

/** Lines of the log are written every so many steps, as in the tutorial. */
const logEvery = 100;

/** Runs the family in a folder. */
export async function runFlagship(folder: string, { target, filter, data }: FamilyOptions): Promise<FamilyResult> {
  const names = readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .map((file) => file.slice(0, -".json".length))
    .filter((name) => name.includes(filter));
  const cases: CaseResult[] = [];
  const place = target === "reference" ? undefined : await openPlace(target);
  try {
    for (const id of names.toSorted()) {
      const test = JSON.parse(readFileSync(join(folder, `${id}.json`), "utf8")) as Flagship; // by format
      const group = test.program ?? test.model ?? "data";
      // Runs of the reference itself, kept for information, have no program of their own to be repeated.
      if (test.program === undefined && test.model === undefined) continue;
      try {
        if (place === undefined) throw new Unsupported("whole programs run on targets that compile");
        if ((test.epochs ?? 1) > place.mostEpochs) throw new Unsupported(`${test.epochs} epochs under emulation`);
        const file = new TensorFile(join(folder, `${id}.safetensors`));
        const log = existsSync(join(folder, `${id}.log`)) ? readFileSync(join(folder, `${id}.log`), "utf8") : undefined;
        cases.push(judged({ id, group }, await runProgram(test, { file, log, folders: data, place })));
      } catch (error) {
        cases.push(ended({ id, group }, error));
      }
    }
  } finally {
    await place?.close();
  }
  return { family: "flagship", cases };
}

function runProgram(test: Flagship, given: Given): Promise<(Mismatch | undefined)[]> {
  if (test.checkpoints !== undefined) return runResumed(test, given);
  if (test.model?.startsWith("CNN") === true) return runCnn(test, given);
  if (test.program === "base" || test.program === "split" || test.program === "remedies")
    return runTutorial(test, given);
  return Promise.reject(new Unsupported(`no port of ${test.program ?? test.model}`));
}

async function runTutorial(test: Flagship, { file, log, folders, place }: Given): Promise<(Mismatch | undefined)[]> {
  const epochs = test.epochs ?? 1;
  const training = parseTraining(test.optimizer);
  const parts: ProgramParts = {
    seed: test.seed,
    epochs,
    data: () => loaders(test, folders),
    model: () => new Mlp(sizesOf(file), test.activation ?? "ReLU", dropoutOf(test)),
    isLogarithmic: false,
    training,
  };
  return withProgram(place, parts, async (program) => {
    program.seed(test.seed);
    const { train, validation, test: held } = parts.data();
    if (train === undefined || held === undefined) throw new Error("a loader is missing");
    program.initialize();
    const init = program.stateDict();
    const schedulers = createSchedulers(program.manifest.training?.schedulers ?? [], program.hyper);
    const record: TrainingRecord = {
      losses: [],
      orders: [],
      counts: [],
      correctByEpoch: [],
      validation: [],
      lines: [],
      test: { correct: 0, loss: 0 },
      step100: new Map(),
      init,
    };
    for (let epoch = 0; epoch < epochs; epoch++) {
      const keep100 = (done: number): void => {
        if (epoch === 0 && done === 100) record.step100 = program.stateDict();
      };
      const { losses, order } = await trainPass(program, train, Infinity, keep100, epoch === 0 ? 100 : undefined);
      note(record, epoch, epochs, losses, order);
      if (validation !== undefined) await validate(program, validation, record, epoch, epochs);
      for (const scheduler of schedulers) scheduler.step();
      record.correctByEpoch.push(await evaluateAside(program, held));
    }
    const { samples, results } = await evaluateLoader(program, "test", held);
    record.test = { correct: results["correct"] ?? Number.NaN, loss: results["loss"] ?? Number.NaN };
    record.lines.push(accuracyLine(samples, record.test.correct));
    const next = defaultGenerator.nextU32() & 0xffffff;
    return judgeTutorial(test, file, log, record, next);
  });
}

function note(record: TrainingRecord, epoch: number, epochs: number, losses: number[], order: number[]): void {
  record.losses.push(losses);
  record.orders.push(createHash("sha256").update(Int32Array.from(order)).digest("hex"));
  record.counts.push(order.length);
  losses.forEach((loss, i) => {
    if ((i + 1) % logEvery === 0) record.lines.push(stepLine(epoch, epochs, i + 1, losses.length, loss));
  });
}

async function validate(
  program: Program,
  loader: DataLoader,
  record: TrainingRecord,
  epoch: number,
  epochs: number,
): Promise<void> {
  const { samples, results } = await evaluateLoader(program, "validation", loader);
  const { correct = Number.NaN, loss = Number.NaN } = results;
  record.validation.push({ correct, loss });
  const accuracy = ((100 * correct) / samples).toFixed(2);
  record.lines.push(
    `Epoch [${epoch + 1}/${epochs}], Validation Loss: ${loss.toFixed(4)}, Validation Accuracy: ${accuracy} %`,
  );
}

function stepLine(epoch: number, epochs: number, step: number, steps: number, loss: number): string {
  return `Epoch [${epoch + 1}/${epochs}], Step [${step}/${steps}], Loss: ${loss.toFixed(4)}`;
}

function accuracyLine(samples: number, correct: number): string {
  return `Accuracy of the network on the ${samples} test images: ${((100 * correct) / samples).toFixed(2)} %`;
}

function sizesOf(file: TensorFile): [number, number, number] {
  const [hidden = 0, inputs = 0] = file.type("init.fc1.weight").shape;
  const [classes = 0] = file.type("init.fc2.weight").shape;
  return [inputs, hidden, classes];
}

/** The probability in `nn.Dropout(0.5)` of the model's source; 0 if it has none. */
function dropoutOf({ model_source: source = "" }: Flagship): number {
  return Number(/nn\.Dropout\(([0-9.]+)\)/.exec(source)?.[1] ?? 0);
}

/** Trains on from given weights and optimizer state. */
async function runResumed(test: Flagship, { file, folders, place }: Given): Promise<(Mismatch | undefined)[]> {
  const sizes = [...(test.model ?? "").matchAll(/\d+/g)].map(([text]) => Number(text));
  const [inputs = 0, hidden = 0, classes = 0] = sizes;
  const parts: ProgramParts = {
    seed: test.seed,
    epochs: 1,
    data: () => loaders(test, folders),
    model: () => new Mlp([inputs, hidden, classes], test.activation ?? "ReLU", 0),
    isLogarithmic: false,
    training: parseTraining(test.optimizer),
  };
  return withProgram(place, parts, async (program) => {
    const { train } = parts.data();
    const fields = train?.resident()?.fields;
    const entry = program.manifest.entries.find(({ name, batch }) => name === "train" && batch === test.batch_size);
    if (fields === undefined || entry === undefined) throw new Error("the data is not resident");
    const named = entry.buffers
      .filter(({ role }) => role === "dataset")
      .map(({ name }, i) => [name, at(fields, i)] as const);
    const wrong: (Mismatch | undefined)[] = [];
    for (const point of test.checkpoints ?? []) {
      program.seed(test.seed);
      program.initialize();
      const prefix = `after${point.after_epochs}.`;
      loadState(program, file, prefix);
      program.counters.set("optimizer.step", point.adam_step);
      const indices = Int32Array.from(file.get(`${prefix}indices`).values);
      const steps = Math.floor(indices.length / test.batch_size);
      const { outputs } = await program.run({
        entry: "train",
        batch: test.batch_size,
        steps,
        indices,
        datasets: Object.fromEntries(named),
      });
      const losses = Array.from(outputs["loss"] ?? [], Number);
      point.losses.forEach((loss, i) => {
        wrong.push(
          centre(`loss of step ${i + 1} after epoch ${point.after_epochs}`, losses[i] ?? NaN, {
            center: loss,
            atol: point.tol[i] ?? 0,
          }),
        );
      });
    }
    return wrong;
  });
}

function loadState(program: Program, file: TensorFile, prefix: string): void {
  const tensor = (name: string): Tensorlike => {
    const { type, values } = file.get(name);
    return { dtype: "f32", shape: type.shape, data: Float32Array.from(values) };
  };
  program.loadStateDict(new Map([...program.stateDict().keys()].map((name) => [name, tensor(`${prefix}${name}`)])));
  const slots = [...program.optimizerState().keys()];
  program.loadOptimizerState(
    new Map(slots.map((name) => [name, tensor(`${prefix}${name.replace(/^optimizer\./, "")}`)])),
  );
}

async function runCnn(test: Flagship, { file, log, folders, place }: Given): Promise<(Mismatch | undefined)[]> {
  const [c1 = 0, c2 = 0, hid = 0] = [...(test.model ?? "").matchAll(/\d+/g)].map(([text]) => Number(text));
  const [p1 = 0.25, p2 = 0.5] = [...(test.dropout ?? "").matchAll(/\d+\.\d+/g)].map(([text]) => Number(text));
  const parts: ProgramParts = {
    seed: test.seed,
    epochs: 1,
    data: () => loaders(test, folders),
    model: () => new Cnn({ c1, c2, hid, p1, p2 }),
    isLogarithmic: true,
    training: parseTraining(test.optimizer),
  };
  return withProgram(place, parts, async (program) => {
    program.seed(test.seed);
    const { train, test: held } = parts.data();
    if (train === undefined || held === undefined) throw new Error("a loader is missing");
    program.initialize();
    const init = program.stateDict();
    const { losses } = await trainPass(program, train, test.steps);
    const next = [defaultGenerator.save()];
    const { results } = await evaluateLoader(program, "test", held);
    // The reference evaluates on the tensors themselves, which takes no number.
    defaultGenerator.restore(at(next, 0));
    const drawn = defaultGenerator.nextU32() & 0xffffff;
    const { judge = {} } = test;
    const tol = file.get("tol").values;
    const stored = file.get("losses").values;
    const first = [0, 1, 2].map((i) =>
      centre(`loss of step ${i + 1}`, losses[i] ?? NaN, { center: stored[i] ?? NaN, atol: tol[i] ?? 0 }),
    );
    const size = judge.block ?? losses.length;
    const blocks = Array.from(
      { length: Math.floor(losses.length / size) },
      (_, b) => losses.slice(b * size, (b + 1) * size).reduce((sum, loss) => sum + loss, 0) / size,
    );
    const lines = losses.flatMap((loss, i) =>
      (i + 1) % logEvery === 0 ? [stepLine(0, 1, i + 1, train.length, loss)] : [],
    );
    return [
      ...compareWeights("initial", init, file, "init.", initTolerance),
      ...first,
      ...centres("mean loss of block", blocks, judge.block_mean_loss),
      centre("right answers at the end", results["correct"] ?? NaN, judge.test_correct),
      centre("test loss", results["loss"] ?? NaN, judge.test_loss),
      test.next24 === undefined ? undefined : same("the number drawn afterwards", String(drawn), String(test.next24)),
      log === undefined ? undefined : compareLog(lines, log),
    ];
  });
}
