/**
 * What a thread moves at once.
 */
import type { ValueType } from "../../../ir/loop/loop.ts";
import { dtypeBytes } from "../../../ir/type.ts";

/** The widest load or store of a thread, in bytes. */
export const widestAccess = 16;

/** The number of elements whose multiples a vector must lie at, to be moved in pieces as wide as can be. */
export function alignedElements(type: ValueType): number {
  const bytes = dtypeBytes[type.dtype];
  return Math.min(widestAccess, bytes * type.lanes) / bytes;
}
