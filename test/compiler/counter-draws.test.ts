/** Draws by a counter: the numbers that kernels draw are those of `ir/random/counter.ts`, with the right distribution. */
import { expect } from "chai";
import { planTraced } from "../../compiler/pipeline.ts";
import { traceFunction } from "../../compiler/trace/function.ts";
import { nn, randn, rand, type Tensor } from "../../compiler/index.ts";
import type { Machine } from "../../ir/machine.ts";
import { printKernel } from "../../ir/loop/print.ts";
import { randomBits } from "../../ir/random/counter.ts";
import { at } from "../../ir/type.ts";
import { runPlan } from "../run-plan.ts";

const machine: Machine = {
  lanes: 4,
  registers: 32,
  random: "counter",
  gpu: { threads: 256, warp: 0, sharedBytes: 16384, bindings: 8, tiles: "direct", matrix: undefined },
};

const count = 4096;
const key = [12345, -7, 3, 0];

/** What a function of `x` gives on the machine, and the number by which its first draw is told from others. */
function draw(run: (x: Tensor) => Tensor, from = key): { readonly values: Float64Array; readonly use: number } {
  const traced = traceFunction(run, [{ dtype: "f32", shape: [count] }]);
  const { plan } = planTraced(traced, { machine, name: "draws" });
  const inputs = new Map([[at(at(traced.entries, 0).inputs, 0).name, new Float64Array(count).fill(1)]]);
  const { outputs } = runPlan(plan, at(plan.program.entries, 0), { inputs, key: from });
  const [values = new Float64Array()] = outputs.values();
  const [, use] = /random\(\w+, (\d+),/.exec(plan.program.kernels.map(printKernel).join("\n")) ?? [];
  return { values, use: Number(use) };
}

function mean(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
}

describe("draws by a counter", () => {
  it("are functions of seed, step, use and element", () => {
    const { values, use } = draw((x) => x.mul(rand([count])));
    values.forEach((value, i) => expect(value).to.equal(randomBits(key, use, i) * 2 ** -24));
    expect(draw((x) => x.mul(rand([count]))).values).to.deep.equal(values);
    expect(draw((x) => x.mul(rand([count])), [12345, -7, 4, 0]).values).not.to.deep.equal(values);
  });

  it("drop as many elements as dropout says, and scale the others", () => {
    const { values } = draw((x) => nn.functional.dropout(x, 0.25));
    const kept = values.filter((value) => value !== 0);
    for (const value of kept) expect(value).to.be.closeTo(1 / 0.75, 1e-6);
    // Five standard deviations of a binomial distribution.
    expect(kept.length / count).to.be.closeTo(0.75, 5 * Math.sqrt((0.75 * 0.25) / count));
  });

  it("are normal where they should be", () => {
    const { values } = draw((x) => x.mul(randn([count])));
    const deviation = 5 / Math.sqrt(count);
    expect(mean(values)).to.be.closeTo(0, deviation);
    expect(mean(values.map((value) => value * value))).to.be.closeTo(1, deviation * Math.SQRT2);
    expect(mean(values.map((value) => (Math.abs(value) < 1 ? 1 : 0)))).to.be.closeTo(0.6827, deviation);
  });
});
