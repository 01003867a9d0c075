/** Arithmetic of two operands, element by element, with broadcasting and type promotion. */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { at, isFloat, isInteger, type DType } from "../../ir/type.ts";
import { make } from "../trace/handle.ts";
import type { Tensor } from "../trace/tensor.ts";
import { currentTrace } from "../trace/trace.ts";
import { alignOperands, defaultFloat, requireOperand, resultType, type Operand } from "./promote.ts";

/** Ops of two operands of one type whose result has that type. */
type BinaryOp = "add" | "sub" | "mul" | "div" | "mod" | "pow" | "atan2" | "max" | "min" | "and" | "or" | "xor";

/** What the op computes in: the promoted dtype, that or a float, or a bool or integer. */
type Domain = "number" | "float" | "bits";

function computeType(op: string, operands: readonly Operand[], domain: Domain): DType {
  const dtype = resultType(operands);
  if (domain === "float" && !isFloat(dtype)) return defaultFloat;
  if (domain === "number" && dtype === "bool") throw fail(messages.boolArithmetic(op), currentTrace(op).here());
  if (domain === "bits" && isFloat(dtype)) throw fail(messages.needsIntegers(op, dtype), currentTrace(op).here());
  return dtype;
}

/** One binary op on promoted, broadcast operands. `x` gives the class of the result. */
export function binary(
  x: Tensor,
  op: BinaryOp,
  operands: readonly [Operand, Operand],
  options: { readonly domain: Domain; readonly name?: string },
): Tensor {
  const name = options.name ?? op;
  const trace = currentTrace(name);
  return trace.at(trace.here(), () => {
    for (const operand of operands) requireOperand(name, operand);
    const nodes = alignOperands(name, operands, computeType(name, operands, options.domain));
    return x[make](trace.g[op](at(nodes, 0), at(nodes, 1)));
  });
}

/** Arithmetic methods. `other`: a tensor that broadcasts with this one, or a number. */
export interface ArithmeticMethods {
  /** x + alpha · other */
  add(this: Tensor, other: Operand, options?: { readonly alpha?: number }): Tensor;
  /** x - alpha · other */
  sub(this: Tensor, other: Operand, options?: { readonly alpha?: number }): Tensor;
  /** x · other */
  mul(this: Tensor, other: Operand): Tensor;
  /** x / other: true division, or rounded (`trunc`: towards zero, `floor`: down). */
  div(this: Tensor, other: Operand, options?: { readonly roundingMode?: "trunc" | "floor" }): Tensor;
  /** other - x */
  rsub(this: Tensor, other: Operand): Tensor;
  /** x^exponent */
  pow(this: Tensor, exponent: Operand): Tensor;
  /** Quotient rounded down. */
  floorDivide(this: Tensor, other: Operand): Tensor;
  /** Remainder with the sign of the divisor (Python's `%`). */
  remainder(this: Tensor, other: Operand): Tensor;
  /** Remainder with the sign of the dividend (C's `fmod`). */
  fmod(this: Tensor, other: Operand): Tensor;
  /** Angle of the point (other, x), in radians. */
  atan2(this: Tensor, other: Operand): Tensor;
  /** The larger of both; NaN if either is. Equal ones share the gradient. */
  maximum(this: Tensor, other: Operand): Tensor;
  /** The smaller of both; NaN if either is. Equal ones share the gradient. */
  minimum(this: Tensor, other: Operand): Tensor;
  /** Bitwise and of integers, logical and of bools. */
  bitwiseAnd(this: Tensor, other: Operand): Tensor;
  /** Bitwise or of integers, logical or of bools. */
  bitwiseOr(this: Tensor, other: Operand): Tensor;
  /** Bitwise exclusive or of integers, logical exclusive or of bools. */
  bitwiseXor(this: Tensor, other: Operand): Tensor;
  /** x + weight · (end - x), in the form PyTorch uses on either side of weight 0.5. */
  lerp(this: Tensor, end: Tensor, weight: Operand): Tensor;
  /** x + value · a · b */
  addcmul(this: Tensor, a: Tensor, b: Tensor, options?: { readonly value?: Operand }): Tensor;
  /** x + value · a / b */
  addcdiv(this: Tensor, a: Tensor, b: Tensor, options?: { readonly value?: Operand }): Tensor;
}

function scaled(other: Operand, alpha: number | undefined): Operand {
  if (alpha === undefined || alpha === 1) return other;
  return typeof other === "object" ? other.mul(alpha) : Number(other) * alpha;
}

/** Powers that PyTorch computes by products and roots. */
function specialPower(x: Tensor, exponent: Operand): Tensor | undefined {
  if (typeof exponent !== "number" || (!isFloat(x.dtype) && exponent < 0)) return undefined;
  switch (exponent) {
    case 1:
      return x;
    case 2:
      return x.mul(x);
    case 3:
      return x.mul(x).mul(x);
    case 0.5:
      return x.sqrt();
    case -0.5:
      return x.rsqrt();
    case -1:
      return x.reciprocal();
    case -2:
      return x.mul(x).reciprocal();
    default:
      return undefined;
  }
}

