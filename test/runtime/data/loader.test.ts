/** Loaders: batches, draws, positions, description, and the options that contradict each other. */
import { assert } from "chai";
import {
  BatchSampler,
  DataLoader,
  defaultGenerator,
  describe as description,
  describeLoader,
  Generator,
  IterableDataset,
  manualSeed,
  randomSplit,
  RandomSampler,
  Sampler,
  SequentialSampler,
  Subset,
  TensorDataset,
  transforms,
  type Batch,
  type Sample,
} from "../../../runtime/data/index.ts";
import { at } from "../../../ir/type.ts";
import { failsWith } from "../../fails-with.ts";
import { arrays, Made, made, plain } from "./samples.ts";

/** Sizes of all batches. */
function sizes(batches: Iterable<Batch>): number[] {
  return Array.from(batches, (batch) => at(batch, 0).shape[0] ?? 0);
}

async function collect(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const list: Batch[] = [];
  for await (const batch of batches) list.push(batch);
  return list;
}

/** A sampler that no generator of ours can repeat. */
class Backwards extends Sampler {
  passes = 0;
  get length(): number {
    return 10;
  }
  *[Symbol.iterator](): Iterator<number> {
    const shift = this.passes++;
    for (let i = 9; i >= 0; i--) yield (i + shift) % 10;
  }
}

