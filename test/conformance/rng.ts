/**
 * The family of random numbers: raw draws, initial weights and the order of data, each made right after seeding the
 * default generator, bit for bit; and the number drawn afterwards, which tells how many were taken.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { traceFunctionWith } from "../../compiler/trace/function.ts";
import * as init from "../../compiler/nn/init.ts";
import * as nn from "../../compiler/nn/index.ts";
import { zeros } from "../../compiler/tensor/create.ts";
import { Module } from "../../compiler/nn/module.ts";
import { Parameter } from "../../compiler/trace/parameter.ts";
import type { Tensor } from "../../compiler/trace/tensor.ts";
import { fillIntegers, multinomial, nextInt63, permutation } from "../../ir/random/choose.ts";
import * as draw from "../../ir/random/draw.ts";
import { defaultGenerator as generator, manualSeed } from "../../ir/random/default.ts";
import { initialize } from "../../ir/random/initialize.ts";
import { elementCount, type Shape } from "../../ir/type.ts";
import * as data from "../../runtime/data/index.ts";
import { newTypedArray, typedArray as typedOf, type TypedArray } from "../../runtime/typed-array.ts";
import { decode } from "./call.ts";
import type { FamilyOptions } from "./ops.ts";
import { makeModule } from "./ports/modules.ts";
import { ended, judged, Unsupported, type CaseResult, type FamilyResult } from "./report.ts";
import { TensorFile, type Mismatch } from "./tensors.ts";

/** Parameters of a case; which are there depends on its kind. */
type Params = {
  readonly [name: string]: unknown;
  readonly shape: Shape;
  readonly n: number;
  readonly low: number;
  readonly high: number;
  readonly p: number;
  readonly a: number;
  readonly b: number;
  readonly mean?: number;
  readonly std: number;
  readonly gain?: number;
  readonly mode?: "fan_in" | "fan_out";
  readonly nonlinearity?: init.Nonlinearity;
  readonly lambd: number;
  readonly probs: readonly number[];
  readonly replacement: boolean;
  readonly batch_size: number;
  readonly drop_last?: boolean;
  readonly shuffle?: boolean;
  readonly generator?: number | null;
  readonly lengths: readonly number[];
  readonly num_samples: number;
  readonly weights: readonly number[];
  readonly indices: readonly number[];
  readonly args?: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
};

type RngCase = {
  readonly id: string;
  readonly kind: string;
  readonly seed: number;
  readonly params: Params;
  readonly tensors: Readonly<Record<string, string>>;
  readonly next24: number;
  readonly note?: string;
};

type Elements = Iterable<number | bigint>;
type Results = Readonly<Record<string, Elements>>;

/** A distance that only this decomposition may have (README of the reference data). */
const orthogonalTolerance = 1e-5;

function filled(count: number, fill: (out: Float32Array) => void): Results {
  const out = new Float32Array(count);
  fill(out);
  return { out };
}

function masked(shape: Shape, p: number, fill: (out: Float32Array) => void): Results {
  const out = new Float32Array(elementCount(shape));
  fill(out);
  return { out: out.map((kept) => kept * draw.dropoutScale(p)) };
}

/** One parameter `w`. */
class Holder extends Module {
  w: Parameter;
  constructor(shape: Shape) {
    super();
    this.w = new Parameter(zeros(shape));
  }
}

/** The first values of the states of what `setup` makes, drawn from the default generator. */
function initialStates(setup: () => Module): Map<string, TypedArray> {
  const traced = traceFunctionWith(setup, () => ({ nothing: zeros([1]) }), [], { name: "main", names: [] });
  const targets = new Map(
    traced.states.map(({ name, dtype, shape }) => [
      name,
      { dtype, shape, data: newTypedArray(dtype, elementCount(shape)) },
    ]),
  );
  initialize(traced.init, targets, generator);
  return new Map([...targets].map(([name, target]) => [name, target.data]));
}

function initialised(shape: Shape, run: (w: Tensor) => Tensor): Results {
  const states = initialStates(() => {
    const holder = new Holder(shape);
    run(holder.w);
    return holder;
  });
  return { out: states.get("w") ?? [] };
}

function fanOptions({ a, mode, nonlinearity }: Params): init.KaimingOptions {
  return {
    ...(a === undefined ? {} : { a }),
    ...(mode === undefined ? {} : { mode }),
    ...(nonlinearity === undefined ? {} : { nonlinearity }),
  };
}

function range(n: number): data.TensorDataset {
  return new data.TensorDataset(Int32Array.from({ length: n }, (_, i) => i));
}

