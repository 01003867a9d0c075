/**
 * The rules by which whole programs are judged (README of the reference data, `flagship/`): what the files say, what a run
 * notes, and the comparisons.
 */
import { sameShape } from "../../ir/type.ts";
import type { Tensorlike } from "../../runtime/data/tensorlike.ts";
import { toNumbers, type Mismatch, type TensorFile } from "./tensors.ts";

type Window = { readonly first: number; readonly last: number; readonly atol: number };
type Centre = { readonly center: number; readonly atol: number };
type Centres = { readonly center: readonly number[]; readonly atol: readonly number[] };
type Counts = { readonly correct: number; readonly total: number; readonly loss: number };

/** What the files say; which parts are there depends on the program. */
export type Flagship = {
  readonly seed: number;
  readonly data: string;
  readonly program?: string;
  readonly model?: string;
  readonly model_source?: string;
  readonly activation?: string;
  readonly optimizer: string;
  readonly dropout?: string;
  readonly epochs?: number;
  readonly steps?: number;
  readonly batch_size: number;
  readonly validation?: readonly Counts[];
  readonly train_first16?: readonly number[];
  readonly order?: readonly { readonly first16: readonly number[]; readonly count: number; readonly sha256: string }[];
  readonly next24?: number;
  readonly judge?: {
    readonly windows?: readonly Window[];
    readonly step100_weights_relative_norm?: Readonly<Record<string, number>>;
    readonly epoch_mean_loss?: Centres;
    readonly test_correct_by_epoch?: Centres;
    readonly test_correct?: Centre;
    readonly test_loss?: Centre;
    readonly validation_correct?: Centres;
    readonly validation_loss?: Centres;
    readonly exact_class?: { readonly steps: number; readonly atol: number };
    readonly block?: number;
    readonly block_mean_loss?: Centres;
  };
  readonly checkpoints?: readonly {
    readonly after_epochs: number;
    readonly adam_step: number;
    readonly losses: readonly number[];
    readonly tol: readonly number[];
  }[];
};

/** What a run of a program notes of itself. */
export type TrainingRecord = {
  readonly losses: number[][];
  readonly orders: string[];
  readonly counts: number[];
  readonly correctByEpoch: number[];
  readonly validation: { correct: number; loss: number }[];
  readonly lines: string[];
  test: { correct: number; loss: number };
  step100: ReadonlyMap<string, Tensorlike>;
  init: ReadonlyMap<string, Tensorlike>;
};

/** How far initial weights may lie from the reference (rule 1). */
export const initTolerance = 1e-8;

const exact = { rtol: 0, atol: 0 };

/** All rules for the programs `base`, `split` and `remedies`. */
export function judgeTutorial(
  test: Flagship,
  file: TensorFile,
  log: string | undefined,
  record: TrainingRecord,
  next: number,
): (Mismatch | undefined)[] {
  const { judge = {}, order = [] } = test;
  const losses = record.losses.flat();
  const means = record.losses.map((epoch) => epoch.reduce((sum, loss) => sum + loss, 0) / epoch.length);
  return [
    ...compareWeights("initial", record.init, file, "init.", initTolerance),
    ...order.map(({ sha256, count }, epoch) =>
      same(`order of epoch ${epoch + 1}`, `${record.counts[epoch]} ${record.orders[epoch]}`, `${count} ${sha256}`),
    ),
    test.next24 === undefined ? undefined : same("the number drawn afterwards", String(next), String(test.next24)),
    ...(judge.windows ?? []).map((window) => compareWindow(losses, file, window)),
    ...Object.entries(judge.step100_weights_relative_norm ?? {}).map(([name, most]) =>
      relativeNorm(name, record.step100, file, most),
    ),
    ...centres("mean loss of epoch", means, judge.epoch_mean_loss),
    ...centres("right answers after epoch", record.correctByEpoch, judge.test_correct_by_epoch),
    ...centres(
      "right answers in validation",
      record.validation.map(({ correct }) => correct),
      judge.validation_correct,
    ),
    ...centres(
      "loss in validation",
      record.validation.map(({ loss }) => loss),
      judge.validation_loss,
    ),
    centre("right answers at the end", record.test.correct, judge.test_correct),
    centre("test loss", record.test.loss, judge.test_loss),
    log === undefined ? undefined : compareLog(record.lines, log),
  ];
}