/** Numbers from 0, of unknown or given length. */
class Counter extends IterableDataset {
  override readonly length: number | undefined;
  readonly #count: number;
  closed = 0;
  constructor(count: number, length?: number) {
    super();
    this.#count = count;
    this.length = length;
  }
  *[Symbol.iterator](): Iterator<Sample> {
    try {
      for (let i = 0; i < this.#count; i++) yield [i];
    } finally {
      this.closed++;
    }
  }
}

describe("DataLoader", () => {
  beforeEach(() => manualSeed(1));

  it("gives all samples, the last batch smaller or left out", () => {
    assert.deepEqual(sizes(new DataLoader(arrays(10), { batchSize: 4 })), [4, 4, 2]);
    assert.deepEqual(sizes(new DataLoader(arrays(10), { batchSize: 4, dropLast: true })), [4, 4]);
    assert.deepEqual(sizes(new DataLoader(arrays(3))), [1, 1, 1]);
    assert.deepEqual(sizes(new DataLoader(arrays(3), { batchSize: 8 })), [3]);
    assert.deepEqual(sizes(new DataLoader(arrays(3), { batchSize: 8, dropLast: true })), []);
    assert.equal(new DataLoader(arrays(10), { batchSize: 4 }).length, 3);
    assert.equal(new DataLoader(arrays(10), { batchSize: 4, dropLast: true }).length, 2);
  });

  it("gives the same batches from arrays and from a class, in loops with and without await", async () => {
    for (const options of [
      { batchSize: 4 },
      { batchSize: 4, shuffle: true },
      { batchSize: 3, dropLast: true, shuffle: true },
    ]) {
      const all: unknown[] = [];
      for (const dataset of [arrays(10), new Made(10)]) {
        manualSeed(5);
        all.push(plain(new DataLoader(dataset, options)));
        manualSeed(5);
        all.push(plain(await collect(new DataLoader(dataset, options))));
      }
      all.forEach((one) => assert.deepEqual(one, all[0]));
    }
  });

  it("hands out row numbers of the whole fields through splits and subsets", () => {
    const [left, right] = randomSplit(arrays(10), [6, 4]);
    const loader = new DataLoader(new Subset(at([left, right], 0) ?? arrays(1), [5, 0, 3]), {
      batchSize: 2,
      shuffle: true,
    });
    const field = loader.resident()?.fields[0];
    assert.deepEqual(field && { rows: field.rows, shape: field.shape }, { rows: 10, shape: [2] });
    const epoch = loader.epoch();
    assert.equal(epoch.count, 2);
    [...epoch].forEach((batch, k) => {
      const rows = epoch.indices(k);
      assert.deepEqual(
        [...at(batch, 0).data],
        [...rows].flatMap((row) => [row, row + 0.5]),
      );
    });
    assert.deepEqual([...epoch.order], [...epoch.indices(0), ...epoch.indices(1)]);
    assert.throws(() => epoch.indices(2), RangeError);
  });

  it("draws a base seed at every start, shuffled or not", () => {
    const expected = Generator.seeded(1);
    const loader = new DataLoader(arrays(4), { batchSize: 2 });
    loader.epoch();
    expected.nextU64();
    assert.deepEqual(defaultGenerator.state, expected.state);
    for (const batch of loader) void batch;
    expected.nextU64();
    assert.deepEqual(defaultGenerator.state, expected.state);
    new DataLoader(arrays(4), { shuffle: true }).epoch();
    expected.nextU64();
    expected.nextU64();
    assert.deepEqual(defaultGenerator.state, expected.state);
  });

  it("draws nothing for being made, described or measured", () => {
    const before = defaultGenerator.save();
    const dataset = made(6, (i) => [defaultGenerator.nextFloat24() + i]);
    const loader = new DataLoader(dataset, { shuffle: true });
    describeLoader(loader);
    assert.equal(loader.length, 6);
    assert.deepEqual(defaultGenerator.state, before);
  });

  it("makes one batch ahead, after the body of the loop, unless reading draws random numbers", async () => {
    const log: string[] = [];
    const noted = (draws: boolean) =>
      made(4, (i) => {
        log.push(`get ${i}`);
        return [draws ? defaultGenerator.nextFloat24() : i + 0.5];
      });
    for (const draws of [false, true]) {
      const loader = new DataLoader(noted(draws), { batchSize: 2 });
      describeLoader(loader);
      log.length = 0;
      for await (const batch of loader) {
        log.push(`begin ${batch.length}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
        log.push("end");
      }
      const ahead = ["get 0", "get 1", "begin 1", "get 2", "get 3", "end", "begin 1", "end"];
      const inTurn = ["get 0", "get 1", "begin 1", "end", "get 2", "get 3", "begin 1", "end"];
      assert.deepEqual(log, draws ? inTurn : ahead);
    }
  });

  it("throws an error made ahead in its turn, and none after a break", async () => {
    const dataset = made(4, (i) => {
      if (i === 2) throw new Error("broken picture");
      return [i];
    });
    let steps = 0;
    let caught: unknown;
    try {
      for await (const batch of new DataLoader(dataset, { batchSize: 2 })) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        steps += batch.length;
      }
    } catch (error) {
      caught = error;
    }
    assert.equal(steps, 1);
    const error = failsWith("K2012", () => {
      throw caught;
    });
    assert.include(error.message, "sample 2");
    assert.include(error.message, "broken picture");
    assert.equal((error.cause as Error).message, "broken picture");
    for await (const batch of new DataLoader(dataset, { batchSize: 2 })) {
      void batch;
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  });

  it("describes itself by name and by symbol", () => {
    const dataset = new Made(10);
    dataset.transform = transforms.normalize(1, 2);
    const loader = new DataLoader(dataset, { batchSize: 4, dropLast: true });
    assert.deepEqual(describeLoader(loader), {
      samples: 10,
      batchSize: 4,
      dropLast: true,
      fields: [
        { dtype: "f32", shape: [2], resident: false, transforms: [{ kind: "normalize", mean: [1], std: [2] }] },
        { dtype: "i64", shape: [], resident: false, transforms: [] },
      ],
    });
    assert.deepEqual(loader[description](), describeLoader(loader));
    assert.deepEqual(dataset.reads, [0], "one look is enough");
    failsWith("K2034", () => describeLoader([1, 2]));
    failsWith("K2034", () => describeLoader(undefined));
  });

  it("counts what its sampler gives, not the data set", () => {
    const sampler = new RandomSampler(arrays(10), { replacement: true, numSamples: 25 });
    const loader = new DataLoader(arrays(10), { batchSize: 10, sampler });
    assert.equal(describeLoader(loader).samples, 25);
    assert.deepEqual(sizes(loader), [10, 10, 5]);
  });

  it("takes samplers and batch samplers of the user's own", () => {
    const values = (loader: DataLoader): number[] =>
      [...loader].flatMap((batch) => Array.from(at(batch, 1).data, Number));
    assert.deepEqual(values(new DataLoader(arrays(10), { sampler: new Backwards() })), [0, 2, 1, 0, 2, 1, 0, 2, 1, 0]);
    const batches = [[0], [1, 2, 3], [4, 5]];
    const source = { length: 3, [Symbol.iterator]: () => batches.values() };
    const loader = new DataLoader(new Made(10), { batchSampler: source });
    assert.deepEqual(sizes(loader), [1, 3, 2]);
    assert.equal(loader.length, 3);
    failsWith("K2001", () => describeLoader(loader));
    const sized = new DataLoader(arrays(10), { batchSampler: Object.assign(source, { batchSize: 3 }) });
    assert.equal(describeLoader(sized).batchSize, 3);
  });

  it("refuses what a sampler should not give", () => {
    const over = (...indices: number[]) => withLength(indices.length, ...indices);
    const withLength = (length: number, ...indices: number[]) => ({
      length,
      [Symbol.iterator]: () => indices.values(),
    });
    const start = (sampler: Iterable<number> & { length: number }) => () =>
      new DataLoader(arrays(3), { sampler }).epoch();
    for (const bad of [3, -1, 0.5, NaN, 2 ** 32]) failsWith("K2006", start(over(0, bad)));
    failsWith("K2007", start(withLength(1, 0, 1)));
    failsWith("K2007", start(withLength(3, 0, 1)));
    failsWith(
      "K2007",
      start({
        length: 3,
        *[Symbol.iterator]() {
          for (;;) yield 0;
        },
      }),
    );
    failsWith("K2006", () => new DataLoader(arrays(3), { batchSampler: new BatchSampler(over(7), 2) }).epoch());
  });

  it("refuses options that make no sense", () => {
    const data = arrays(4);
    const sampler = new SequentialSampler(data);
    const batchSampler = new BatchSampler(sampler, 2);
    for (const batchSize of [0, 2.5, -1, NaN, Infinity]) failsWith("K2001", () => new DataLoader(data, { batchSize }));
    // @ts-expect-error: PyTorch's spelling
    assert.include(failsWith("K2001", () => new DataLoader(data, { batch_size: 4 })).message, "`batchSize`");
    // @ts-expect-error: not a boolean
    failsWith("K2001", () => new DataLoader(data, { shuffle: 1 }));
    // @ts-expect-error: not a sampler
    failsWith("K2001", () => new DataLoader(data, { sampler: 3 }));
    failsWith("K2002", () => new DataLoader(data, { shuffle: true, sampler }));
    for (const other of [{ batchSize: 2 }, { shuffle: true }, { sampler }, { dropLast: true }])
      failsWith("K2002", () => new DataLoader(data, { ...other, batchSampler }));
    failsWith("K2003", () => new DataLoader(new TensorDataset(new Float32Array(0))));
    failsWith("K2003", () => new DataLoader(new Subset(data, []), { shuffle: true }));
    for (const length of [-1, 0.5, NaN, 2 ** 31]) failsWith("K2019", () => new DataLoader(made(length, () => [1])));
    failsWith("K2001", () => new DataLoader(data).epoch({ skip: 5 }));
    // @ts-expect-error: no data set
    failsWith("K2001", () => new DataLoader(5));
  });

  it("reads streams in batches, with a length where they have one", async () => {
    const loader = new DataLoader(new Counter(5), { batchSize: 2 });
    assert.deepEqual(plain(loader), [[["i64", [2], [0, 1]]], [["i64", [2], [2, 3]]], [["i64", [1], [4]]]]);
    assert.deepEqual(plain(await collect(loader)), plain(loader));
    failsWith("K2017", () => loader.length);
    failsWith("K2017", () => describeLoader(loader));
    failsWith("K2017", () => loader.epoch());
    const known = new DataLoader(new Counter(5, 5), { batchSize: 2, dropLast: true });
    assert.equal(known.length, 2);
    assert.equal(describeLoader(known).samples, 5);
    assert.deepEqual(sizes(known), [2, 2]);
    assert.deepEqual(sizes(new DataLoader(new Counter(4, 4), { batchSize: 2 })), [2, 2]);
    assert.deepEqual(plain(new DataLoader(new Counter(5), { batchSize: 2 }).iterate({ skip: 2 })), [
      [["i64", [1], [4]]],
    ]);
  });

  it("lets a stream end with the loop, and refuses a wrong length", () => {
    const stream = new Counter(9);
    for (const batch of new DataLoader(stream, { batchSize: 2 })) {
      void batch;
      break;
    }
    assert.equal(stream.closed, 2, "the look at its types and the loop");
    failsWith("K2007", () => sizes(new DataLoader(new Counter(5, 4), { batchSize: 2 })));
    failsWith("K2007", () => sizes(new DataLoader(new Counter(5, 6), { batchSize: 2 })));
    failsWith("K2002", () => new DataLoader(new Counter(5), { shuffle: true }));
    failsWith("K2003", () => describeLoader(new DataLoader(new Counter(0))));
  });
});

describe("the position of a DataLoader", () => {
  const cases: Readonly<Record<string, () => DataLoader>> = {
    shuffled: () => new DataLoader(new Made(10), { batchSize: 3, shuffle: true }),
    "with its own generator": () =>
      new DataLoader(arrays(10), { batchSize: 3, shuffle: true, generator: Generator.seeded(8) }),
    "with a sampler's generator": () =>
      new DataLoader(arrays(10), {
        batchSize: 3,
        sampler: new RandomSampler(arrays(10), { generator: Generator.seeded(9) }),
      }),
    "with a sampler of the user's": () => new DataLoader(arrays(10), { batchSize: 3, sampler: new Backwards() }),
    "with batches of the user's": () => {
      const source = {
        length: 4,
        passes: 0,
        *[Symbol.iterator]() {
          const by = source.passes++;
          for (const k of [0, 3, 1, 2]) yield [(k + by) % 4, 5];
        },
      };
      return new DataLoader(arrays(10), { batchSampler: source });
    },
    "of a stream": () => new DataLoader(new Counter(10), { batchSize: 3 }),
  };
  for (const [name, make] of Object.entries(cases)) {
    it(`is taken up in the middle of a pass, ${name}`, () => {
      manualSeed(4);
      const whole = make();
      const expected: unknown[] = [];
      let saved = "";
      let generator: Uint32Array = defaultGenerator.save();
      for (let epoch = 0; epoch < 3; epoch++) {
        let step = 0;
        for (const batch of whole) {
          defaultGenerator.nextU32(); // as dropout would
          step++;
          if (epoch === 1 && step === 2) {
            saved = JSON.stringify(whole.state());
            generator = defaultGenerator.save();
          } else if (epoch > 1 || (epoch === 1 && step > 2)) expected.push(plain([batch]));
        }
      }
      const end = defaultGenerator.save();
      manualSeed(77);
      const resumed = make();
      defaultGenerator.restore(generator);
      resumed.startAt(JSON.parse(saved));
      const got: unknown[] = [];
      for (let epoch = 1; epoch < 3; epoch++) {
        for (const batch of resumed) {
          defaultGenerator.nextU32();
          got.push(plain([batch]));
        }
      }
      if (name.includes("of the user's")) {
        // What a user's own sampler does in later passes is the user's.
        assert.deepEqual(got.slice(0, 2), expected.slice(0, 2));
      } else assert.deepEqual(got, expected);
      assert.deepEqual(defaultGenerator.state, end);
    });
  }

  it("reads no sample of the batches that were done", () => {
    const loader = new DataLoader(new Made(10), { batchSize: 3 });
    loader.epoch();
    const state = loader.state(2);
    const dataset = new Made(10);
    const resumed = new DataLoader(dataset, { batchSize: 3 });
    resumed.startAt(at([state], 0) ?? assert.fail());
    assert.deepEqual(sizes(resumed), [3, 1]);
    assert.deepEqual(dataset.reads, [0, 6, 7, 8, 9], "sample 0 for the types");
  });

  it("is none before the first pass, and empty after the last batch", () => {
    const loader = new DataLoader(arrays(4), { batchSize: 2 });
    assert.isUndefined(loader.state());
    for (const batch of loader) void batch;
    loader.startAt(loader.state() ?? assert.fail());
    assert.deepEqual(sizes(loader), []);
    assert.deepEqual(sizes(loader), [2, 2]);
  });

  it("is refused where it does not fit", () => {
    const loader = new DataLoader(arrays(4), { batchSize: 2, shuffle: true });
    loader.epoch();
    const state = loader.state() ?? assert.fail();
    failsWith("K2033", () => new DataLoader(arrays(5), { batchSize: 2 }).startAt(state));
    failsWith("K2033", () => new DataLoader(arrays(4), { batchSize: 1 }).startAt(state));
    failsWith("K2033", () => loader.startAt({ ...state, generators: [] }));
    failsWith("K2033", () => loader.startAt({ ...state, batches: -1 }));
    failsWith("K2033", () => loader.startAt({ ...state, generators: ["?"] }));
    failsWith("K3102", () => loader.startAt({ ...state, generators: [""] }));
    failsWith("K2033", () => loader.startAt({ ...state, order: "AAAAAA==" }));
    const kept = new DataLoader(arrays(10), { sampler: new Backwards() });
    kept.epoch();
    failsWith("K2033", () => kept.startAt({ ...(kept.state() ?? assert.fail()), ends: "/////w==" }));
    // @ts-expect-error: no position
    failsWith("K2033", () => loader.startAt(null));
  });
});

describe("the cost of a loader", () => {
  it("is small: an epoch of 60,000 row numbers in batches of 64", () => {
    const loader = new DataLoader(new TensorDataset(new Uint8Array(60000)), { batchSize: 64 });
    const shuffled = new DataLoader(new TensorDataset(new Uint8Array(60000)), { batchSize: 64, shuffle: true });
    const time = (one: DataLoader): number => {
      const start = performance.now();
      const epoch = one.epoch();
      for (let k = 0; k < epoch.count; k++) epoch.indices(k);
      return performance.now() - start;
    };
    const best = (one: DataLoader): number => Math.min(...Array.from({ length: 20 }, () => time(one)));
    assert.isBelow(best(loader), 3);
    assert.isBelow(best(shuffled), 6);
  });
});
