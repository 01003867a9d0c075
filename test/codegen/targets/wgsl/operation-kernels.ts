/**
 * A kernel for every scalar operation and conversion on every element type that has it, alone and in vectors of four, with
 * operands that try special values in pairs, and what the interpreter makes of them.
 */
import { interpretKernel, loopArray, type LoopArray } from "../../../../ir/loop/interpret.ts";
import {
  bind,
  cast,
  int,
  load,
  scalar,
  store,
  variable,
  type Expr,
  type Kernel,
  type Stmt,
} from "../../../../ir/loop/loop.ts";
import { scalarOps, type ScalarOp } from "../../../../ir/loop/scalar.ts";
import { accepts } from "../../../../ir/loop/verify-expr.ts";
import { param, tasksLoop } from "../../../ir/loop/sample-kernels.ts";

const dtypes = ["f32", "i8", "u8", "i16", "i32", "i64", "bool"] as const;
type Tested = (typeof dtypes)[number];

const integers = [0, 1, -1, 2, 3, -7, 100000, 2147483647, -2147483648];
/** Values each type can hold; pairs of them are all tried. */
const values: Readonly<Record<Tested, readonly number[]>> = {
  f32: [0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3, 7.25, -88, 100, 1e-3, 1e7, -3e20, Infinity, -Infinity, NaN],
  i8: [0, 1, -1, 2, 3, -7, 100, 127, -128],
  u8: [0, 1, 2, 3, 7, 100, 200, 255],
  i16: [0, 1, -1, 2, 3, -7, 1000, 32767, -32768],
  i32: integers,
  i64: integers,
  bool: [0, 1],
};

const threads = 64;
const count = 512;

/** `out = value` and, four elements a thread, `out4 = value`; operands come from x, y, z and w. */
function kernelOf(name: string, dtype: Tested, make: (operand: (name: string) => Expr) => Expr): Kernel {
  const at = (step: number): Expr =>
    scalar("mul", scalar("add", scalar("mul", variable("task"), int(threads)), variable("thread")), int(step));
  const one = make((operand) => load(operand, dtype, variable("i")));
  const body: Stmt[] = [
    bind("i", at(1)),
    store("out", variable("i"), one),
    bind("i4", scalar("mod", at(4), int(count))),
    store(
      "out4",
      at(4),
      make((operand) => load(operand, dtype, variable("i4"), 4)),
    ),
  ];
  return {
    name,
    doc: name,
    tasks: count / threads,
    threads,
    flops: 0,
    buffers: [
      ...["x", "y", "z"].map((operand) => param(operand, dtype, count)),
      param("out", one.type.dtype, count, "write"),
      param("out4", one.type.dtype, 4 * count, "write"),
    ],
    body: [tasksLoop(body)],
  };
}

function isScalarOp(name: string): name is ScalarOp {
  return name in scalarOps;
}

/** One of them: its kernel, the type of its operands, and its operation if it is one. */
export type OperationCase = { readonly kernel: Kernel; readonly dtype: Tested; readonly op?: ScalarOp };

/** All of them. */
export function operationCases(): OperationCase[] {
  const cases: OperationCase[] = [];
  for (const dtype of dtypes) {
    for (const op of Object.keys(scalarOps)) {
      if (!isScalarOp(op) || !accepts(op, dtype)) continue;
      const kernel = kernelOf(`${op}_${dtype}`, dtype, (operand) => {
        const [x, y, z] = [operand("x"), operand("y"), operand("z")];
        const operands = op === "select" ? [cast(x, "bool"), y, z] : [x, y, z].slice(0, scalarOps[op].arity);
        return scalar(op, ...operands);
      });
      cases.push({ kernel, dtype, op });
    }
    for (const to of dtypes) {
      if (to === dtype) continue;
      cases.push({ kernel: kernelOf(`${dtype}_to_${to}`, dtype, (operand) => cast(operand("x"), to)), dtype });
    }
  }
  return cases;
}

/** Conversions of floats beyond a type's range, and of NaN, are left open. */
function convertible(value: number): number {
  return Number.isFinite(value) ? Math.max(-100, Math.min(value, 100)) : 3.7;
}

/** Buffers for a case: its operands, and room for its results. */
export function operationBuffers({ kernel, dtype, op }: OperationCase): Record<string, LoopArray> {
  const list = values[dtype];
  const pick = (choose: (index: number) => number): LoopArray => {
    const array = loopArray(dtype, count);
    for (let i = 0; i < count; i++) {
      const value = list[choose(i) % list.length] ?? 0;
      const own = op === undefined && dtype === "f32" ? convertible(value) : value;
      if (array instanceof BigInt64Array) array[i] = BigInt(own);
      else array[i] = own;
    }
    return array;
  };
  const outputs = kernel.buffers.filter(({ access }) => access === "write");
  return {
    x: pick((i) => i),
    y: pick((i) => Math.floor(i / list.length)),
    z: pick((i) => i + 1),
    ...Object.fromEntries(outputs.map(({ name, dtype: type, size }) => [name, loopArray(type, size)])),
  };
}

/** What differs between the results of a case and those of the interpreter, as sentences. */
export function operationFaults(tested: OperationCase, got: Readonly<Record<string, LoopArray>>): string[] {
  const { kernel, dtype } = tested;
  const want = operationBuffers(tested);
  interpretKernel(kernel, want);
  return kernel.buffers.flatMap(({ name, access, size }) => {
    if (access !== "write") return [];
    return Array.from({ length: size }, (_, i) => {
      const [x, y] = [Number(got[name]?.[i]), Number(want[name]?.[i])];
      const close = x === y || (Number.isNaN(x) && Number.isNaN(y)) || Math.abs(x - y) <= 2e-6 * Math.abs(y);
      // Drivers may take numbers below the least normal one for 0; 64-bit results may not fit into 32 bits.
      const tiny = dtype === "f32" && Math.abs(x) < 1.2e-38 && Math.abs(y) < 1.2e-38;
      if (close || tiny || (dtype === "i64" && y !== (y | 0))) return "";
      const operands = ["x", "y", "z"].map((input) => String(want[input]?.[i % count]));
      return `${kernel.name} (${operands.join(", ")}) gives ${x}, not ${y}, in ${name}`;
    }).filter((fault) => fault !== "");
  });
}
