/** The WGSL function of each float32 operation that is neither an operator nor a built-in function that drivers get right. */
import type { ScalarOp } from "../../../ir/loop/scalar.ts";
import * as exponential from "./math-exponential.ts";
import type { MathFunction } from "./math-function.ts";
import * as power from "./math-power.ts";
import * as trigonometric from "./math-trigonometric.ts";

/** The operations of float32 that are functions of ours. */
export const mathF32: Partial<Readonly<Record<ScalarOp, MathFunction>>> = {
  exp: exponential.exp,
  expm1: exponential.expm1,
  log: exponential.log,
  log1p: exponential.log1p,
  tanh: exponential.tanh,
  erf: exponential.erf,
  erfc: exponential.erfc,
  sinh: exponential.sinh,
  cosh: exponential.cosh,
  asinh: exponential.asinh,
  acosh: exponential.acosh,
  atanh: exponential.atanh,
  ...trigonometric,
  ...power,
};
