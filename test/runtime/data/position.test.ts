/** Saved positions of loaders, and what an epoch of row numbers costs. */
import { assert } from "chai";
import { at } from "../../../ir/type.ts";
import { DataLoader, defaultGenerator, Generator, manualSeed, RandomSampler } from "../../../runtime/data/index.ts";
import { failsWith } from "../../fails-with.ts";
import { arrays, Backwards, Counter, Made, plain, sizes } from "./samples.ts";

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
