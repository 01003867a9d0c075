/** The generator: published outputs of the Mersenne Twister, its state as a contract, and what it refuses. */
import { assert } from "chai";
import { defaultGenerator, manualSeed } from "../../../ir/random/default.ts";
import { fillNormal, fillUniform } from "../../../ir/random/draw.ts";
import { Generator, stateLayout } from "../../../ir/random/generator.ts";
import { failsWith } from "../../fails-with.ts";

describe("Generator", () => {
  it("gives the outputs published for seed 5489", () => {
    // ISO C++ [rand.predef]: the 10000th output of a default mt19937 is 4123659995; its first is 3499211612.
    const generator = Generator.seeded(5489);
    assert.equal(generator.nextU32(), 3499211612);
    for (let i = 2; i < 10000; i++) generator.nextU32();
    assert.equal(generator.nextU32(), 4123659995);
  });

  it("takes the low 32 bits of a seed, as numbers, bigints and negative", () => {
    const first = (seed: number | bigint): number => Generator.seeded(seed).nextU32();
    assert.equal(first(2 ** 33 + 5), first(5));
    assert.equal(first(2n ** 64n - 1n), first(-1));
    assert.equal(first(0xffffffffn), first(-1n));
  });

  it("fills arrays with what single calls would give, across refills", () => {
    const [one, many] = [Generator.seeded(9), Generator.seeded(9)];
    for (const count of [1, 622, 3, 0, 2000]) {
      const out = new Uint32Array(count + 2);
      many.fillU32(out, 1, count);
      assert.deepEqual([...out], [0, ...Array.from({ length: count }, () => one.nextU32()), 0]);
    }
    assert.deepEqual(one.state, many.state);
  });

  it("draws the high half of 64 bits first", () => {
    const [pairs, single] = [Generator.seeded(1), Generator.seeded(1)];
    const [high, low] = [single.nextU32(), single.nextU32()];
    assert.deepEqual(pairs.nextU64(), [high, low]);
  });

  it("keeps everything in its state, at the documented places", () => {
    const generator = Generator.seeded(3);
    assert.equal(generator.state.length, stateLayout.words);
    assert.equal(generator.state[stateLayout.position], 624);
    fillNormal(generator, new Float32Array(1));
    assert.equal(generator.state[stateLayout.position], 4);
    assert.equal(generator.state[stateLayout.hasKept], 1);
    const kept = new DataView(new ArrayBuffer(8));
    kept.setUint32(0, generator.state[stateLayout.keptLow] ?? 0, true);
    kept.setUint32(4, generator.state[stateLayout.keptHigh] ?? 0, true);
    const next = new Float32Array(1);
    fillNormal(generator, next);
    assert.equal(next[0], Math.fround(kept.getFloat64(0, true)));
    assert.equal(generator.state[stateLayout.hasKept], 0);
  });

  it("continues a saved stream, the kept normal included, and clones do not share", () => {
    const generator = Generator.seeded(11);
    fillNormal(generator, new Float32Array(3));
    const saved = generator.save();
    const rest = (g: Generator): number[] => {
      const [a, b] = [new Float32Array(3), new Float32Array(700)];
      fillNormal(g, a);
      fillUniform(g, b);
      return [...a, ...b];
    };
    const copy = generator.clone();
    const expected = rest(generator);
    assert.deepEqual(rest(copy), expected);
    generator.restore(saved);
    assert.deepEqual(rest(generator), expected);
  });

  it("forgets the kept normal when seeded", () => {
    manualSeed(4);
    const first = new Float32Array(1);
    fillNormal(defaultGenerator, first);
    manualSeed(4);
    const again = new Float32Array(1);
    fillNormal(defaultGenerator, again);
    assert.equal(again[0], first[0]);
  });

  it("refuses seeds that are no integers of 64 bits", () => {
    for (const seed of [0.5, NaN, Infinity, 2 ** 60, 2n ** 64n, -(2n ** 63n) - 1n])
      failsWith("K3101", () => Generator.seeded(seed));
  });

  it("refuses states that are none", () => {
    const spoil = (index: number, value: number): Uint32Array => {
      const state = Generator.seeded(0).save();
      state[index] = value;
      return state;
    };
    const states = [new Uint32Array(629), new Uint32Array(630), spoil(624, 625), spoil(625, 2), spoil(629, 1)];
    for (const state of states) {
      failsWith("K3102", () => Generator.seeded(0).restore(state));
      failsWith("K3102", () => new Generator(state));
    }
  });
});