/**
 * Floor of x / y for real numbers. The rounded quotient may be a whole number where the true one lies below it, so it is
 * computed from the remainder, which is exact (as `div_floor_floating` of PyTorch 2.13 does).
 */
function realFloorQuotient(x: Tensor, other: Operand, quotient: Tensor, rest: Tensor): Tensor {
  const divisor = typeof other === "object" ? other.to(quotient.dtype) : quotient.fullLike(Number(other));
  const below = rest.ne(0).logicalAnd(rest.lt(0).ne(divisor.lt(0)));
  const whole = x.sub(rest).div(divisor).sub(below.to(quotient.dtype)).round();
  return quotient.where(divisor.eq(0), whole);
}

/** The implementations of `ArithmeticMethods`. */
export const arithmeticMethods: ArithmeticMethods = {
  add(other, { alpha } = {}) {
    const scaledOther = scaled(other, alpha);
    if (resultType([this, requireOperand("add", other)]) === "bool") return this.logicalOr(other);
    return binary(this, "add", [this, scaledOther], { domain: "number" });
  },
  sub(other, { alpha } = {}) {
    return binary(this, "sub", [this, scaled(other, alpha)], { domain: "number" });
  },
  mul(other) {
    if (resultType([this, requireOperand("mul", other)]) === "bool") return this.logicalAnd(other);
    return binary(this, "mul", [this, other], { domain: "number" });
  },
  div(other, { roundingMode } = {}) {
    if (roundingMode === "floor") return this.floorDivide(other);
    if (roundingMode === undefined) return binary(this, "div", [this, other], { domain: "float" });
    const quotient = binary(this, "div", [this, other], { domain: "number" });
    return isFloat(quotient.dtype) ? quotient.trunc() : quotient;
  },
  rsub(other) {
    return binary(this, "sub", [other, this], { domain: "number", name: "rsub" });
  },
  pow(exponent) {
    return specialPower(this, exponent) ?? binary(this, "pow", [this, exponent], { domain: "number" });
  },
  floorDivide(other) {
    const dtype = resultType([this, requireOperand("floorDivide", other)]);
    const quotient = binary(this, "div", [this, other], { domain: "number", name: "floorDivide" });
    const rest = binary(this, "mod", [this, other], { domain: "number", name: "floorDivide" });
    if (!isInteger(dtype)) return realFloorQuotient(this, other, quotient, rest);
    const signs = binary(this, "xor", [rest, other], { domain: "bits", name: "floorDivide" });
    return quotient.sub(rest.ne(0).logicalAnd(signs.lt(0)).to(quotient.dtype));
  },
  remainder(other) {
    const rest = binary(this, "mod", [this, other], { domain: "number", name: "remainder" });
    const divisor = typeof other === "object" ? other.to(rest.dtype) : rest.mul(0).add(Number(other));
    const wrongSign = rest.ne(0).logicalAnd(rest.lt(0).ne(divisor.lt(0)));
    return rest.add(divisor).where(wrongSign, rest);
  },
  fmod(other) {
    return binary(this, "mod", [this, other], { domain: "number", name: "fmod" });
  },
  atan2(other) {
    return binary(this, "atan2", [this, other], { domain: "float" });
  },
  maximum(other) {
    return binary(this, "max", [this, other], { domain: "number", name: "maximum" });
  },
  minimum(other) {
    return binary(this, "min", [this, other], { domain: "number", name: "minimum" });
  },
  bitwiseAnd(other) {
    return binary(this, "and", [this, other], { domain: "bits", name: "bitwiseAnd" });
  },
  bitwiseOr(other) {
    return binary(this, "or", [this, other], { domain: "bits", name: "bitwiseOr" });
  },
  bitwiseXor(other) {
    return binary(this, "xor", [this, other], { domain: "bits", name: "bitwiseXor" });
  },
  lerp(end, weight) {
    const span = end.sub(this);
    if (typeof weight !== "object")
      return Number(weight) < 0.5 ? this.add(span.mul(weight)) : end.sub(span.mul(1 - Number(weight)));
    const low = this.add(span.mul(weight));
    const high = end.sub(span.mul(weight.rsub(1)));
    return low.where(weight.abs().lt(0.5), high);
  },
  addcmul(a, b, { value = 1 } = {}) {
    return this.add((value === 1 ? a : a.mul(value)).mul(b));
  },
  addcdiv(a, b, { value = 1 } = {}) {
    return this.add(value === 1 ? a.div(b) : a.mul(value).div(b));
  },
};
