/** Every scalar operation on every element type that has it, over special values, compiled against interpreted. */
import { expect } from "chai";
import { interpretKernel, loopArray, type LoopArray } from "../../../../ir/loop/interpret.ts";
import {
  cast,
  int,
  load,
  loop,
  scalar,
  store,
  variable,
  type BufferParam,
  type Expr,
  type Kernel,
  type Stmt,
} from "../../../../ir/loop/loop.ts";
import { scalarOps, type ScalarOp } from "../../../../ir/loop/scalar.ts";
import { accepts } from "../../../../ir/loop/verify-expr.ts";
import type { DType } from "../../../../ir/type.ts";
import { param, tasksLoop } from "../../../ir/loop/sample-kernels.ts";
import { runNative } from "./native.ts";

const dtypes = ["f32", "f64", "i8", "u8", "i16", "i32", "i64", "bool"] as const;

const floats = [0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3, 7.25, -88, 100, 1e-3, 1e7, Infinity, -Infinity, NaN];
/** Values each type can hold; pairs of them are all tried. */
const values: Readonly<Record<(typeof dtypes)[number], readonly number[]>> = {
  f32: floats,
  f64: floats,
  i8: [0, 1, -1, 2, 3, -7, 100, 127, -128],
  u8: [0, 1, 2, 3, 7, 100, 200, 255],
  i16: [0, 1, -1, 2, 3, -7, 1000, 32767, -32768],
  i32: [0, 1, -1, 2, 3, -7, 100000, 2147483647, -2147483648],
  i64: [0, 1, -1, 2, 3, -7, 11, 4294967297, -2147483649],
  bool: [0, 1],
};

/** Integer arithmetic of i64 that would leave float64's exact range is outside of what the interpreter promises. */
function outOfReach(op: ScalarOp, dtype: DType, result: number): boolean {
  return dtype === "i64" && !Number.isSafeInteger(result) && ["mul", "fma", "pow"].includes(op);
}

/** One kernel that does all operations of a type, each into a buffer of its own; z is x in another order. */
function allOperations(dtype: DType, count: number): Kernel {
  const index = variable("i");
  const outputs: BufferParam[] = [];
  const body: Stmt[] = [];
  for (const op of Object.keys(scalarOps)) {
    if (!isScalarOp(op) || !accepts(op, dtype)) continue;
    const [x, y, z] = ["x", "y", "z"].map((name) => load(name, dtype, index));
    if (x === undefined || y === undefined || z === undefined) continue;
    const operands: readonly Expr[] =
      op === "select" ? [cast(x, "bool"), y, z] : [x, y, z].slice(0, scalarOps[op].arity);
    const value = scalar(op, ...operands);
    outputs.push(param(`${op}_out`, value.type.dtype, count, "write"));
    body.push(loop("i", int(0), int(count), [store(`${op}_out`, index, value)], { mode: "vector" }));
  }
  for (const to of dtypes) {
    if (to === dtype) continue;
    outputs.push(param(`to_${to}`, to, count, "write"));
    body.push(
      loop("i", int(0), int(count), [store(`to_${to}`, index, cast(load("w", dtype, index), to))], { mode: "vector" }),
    );
  }
  const inputs = ["x", "y", "z", "w"].map((name) => param(name, dtype, count));
  return {
    name: `all_${dtype}`,
    doc: `all of ${dtype}`,
    tasks: 1,
    flops: 0,
    buffers: [...inputs, ...outputs],
    body: [tasksLoop(body)],
  };
}

function isScalarOp(name: string): name is ScalarOp {
  return name in scalarOps;
}

function fill(dtype: (typeof dtypes)[number], choose: (index: number, list: readonly number[]) => number): LoopArray {
  const list = values[dtype];
  const numbers = Array.from({ length: list.length ** 2 }, (_, index) => choose(index, list));
  const array = loopArray(dtype, numbers.length);
  numbers.forEach((value, index) => {
    if (array instanceof BigInt64Array) array[index] = BigInt(value);
    else array[index] = value;
  });
  return array;
}

/** Conversions out of a type's range are undefined in C, and so are left out here. */
function withinAll(value: number): number {
  return Number.isFinite(value) ? Math.max(0, Math.min(Math.abs(value), 100)) : 3.7;
}

const at = (list: readonly number[], index: number): number => list[index % list.length] ?? 0;

describe("C operations", () => {
  it("mean what scalar.ts says, on every type", async function () {
    this.timeout(20_000);
    const kernels = dtypes.map((dtype) => allOperations(dtype, values[dtype].length ** 2));
    const inputs = dtypes.map((dtype) => ({
      x: fill(dtype, (i, list) => at(list, i)),
      y: fill(dtype, (i, list) => at(list, Math.floor(i / list.length))),
      z: fill(dtype, (i, list) => at(list, i + 1)),
      w: fill(dtype, (i, list) =>
        dtype === "bool" ? at(list, i) : (Math.trunc(withinAll(at(list, i)) * 4) / (dtype[0] === "f" ? 4 : 1)) % 100,
      ),
    }));
    const buffersOf = (kernel: Kernel, index: number): Record<string, LoopArray> => {
      const outputs = kernel.buffers.filter(({ access }) => access === "write");
      return {
        ...inputs[index],
        ...Object.fromEntries(outputs.map(({ name, dtype, size }) => [name, loopArray(dtype, size)])),
      };
    };
    const wanted = kernels.map(buffersOf);
    kernels.forEach((kernel, index) => interpretKernel(kernel, wanted[index] ?? {}));
    const got = kernels.map(buffersOf);
    await runNative(kernels, got);
    const wrong: string[] = [];
    kernels.forEach((kernel, k) => {
      const dtype = dtypes[k] ?? "f32";
      for (const { name, access, size } of kernel.buffers) {
        if (access !== "write") continue;
        for (let i = 0; i < size; i++) {
          const [x, y] = [Number(got[k]?.[name]?.[i]), Number(wanted[k]?.[name]?.[i])];
          const op = name.replace(/_out$/, "");
          const close = x === y || (Number.isNaN(x) && Number.isNaN(y)) || Math.abs(x - y) <= 2e-6 * Math.abs(y);
          if (!close && !(isScalarOp(op) && outOfReach(op, dtype, y))) {
            const operands = ["x", "y", "z", "w"].map((input) => String(got[k]?.[input]?.[i]));
            wrong.push(`${name} of ${dtype} (${operands.join(", ")}) gives ${x}, not ${y}`);
          }
        }
      }
    });
    expect(wrong.slice(0, 20), `${wrong.length} wrong`).to.deep.equal([]);
  });
});
