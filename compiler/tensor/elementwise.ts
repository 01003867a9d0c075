/** Functions of one tensor, element by element. Functions of real numbers turn integers into f32, as in PyTorch. */
import { isFloat } from "../../ir/type.ts";
import { make, nodeOf } from "../trace/handle.ts";
import type { Tensor } from "../trace/tensor.ts";
import { currentTrace } from "../trace/trace.ts";
import { castNode, defaultFloat } from "./promote.ts";

/** Ops on floats only. */
type FloatOp =
  | "sqrt"
  | "exp"
  | "expm1"
  | "log"
  | "log1p"
  | "sin"
  | "cos"
  | "tan"
  | "asin"
  | "acos"
  | "atan"
  | "sinh"
  | "cosh"
  | "tanh"
  | "asinh"
  | "acosh"
  | "atanh"
  | "erf"
  | "erfc";

/** Ops that keep the dtype. */
type KeepOp = "neg" | "abs" | "sign";

/** Ops that leave integers alone. */
type RoundOp = "floor" | "ceil" | "trunc" | "round";

function real(x: Tensor, op: FloatOp): Tensor {
  const trace = currentTrace(op);
  return trace.at(trace.here(), () => {
    const node = nodeOf(x, op);
    return x[make](trace.g[op](isFloat(node.type.dtype) ? node : castNode(trace, node, defaultFloat)));
  });
}

function keep(x: Tensor, op: KeepOp): Tensor {
  return x[make](currentTrace(op).g[op](nodeOf(x, op)));
}

function rounded(x: Tensor, op: RoundOp): Tensor {
  return isFloat(x.dtype) ? x[make](currentTrace(op).g[op](nodeOf(x, op))) : x;
}

/** Runs `body` with all its ops attributed to the user's call. */
export function composed<T>(op: string, body: () => T): T {
  const trace = currentTrace(op);
  return trace.at(trace.here(), body);
}

/** Beyond this, exp overflows f32; the sigmoid is 0 in f32 long before. */
const largestExponent = 87;

/** Elementwise methods. */
export interface ElementwiseMethods {
  /** -x */
  neg(this: Tensor): Tensor;
  /** |x|; its derivative at 0 is 0 */
  abs(this: Tensor): Tensor;
  /** -1, 0 or 1 */
  sign(this: Tensor): Tensor;
  /** Largest integer ≤ x. */
  floor(this: Tensor): Tensor;
  /** Smallest integer ≥ x. */
  ceil(this: Tensor): Tensor;
  /** x towards zero. */
  trunc(this: Tensor): Tensor;
  /** Nearest integer, half to even; with `decimals`, nearest multiple of 10^-decimals. */
  round(this: Tensor, options?: { readonly decimals?: number }): Tensor;
  /** x - trunc(x) */
  frac(this: Tensor): Tensor;
  /** √x */
  sqrt(this: Tensor): Tensor;
  /** 1 / √x */
  rsqrt(this: Tensor): Tensor;
  /** x² */
  square(this: Tensor): Tensor;
  /** 1 / x */
  reciprocal(this: Tensor): Tensor;
  /** e^x */
  exp(this: Tensor): Tensor;
  /** 2^x */
  exp2(this: Tensor): Tensor;
  /** e^x - 1, accurate near 0 */
  expm1(this: Tensor): Tensor;
  /** Natural logarithm. */
  log(this: Tensor): Tensor;
  /** Logarithm to base 2. */
  log2(this: Tensor): Tensor;
  /** Logarithm to base 10. */
  log10(this: Tensor): Tensor;
  /** log(1 + x), accurate near 0 */
  log1p(this: Tensor): Tensor;
  /** Sine, of radians like all below. */
  sin(this: Tensor): Tensor;
  /** Cosine. */
  cos(this: Tensor): Tensor;
  /** Tangent. */
  tan(this: Tensor): Tensor;
  /** Arc sine. */
  asin(this: Tensor): Tensor;
  /** Arc cosine. */
  acos(this: Tensor): Tensor;
  /** Arc tangent. */
  atan(this: Tensor): Tensor;
  /** Hyperbolic sine. */
  sinh(this: Tensor): Tensor;
  /** Hyperbolic cosine. */
  cosh(this: Tensor): Tensor;
  /** Hyperbolic tangent. */
  tanh(this: Tensor): Tensor;
  /** Inverse hyperbolic sine. */
  asinh(this: Tensor): Tensor;
  /** Inverse hyperbolic cosine. */
  acosh(this: Tensor): Tensor;
  /** Inverse hyperbolic tangent. */
  atanh(this: Tensor): Tensor;
  /** Error function. */
  erf(this: Tensor): Tensor;
  /** 1 - erf(x), accurate for large x */
  erfc(this: Tensor): Tensor;
  /** 1 / (1 + e^-x) */
  sigmoid(this: Tensor): Tensor;
  /** max(x, 0); its derivative at 0 is 0 */
  relu(this: Tensor): Tensor;
  /** x limited to [min, max]; at the limits the gradient passes */
  clamp(this: Tensor, options: { readonly min?: number | Tensor; readonly max?: number | Tensor }): Tensor;
  /** x as a new tensor. */
  clone(this: Tensor): Tensor;
}

