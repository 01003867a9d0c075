/** The functions of mathematics in C's library, which its relatives have under the same names. */
import type { ScalarOp } from "../../../ir/loop/scalar.ts";
import type { DType } from "../../../ir/type.ts";

/** Those that compilers turn into one instruction where the machine has it. */
const instructions: Partial<Readonly<Record<ScalarOp, string>>> = {
  abs: "fabs",
  floor: "floor",
  ceil: "ceil",
  trunc: "trunc",
  round: "rint",
  sqrt: "sqrt",
};

/** Those that are computed. */
const functions: Partial<Readonly<Record<ScalarOp, string>>> = {
  exp: "exp",
  expm1: "expm1",
  log: "log",
  log1p: "log1p",
  sin: "sin",
  cos: "cos",
  tan: "tan",
  asin: "asin",
  acos: "acos",
  atan: "atan",
  sinh: "sinh",
  cosh: "cosh",
  tanh: "tanh",
  asinh: "asinh",
  acosh: "acosh",
  atanh: "atanh",
  erf: "erf",
  erfc: "erfc",
  pow: "pow",
  atan2: "atan2",
  mod: "fmod",
};

/** A function of the library: its name, and whether it is an instruction rather than a computation. */
export type LibraryFunction = { readonly name: string; readonly isInstruction: boolean };

/** The function for an operation on floats; `undefined` for other types and where there is none. */
export function libraryFunction(op: ScalarOp, dtype: DType): LibraryFunction | undefined {
  const name = instructions[op] ?? functions[op];
  if (name === undefined || (dtype !== "f32" && dtype !== "f64")) return undefined;
  return { name: dtype === "f32" ? `${name}f` : name, isInstruction: op in instructions };
}