/** The values of as many epochs as there are tensors. */
function epochs(params: Params, names: readonly string[]): Results {
  const { n, generator: own, batch_size: batchSize, drop_last: dropLast = false, shuffle = true } = params;
  const loader = new data.DataLoader(range(n), {
    batchSize,
    dropLast,
    shuffle,
    generator: own === undefined || own === null ? undefined : data.Generator.seeded(own),
  });
  return Object.fromEntries(
    names.map((name) => [name, [...loader].flatMap(([field]) => Array.from<number | bigint>(field?.data ?? []))]),
  );
}

const draws: Readonly<Record<string, (params: Params, test: RngCase, stored: TensorFile) => Results>> = {
  raw24: (_, test, stored) => {
    const count = elementCount(stored.type(test.tensors["out"] ?? "").shape);
    return { out: Array.from({ length: count }, () => generator.nextU32() & 0xffffff) };
  },
  raw63: ({ n }) => ({ out: Array.from({ length: n }, () => nextInt63(generator)) }),
  rand: ({ shape }) => filled(elementCount(shape), (out) => draw.fillUniform(generator, out)),
  rand_f64: ({ shape }) => {
    const out = new Float64Array(elementCount(shape));
    draw.fillUniform(generator, out);
    return { out };
  },
  randn: ({ shape }) => filled(elementCount(shape), (out) => draw.fillNormal(generator, out)),
  randn_twice_small: (_, test, stored) => {
    const count = (name: string): number => elementCount(stored.type(test.tensors[name] ?? "").shape);
    const { out: a = [] } = filled(count("a"), (out) => draw.fillNormal(generator, out));
    const { out: b = [] } = filled(count("b"), (out) => draw.fillUniform(generator, out));
    const { out: c = [] } = filled(count("c"), (out) => draw.fillNormal(generator, out));
    return { a, b, c };
  },
  randint: ({ shape, low, high }) => {
    const out = new BigInt64Array(elementCount(shape));
    fillIntegers(generator, out, low, high);
    return { out };
  },
  randperm: ({ n }) => ({ out: permutation(generator, n) }),
  bernoulli_tensor: (_, test, stored) => {
    // The probabilities are `torch.linspace(0, 1, n)`, by the note of the case.
    const count = elementCount(stored.type(test.tensors["out"] ?? "").shape);
    const p = Float32Array.from({ length: count }, (_element, i) => i / (count - 1));
    return filled(count, (out) => draw.fillBernoulliFrom(generator, out, p));
  },
  bernoulli_scalar: ({ shape, p }) => filled(elementCount(shape), (out) => draw.fillBernoulli(generator, out, p)),
  dropout: ({ shape, p }) => masked(shape, p, (out) => draw.fillDropoutMask(generator, out, p)),
  dropout2d: ({ shape, p }) => masked(shape, p, (out) => draw.fillFeatureDropoutMask(generator, out, shape, p)),
  uniform_: ({ shape, a, b }) => filled(elementCount(shape), (out) => draw.fillUniform(generator, out, a, b)),
  normal_: ({ shape, mean, std }) => filled(elementCount(shape), (out) => draw.fillNormal(generator, out, mean, std)),
  exponential_: ({ shape, lambd }) => filled(elementCount(shape), (out) => draw.fillExponential(generator, out, lambd)),
  multinomial: ({ probs, n, replacement }) => ({
    out: multinomial(generator, Float32Array.from(probs), n, replacement),
  }),
  "init.kaiming_uniform_": (p) => initialised(p.shape, (w) => init.kaimingUniform_(w, fanOptions(p))),
  "init.kaiming_normal_": (p) => initialised(p.shape, (w) => init.kaimingNormal_(w, fanOptions(p))),
  "init.xavier_uniform_": ({ shape, gain }) => initialised(shape, (w) => init.xavierUniform_(w, gain)),
  "init.xavier_normal_": ({ shape, gain }) => initialised(shape, (w) => init.xavierNormal_(w, gain)),
  "init.normal_": ({ shape, mean, std }) => initialised(shape, (w) => init.normal_(w, mean, std)),
  "init.uniform_": ({ shape, a, b }) => initialised(shape, (w) => init.uniform_(w, a, b)),
  "init.trunc_normal_": ({ shape, mean, std, a, b }) =>
    initialised(shape, (w) => init.truncNormal_(w, mean, std, a, b)),
  "init.orthogonal_": ({ shape, gain }) => initialised(shape, (w) => init.orthogonal_(w, gain)),
  random_split: ({ lengths, n }) =>
    Object.fromEntries(data.randomSplit(range(n), lengths).map((part, i) => [`part${i}`, part.indices])),
  random_sampler_replacement: ({ n, num_samples: numSamples }) => ({
    out: new data.RandomSampler(range(n), { replacement: true, numSamples }),
  }),
  subset_random_sampler: ({ indices }) => ({ out: new data.SubsetRandomSampler(indices) }),
  weighted_random_sampler: ({ weights, num_samples: count }) => ({
    out: new data.WeightedRandomSampler(weights, count),
  }),
};

