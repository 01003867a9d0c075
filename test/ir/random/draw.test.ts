/** What the reference data does not cover of the draws: distributions, options, limits and refused arguments. */
import { assert } from "chai";
import { fillIntegers, integerDraw, multinomial, permutation } from "../../../ir/random/choose.ts";
import {
  dropoutScale,
  fillBernoulli,
  fillBernoulliFrom,
  fillDropoutMask,
  fillExponential,
  fillFeatureDropoutMask,
  fillNormal,
  fillTruncatedNormal,
  fillUniform,
} from "../../../ir/random/draw.ts";
import { Generator } from "../../../ir/random/generator.ts";
import { failsWith } from "../../fails-with.ts";

/** Mean and standard deviation. */
function moments(values: ArrayLike<number>): readonly [mean: number, std: number] {
  const list = Array.from(values);
  const mean = list.reduce((sum, x) => sum + x, 0) / list.length;
  return [mean, Math.sqrt(list.reduce((sum, x) => sum + (x - mean) ** 2, 0) / list.length)];
}

/** How many outputs `draw` takes from a generator. */
function outputsTaken(draw: (generator: Generator) => unknown): number {
  const [drawn, counted] = [Generator.seeded(5), Generator.seeded(5)];
  draw(drawn);
  const next = drawn.nextU32();
  for (let count = 0; count < 10000; count++) if (counted.nextU32() === next) return count;
  return NaN;
}

