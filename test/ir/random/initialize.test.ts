/** Initialisation programs beyond the reference data: each kind of step, element types, and what is refused. */
import { assert } from "chai";
import { fillNormal, fillUniform } from "../../../ir/random/draw.ts";
import { calculateGain, defaultBiasBound, fanIn, fanOut, kaimingUniformBound } from "../../../ir/random/fan.ts";
import { Generator } from "../../../ir/random/generator.ts";
import { roundToFloat16, toBfloat16, toFloat16 } from "../../../ir/random/half.ts";
import type { InitStep } from "../../../ir/random/init.ts";
import { initialize, type InitTarget } from "../../../ir/random/initialize.ts";
import type { Shape } from "../../../ir/type.ts";
import { failsWith } from "../../fails-with.ts";

function f32(shape: Shape): InitTarget & { readonly data: Float32Array } {
  return { dtype: "f32", shape, data: new Float32Array(shape.reduce((n, extent) => n * extent, 1)) };
}

/** Runs steps on one state `w`. */
function run(target: InitTarget, steps: readonly InitStep[], generator: Generator = Generator.seeded(0)): Generator {
  initialize(steps, new Map([["w", target]]), generator);
  return generator;
}

describe("initialize", () => {
  it("sets constants, rows, copies, values and scales", () => {
    const w = f32([3, 2]);
    const v = f32([3, 2]);
    const states = new Map([
      ["w", w],
      ["v", v],
    ]);
    const base64 = Buffer.from(Float32Array.from([1, 2, 3, 4, 5, 6]).buffer).toString("base64");
    const steps: readonly InitStep[] = [
      { kind: "constant", state: "v", value: 7 },
      { kind: "values", state: "w", base64 },
      { kind: "row", state: "w", row: 1, value: -1 },
      { kind: "copy", state: "v", from: "w" },
      { kind: "scale", state: "v", factor: 0.5 },
    ];
    initialize(steps, states, Generator.seeded(0));
    assert.deepEqual([...w.data], [1, 2, -1, -1, 5, 6]);
    assert.deepEqual([...v.data], [0.5, 1, -0.5, -0.5, 2.5, 3]);
  });

  it("draws in the order of the steps, also for tensors that are thrown away", () => {
    const w = f32([20]);
    const scratch: InitStep = { kind: "scratch", state: "old", dtype: "f32", shape: [4, 5] };
    const draw = (state: string): InitStep => ({ kind: "uniform", state, low: 0, high: 1 });
    const states = new Map([["w", w]]);
    initialize([scratch, draw("old"), draw("w")], states, Generator.seeded(6));
    const all = new Float32Array(40);
    fillUniform(Generator.seeded(6), all);
    assert.deepEqual(w.data, all.slice(20));
    assert.deepEqual([...states.keys()], ["w"]);
  });

  it("rounds constants to the element type", () => {
    const types: readonly (readonly [InitTarget, number, readonly (number | bigint)[]])[] = [
      [{ dtype: "i64", shape: [2], data: new BigInt64Array(2) }, -3, [-3n, -3n]],
      [{ dtype: "bool", shape: [2], data: new Uint8Array(2) }, 5, [1, 1]],
      [{ dtype: "f16", shape: [1], data: new Uint16Array(1) }, 1, [0x3c00]],
      [{ dtype: "bf16", shape: [1], data: new Uint16Array(1) }, 1, [0x3f80]],
      [{ dtype: "f64", shape: [1], data: new Float64Array(1) }, 0.1, [0.1]],
    ];
    for (const [target, value, expected] of types) {
      run(target, [{ kind: "constant", state: "w", value }]);
      assert.deepEqual(
        Array.from<number | bigint, number | bigint>(target.data, (x) => x),
        expected,
      );
    }
  });

  it("makes orthonormal rows or columns, whichever are fewer", () => {
    for (const shape of [
      [5, 3],
      [3, 5],
      [4, 4],
      [3, 2, 2, 2],
      [1, 4],
    ]) {
      const w = f32(shape);
      const generator = run(w, [{ kind: "orthogonal", state: "w", gain: 2 }]);
      const rows = shape[0] ?? 0;
      const columns = w.data.length / rows;
      const vector = (k: number): number[] =>
        rows <= columns
          ? [...w.data.subarray(k * columns, (k + 1) * columns)]
          : Array.from({ length: rows }, (_, i) => w.data[i * columns + k] ?? NaN);
      for (let j = 0; j < Math.min(rows, columns); j++)
        for (let k = 0; k <= j; k++) {
          const dot = vector(j).reduce((sum, x, i) => sum + x * (vector(k)[i] ?? NaN), 0);
          assert.closeTo(dot, j === k ? 4 : 0, 1e-6);
        }
      const counted = Generator.seeded(0);
      fillNormal(counted, new Float32Array(w.data.length));
      assert.deepEqual(generator.state, counted.state);
    }
  });

  it("zeroes the given share of each column in sparse", () => {
    const w = f32([10, 4]);
    run(w, [{ kind: "sparse", state: "w", sparsity: 0.25, std: 0.01 }]);
    for (let column = 0; column < 4; column++)
      assert.equal(w.data.filter((x, i) => i % 4 === column && x === 0).length, 3);
  });

  it("refuses steps that do not fit", () => {
    const i32: InitTarget = { dtype: "i32", shape: [2], data: new Int32Array(2) };
    const vector = f32([4]);
    const bad: readonly (readonly [InitTarget, unknown])[] = [
      [i32, { kind: "uniform", state: "w", low: 0, high: 1 }],
      [i32, { kind: "scale", state: "w", factor: 2 }],
      [vector, { kind: "orthogonal", state: "w", gain: 1 }],
      [vector, { kind: "sparse", state: "w", sparsity: 0.5, std: 1 }],
      [vector, { kind: "row", state: "w", row: 4, value: 0 }],
      [vector, { kind: "row", state: "w", row: 0.5, value: 0 }],
      [vector, { kind: "values", state: "w", base64: "AAAA" }],
      [vector, { kind: "values", state: "w", base64: "not base64!" }],
      [vector, { kind: "constant", state: "w", value: "1" }],
      [vector, { kind: "normal", state: "w", mean: 0 }],
      [vector, { kind: "explode", state: "w" }],
      [vector, { kind: "scratch", state: "s", dtype: "f32", shape: [2 ** 40] }],
      [vector, { kind: "scratch", state: "s", dtype: "f32", shape: [-1] }],
      [vector, { kind: "scratch", state: "s", dtype: "i64", shape: [1] }],
      [
        { dtype: "i64", shape: [1], data: new BigInt64Array(1) },
        { kind: "constant", state: "w", value: 0.5 },
      ],
    ];
    // A manifest's steps come from a file, with any fields.
    for (const [target, step] of bad) failsWith("K3104", () => run(target, [step as InitStep]));
    const twoTypes = new Map([
      ["w", i32],
      ["v", vector],
    ]);
    failsWith("K3104", () => initialize([{ kind: "copy", state: "w", from: "v" }], twoTypes, Generator.seeded(0)));
    failsWith("K3105", () => run(vector, [{ kind: "constant", state: "no such", value: 0 }]));
  });
});

