/**
 * Intervals that integers of a kernel lie in, and what they are multiples of: enough to compute an index in 32 bits, and
 * to move several elements at once, wherever that is provably the same.
 */
import type { ScalarOp } from "../../../ir/loop/scalar.ts";
import type { DType } from "../../../ir/type.ts";

/** What is known of an integer: its bounds, both included, and a number that divides it (0 for 0, which all divide). */
export type Known = { readonly low: number; readonly high: number; readonly multiple: number };

/** Nothing but that it has 64 bits. */
export const anything: Known = { low: -(2 ** 63), high: 2 ** 63, multiple: 1 };

/** What is known of a constant. */
export function exactly(value: number): Known {
  return { low: value, high: value, multiple: Math.abs(value) };
}

/** Integers of a range. */
export function between(low: number, high: number): Known {
  return { low, high, multiple: 1 };
}

/** Values of an element type of at most 32 bits; `undefined` for the others. */
export function ofDtype(dtype: DType): Known | undefined {
  const bounds: Partial<Readonly<Record<DType, readonly [number, number]>>> = {
    bool: [0, 1],
    u8: [0, 255],
    i8: [-128, 127],
    i16: [-32768, 32767],
    i32: [-(2 ** 31), 2 ** 31 - 1],
  };
  const bound = bounds[dtype];
  return bound === undefined ? undefined : between(...bound);
}

/** Whether it can be computed in 32 bits. */
export function fitsInt({ low, high }: Known): boolean {
  return low >= -(2 ** 31) && high < 2 ** 31;
}

/** Whether arithmetic of 64 bits gives it without wrapping around, with room for the rounding of our own bounds. */
export function fitsLong({ low, high }: Known): boolean {
  return low > -(2 ** 62) && high < 2 ** 62;
}

/** Greatest common divisor, where 0 stands for what everything divides. */
export function common(x: number, y: number): number {
  let [a, b] = [x, y];
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}

/** One of two values. */
export function either(x: Known, y: Known): Known {
  const multiple = common(x.multiple, y.multiple);
  return { low: Math.min(x.low, y.low), high: Math.max(x.high, y.high), multiple };
}

function hull(values: readonly number[], multiple: number): Known {
  return { low: Math.min(...values), high: Math.max(...values), multiple };
}

function times(x: Known, y: Known): Known {
  const product = x.multiple * y.multiple;
  const multiple = Number.isSafeInteger(product) ? product : 1;
  return hull([x.low * y.low, x.low * y.high, x.high * y.low, x.high * y.high], multiple);
}

function plus(x: Known, y: Known): Known {
  return { low: x.low + y.low, high: x.high + y.high, multiple: common(x.multiple, y.multiple) };
}

function divided(x: Known, y: Known): Known {
  if (y.low <= 0) return anything;
  const corners = [x.low / y.low, x.low / y.high, x.high / y.low, x.high / y.high].map(Math.trunc);
  const whole = y.low === y.high && x.multiple % y.low === 0;
  return hull(corners, whole ? x.multiple / y.low : 1);
}

function remainder(x: Known, y: Known): Known {
  if (y.low <= 0) return anything;
  const multiple = y.low === y.high ? common(x.multiple, y.low) : 1;
  const low = x.low >= 0 ? 0 : Math.max(x.low, 1 - y.high);
  return { low, high: x.high <= 0 ? 0 : Math.min(x.high, y.high - 1), multiple };
}

function bits(x: Known, y: Known, narrower: boolean): Known {
  if (x.low < 0 || y.low < 0) return fitsInt(x) && fitsInt(y) ? between(-(2 ** 31), 2 ** 31 - 1) : anything;
  const high = narrower ? Math.min(x.high, y.high) : 2 ** Math.ceil(Math.log2(Math.max(x.high, y.high) + 1)) - 1;
  return between(0, high);
}

/** What is known of an operation's result: bounds of the true result, which may lie outside of the type. */
export function resultOf(op: ScalarOp, args: readonly Known[]): Known {
  const [x = anything, y = anything, z = anything] = args;
  switch (op) {
    case "add":
      return plus(x, y);
    case "sub":
      return plus(x, { low: -y.high, high: -y.low, multiple: y.multiple });
    case "mul":
      return times(x, y);
    case "fma":
      return plus(times(x, y), z);
    case "div":
      return divided(x, y);
    case "mod":
      return remainder(x, y);
    case "min":
      return { ...either(x, y), high: Math.min(x.high, y.high) };
    case "max":
      return { ...either(x, y), low: Math.max(x.low, y.low) };
    case "neg":
      return { low: -x.high, high: -x.low, multiple: x.multiple };
    case "abs":
      return { low: 0, high: Math.max(Math.abs(x.low), Math.abs(x.high)), multiple: x.multiple };
    case "sign":
      return between(-1, 1);
    case "and":
      return bits(x, y, true);
    case "or":
    case "xor":
      return bits(x, y, false);
    default:
      return anything;
  }
}