/** Whole models that cases describe in words: their notes give the code, which is fixed but for its sizes. */
function sequentialOf(test: RngCase, stored: TensorFile): Module {
  const shape = (key: string): Shape => stored.type(test.tensors[key] ?? "").shape;
  const [out = 0, channels = 0, ...kernel] = shape("0.weight");
  const [classes = 0, features = 0] = shape("4.weight");
  return new nn.Sequential(
    new nn.Conv2d(channels, out, kernel),
    new nn.BatchNorm2d(out),
    new nn.ReLU(),
    new nn.Flatten(),
    new nn.Linear(features, classes),
  );
}

function run(test: RngCase, stored: TensorFile): Results {
  const { kind, params } = test;
  const known = draws[kind];
  if (known !== undefined) return known(params, test, stored);
  if (kind === "module.Sequential") return Object.fromEntries(initialStates(() => sequentialOf(test, stored)));
  if (kind.startsWith("module.")) {
    const plain = (value: unknown) =>
      decode(value, () => {
        throw new Unsupported("a tensor as a module's argument");
      });
    const kwargs = Object.fromEntries(Object.entries(params.kwargs ?? {}).map(([key, value]) => [key, plain(value)]));
    return Object.fromEntries(
      initialStates(() => makeModule(kind.slice("module.".length), (params.args ?? []).map(plain), kwargs)),
    );
  }
  if (kind === "dataloader_after_model") initialStates(() => new nn.Linear(10, 10));
  if (kind.startsWith("dataloader")) return epochs(params, Object.keys(test.tensors));
  throw new Unsupported(`no such draw: ${kind}`);
}

function judge(test: RngCase, stored: TensorFile): CaseResult {
  const name = { id: test.id, group: test.kind };
  try {
    manualSeed(test.seed);
    const results = run(test, stored);
    const wrong = Object.entries(test.tensors).map(([key, tensor]) =>
      compareBits(test, key, results[key], stored, tensor),
    );
    const next = generator.nextU32() & 0xffffff;
    const counted: Mismatch | undefined =
      next === test.next24
        ? undefined
        : {
            what: `the number drawn afterwards: ${next}, expected ${test.next24}`,
            largest: Math.abs(next - test.next24),
            tolerance: { rtol: 0, atol: 0 },
          };
    return judged(name, [...wrong, counted]);
  } catch (error) {
    return ended(name, error);
  }
}

function compareBits(
  test: RngCase,
  key: string,
  results: Elements | undefined,
  file: TensorFile,
  tensor: string,
): Mismatch | undefined {
  const atol = test.kind === "init.orthogonal_" ? orthogonalTolerance : 0;
  const tolerance = { rtol: 0, atol };
  if (results === undefined) return { what: `${key}: not computed`, largest: NaN, tolerance };
  const computed = Array.from(results, (value) => value);
  const { dtype, bytes } = file.stored(tensor);
  const stored = Array.from<number | bigint>(typedOf(dtype, bytes));
  if (computed.length !== stored.length)
    return { what: `${key}: ${computed.length} elements, expected ${stored.length}`, largest: NaN, tolerance };
  const equal = (a: number | bigint, b: number | bigint): boolean =>
    atol > 0
      ? Math.abs(Number(a) - Number(b)) <= atol
      : Object.is(a, b) || (typeof a !== typeof b && String(a) === String(b));
  const bad = stored.findIndex((value, i) => !equal(computed[i] ?? NaN, value));
  if (bad < 0) return undefined;
  const [a, b] = [computed[bad] ?? NaN, stored[bad] ?? NaN];
  return { what: `${key}, element ${bad}: ${a}, expected ${b}`, largest: Math.abs(Number(a) - Number(b)), tolerance };
}

/** Runs the family in a folder. The target does not matter: the host draws. */
export function runRng(folder: string, { filter }: FamilyOptions): Promise<FamilyResult> {
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as { cases: readonly RngCase[] }; // by format
  const stored = new TensorFile(join(folder, "rng.safetensors"));
  const cases = manifest.cases.filter(({ id }) => id.includes(filter)).map((test) => judge(test, stored));
  return Promise.resolve({ family: "rng", cases });
}