describe("random draws", () => {
  const count = 100000;
  const generator = Generator.seeded(1);

  it("have the moments of their distributions, in both element types", () => {
    for (const make of [(n: number) => new Float32Array(n), (n: number) => new Float64Array(n)]) {
      const check = (fill: (out: Float32Array | Float64Array) => void, mean: number, std: number): void => {
        const out = make(count);
        fill(out);
        const [gotMean, gotStd] = moments(out);
        assert.closeTo(gotMean, mean, (5 * std) / Math.sqrt(count));
        assert.closeTo(gotStd, std, (5 * std) / Math.sqrt(count));
      };
      check((out) => fillUniform(generator, out, -1, 3), 1, 4 / Math.sqrt(12));
      check((out) => fillNormal(generator, out, 2, 0.5), 2, 0.5);
      check((out) => fillBernoulli(generator, out, 0.3), 0.3, Math.sqrt(0.21));
    }
    const small = Float64Array.from({ length: count }, () => {
      const one = new Float64Array(1);
      fillNormal(generator, one);
      return one[0] ?? NaN;
    });
    assert.closeTo(moments(small)[1], 1, 0.02);
    const waits = new Float64Array(count);
    fillExponential(generator, waits, 4);
    assert.closeTo(moments(waits)[0], 0.25, 0.005);
  });

  it("give float64 normals of 16 and more by the transform of the float32 ones", () => {
    // Float64 uniforms take two outputs each, and the second half of a block are the angles.
    const out = new Float64Array(16);
    fillNormal(Generator.seeded(2), out, 1, 2);
    const u = new Float64Array(16);
    fillUniform(Generator.seeded(2), u);
    const radius = Math.sqrt(-2 * Math.log(1 - (u[3] ?? 0)));
    assert.closeTo(out[3] ?? 0, 1 + 2 * radius * Math.cos(2 * Math.PI * (u[11] ?? 0)), 1e-14);
    assert.closeTo(out[11] ?? 0, 1 + 2 * radius * Math.sin(2 * Math.PI * (u[11] ?? 0)), 1e-14);
  });

  it("never give the upper bound of a uniform range", () => {
    // The range is one unit wide, so that half of the sums round up to its end.
    const out = new Float32Array(1000);
    fillUniform(generator, out, 1, 1 + 2 ** -23);
    assert.isTrue(out.every((x) => x === 1));
  });

  it("take the documented number of outputs", () => {
    assert.equal(
      outputsTaken((g) => fillUniform(g, new Float32Array(5))),
      5,
    );
    assert.equal(
      outputsTaken((g) => fillUniform(g, new Float64Array(5))),
      10,
    );
    assert.equal(
      outputsTaken((g) => fillNormal(g, new Float32Array(17))),
      33,
    );
    assert.equal(
      outputsTaken((g) => fillBernoulliFrom(g, new Uint8Array(3), new Float64Array(3))),
      6,
    );
    assert.equal(
      outputsTaken((g) => permutation(g, 10)),
      9,
    );
    assert.equal(
      outputsTaken((g) => integerDraw(g, 0, 2 ** 28)()),
      2,
    );
    assert.equal(
      outputsTaken((g) => integerDraw(g, 0, 2 ** 28 - 1)()),
      1,
    );
    // A single sample is drawn as one without replacement: an exponential variable for each category.
    assert.equal(
      outputsTaken((g) => multinomial(g, new Float64Array(7).fill(1), 1, true)),
      14,
    );
    assert.equal(
      outputsTaken((g) => multinomial(g, new Float64Array(7).fill(1), 3, true)),
      6,
    );
  });

  it("draw nothing for dropout at 0 and 1", () => {
    for (const p of [0, 1]) {
      const mask = new Uint8Array(4);
      assert.equal(
        outputsTaken((g) => fillDropoutMask(g, mask, p)),
        0,
      );
      assert.deepEqual(
        [...mask],
        Array.from({ length: 4 }, () => 1 - p),
      );
    }
    assert.equal(dropoutScale(1), 0);
    assert.equal(dropoutScale(0.5), 2);
  });

  it("repeat one draw over a whole channel in dropout2d", () => {
    const mask = new Uint8Array(4 * 5 * 3);
    fillFeatureDropoutMask(Generator.seeded(1), mask, [4, 5, 3], 0.5);
    const maps = new Uint8Array(20);
    fillDropoutMask(Generator.seeded(1), maps, 0.5);
    assert.deepEqual(
      [...mask],
      [...maps].flatMap((kept) => [kept, kept, kept]),
    );
  });

  it("keep truncated normals inside their bounds", () => {
    const out = new Float32Array(5000);
    fillTruncatedNormal(generator, out, { mean: 1, std: 2, low: 0.9, high: 1.7 });
    assert.isTrue(out.every((x) => x >= Math.fround(0.9) && x <= Math.fround(1.7)));
  });

  it("draw integers from wide and negative ranges", () => {
    const out = new Float64Array(2000);
    fillIntegers(generator, out, -(2 ** 52), 2 ** 52);
    assert.isTrue(out.every((x) => Number.isSafeInteger(x) && Math.abs(x) <= 2 ** 52));
    assert.isTrue(out.some((x) => x < 0) && out.some((x) => x > 2 ** 40));
  });

  it("draw categories by their weights, and each at most once without replacement", () => {
    const weights = Float32Array.from([0, 1, 2, 3, 4]);
    const counts = [0, 0, 0, 0, 0];
    for (const i of multinomial(generator, weights, 50000, true)) counts[i] = (counts[i] ?? 0) + 1;
    assert.equal(counts[0], 0);
    for (const [i, n] of counts.entries()) assert.closeTo(n / 50000, i / 10, 0.02);
    assert.deepEqual([...multinomial(generator, weights, 4, false).sort()], [1, 2, 3, 4]);
  });

  it("refuse arguments out of their range", () => {
    const out = new Float32Array(20);
    const refused: readonly (() => unknown)[] = [
      () => fillUniform(generator, out, 1, 0),
      () => fillUniform(generator, out, -Infinity, 0),
      () => fillNormal(generator, out, 0, -1),
      () => fillNormal(generator, out, NaN, 1),
      () => fillBernoulli(generator, out, 1.5),
      () => fillBernoulliFrom(generator, out, new Float32Array(20).fill(NaN)),
      () => fillDropoutMask(generator, out, -0.1),
      () => fillFeatureDropoutMask(generator, out, [20], 0.5),
      () => fillExponential(generator, out, 0),
      () => fillTruncatedNormal(generator, out, { mean: 0, std: 1, low: 40, high: 41 }),
      () => fillTruncatedNormal(generator, out, { mean: 0, std: 1, low: 1, high: 0 }),
      () => integerDraw(generator, 3, 3),
      () => integerDraw(generator, 0, 2 ** 60),
      () => permutation(generator, -1),
      () => permutation(generator, 1.5),
      () => multinomial(generator, Float32Array.from([1, -1]), 1, true),
      () => multinomial(generator, Float32Array.from([0, 0]), 1, true),
      () => multinomial(generator, Float32Array.from([1, 1]), 3, false),
      () => multinomial(generator, Float32Array.from([1, 1]), 0, true),
    ];
    const before = generator.save();
    for (const draw of refused) failsWith("K3103", draw);
    assert.deepEqual(generator.state, before, "a refused draw takes nothing");
  });
});