/** Weights against the tensors under a prefix. */
export function compareWeights(
  label: string,
  weights: ReadonlyMap<string, Tensorlike>,
  file: TensorFile,
  prefix: string,
  atol: number,
): (Mismatch | undefined)[] {
  return [...file.below(prefix)].map(([name, stored]): Mismatch | undefined => {
    const found = weights.get(name);
    const what = `${label} ${name}`;
    const tolerance = { rtol: 0, atol };
    if (found === undefined || !sameShape(found.shape, stored.type.shape))
      return { what: `${what}: missing or misshapen`, largest: NaN, tolerance };
    const values = toNumbers("f32", found.data);
    const largest = stored.values.reduce((most, value, i) => Math.max(most, Math.abs((values[i] ?? NaN) - value)), 0);
    return largest <= atol ? undefined : { what, largest, tolerance };
  });
}

function compareWindow(
  losses: readonly number[],
  file: TensorFile,
  { first, last, atol }: Window,
): Mismatch | undefined {
  const { values } = file.get("losses");
  let largest = 0;
  for (let step = first; step <= last; step++)
    largest = Math.max(largest, Math.abs((losses[step - 1] ?? NaN) - (values[step - 1] ?? NaN)));
  return largest <= atol
    ? undefined
    : { what: `losses of steps ${first} to ${last}`, largest, tolerance: { rtol: 0, atol } };
}

function relativeNorm(
  name: string,
  weights: ReadonlyMap<string, Tensorlike>,
  file: TensorFile,
  most: number,
): Mismatch | undefined {
  const stored = file.get(`step100.${name}`).values;
  const found = weights.get(name);
  const values = found === undefined ? new Float64Array() : toNumbers("f32", found.data);
  const norm = (of: (i: number) => number): number => Math.sqrt(stored.reduce((sum, _, i) => sum + of(i) ** 2, 0));
  const largest = norm((i) => (values[i] ?? NaN) - (stored[i] ?? NaN)) / norm((i) => stored[i] ?? NaN);
  return largest <= most
    ? undefined
    : { what: `${name} after 100 steps (relative norm)`, largest, tolerance: { rtol: most, atol: 0 } };
}

/** A number against a centre. */
export function centre(what: string, value: number, rule: Centre | undefined): Mismatch | undefined {
  if (rule === undefined) return undefined;
  const largest = Math.abs(value - rule.center);
  return largest <= rule.atol
    ? undefined
    : { what: `${what}: ${value}, expected ${rule.center}`, largest, tolerance: { rtol: 0, atol: rule.atol } };
}

/** Numbers against their centres. */
export function centres(what: string, values: readonly number[], rule: Centres | undefined): (Mismatch | undefined)[] {
  return (rule?.center ?? []).map((center, i) =>
    centre(`${what} ${i + 1}`, values[i] ?? NaN, { center, atol: rule?.atol[i] ?? 0 }),
  );
}

/** Two texts that must be equal. */
export function same(what: string, got: string, expected: string): Mismatch | undefined {
  return got === expected
    ? undefined
    : { what: `${what}: ${got}, expected ${expected}`, largest: NaN, tolerance: exact };
}

/** The lines in order and form: numbers with a point in them are the run's own, with as many decimals. */
export function compareLog(lines: readonly string[], log: string): Mismatch | undefined {
  const form = (line: string): string =>
    line.replaceAll(/\d+\.(\d+)/g, (_, decimals: string) => `#.${"#".repeat(decimals.length)}`);
  const expected = log.trimEnd().split("\n");
  const bad = Array.from({ length: Math.max(lines.length, expected.length) }, (_, i) => i).find(
    (i) => form(lines[i] ?? "") !== form(expected[i] ?? ""),
  );
  return bad === undefined
    ? undefined
    : same(`line ${bad + 1} of the log`, lines[bad] ?? "(none)", expected[bad] ?? "(none)");
}
