/** Data sets and how they are collated: types, faults of users, residence, transforms, samplers' options. */
import { assert } from "chai";
import {
  BatchSampler,
  ConcatDataset,
  DataLoader,
  describeLoader,
  Generator,
  manualSeed,
  RandomSampler,
  randomSplit,
  SequentialSampler,
  Subset,
  SubsetRandomSampler,
  TensorDataset,
  transforms,
  WeightedRandomSampler,
  type Dataset,
  type Sample,
} from "../../../runtime/data/index.ts";
import { at } from "../../../ir/type.ts";
import { failsWith } from "../../fails-with.ts";
import { arrays, Made, made, plain } from "./samples.ts";

/** dtype, shape and elements of each field of the first batch. */
function first(dataset: Dataset, batchSize: number = 2): unknown {
  return plain(new DataLoader(dataset, { batchSize }))[0];
}

/** Types of the fields of `get`'s samples. */
function types(...fields: Sample): string[] {
  const { fields: found } = describeLoader(new DataLoader(made(1, () => fields)));
  return found.map(({ dtype, shape }) => `${dtype}[${shape.join(",")}]`);
}

describe("collating", () => {
  it("gives each kind of field its element type", () => {
    assert.deepEqual(types(3, 0.5, 3n, true, NaN, 1e300), ["i64[]", "f32[]", "i64[]", "bool[]", "f32[]", "f32[]"]);
    assert.deepEqual(
      types(new Float32Array(2), new Float64Array(1), new Uint8Array(3), new Uint8ClampedArray(3), new Int16Array(0)),
      ["f32[2]", "f64[1]", "u8[3]", "u8[3]", "i16[0]"],
    );
    assert.deepEqual(types(new BigInt64Array(1), Buffer.alloc(2), new Int8Array(1), new Int32Array(1)), [
      "i64[1]",
      "u8[2]",
      "i8[1]",
      "i32[1]",
    ]);
    const half = new Uint16Array(4);
    assert.deepEqual(
      types(
        { data: half, dtype: "f16", shape: [2, 2] },
        { data: half, dtype: "bf16", shape: [4] },
        { data: Uint8Array.of(1), dtype: "bool", shape: [] },
      ),
      ["f16[2,2]", "bf16[4]", "bool[]"],
    );
  });

  it("puts samples behind each other", () => {
    const dataset = made(2, (i) => [
      { data: Int16Array.of(i, i + 1), shape: [1, 2] },
      i === 0 ? 0.5 : 2,
      i === 1,
      BigInt(i) - 5n,
    ]);
    assert.deepEqual(first(dataset), [
      ["i16", [2, 1, 2], [0, 1, 1, 2]],
      ["f32", [2], [0.5, 2]],
      ["bool", [2], [0, 1]],
      ["i64", [2], [-5, -4]],
    ]);
  });

  it("lets `get` use one array again and again", () => {
    const scratch = new Float32Array(1);
    const dataset = made(3, (i) => [scratch.fill(i)]);
    assert.deepEqual(first(dataset, 3), [["f32", [3, 1], [0, 1, 2]]]);
  });

  it("tells index, field, expected and got of a sample that does not fit", () => {
    const error = failsWith("K2011", () => first(made(2, (i) => [0, new Float32Array(3 + i)])));
    for (const part of ["sample 1", "field 1", "f32[3]", "f32[4]", "pad"]) assert.include(error.message, part);
    failsWith("K2011", () => first(made(2, (i) => [i === 0 ? new Float32Array(2) : new Uint8Array(2)])));
    assert.include(failsWith("K2011", () => first(made(2, (i) => [i === 0 ? 1 : 0.5]))).message, "0.5");
    failsWith("K2011", () => first(made(2, (i) => [i === 0 ? 1 : true])));
    failsWith("K2011", () => first(made(2, (i) => [i === 0 ? 1n : 2n ** 63n])));
    failsWith("K2011", () => first(made(2, (i) => [i === 0 ? Float32Array.of(1) : 1])));
    failsWith("K2010", () => first(made(2, (i) => (i === 0 ? [1, 2] : [1]))));
  });

  it("refuses what is no sample or no field", () => {
    failsWith("K2008", () => first(made(2, () => 5)));
    failsWith("K2008", () => first(made(2, () => ({ image: 1 }))));
    assert.include(failsWith("K2008", () => first(made(2, () => Promise.resolve([1])))).message, "promise");
    for (const bad of ["text", null, undefined, [1, 2], { x: 1 }, new Uint32Array(1), new DataView(new ArrayBuffer(1))])
      failsWith("K2009", () => first(made(2, (i) => [i === 0 ? bad : 1])));
    failsWith("K2009", () => first(made(2, (i) => [i === 0 ? 1 : "text"])));
    const data = new Float32Array(4);
    for (const bad of [
      { data, shape: [5] },
      { data, shape: [-4] },
      { data, shape: [0.5, 8] },
      { data, shape: 4 },
      { data, shape: [4], dtype: "i64" },
      { data, shape: [4], dtype: "float32" },
      { data, shape: [4], dtype: "toString" },
      { data: new Uint16Array(4), shape: [4] },
    ])
      failsWith("K2013", () => first(made(2, () => [bad])));
  });

  it("wraps what `get` throws with the index and the cause", () => {
    const cause = new RangeError("no such\nfile");
    const dataset = made(3, (i) => {
      if (i === 1) throw cause;
      return [i];
    });
    const error = failsWith("K2012", () => first(new Subset(dataset, [0, 1])));
    assert.include(error.message, "sample 1 of Subset could not be read: no such");
    assert.equal(error.cause, cause);
    failsWith("K2012", () => first(made(2, () => assert.fail("thrown"))));
  });

  it("by the user's own function gives what it gives, checked", () => {
    const dataset = made(3, (i) => [Float32Array.from({ length: i + 1 }, () => i + 1)]);
    const pad = (samples: readonly Sample[], width: number) => {
      const data = new Float32Array(samples.length * width);
      samples.forEach(([row], n) => data.set(row as Float32Array, n * width));
      return [{ data, shape: [samples.length, width] }];
    };
    const loader = new DataLoader(dataset, { batchSize: 2, collate: (samples) => pad(samples, 3) });
    assert.deepEqual(plain(loader), [[["f32", [2, 3], [1, 0, 0, 2, 2, 0]]], [["f32", [1, 3], [3, 3, 3]]]]);
    assert.deepEqual(at(describeLoader(loader).fields, 0), {
      dtype: "f32",
      shape: [3],
      resident: false,
      transforms: [],
    });
    assert.isUndefined(new DataLoader(arrays(4), { collate: (samples) => pad(samples, 2) }).resident());
    const bad = (collate: (samples: readonly Sample[]) => unknown) => () =>
      // @ts-expect-error: results of all kinds
      plain(new DataLoader(dataset, { batchSize: 2, collate }));
    failsWith(
      "K2018",
      bad((samples) => pad(samples, 2 + samples.length)),
    );
    failsWith(
      "K2018",
      bad(() => pad([], 3)),
    );
    failsWith(
      "K2018",
      bad(() => 3),
    );
    failsWith(
      "K2018",
      bad(() => [3]),
    );
    failsWith(
      "K2018",
      bad((samples) => (samples.length === 1 ? pad(samples, 3) : [])),
    );
    failsWith(
      "K2012",
      bad(() => assert.fail("thrown")),
    );
  });
});

