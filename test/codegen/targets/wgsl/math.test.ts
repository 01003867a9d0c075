/** Accuracy of the float32 functions on a device: the largest relative error over sampled ranges. */
import { expect } from "chai";
import { loopArray } from "../../../../ir/loop/interpret.ts";
import { bind, int, load, scalar, store, variable, type Kernel } from "../../../../ir/loop/loop.ts";
import { scalarOps, type ScalarOp } from "../../../../ir/loop/scalar.ts";
import { param, tasksLoop } from "../../../ir/loop/sample-kernels.ts";
import { requireDevice, runOnDevice } from "./device.ts";

const threads = 64;
const count = 64 * 256;

type Range = readonly [number, number];

/** Functions, the ranges their operands are drawn from, and the relative error they may have. */
const cases: readonly (readonly [op: ScalarOp, error: number, ranges: readonly Range[], y?: Range])[] = [
  [
    "exp",
    2e-7,
    [
      [-87, 88.7],
      [-1, 1],
    ],
  ],
  [
    "expm1",
    2e-7,
    [
      [-20, 88.7],
      [-1e-4, 1e-4],
    ],
  ],
  [
    "log",
    1.5e-7,
    [
      [0.5, 2],
      [0.99, 1.01],
      [1e-37, 1e30],
    ],
  ],
  [
    "log1p",
    2.5e-7,
    [
      [-0.999, 4],
      [-1e-5, 1e-5],
    ],
  ],
  [
    "tanh",
    4e-7,
    [
      [-9, 9],
      [-1e-3, 1e-3],
    ],
  ],
  [
    "erf",
    4e-7,
    [
      [-4, 4],
      [-1e-3, 1e-3],
    ],
  ],
  ["erfc", 4e-7, [[-4, 8]]],
  [
    "sinh",
    2e-7,
    [
      [-88, 88],
      [-1e-3, 1e-3],
    ],
  ],
  ["cosh", 2e-7, [[-88, 88]]],
  [
    "asinh",
    3e-7,
    [
      [-100, 100],
      [-1e-3, 1e-3],
    ],
  ],
  [
    "acosh",
    3e-7,
    [
      [1, 1.01],
      [1, 100],
    ],
  ],
  [
    "atanh",
    3e-7,
    [
      [-1, 1],
      [-1e-3, 1e-3],
    ],
  ],
  [
    "sin",
    2.5e-7,
    [
      [-10, 10],
      [-1e4, 1e4],
      [-1e6, 1e6],
      [-1e30, 1e30],
    ],
  ],
  [
    "cos",
    2.5e-7,
    [
      [-10, 10],
      [-1e4, 1e4],
      [-1e6, 1e6],
      [-1e30, 1e30],
    ],
  ],
  [
    "tan",
    4e-7,
    [
      [-10, 10],
      [-1e4, 1e4],
      [-1e6, 1e6],
    ],
  ],
  [
    "asin",
    4e-7,
    [
      [-1, 1],
      [-1e-3, 1e-3],
    ],
  ],
  ["acos", 3e-7, [[-1, 1]]],
  [
    "atan",
    3e-7,
    [
      [-10, 10],
      [-1e5, 1e5],
    ],
  ],
  ["atan2", 3e-7, [[-3, 3]], [-3, 3]],
  ["pow", 3e-7, [[0, 4]], [-10, 10]],
  ["pow", 3e-7, [[0.5, 2.5]], [-80, 80]],
  ["pow", 3e-7, [[0.999, 1.001]], [-5e4, 5e4]],
  ["mod", 0, [[-1e6, 1e6]], [-10, 10]],
];

function kernelOf(op: ScalarOp, index: number): Kernel {
  const operands = ["x", "y"].slice(0, scalarOps[op].arity);
  const i = variable("i");
  return {
    name: `${op}_${index}`,
    doc: op,
    tasks: count / threads,
    threads,
    flops: count,
    buffers: [...operands.map((name) => param(name, "f32", count)), param("out", "f32", count, "write")],
    body: [
      tasksLoop([
        bind("i", scalar("add", scalar("mul", variable("task"), int(threads)), variable("thread"))),
        store("out", i, scalar(op, ...operands.map((name) => load(name, "f32", i)))),
      ]),
    ],
  };
}

/** How far a result is from the exact one; numbers below the least normal one count as 0. */
function errorOf(got: number, want: number): number {
  const rounded = Math.fround(want);
  if (Object.is(got, rounded) || (Math.abs(got) < 1.2e-38 && Math.abs(rounded) < 1.2e-38)) return 0;
  return Number.isFinite(rounded) ? Math.abs(got - want) / Math.abs(want) : Infinity;
}

describe("WGSL mathematics of float32", () => {
  it("is accurate on a device, whatever its driver takes for exact", async function () {
    this.timeout(60_000);
    const device = await requireDevice(this);
    let state = 1;
    const random = (): number => (state = (state * 48271) % 2147483647) / 2147483647;
    const draw = (ranges: readonly Range[]): Float32Array =>
      Float32Array.from({ length: count }, (_, i) => {
        const [low, high] = ranges[i % ranges.length] ?? [0, 1];
        return low + (high - low) * random();
      });
    const kernels = cases.map(([op], index) => kernelOf(op, index));
    const buffers = cases.map(([, , x, y]) => ({
      x: draw(x),
      y: draw(y === undefined ? x : [y]),
      out: loopArray("f32", count),
    }));
    await runOnDevice(device, kernels, buffers);
    cases.forEach(([op, limit], k) => {
      const { x, y, out } = buffers[k] ?? { x: [], y: [], out: [] };
      let worst = 0;
      let where = 0;
      for (let i = 0; i < count; i++) {
        const error = errorOf(Number(out[i]), scalarOps[op].evaluate(x[i] ?? 0, y[i] ?? 0, 0));
        if (!(error <= worst)) [worst, where] = [error, i];
      }
      expect(worst, `${op} at ${x[where]}, ${y[where]} gives ${String(out[where])}`).to.be.at.most(limit);
    });
    await device.close();
  });
});
