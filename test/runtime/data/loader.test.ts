/** Loaders: batches, draws, positions, description, and the options that contradict each other. */
import { assert } from "chai";
import {
  BatchSampler,
  DataLoader,
  defaultGenerator,
  describe as description,
  describeLoader,
  Generator,
  manualSeed,
  randomSplit,
  RandomSampler,
  SequentialSampler,
  Subset,
  TensorDataset,
  transforms,
  type Batch,
} from "../../../runtime/data/index.ts";
import { at } from "../../../ir/type.ts";
import { failsWith } from "../../fails-with.ts";
import { arrays, Backwards, Counter, Made, made, plain, sizes } from "./samples.ts";

async function collect(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const list: Batch[] = [];
  for await (const batch of batches) list.push(batch);
  return list;
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
    new DataLoader(new Counter(4)).iterate({ skip: 1 });
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