describe("data sets", () => {
  it("of arrays share them", () => {
    const dataset = arrays(3);
    const row = dataset.get(1)[0] as { readonly data: Float32Array };
    assert.equal(row.data.buffer, dataset.tensors[0]?.data.buffer);
    assert.deepEqual([...row.data], [1, 1.5]);
    for (const index of [-1, 3, 0.5, NaN]) failsWith("K2005", () => dataset.get(index));
    failsWith("K2014", () => new TensorDataset(new Float32Array(2), new Float32Array(3)));
    failsWith("K2001", () => new TensorDataset());
    failsWith("K2013", () => new TensorDataset({ data: new Float32Array(1), shape: [] }));
    // @ts-expect-error: no array
    failsWith("K2009", () => new TensorDataset("text"));
  });

  it("that read samples in their own way are not resident", () => {
    class Doubled extends TensorDataset {
      override get(index: number): Sample {
        return [index * 2];
      }
    }
    const loader = new DataLoader(new Doubled(new Float32Array(2)), { batchSize: 2 });
    assert.isUndefined(loader.resident());
    assert.deepEqual(plain(loader), [[["i64", [2], [0, 2]]]]);
    assert.isUndefined(new DataLoader(new Subset(new Doubled(new Float32Array(2)), [1])).resident());
    assert.isUndefined(new DataLoader(new ConcatDataset([arrays(1), new Made(1)])).resident());
  });

  it("joined give the same batches whether held or made", () => {
    manualSeed(0);
    const [a, b] = randomSplit(arrays(9), [4, 5]);
    const shared = new ConcatDataset([at([b], 0) ?? assert.fail(), at([a], 0) ?? assert.fail()]);
    const joins = [
      {
        held: shared,
        other: new ConcatDataset([
          new Subset(new Made(9), b?.indices ?? []),
          new Subset(new Made(9), a?.indices ?? []),
        ]),
      },
      { held: new ConcatDataset([arrays(2), arrays(3)]), other: new ConcatDataset([new Made(2), new Made(3)]) },
      {
        held: new ConcatDataset([new Subset(arrays(5), [4, 1]), arrays(3), new Subset(arrays(7), [6])]),
        other: new ConcatDataset([new Subset(new Made(5), [4, 1]), new Made(3), new Subset(new Made(7), [6])]),
      },
    ];
    for (const { held, other } of joins) {
      const loader = new DataLoader(held, { batchSize: 4 });
      assert.isDefined(loader.resident());
      assert.deepEqual(plain(loader), plain(new DataLoader(other, { batchSize: 4 })));
      for (const { data, rows, shape } of loader.resident()?.fields ?? [])
        assert.equal(data.length, rows * shape.reduce((x, y) => x * y, 1));
    }
    assert.equal(new DataLoader(shared).resident()?.fields[0]?.rows, 9, "parts of one array are not copied");
    failsWith("K2001", () => new ConcatDataset([]));
    failsWith("K2015", () => new ConcatDataset([arrays(2), new TensorDataset(new Float32Array(2))]));
    failsWith("K2005", () => new ConcatDataset([arrays(2)]).get(2));
  });

  it("split by counts and fractions, by a generator of one's own", () => {
    const parts = randomSplit(new Made(10), [0.5, 0.5], Generator.seeded(3));
    assert.deepEqual(
      parts.flatMap((part) => [...part.indices]).sort((x, y) => x - y),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
    for (const lengths of [[5, 4], [11], [-1, 11], [5.5, 4.5], [0.5, 0.6], [NaN, 10]])
      failsWith("K3103", () => randomSplit(new Made(10), lengths));
    failsWith("K2005", () => new Subset(new Made(3), [3]));
    failsWith("K2005", () => new Subset(new Made(3), [0.5]));
  });
});

describe("transforms", () => {
  it("are lists of steps on a field, which parts pass on", () => {
    const twice = transforms.lambda((x: number) => x * 2);
    const transform = transforms.compose([
      transforms.toTensor(),
      transforms.compose([twice, transforms.normalize([1, 2], [3, 4])]),
    ]);
    const whole = new TensorDataset([new Uint8Array(4), new Uint8Array(4)], { transform, targetTransform: twice });
    for (const dataset of [whole, new Subset(whole, [1]), new ConcatDataset([whole, new Subset(whole, [0])])]) {
      const { fields } = describeLoader(new DataLoader(dataset));
      assert.deepEqual(
        fields.map((field) => field.transforms.map(({ kind }) => kind)),
        [["toTensor", "lambda", "normalize"], ["lambda"]],
      );
    }
    const [train] = randomSplit(whole, [4]);
    if (train !== undefined) train.transform = transforms.toTensor();
    const { fields } = describeLoader(new DataLoader(train ?? assert.fail()));
    assert.deepEqual(
      fields.map((field) => field.transforms.length),
      [1, 1],
    );
    failsWith("K2015", () => new ConcatDataset([whole, new TensorDataset(new Uint8Array(1), new Uint8Array(1))]));
  });

  it("refuse what they cannot be", () => {
    failsWith("K2001", () => transforms.normalize([0, 0], [1]));
    failsWith("K2001", () => transforms.normalize(0, 0));
    failsWith("K2001", () => transforms.normalize(NaN, 1));
    // @ts-expect-error: no function
    failsWith("K2016", () => transforms.lambda(3));
    // @ts-expect-error: a plain function
    failsWith("K2016", () => transforms.compose([(x: number) => x]));
    // @ts-expect-error: no list
    failsWith("K2016", () => transforms.compose(3));
    const dataset = made(2, () => [1]);
    // @ts-expect-error: a plain function
    dataset.transform = (x: number) => x;
    failsWith("K2016", () => describeLoader(new DataLoader(dataset)));
  });
});

describe("samplers", () => {
  it("have the length of a pass", () => {
    assert.equal(new SequentialSampler(new Made(5)).length, 5);
    assert.deepEqual([...new SequentialSampler(new Made(3))], [0, 1, 2]);
    assert.equal(new RandomSampler(new Made(5), { numSamples: 7 }).length, 7);
    assert.equal([...new RandomSampler(new Made(5), { numSamples: 7 })].length, 7);
    assert.deepEqual(
      [...new SubsetRandomSampler([4, 2])].sort((x, y) => x - y),
      [2, 4],
    );
    assert.deepEqual(
      [...new WeightedRandomSampler([0, 1, 1], 2, { replacement: false })].sort((x, y) => x - y),
      [1, 2],
    );
    const batches = new BatchSampler(new SequentialSampler(new Made(5)), 2);
    assert.deepEqual(
      [...batches].map((batch) => [...batch]),
      [[0, 1], [2, 3], [4]],
    );
    assert.equal(new BatchSampler(new SequentialSampler(new Made(5)), 2, { dropLast: true }).length, 2);
  });

  it("refuse bad options", () => {
    failsWith("K2001", () => new RandomSampler(new Made(5), { numSamples: 0 }));
    failsWith("K2003", () => new RandomSampler(new Made(0)));
    failsWith("K2001", () => new SubsetRandomSampler([0.5]));
    failsWith("K2001", () => new WeightedRandomSampler([1, -1], 1));
    failsWith("K2001", () => new WeightedRandomSampler([0, 0], 1));
    failsWith("K2001", () => new WeightedRandomSampler([1, Infinity], 1));
    failsWith("K2001", () => new WeightedRandomSampler([1, 0], 2, { replacement: false }));
    failsWith("K2001", () => new WeightedRandomSampler([1], 0.5));
    failsWith("K2001", () => new BatchSampler(new SequentialSampler(new Made(5)), 0));
    // @ts-expect-error: an unknown option
    failsWith("K2001", () => new RandomSampler(new Made(5), { replace: true }));
  });
});
