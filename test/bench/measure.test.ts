/** The measuring of the bench: contestants run in turn, medians of blocks, ratios that foreign load does not bend. */
import { expect } from "chai";
import type { Contestant } from "../../bench/contestant.ts";
import { compare, median, stepsFor } from "../../bench/measure.ts";

/** A contestant whose steps take as long as they say, without taking it; notes its name in `turns` at each block. */
function fake(name: string, millisecondsAStep: number, turns: string[] = []): Contestant {
  return {
    name,
    pid: process.pid,
    run: (steps) => {
      turns.push(`${name}${steps}`);
      return Promise.resolve(steps * millisecondsAStep);
    },
    lastLoss: () => undefined,
    close: () => Promise.resolve(),
  };
}

describe("bench: measuring in turn", () => {
  it("finds how many steps make a block, also for steps longer than one", async () => {
    expect(await stepsFor(fake("quick", 0.01), 100)).to.equal(10000);
    expect(await stepsFor(fake("slow", 700), 100)).to.equal(1);
  });

  it("gives each contestant the median of its blocks, and takes turns", async () => {
    const turns: string[] = [];
    const { results } = await compare([fake("a", 2, turns), fake("b", 8, turns)], { seconds: 0, block: 40 });
    expect(results.map(({ name, median, steps }) => [name, median, steps])).to.deep.equal([
      ["a", 2, 20],
      ["b", 8, 5],
    ]);
    const blocks = turns.filter((turn) => turn === "a20" || turn === "b5");
    expect(blocks.slice(-6)).to.deep.equal(["a20", "b5", "a20", "b5", "a20", "b5"]);
  });

  it("takes the middle of an odd number of blocks, the mean of the middle two of an even one", () => {
    expect(median([3, 1, 100])).to.equal(3);
    expect(median([4, 1, 100, 2])).to.equal(3);
  });
});
