/** Seeded random numbers for tests, and random elements of tensors with or without the special values. */
import type { Elements } from "../ir/op.ts";
import { at, isFloat, type DType } from "../ir/type.ts";

/** A seeded source of random numbers in [0, 1): mulberry32, good enough to pick test data. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Elements as the dtype holds them: f32 rounded. */
export function roundElements(dtype: DType, elements: Elements): Elements {
  return dtype === "f32" ? elements.map(Math.fround) : elements;
}

const specialFloats = [NaN, Infinity, -Infinity, 0, -0, 1, -1, 0.5, 2, -3, 1e-40, -1e-40, 3.4e38, 1e-20, 16777217];
const specialIntegers: Readonly<Partial<Record<DType, readonly number[]>>> = {
  u8: [0, 1, 2, 127, 128, 255],
  i8: [0, 1, -1, 127, -128, -127],
  i64: [0, 1, -1, 2, -7, 1000, 2 ** 31, -(2 ** 31)],
};

/**
 * Random elements of a dtype. `special`: half of them NaN, infinities, -0, denormals, extremes; otherwise floats are
 * multiples of 1/8 from -4 to 4, so that short sums and products are exact, and integers lie from 0 to 9.
 */
export function randomElements(dtype: DType, count: number, next: () => number, special: boolean): Elements {
  const pick = (list: readonly number[]): number => at(list, Math.floor(next() * list.length));
  return Float64Array.from({ length: count }, () => {
    if (dtype === "bool") return next() < 0.5 ? 0 : 1;
    if (isFloat(dtype)) {
      if (special) return Math.fround(next() < 0.5 ? pick(specialFloats) : 8 * next() - 4);
      return Math.round(64 * next() - 32) / 8;
    }
    if (special && next() < 0.5) return pick(specialIntegers[dtype] ?? [0, 1, 100]);
    return Math.floor(next() * 10);
  });
}