describe("fans and gains", () => {
  it("count the kernel's positions", () => {
    assert.equal(fanIn([8, 4, 3, 3]), 36);
    assert.equal(fanOut([8, 4, 3, 3]), 72);
    failsWith("K3103", () => fanIn([5]));
  });

  it("follow PyTorch's table", () => {
    assert.equal(calculateGain("relu"), Math.SQRT2);
    assert.equal(calculateGain("tanh"), 5 / 3);
    assert.equal(calculateGain("selu"), 0.75);
    assert.equal(calculateGain("conv2d"), 1);
    assert.equal(calculateGain("leaky_relu"), Math.sqrt(2 / (1 + 0.01 ** 2)));
    assert.closeTo(kaimingUniformBound([1, 9], { a: Math.sqrt(5) }), 1 / 3, 1e-15);
    assert.equal(defaultBiasBound([3, 0]), 0);
  });
});

describe("half precision", () => {
  it("rounds to nearest, ties to even", () => {
    const f16: readonly (readonly [number, number])[] = [
      [0, 0],
      [-0, 0x8000],
      [1, 0x3c00],
      [-2, 0xc000],
      [65504, 0x7bff],
      [65519, 0x7bff],
      [65520, 0x7c00],
      [-Infinity, 0xfc00],
      [NaN, 0x7e00],
      [2 ** -14, 0x0400],
      [2 ** -24, 0x0001],
      [2 ** -25, 0x0000],
      [3 * 2 ** -25, 0x0002],
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11, 0x3c02],
      [2 - 2 ** -12, 0x4000],
    ];
    for (const [value, bits] of f16) {
      assert.equal(toFloat16(value), bits, String(value));
      // A rounded number is the one that its bits stand for.
      const rounded = roundToFloat16(value);
      assert.equal(toFloat16(rounded), bits, String(value));
      assert.deepEqual(roundToFloat16(rounded), rounded);
    }
    assert.equal(roundToFloat16(1 + 3 * 2 ** -11), 1 + 2 ** -9);
    assert.equal(roundToFloat16(-(2 ** -24) * 1.4), -(2 ** -24));
    assert.isTrue(Object.is(roundToFloat16(-(2 ** -26)), -0));
    const bf16: readonly (readonly [number, number])[] = [
      [1, 0x3f80],
      [1 + 2 ** -8, 0x3f80],
      [1 + 3 * 2 ** -8, 0x3f82],
      [-Infinity, 0xff80],
      [NaN, 0x7fc0],
    ];
    for (const [value, bits] of bf16) assert.equal(toBfloat16(value), bits, String(value));
  });
});
