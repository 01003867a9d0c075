/**
 * Comparing computed numbers with expected ones: how far they may be apart, and what is told about the first that is
 * further. Integers and bools must be equal. Floats differ by rounding: a device adds up in another order and fuses
 * multiply-adds.
 */
import type { MatrixFormat } from "../../ir/loop/loop.ts";
import { isFloat, type DType } from "../../ir/type.ts";

/** The first element that is wrong. */
export type Difference = {
  /** Name of the buffer, output or state. */
  readonly where: string;
  /** Number of the element: as it lies in a kernel's buffer, row-major in an output or state. */
  readonly element: number;
  readonly got: number;
  readonly expected: number;
};

/** Any array of numbers or big integers. */
export type NumberArray = { readonly length: number; readonly [index: number]: number | bigint };

/** One element as a number. */
export function numberAt(array: NumberArray, index: number): number {
  return Number(array[index]);
}

/**
 * How far a result may be from `expected`: 2e-4 of it (of 1 if it is smaller, since what was summed is about 1), which is
 * what vector code loses on functions such as exp and division; and what its sum may lose.
 */
export function tolerance(dtype: DType, expected: number, sum: Sum): number {
  if (!isFloat(dtype)) return 0;
  const scale = Math.max(1, Math.abs(expected));
  return dtype === "f64" ? 1e-9 * scale + 2 ** -52 * sum.terms : 2e-4 * scale + lostBy(sum);
}

/**
 * How much is lost of a sum: one unit in the last place of 1 for each term, the worst that another order of a float32 sum of
 * such terms does. Halves, which a device may round several times a term or not at all, have errors of up to 2^-11 each,
 * as often up as down: eight of their standard deviations.
 */
function lostBy({ terms, halves }: Sum): number {
  return 2 ** -23 * terms + (halves ? 8 * roundings.f16 * Math.sqrt(terms) : 0);
}

/** Distance between two results; 0 for two NaNs and for equal infinities, infinite for NaN against a number. */
export function distance(got: number, expected: number): number {
  if (Object.is(got, expected) || got === expected) return 0;
  const apart = Math.abs(got - expected);
  return Number.isNaN(apart) ? Infinity : apart;
}

/** Unit roundoff of the numbers that products in lower precision multiply. */
export const roundings: Readonly<Record<MatrixFormat, number>> = { tf32: 2 ** -11, bf16: 2 ** -8, f16: 2 ** -11 };

/** What was added up to an element. */
export type Sum = {
  /** How many terms. */
  readonly terms: number;
  /** Whether in half precision. */
  readonly halves: boolean;
};

/** How much operands are changed, relatively, to see how far a result of float32 moves. */
export const nudge = 1e-6;

/** How often they are. */
export const nudges = 4;

/**
 * Whether a result is further from the expected one than that moves (`moved`) when operands change by a few nudges: if
 * not, it is the right result for operands that differ by rounding.
 */
export function isBeyond(apart: number, moved: number): boolean {
  return apart > 8 * moved;
}
