/**
 * Every scalar operation on every element type that has it, and every conversion, over special values, on single elements
 * and on vectors: emulated CUDA against the interpreter.
 */
import { expect } from "chai";
import { interpretKernel, loopArray, type LoopArray } from "../../../../ir/loop/interpret.ts";
import { cast, int, load, scalar, store, variable, type Expr, type Kernel } from "../../../../ir/loop/loop.ts";
import { scalarOps, type ScalarOp } from "../../../../ir/loop/scalar.ts";
import { accepts } from "../../../../ir/loop/verify-expr.ts";
import type { DType } from "../../../../ir/type.ts";
import { param, tasksLoop } from "../../../ir/loop/sample-kernels.ts";
import { emulate, emulationMissing } from "./emulated-program.ts";

const floats = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  3,
  7.25,
  -88,
  100,
  1e-3,
  1e7,
  1e-40,
  Infinity,
  -Infinity,
  NaN,
  -3,
];

/** Values each type can hold; all pairs of them are tried. */
const values = {
  f32: floats,
  f64: floats,
  i8: [0, 1, -1, 2, 3, -7, 100, 127, -128, 64],
  u8: [0, 1, 2, 3, 7, 100, 200, 255],
  i16: [0, 1, -1, 2, 3, -7, 1000, 32767, -32768, 181],
  i32: [0, 1, -1, 2, 3, -7, 100000, 2147483647, -2147483648, 46341],
  i64: [0, 1, -1, 2, 3, -7, 11, 4294967297, -2147483649, 2147483648],
  bool: [0, 1],
} satisfies Partial<Record<DType, readonly number[]>>;

type Tried = keyof typeof values;
const dtypes = Object.keys(values) as Tried[];

/** Values that every type can hold, for conversions; what is out of a type's range is undefined in C++. */
const convertible = [0, 1, 2, 3.7, 100.25, 7, 1.5, 0.5];

const isScalarOp = (name: string): name is ScalarOp => name in scalarOps;

/** Arithmetic of i64 that leaves float64's exact range is beyond what the interpreter promises. */
const outOfReach = (op: string, result: number): boolean =>
  !Number.isSafeInteger(result) && ["mul_of_i64", "fma_of_i64", "pow_of_i64"].includes(op);

/** A kernel that applies one operation; `lanes` neighbours a task. */
type Case = { readonly name: string; readonly kernel: Kernel; readonly inputs: Readonly<Record<string, LoopArray>> };

function filled(dtype: DType, numbers: readonly number[]): LoopArray {
  const array = loopArray(dtype, numbers.length);
  numbers.forEach((value, index) => {
    if (array instanceof BigInt64Array) array[index] = BigInt(Math.trunc(value));
    else array[index] = value;
  });
  return array;
}

function caseOf(
  name: string,
  dtype: DType,
  inputs: Case["inputs"],
  value: (of: (x: string) => Expr) => Expr,
  lanes: number,
): Case {
  const count = inputs["x"]?.length ?? 0;
  const at = scalar("mul", variable("task"), int(lanes));
  const result = value((x) => load(x, dtype, at, lanes));
  const buffers = Object.keys(inputs).map((input) => param(input, dtype, count));
  const kernel: Kernel = {
    name: `${name}_x${lanes}`,
    doc: "",
    tasks: count / lanes,
    flops: 0,
    buffers: [...buffers, param("out", result.type.dtype, count, "write")],
    body: [tasksLoop([store("out", at, result)])],
  };
  return { name, kernel, inputs };
}

