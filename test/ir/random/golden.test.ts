/** Every raw draw, initialisation and data order of PyTorch's reference data, bit for bit, with the number of outputs taken. */
import { assert } from "chai";
import { fillIntegers, multinomial, nextInt63, permutation } from "../../../ir/random/choose.ts";
import {
  dropoutScale,
  fillBernoulli,
  fillBernoulliFrom,
  fillDropoutMask,
  fillExponential,
  fillFeatureDropoutMask,
  fillNormal,
  fillUniform,
} from "../../../ir/random/draw.ts";
import {
  defaultBiasBound,
  defaultWeightBound,
  kaimingNormalStd,
  kaimingUniformBound,
  xavierNormalStd,
  xavierUniformBound,
  type KaimingOptions,
} from "../../../ir/random/fan.ts";
import { Generator } from "../../../ir/random/generator.ts";
import type { InitStep } from "../../../ir/random/init.ts";
import { initialize } from "../../../ir/random/initialize.ts";
import {
  drawBaseSeed,
  replacementOrder,
  shuffledOrder,
  splitIndices,
  subsetOrder,
  weightedOrder,
} from "../../../ir/random/sampling.ts";
import { elementCount, type Shape } from "../../../ir/type.ts";
import { goldenDir, loadManifest, openTensors, requireGolden, type GoldenTensor } from "../../golden.ts";

/** Parameters of a case; which are there depends on its kind. */
type Params = KaimingOptions & {
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
  readonly lambd: number;
  readonly probs: readonly number[];
  readonly replacement: boolean;
  readonly batch_size: number;
  readonly drop_last: boolean;
  readonly generator: number | null;
  readonly lengths: readonly number[];
  readonly num_samples: number;
  readonly weights: readonly number[];
  readonly indices: readonly number[];
};

type Case = {
  readonly kind: string;
  readonly seed: number;
  readonly params: Params;
  readonly tensors: Readonly<Record<string, string>>;
  readonly next24: number;
};

/** Elements of one result; compared by value, so that the element types need not be PyTorch's. */
type Elements = Iterable<number | bigint>;
type Results = Readonly<Record<string, Elements>>;

const f32 = (shape: Shape): Float32Array => new Float32Array(elementCount(shape));

function drawn<T>(out: T, fill: (out: T) => void): { readonly out: T } {
  fill(out);
  return { out };
}

/** Runs one initialisation step on a float32 state. */
function initialized(generator: Generator, shape: Shape, step: InitStep): Results {
  const data = f32(shape);
  initialize([step], new Map([["w", { dtype: "f32", shape, data }]]), generator);
  return { out: data };
}

function uniform(bound: number): InitStep {
  return { kind: "uniform", state: "w", low: -bound, high: bound };
}

function normal(mean: number, std: number): InitStep {
  return { kind: "normal", state: "w", mean, std };
}

/** The order of an epoch of a shuffling loader that starts now. */
function epoch(generator: Generator, params: Params, own?: Generator): Int32Array {
  drawBaseSeed(own ?? generator);
  const order = shuffledOrder(params.n, own, generator);
  return params.drop_last ? order.subarray(0, params.n - (params.n % params.batch_size)) : order;
}

function epochs(generator: Generator, params: Params, count: number): Results {
  const own = typeof params.generator === "number" ? Generator.seeded(params.generator) : undefined;
  return Object.fromEntries(Array.from({ length: count }, (_, e) => [`epoch${e}`, epoch(generator, params, own)]));
}

