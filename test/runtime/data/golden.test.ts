/** Orders of PyTorch's loaders, splits and samplers, through the public classes, bit for bit. */
import { assert } from "chai";
import {
  BatchSampler,
  DataLoader,
  defaultGenerator,
  Generator,
  manualSeed,
  RandomSampler,
  randomSplit,
  SubsetRandomSampler,
  TensorDataset,
  WeightedRandomSampler,
  type Sampler,
} from "../../../runtime/data/index.ts";
import { loadManifest, openTensors, requireGolden, type GoldenTensor } from "../../golden.ts";

type Case = {
  readonly kind: string;
  readonly seed: number;
  readonly params: {
    readonly n?: number;
    readonly batch_size?: number;
    readonly drop_last?: boolean;
    readonly generator?: number | null;
    readonly lengths?: readonly number[];
    readonly num_samples?: number;
    readonly weights?: readonly number[];
    readonly indices?: readonly number[];
  };
  readonly tensors: Readonly<Record<string, string>>;
  readonly next24: number;
};

/** The numbers 0 … n - 1 as a data set, so that a batch shows its indices. */
function range(n: number): TensorDataset {
  return new TensorDataset(Int32Array.from({ length: n }, (_, i) => i));
}

/** The values of all batches behind each other. */
function valuesOf(loader: DataLoader): number[] {
  return [...loader].flatMap(([field]) => Array.from(field?.data ?? [], Number));
}

/** What the case's tensors should hold, made by our classes. */
function run({ kind, params }: Case, tensors: readonly string[]): Record<string, readonly number[]> {
  const n = params.n ?? 0;
  if (kind.startsWith("dataloader")) {
    const { generator, batch_size: batchSize = 1, drop_last: dropLast = false } = params;
    const own = generator === undefined || generator === null ? undefined : Generator.seeded(generator);
    const loader = new DataLoader(range(n), { batchSize, dropLast, shuffle: true, generator: own });
    return Object.fromEntries(tensors.map((name) => [name, valuesOf(loader)]));
  }
  const samplers: Readonly<Record<string, () => Sampler>> = {
    random_sampler_replacement: () =>
      new RandomSampler(range(n), { replacement: true, numSamples: params.num_samples }),
    weighted_random_sampler: () => new WeightedRandomSampler(params.weights ?? [], params.num_samples ?? 0),
    subset_random_sampler: () => new SubsetRandomSampler(params.indices ?? []),
  };
  const sampler = samplers[kind];
  if (sampler !== undefined) return { out: [...sampler()] };
  const parts = randomSplit(range(n), params.lengths ?? []);
  return Object.fromEntries(parts.map((part, i) => [`part${i}`, [...part.indices]]));
}

describe("orders of PyTorch", () => {
  let cases: readonly (Case & { readonly id: string })[];
  let stored: Map<string, GoldenTensor>;

  before(function () {
    requireGolden(this);
    const kinds = /^(dataloader|random_split|.*_sampler)/;
    cases = loadManifest<Case>("rng").cases.filter(({ kind }) => kinds.test(kind));
    stored = openTensors("rng/rng.safetensors");
  });

  it("are met by loaders, splits and samplers", () => {
    assert.isAbove(cases.length, 10);
    for (const one of cases) {
      manualSeed(one.seed);
      if (one.kind === "dataloader_after_model") drawLinear();
      const made = run(one, Object.keys(one.tensors));
      for (const [name, key] of Object.entries(one.tensors)) {
        const expected = Array.from(stored.get(key)?.data ?? [], Number);
        assert.deepEqual(made[name]?.slice(0, expected.length), expected, `${one.id} ${name}`);
        if (one.params.drop_last !== true) assert.equal(made[name]?.length, expected.length, one.id);
      }
      assert.equal(defaultGenerator.nextU32() % 2 ** 24, one.next24, `${one.id}: numbers taken`);
    }
  });

  it("are the same through a batch sampler", () => {
    manualSeed(3);
    const plain = valuesOf(new DataLoader(range(23), { batchSize: 4, shuffle: true }));
    manualSeed(3);
    const batchSampler = new BatchSampler(new RandomSampler(range(23)), 4);
    assert.deepEqual(valuesOf(new DataLoader(range(23), { batchSampler })), plain);
  });
});

/** The draws of `nn.Linear(10, 10)`. */
function drawLinear(): void {
  for (let i = 0; i < 110; i++) defaultGenerator.nextU32();
}
