/**
 * What scalar operations give on each element type: the float64 meaning of `scalar.ts`, rounded to float32 or wrapped to
 * an integer. Values are JavaScript numbers throughout; i64 is exact up to 2^53. Half precision has no arithmetic.
 */
import { invariant, unreachable } from "../diagnostic/diagnostic.ts";
import { dtypeBytes, isInteger, type DType } from "../type.ts";
import { scalarOps, type ScalarOp } from "./scalar.ts";

/** An operation on numbers of one element type. */
export type Operation = (x: number, y: number, z: number) => number;

/** Rounds a number to an element type; integers wrap around and lose the sign of zero. */
export function rounding(dtype: DType): (value: number) => number {
  invariant(dtype !== "f16" && dtype !== "bf16", `loop IR does not compute with ${dtype}`);
  switch (dtype) {
    case "f32":
      return Math.fround;
    case "f64":
      return (value) => value;
    case "i8":
      return (value) => (value << 24) >> 24;
    case "u8":
      return (value) => value & 0xff;
    case "i16":
      return (value) => (value << 16) >> 16;
    case "i32":
      return (value) => value | 0;
    case "i64":
      return (value) => value + 0;
    case "bool":
      return (value) => (value === 0 ? 0 : 1);
    default:
      return unreachable(dtype);
  }
}

/** The operation `op` on operands of an element type. */
export function operation(op: ScalarOp, dtype: DType): Operation {
  const { evaluate, result } = scalarOps[op];
  if (result === "bool") return evaluate;
  const round = rounding(dtype);
  if (isInteger(dtype)) return integerOperation(op, dtype, round) ?? ((x, y, z) => round(evaluate(x, y, z)));
  return (x, y, z) => round(evaluate(x, y, z));
}

/** Operations that integers have in another way than floats. */
function integerOperation(op: ScalarOp, dtype: DType, round: (value: number) => number): Operation | undefined {
  const multiply: Operation = dtype === "i64" ? (x, y) => x * y + 0 : (x, y) => round(Math.imul(x, y));
  const special: Partial<Readonly<Record<ScalarOp, Operation>>> = {
    mul: multiply,
    fma: (x, y, z) => round(multiply(x, y, 0) + z),
    div: (x, y) => (y === 0 ? 0 : round(Math.trunc(x / y))),
    mod: (x, y) => (y === 0 ? 0 : round(x % y)),
    pow: (x, y) => power(x, y, dtype),
  };
  return special[op];
}

/** Powers wrap around; a negative exponent gives 0 but for the bases 1 and -1. */
function power(x: number, y: number, dtype: DType): number {
  if (y < 0) return x === 1 ? 1 : x === -1 ? (y % 2 === 0 ? 1 : -1) : 0;
  return modularPower(x, y, dtypeBytes[dtype] * 8, dtype === "u8");
}

/** x^y modulo 2^bits, by squaring. */
function modularPower(x: number, y: number, bits: number, unsigned: boolean): number {
  let result = 1n;
  let square = BigInt(x);
  for (let rest = y; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = BigInt.asUintN(bits, result * square);
    square = BigInt.asUintN(bits, square * square);
  }
  return Number(unsigned ? result : BigInt.asIntN(bits, result));
}

/** Conversion between element types: to an integer by truncation, to bool by comparison with 0. */
export function conversion(from: DType, to: DType): (value: number) => number {
  const round = rounding(to);
  return isInteger(to) && !isInteger(from) ? (value) => round(Math.trunc(value)) : round;
}