function casesOf(dtype: Tried): readonly Case[] {
  const list: readonly number[] = values[dtype];
  const pairs = Array.from({ length: Math.ceil(list.length ** 2 / 4) * 4 }, (_, i) => i);
  const choose = (pick: (i: number) => number): LoopArray =>
    filled(
      dtype,
      pairs.map((i) => list[pick(i) % list.length] ?? 0),
    );
  const inputs = { x: choose((i) => i), y: choose((i) => Math.floor(i / list.length)), z: choose((i) => i + 1) };
  const cases: Case[] = [];
  for (const lanes of [1, 4]) {
    for (const op of Object.keys(scalarOps)) {
      if (!isScalarOp(op) || !accepts(op, dtype)) continue;
      const { arity } = scalarOps[op];
      const build = (of: (x: string) => Expr): Expr =>
        op === "select"
          ? scalar(op, cast(of("x"), "bool"), of("y"), of("z"))
          : scalar(op, ...["x", "y", "z"].slice(0, arity).map(of));
      cases.push(caseOf(`${op}_of_${dtype}`, dtype, inputs, build, lanes));
    }
    const x = filled(
      dtype,
      dtype[0] === "f"
        ? convertible
        : convertible.map((value) => (dtype === "bool" ? Math.min(1, Math.trunc(value)) : Math.trunc(value))),
    );
    for (const to of dtypes)
      if (to !== dtype) cases.push(caseOf(`${dtype}_to_${to}`, dtype, { x }, (of) => cast(of("x"), to), lanes));
  }
  return cases;
}

const bytesOf = (array: LoopArray): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

describe("CUDA operations, emulated", function () {
  this.timeout(120_000);

  it("mean what scalar.ts says, on every type, alone and in vectors", async function () {
    const missing = emulationMissing();
    if (missing !== undefined) {
      console.log(`    skipped: ${missing}`);
      this.skip();
    }
    const cases = dtypes.flatMap(casesOf);
    // Several programs are compiled side by side.
    const parts = [cases.filter((_, i) => i % 2 === 0), cases.filter((_, i) => i % 2 === 1)];
    const emulated = await emulate(
      parts.map((part) => ({ name: "all", kernels: part.map(({ kernel }) => kernel), entries: [] })),
    );
    const wrong: string[] = [];
    parts.forEach((part, program) => {
      const launches = [];
      const buffers: Uint8Array[] = [];
      const outputs: LoopArray[] = [];
      for (const [number, { kernel, inputs }] of part.entries()) {
        const output = loopArray(kernel.buffers.at(-1)?.dtype ?? "f32", kernel.buffers.at(-1)?.size ?? 0);
        outputs.push(output);
        const own = [...Object.values(inputs), output].map(bytesOf);
        const bindings = own.map(({ length }, i) => ({ buffer: buffers.length + i, offset: 0, bytes: length }));
        launches.push({ kernel: number, groups: kernel.tasks, bindings });
        buffers.push(...own);
      }
      emulated.programs[program]?.launch(launches, buffers);
      part.forEach(({ name, kernel, inputs }, index) => {
        const want = loopArray(kernel.buffers.at(-1)?.dtype ?? "f32", kernel.buffers.at(-1)?.size ?? 0);
        interpretKernel(kernel, { ...inputs, out: want });
        for (let i = 0; i < want.length; i++) {
          const [x, y] = [Number(outputs[index]?.[i]), Number(want[i])];
          const close =
            x === y
              ? Object.is(x, y) || signless.has(name)
              : (Number.isNaN(x) && Number.isNaN(y)) || Math.abs(x - y) <= 1e-6 * Math.abs(y);
          if (close || outOfReach(name, y)) continue;
          const operands = Object.values(inputs).map((input) => String(input[i]));
          wrong.push(`${kernel.name} (${operands.join(", ")}) gives ${x}, not ${y}`);
        }
      });
    });
    emulated.close();
    expect(wrong.slice(0, 20), `${wrong.length} wrong`).to.deep.equal([]);
    expect(cases.length).to.be.greaterThan(400);
  });
});

/** The interpreter's `round` loses the sign of a zero, which CUDA and PyTorch keep. */
const signless: ReadonlySet<string> = new Set(["round_of_f32", "round_of_f64"]);