const kinds: Readonly<Record<string, (generator: Generator, params: Params) => Results>> = {
  raw24: (g) => ({ out: Array.from({ length: 1300 }, () => g.nextU32() & 0xffffff) }),
  raw63: (g, { n }) => ({ out: Array.from({ length: n }, () => nextInt63(g)) }),
  rand: (g, { shape }) => drawn(f32(shape), (out) => fillUniform(g, out)),
  rand_f64: (g, { shape }) => drawn(new Float64Array(elementCount(shape)), (out) => fillUniform(g, out)),
  randn: (g, { shape }) => drawn(f32(shape), (out) => fillNormal(g, out)),
  randn_twice_small: (g) => ({
    a: drawn(f32([3]), (out) => fillNormal(g, out)).out,
    b: drawn(f32([2]), (out) => fillUniform(g, out)).out,
    c: drawn(f32([2]), (out) => fillNormal(g, out)).out,
  }),
  randint: (g, { shape, low, high }) =>
    drawn(new BigInt64Array(elementCount(shape)), (out) => fillIntegers(g, out, low, high)),
  randperm: (g, { n }) => ({ out: permutation(g, n) }),
  bernoulli_tensor: (g) => {
    const p = Float32Array.from({ length: 33 }, (_, i) => i / 32);
    return drawn(f32([33]), (out) => fillBernoulliFrom(g, out, p));
  },
  bernoulli_scalar: (g, { shape, p }) => drawn(f32(shape), (out) => fillBernoulli(g, out, p)),
  dropout: (g, { shape, p }) =>
    scaled(
      drawn(f32(shape), (out) => fillDropoutMask(g, out, p)),
      p,
    ),
  dropout2d: (g, { shape, p }) =>
    scaled(
      drawn(f32(shape), (out) => fillFeatureDropoutMask(g, out, shape, p)),
      p,
    ),
  uniform_: (g, { shape, a, b }) => drawn(f32(shape), (out) => fillUniform(g, out, a, b)),
  normal_: (g, { shape, mean, std }) => drawn(f32(shape), (out) => fillNormal(g, out, mean, std)),
  exponential_: (g, { shape, lambd }) => drawn(f32(shape), (out) => fillExponential(g, out, lambd)),
  multinomial: (g, { probs, n, replacement }) => ({ out: multinomial(g, Float32Array.from(probs), n, replacement) }),
  "init.kaiming_uniform_": (g, p) => initialized(g, p.shape, uniform(kaimingUniformBound(p.shape, p))),
  "init.kaiming_normal_": (g, p) => initialized(g, p.shape, normal(0, kaimingNormalStd(p.shape, p))),
  "init.xavier_uniform_": (g, p) => initialized(g, p.shape, uniform(xavierUniformBound(p.shape, p.gain))),
  "init.xavier_normal_": (g, p) => initialized(g, p.shape, normal(0, xavierNormalStd(p.shape, p.gain))),
  "init.normal_": (g, { shape, mean = 0, std }) => initialized(g, shape, normal(mean, std)),
  "init.uniform_": (g, { shape, a, b }) => initialized(g, shape, { kind: "uniform", state: "w", low: a, high: b }),
  "init.trunc_normal_": (g, { shape, mean = 0, std, a, b }) =>
    initialized(g, shape, { kind: "truncNormal", state: "w", mean, std, low: a, high: b }),
  "init.orthogonal_": (g, { shape, gain = 1 }) => initialized(g, shape, { kind: "orthogonal", state: "w", gain }),
  dataloader: (g, p) => epochs(g, p, p.generator === null ? 3 : 2),
  dataloader_60000: (g, p) => epochs(g, p, 1),
  dataloader_after_model: (g, p) => {
    initialized(g, [10, 10], uniform(defaultWeightBound([10, 10])));
    initialized(g, [10], uniform(defaultBiasBound([10, 10])));
    return epochs(g, p, 2);
  },
  random_split: (g, { lengths, n }) =>
    Object.fromEntries(splitIndices(lengths, n, g).map((part, i) => [`part${i}`, part])),
  random_sampler_replacement: (g, { n, num_samples }) => ({ out: replacementOrder(n, num_samples, undefined, g) }),
  subset_random_sampler: (g, { indices }) => ({ out: subsetOrder(indices, g) }),
  weighted_random_sampler: (g, { weights, num_samples }) => ({ out: weightedOrder(weights, num_samples, true, g) }),
};

function scaled({ out }: { readonly out: Float32Array }, p: number): Results {
  return { out: out.map((kept) => kept * dropoutScale(p)) };
}

function compare(got: Elements, stored: GoldenTensor, tolerance: number, what: string): void {
  const elements = Array.from(got);
  const expected = Array.from<number | bigint>(stored.data);
  assert.equal(elements.length, expected.length, what);
  const bad = expected.findIndex((x, i) => !agree(elements[i] ?? NaN, x, tolerance));
  assert.equal(bad, -1, `${what}: element ${bad} is ${elements[bad]}, expected ${expected[bad]}`);
}

/** Without tolerance the values must be the same, sign of zero included; integers of 64 bits keep all of them. */
function agree(x: number | bigint, y: number | bigint, tolerance: number): boolean {
  if (tolerance > 0) return Math.abs(Number(x) - Number(y)) <= tolerance;
  return Object.is(x, y) || (typeof x !== typeof y && String(x) === String(y));
}

describe("random numbers of PyTorch", function () {
  const folder = goldenDir();
  if (folder === undefined) {
    it("agree with the reference data", function () {
      requireGolden(this);
    });
    return;
  }
  // Modules are built by the front, which tests them; the rest is all here.
  const cases = loadManifest<Case>("rng").cases.filter(({ kind }) => !kind.startsWith("module."));
  const tensors = openTensors("rng/rng.safetensors");
  for (const kind of new Set(cases.map((c) => c.kind)))
    it(kind, () => {
      const run = kinds[kind];
      assert.isDefined(run, `no code for cases of kind ${kind}`);
      for (const { id, seed, params, tensors: names, next24 } of cases.filter((c) => c.kind === kind)) {
        const generator = Generator.seeded(seed);
        const results = run?.(generator, params) ?? {};
        for (const [key, name] of Object.entries(names)) {
          const stored = tensors.get(name);
          assert.isDefined(stored, name);
          const tolerance = kind === "init.orthogonal_" ? 1e-5 : 0;
          if (stored !== undefined) compare(results[key] ?? [], stored, tolerance, `${id} ${key}`);
        }
        assert.equal(generator.nextU32() & 0xffffff, next24, `${id}: the number drawn afterwards`);
      }
    });
});