const realOps: readonly FloatOp[] = [
  "sqrt",
  "exp",
  "expm1",
  "log",
  "log1p",
  "sin",
  "cos",
  "tan",
  "asin",
  "acos",
  "atan",
  "sinh",
  "cosh",
  "tanh",
  "asinh",
  "acosh",
  "atanh",
  "erf",
  "erfc",
];
const keepOps: readonly KeepOp[] = ["neg", "abs", "sign"];
const roundOps: readonly RoundOp[] = ["floor", "ceil", "trunc", "round"];

type Plain = (this: Tensor) => Tensor;

/** One method per op of a list, each calling `apply` with its own name. */
function methods<Op extends string>(ops: readonly Op[], apply: (x: Tensor, op: Op) => Tensor): Record<Op, Plain> {
  const entries = ops.map((op): [Op, Plain] => [
    op,
    function method(this: Tensor) {
      return apply(this, op);
    },
  ]);
  // `fromEntries` forgets which keys there are; they are exactly `ops`.
  return Object.fromEntries(entries) as Record<Op, Plain>;
}

/** The implementations of `ElementwiseMethods`. */
export const elementwiseMethods: ElementwiseMethods = {
  ...methods(realOps, real),
  ...methods(keepOps, keep),
  ...methods(roundOps, rounded),
  round({ decimals = 0 } = {}) {
    if (decimals === 0 || !isFloat(this.dtype)) return rounded(this, "round");
    const power = 10 ** Math.abs(decimals);
    return composed("round", () =>
      decimals > 0 ? this.mul(power).round().div(power) : this.div(power).round().mul(power),
    );
  },
  frac() {
    return composed("frac", () => this.sub(this.trunc()));
  },
  rsqrt() {
    return composed("rsqrt", () => this.sqrt().reciprocal());
  },
  square() {
    return this.mul(this);
  },
  reciprocal() {
    return composed("reciprocal", () => {
      const x = isFloat(this.dtype) ? this : this.to(defaultFloat);
      return x.onesLike().div(x);
    });
  },
  exp2() {
    return composed("exp2", () => this.mul(Math.LN2).exp());
  },
  log2() {
    return composed("log2", () => this.log().mul(Math.LOG2E));
  },
  log10() {
    return composed("log10", () => this.log().mul(Math.LOG10E));
  },
  sigmoid() {
    // The limit keeps e^-x finite, so that no derivative of any order becomes 0 · ∞.
    return composed("sigmoid", () => this.maximum(-largestExponent).neg().exp().add(1).reciprocal());
  },
  relu() {
    // Written so that NaN stays NaN.
    return composed("relu", () => this.maskedFill(this.le(0), 0));
  },
  clamp({ min, max }) {
    return composed("clamp", () => {
      const above = min === undefined ? this : limit(this, min, "lt");
      return max === undefined ? above : limit(above, max, "gt");
    });
  },
  clone() {
    const trace = currentTrace("clone");
    const node = nodeOf(this, "clone");
    return this[make](trace.g.reshape(node, { shape: node.type.shape }));
  },
};

/** `bound` where x lies beyond it, else x. */
function limit(x: Tensor, bound: number | Tensor, beyond: "lt" | "gt"): Tensor {
  const mask = beyond === "lt" ? x.lt(bound) : x.gt(bound);
  return typeof bound === "number" ? x.where(mask.logicalNot(), bound) : bound.where(mask, x);
}
