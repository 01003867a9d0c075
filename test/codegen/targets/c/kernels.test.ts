/** Whole kernels, compiled and run, against the loop-IR interpreter. */
import { expect } from "chai";
import { interpretKernel, loopArray, type LoopArray } from "../../../../ir/loop/interpret.ts";
import type { Kernel } from "../../../../ir/loop/loop.ts";
import {
  checkedGather,
  columnSum,
  elementwiseChain,
  rowSoftmax,
  tileMatmul,
  vectorLanes,
} from "../../../ir/loop/sample-kernels.ts";
import { runNative, type Buffers } from "./native.ts";

/** Buffers for a kernel with inputs that differ from each other; outputs are zero. */
function fill(kernel: Kernel, indices: readonly number[] = []): Record<string, LoopArray> {
  const arrays: Record<string, LoopArray> = {};
  for (const { name, dtype, size, access } of kernel.buffers) {
    const array = loopArray(dtype, size);
    arrays[name] = array;
    if (access !== "read" || array instanceof BigInt64Array) continue;
    for (let i = 0; i < size; i++) array[i] = dtype === "i32" ? (indices[i] ?? 0) : Math.sin(i * 1.7 + name.length) * 3;
  }
  return arrays;
}

function copy(buffers: Buffers): Record<string, LoopArray> {
  return Object.fromEntries(Object.entries(buffers).map(([name, array]) => [name, array.slice()]));
}

function numbers(array: LoopArray | undefined): number[] {
  return Array.from({ length: array?.length ?? 0 }, (_, index) => Number(array?.[index]));
}

function expectClose(got: LoopArray, want: LoopArray, where: string): void {
  for (let i = 0; i < want.length; i++) {
    const [x, y] = [Number(got[i]), Number(want[i])];
    const close = Object.is(x, y) || Math.abs(x - y) <= 1e-5 + 3e-6 * Math.abs(y);
    if (!close) expect.fail(`${where}[${i}] is ${x}, not ${y}`);
  }
}

async function compare(kernels: readonly Kernel[], inputs: readonly Buffers[], march?: string): Promise<void> {
  const wanted = inputs.map(copy);
  kernels.forEach((kernel, index) => interpretKernel(kernel, wanted[index] ?? {}));
  const got = inputs.map(copy);
  await runNative(kernels, got, march);
  kernels.forEach((kernel, index) => {
    for (const { name } of kernel.buffers) {
      const [x, y] = [got[index]?.[name], wanted[index]?.[name]];
      if (x !== undefined && y !== undefined) expectClose(x, y, `${kernel.name}.${name}`);
    }
  });
}

const kernels = [elementwiseChain(), rowSoftmax(), columnSum(), tileMatmul(), checkedGather(), vectorLanes()];

describe("C kernels", () => {
  it("give what the interpreter gives", async () => {
    await compare(
      kernels,
      kernels.map((kernel) => fill(kernel, [3, 0, 6, 2, 2, 5, 1, 4, 0, 6])),
    );
  });

  it("give the same without wide vectors", async function () {
    if (process.arch !== "x64") this.skip();
    await compare(
      kernels,
      kernels.map((kernel) => fill(kernel)),
      "x86-64",
    );
  });

  it("report the first index that is out of range, and stay inside", async () => {
    const kernel = checkedGather();
    const buffers = fill(kernel, [3, 0, 6, 2, 9, 5, -1, 4, 0, 6]);
    await compare([kernel], [buffers]);
    const run = copy(buffers);
    await runNative([kernel], [run]);
    expect(numbers(run["status"])).to.deep.equal([7, 9, 7, 0]);
  });

  it("keep NaN in a row's maximum", async () => {
    const kernel = rowSoftmax();
    const buffers = fill(kernel);
    const x = buffers["x"];
    if (x instanceof Float32Array) x[77 + 30] = Number.NaN;
    await compare([kernel], [buffers]);
    await runNative([kernel], [buffers]);
    expect(numbers(buffers["y"]?.slice(77, 154)).every(Number.isNaN)).to.equal(true);
    expect(numbers(buffers["y"]?.slice(0, 77)).some(Number.isNaN)).to.equal(false);
  });
});
