/**
 * The C function of each float32 operation that is no C operator: our own, which loops vectorise around, but for `mod`,
 * which is the C library's. Accuracy, in units in the last place over each function's range, is measured by a test.
 */
import type { ScalarOp } from "../../../ir/loop/scalar.ts";
import * as exponential from "./math-exponential.ts";
import { floatFunction, type MathFunction } from "./math-function.ts";
import { pow } from "./math-power.ts";
import * as trigonometric from "./math-trigonometric.ts";

export type { MathFunction } from "./math-function.ts";

/** The operations of float32 that are functions in C. */
export const mathF32: Partial<Readonly<Record<ScalarOp, MathFunction>>> = {
  ...exponential,
  ...trigonometric,
  pow,
  mod: floatFunction("mod", "float x, float y", [], "  return __builtin_fmodf(x, y);"),
};
