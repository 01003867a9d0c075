/**
 * What a WGSL function of the emitted modules' mathematics is, and those that all others are made of. Drivers may
 * rearrange float arithmetic as if it were exact ((x + 1) - x is folded to 1), assume that there is no NaN, and WGSL has
 * no constants for infinity and NaN. So every function that depends on how sums round passes intermediate results through
 * `kiln_keep`, which no compiler can see through, and NaN is told by its bits.
 */
import { Fragment } from "../../source-writer.ts";

/** One function (or module variable): its name, its definition, and what it needs. */
export type MathFunction = { readonly name: string; readonly text: Fragment; readonly needs: readonly MathFunction[] };

/** `fn <name><signature> { body }`. `body` is WGSL text, indented by two spaces. */
export function wgslFunction(
  name: string,
  signature: string,
  needs: readonly MathFunction[],
  body: string,
): MathFunction {
  return { name, needs, text: new Fragment(`fn ${name}${signature} {\n${body}\n}`) };
}

/** `fn kiln_<op>(x: f32) -> f32`, or of x and y. */
export function floatFunction(
  op: string,
  params: "x: f32" | "x: f32, y: f32",
  needs: readonly MathFunction[],
  body: string,
): MathFunction {
  return wgslFunction(`kiln_${op}_f32`, `(${params}) -> f32`, needs, body);
}

/** 0, from the number of work-groups when a kernel starts, so that no compiler knows it. */
export const zero: MathFunction = { name: "kiln_zero", needs: [], text: new Fragment("var<private> kiln_zero: u32;") };

/** x, but a stranger to what it was computed from. */
export const keep = wgslFunction(
  "kiln_keep",
  "(x: f32) -> f32",
  [zero],
  "  return bitcast<f32>(bitcast<u32>(x) + kiln_zero);",
);

/** Infinity. */
export const infinity = wgslFunction(
  "kiln_infinity",
  "() -> f32",
  [zero],
  "  return bitcast<f32>(0x7f800000u + kiln_zero);",
);

/** NaN. */
export const nan = wgslFunction("kiln_nan", "() -> f32", [zero], "  return bitcast<f32>(0x7fc00000u + kiln_zero);");

/** Whether x is NaN. */
export const isNan = wgslFunction(
  "kiln_is_nan_f32",
  "(x: f32) -> bool",
  [],
  "  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;",
);

/**
 * The magnitude of `x` with the sign of `y`. By a choice, since a Mesa 22 processor driver gets the mixing of bits wrong
 * where a test for NaN of the same number stands beside it.
 */
export const copySign = wgslFunction(
  "kiln_copy_sign",
  "(x: f32, y: f32) -> f32",
  [],
  "  let m = abs(x);\n  return select(m, -m, bitcast<i32>(y) < 0);",
);

/** The upper 12 bits of a float's mantissa, so that products of two such are exact. */
export const upperPart = wgslFunction(
  "kiln_upper_part",
  "(x: f32) -> f32",
  [],
  "  return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u);",
);

/** 2^n for -126 <= n <= 127. */
export const powerOfTwo = wgslFunction(
  "kiln_power_of_two",
  "(n: i32) -> f32",
  [],
  "  return bitcast<f32>((n + 127) << 23u);",
);

/** The upper word of a product of 32-bit words, by halves. */
export const multiplyHigh = wgslFunction(
  "kiln_multiply_high",
  "(x: u32, y: u32) -> u32",
  [],
  `  let x0 = x & 0xffffu;
  let x1 = x >> 16u;
  let y0 = y & 0xffffu;
  let y1 = y >> 16u;
  let middle = x1 * y0 + ((x0 * y0) >> 16u);
  let other = x0 * y1 + (middle & 0xffffu);
  return x1 * y1 + (middle >> 16u) + (other >> 16u);`,
);
