/** Accuracy of our float32 functions: the largest error in units in the last place, over sampled ranges. */
import { expect } from "chai";
import { loopArray } from "../../../../ir/loop/interpret.ts";
import { scalarOps, type ScalarOp } from "../../../../ir/loop/scalar.ts";
import { elementwiseOp } from "../../../ir/loop/sample-kernels.ts";
import { runNative } from "./native.ts";

const count = 30_000;

/** For each function: the ranges its operands are drawn from, and the error it may have. */
const cases: readonly (readonly [
  op: ScalarOp,
  ulps: number,
  x: readonly [number, number],
  y?: readonly [number, number],
])[] = [
  ["exp", 1.1, [-87, 88]],
  ["expm1", 1.7, [-5, 88]],
  ["log", 1, [1e-30, 100]],
  ["log1p", 1.6, [-0.999, 100]],
  ["tanh", 7, [-9, 9]],
  ["erf", 7, [-4, 4]],
  // Beyond, the reference itself (1 - erf) is not accurate enough to judge by.
  ["erfc", 6, [-4, 10]],
  ["sinh", 1.8, [-88, 88]],
  ["cosh", 1.8, [-88, 88]],
  ["asinh", 2.2, [-100, 100]],
  ["acosh", 2.2, [1, 100]],
  ["atanh", 2.6, [-1, 1]],
  ["sin", 2, [-1000, 1000]],
  ["cos", 2, [-1000, 1000]],
  ["tan", 4, [-1000, 1000]],
  ["asin", 2.7, [-1, 1]],
  ["acos", 1.4, [-1, 1]],
  ["atan", 2, [-20, 20]],
  ["atan2", 2.2, [-3, 3], [-3, 3]],
  ["pow", 1, [0, 20], [-20, 20]],
];

/** Distance of two floats in units in the last place of the wanted one, normal numbers only. */
function ulps(got: number, want: number): number {
  if (Object.is(got, want) || Math.abs(want) < 2 ** -126) return 0;
  const unit = 2 ** (Math.floor(Math.log2(Math.abs(want))) - 23);
  return Math.abs(want) > 3.402823e38 ? 0 : Math.abs(got - want) / unit;
}

describe("C mathematics of float32", () => {
  it("is accurate to a few units in the last place", async () => {
    const kernels = cases.map(([op, , , y]) =>
      elementwiseOp(`f_${op}`, op, y === undefined ? ["f32"] : ["f32", "f32"], "f32", count),
    );
    let state = 1;
    const random = (): number => (state = (state * 48271) % 2147483647) / 2147483647;
    const buffers = cases.map(([, , x, y = x]) => {
      // A third of the operands are small, since that is where cancellation shows.
      const draw = ([low, high]: readonly [number, number]): Float32Array =>
        Float32Array.from({ length: count }, (_, i) => {
          const value = low + (high - low) * random();
          return i % 3 === 0 && low < 0 ? value * 1e-3 : value;
        });
      return { x0: draw(x), x1: draw(y), y: loopArray("f32", count) };
    });
    await runNative(kernels, buffers);
    const report = cases.map(([op, limit], k) => {
      let worst = 0;
      let at = 0;
      const { x0, x1, y } = buffers[k] ?? { x0: [], x1: [], y: [] };
      for (let i = 0; i < count; i++) {
        const error = ulps(Number(y[i]), scalarOps[op].evaluate(x0[i] ?? 0, x1[i] ?? 0, 0));
        if (!(error <= worst)) [worst, at] = [error, i];
      }
      return { op, worst, limit, at: x0[at] };
    });
    for (const { op, worst, limit, at } of report) expect(worst, `${op} at ${at}`).to.be.at.most(limit);
  });
});
