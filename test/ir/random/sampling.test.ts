/** Orders of loaders beyond the reference data. */
import { assert } from "chai";
import { permutation } from "../../../ir/random/choose.ts";
import { Generator } from "../../../ir/random/generator.ts";
import {
  drawBaseSeed,
  replacementOrder,
  sequentialOrder,
  shuffledOrder,
  splitCounts,
  splitIndices,
  subsetOrder,
  weightedOrder,
} from "../../../ir/random/sampling.ts";
import { failsWith } from "../../fails-with.ts";

describe("data orders", () => {
  it("leave a sequential order and the base seed apart", () => {
    assert.deepEqual([...sequentialOrder(4)], [0, 1, 2, 3]);
    const [drawn, counted] = [Generator.seeded(0), Generator.seeded(0)];
    const seed = drawBaseSeed(drawn);
    assert.equal(seed, (BigInt(counted.nextU32() & 0x7fffffff) << 32n) | BigInt(counted.nextU32()));
    assert.deepEqual(drawn.state, counted.state);
  });

  it("shuffle by a generator seeded from the default one, or twice by the loader's own", () => {
    const standard = Generator.seeded(1);
    const seeds = standard.clone();
    const order = shuffledOrder(9, undefined, standard);
    assert.deepEqual(order, permutation(Generator.seeded(drawBaseSeed(seeds)), 9));
    assert.deepEqual(standard.state, seeds.state);
    const own = Generator.seeded(2);
    const twice = own.clone();
    assert.deepEqual(shuffledOrder(9, own, standard), permutation(twice, 9));
    permutation(twice, 9);
    assert.deepEqual(own.state, twice.state);
    assert.deepEqual(standard.state, seeds.state);
  });

  it("join several permutations where more samples are asked for than there are", () => {
    const own = Generator.seeded(2);
    const expected = own.clone();
    const order = shuffledOrder(5, own, Generator.seeded(0), 12);
    const parts = [5, 5, 2].flatMap((count) => [...permutation(expected, 5).subarray(0, count)]);
    assert.deepEqual([...order], parts);
    assert.equal(shuffledOrder(0, own, Generator.seeded(0)).length, 0);
  });

  it("stay inside the data set", () => {
    const g = Generator.seeded(0);
    assert.isTrue(replacementOrder(3, 1000, undefined, g).every((i) => i >= 0 && i < 3));
    assert.deepEqual([...subsetOrder([7, 5, 9], g).sort()], [5, 7, 9]);
    assert.isTrue(weightedOrder([0, 1, 1], 100, true, g).every((i) => i === 1 || i === 2));
    failsWith("K3103", () => replacementOrder(0, 1, undefined, g));
  });

  it("split by counts or by fractions", () => {
    assert.deepEqual(splitCounts([0.7, 0.2, 0.1], 47), [33, 10, 4]);
    assert.deepEqual(splitCounts([0.5, 0.5], 5), [3, 2]);
    assert.deepEqual(splitCounts([1], 5), [5]);
    assert.deepEqual(splitCounts([3, 2], 5), [3, 2]);
    const parts = splitIndices([3, 4], 7, Generator.seeded(0));
    assert.deepEqual(
      parts.map((part) => part.length),
      [3, 4],
    );
    assert.deepEqual(
      parts.flatMap((part) => [...part]).sort((a, b) => a - b),
      [0, 1, 2, 3, 4, 5, 6],
    );
    for (const lengths of [[3, 3], [0.5, 0.4], [1.2, -0.2], [2.5, 4.5], [NaN], []])
      failsWith("K3103", () => splitCounts(lengths, 7));
  });
});
