/** Elementwise operators, comparisons and creation in our words. */
import { arange, eye, full, linspace, ones, where, zeros } from "../../../compiler/tensor/create.ts";
import type { Tensor } from "../../../compiler/trace/tensor.ts";
import type { Call } from "../call.ts";
import { Unsupported } from "../report.ts";
import { operator, type Operator, type OperatorTable } from "./operator.ts";

/** An operator of one tensor. */
function unary(run: (x: Tensor) => Tensor): Operator {
  return operator("input", (call) => run(call.tensor("input")));
}

/** An operator of two operands, of which the second may be a number. */
function binary(run: (x: Tensor, y: Tensor | number | boolean) => Tensor): Operator {
  return operator("input, other", (call) => run(call.tensor("input"), call.operand("other")));
}

function pair(run: (x: Tensor, y: Tensor) => Tensor): Operator {
  return operator("input, other", (call) => run(call.tensor("input"), call.tensor("other")));
}

function division(call: Call): Tensor {
  const mode = call.text("rounding_mode", "");
  if (mode !== "" && mode !== "trunc" && mode !== "floor") throw new Unsupported(`rounding_mode ${mode}`);
  return call.tensor("input").div(call.operand("other"), mode === "" ? {} : { roundingMode: mode });
}

function shapeOf(call: Call): number[] {
  return call.numbers("size");
}

function createOptions(call: Call): { dtype?: "f32" } {
  const dtype = call.dtype("dtype");
  return dtype === undefined ? {} : { dtype: dtype as "f32" }; // any dtype: the option's type is wider than this one
}

/** A bound of `clamp`: a tensor, a number or nothing. */
function bound(call: Call, name: string): Record<string, Tensor | number> {
  if (!call.has(name)) return {};
  const value = call.operand(name);
  return { [name]: typeof value === "boolean" ? Number(value) : value };
}

const unaries: OperatorTable = {
  abs: unary((x) => x.abs()),
  acos: unary((x) => x.acos()),
  acosh: unary((x) => x.acosh()),
  asin: unary((x) => x.asin()),
  asinh: unary((x) => x.asinh()),
  atan: unary((x) => x.atan()),
  atanh: unary((x) => x.atanh()),
  ceil: unary((x) => x.ceil()),
  cos: unary((x) => x.cos()),
  cosh: unary((x) => x.cosh()),
  deg2rad: unary((x) => x.deg2rad()),
  rad2deg: unary((x) => x.rad2deg()),
  erf: unary((x) => x.erf()),
  erfc: unary((x) => x.erfc()),
  exp: unary((x) => x.exp()),
  exp2: unary((x) => x.exp2()),
  expm1: unary((x) => x.expm1()),
  floor: unary((x) => x.floor()),
  frac: unary((x) => x.frac()),
  isfinite: unary((x) => x.isfinite()),
  isinf: unary((x) => x.isinf()),
  isnan: unary((x) => x.isnan()),
  log: unary((x) => x.log()),
  log10: unary((x) => x.log10()),
  log1p: unary((x) => x.log1p()),
  log2: unary((x) => x.log2()),
  logical_not: unary((x) => x.logicalNot()),
  neg: unary((x) => x.neg()),
  positive: unary((x) => x.positive()),
  reciprocal: unary((x) => x.reciprocal()),
  rsqrt: unary((x) => x.rsqrt()),
  sigmoid: unary((x) => x.sigmoid()),
  sign: unary((x) => x.sign()),
  sin: unary((x) => x.sin()),
  sinc: unary((x) => x.sinc()),
  sinh: unary((x) => x.sinh()),
  sqrt: unary((x) => x.sqrt()),
  square: unary((x) => x.square()),
  tan: unary((x) => x.tan()),
  tanh: unary((x) => x.tanh()),
  trunc: unary((x) => x.trunc()),
};

const binaries: OperatorTable = {
  atan2: pair((x, y) => x.atan2(y)),
  bitwise_and: binary((x, y) => x.bitwiseAnd(y)),
  bitwise_or: binary((x, y) => x.bitwiseOr(y)),
  bitwise_xor: binary((x, y) => x.bitwiseXor(y)),
  copysign: binary((x, y) => x.copysign(y)),
  eq: binary((x, y) => x.eq(y)),
  floor_divide: binary((x, y) => x.floorDivide(y)),
  fmod: binary((x, y) => x.fmod(y)),
  ge: binary((x, y) => x.ge(y)),
  gt: binary((x, y) => x.gt(y)),
  hypot: pair((x, y) => x.hypot(y)),
  le: binary((x, y) => x.le(y)),
  logaddexp: pair((x, y) => x.logaddexp(y)),
  logical_and: binary((x, y) => x.logicalAnd(y)),
  logical_or: binary((x, y) => x.logicalOr(y)),
  logical_xor: binary((x, y) => x.logicalXor(y)),
  lt: binary((x, y) => x.lt(y)),
  maximum: pair((x, y) => x.maximum(y)),
  minimum: pair((x, y) => x.minimum(y)),
  mul: binary((x, y) => x.mul(y)),
  ne: binary((x, y) => x.ne(y)),
  remainder: binary((x, y) => x.remainder(y)),
  true_divide: binary((x, y) => x.div(y)),
  xlogy: binary((x, y) => x.xlogy(y)),
};

const creation: OperatorTable = {
  arange: operator("start, end, step, dtype", (call) =>
    arange(
      call.number("start"),
      call.numberOr("end", undefined),
      call.numberOr("step", undefined),
      createOptions(call),
    ),
  ),
  eye: operator("n, m, dtype", (call) => eye(call.number("n"), call.numberOr("m", undefined), createOptions(call))),
  full: operator("size, fill_value, dtype", (call) =>
    full(shapeOf(call), call.number("fill_value"), createOptions(call)),
  ),
  full_like: operator("input, fill_value, dtype", (call) =>
    call.tensor("input").fullLike(call.number("fill_value"), createOptions(call)),
  ),
  linspace: operator("start, end, steps, dtype", (call) =>
    linspace(call.number("start"), call.number("end"), call.number("steps"), createOptions(call)),
  ),
  ones: operator("size, dtype", (call) => ones(shapeOf(call), createOptions(call))),
  ones_like: operator("input, dtype", (call) => call.tensor("input").onesLike(createOptions(call))),
  zeros: operator("size, dtype", (call) => zeros(shapeOf(call), createOptions(call))),
  zeros_like: operator("input, dtype", (call) => call.tensor("input").zerosLike(createOptions(call))),
};

/** Elementwise operators and creation. */
export const elementwiseOperators: OperatorTable = {
  ...unaries,
  ...binaries,
  ...creation,
  add: operator("input, other, alpha", (call) =>
    call.tensor("input").add(call.operand("other"), { alpha: call.numberOr("alpha", 1) }),
  ),
  addcdiv: operator("input, tensor1, tensor2, value", (call) =>
    call.tensor("input").addcdiv(call.tensor("tensor1"), call.tensor("tensor2"), { value: call.numberOr("value", 1) }),
  ),
  addcmul: operator("input, tensor1, tensor2, value", (call) =>
    call.tensor("input").addcmul(call.tensor("tensor1"), call.tensor("tensor2"), { value: call.numberOr("value", 1) }),
  ),
  clamp: operator("input, min, max", (call) =>
    call.tensor("input").clamp({ ...bound(call, "min"), ...bound(call, "max") }),
  ),
  div: operator("input, other, rounding_mode", division),
  dropout_with_mask: operator("input, mask, p", (call) => {
    const x = call.tensor("input");
    return x.div(1 - call.number("p")).where(call.tensor("mask").toBool(), 0);
  }),
  lerp: operator("input, end, weight", (call) => call.tensor("input").lerp(call.tensor("end"), call.operand("weight"))),
  masked_fill: operator("input, mask, value", (call) =>
    call.tensor("input").maskedFill(call.tensor("mask"), call.operand("value")),
  ),
  nan_to_num: operator("input, nan, posinf, neginf", (call) =>
    call.tensor("input").nanToNum({
      ...(call.has("nan") ? { nan: call.number("nan") } : {}),
      ...(call.has("posinf") ? { posinf: call.number("posinf") } : {}),
      ...(call.has("neginf") ? { neginf: call.number("neginf") } : {}),
    }),
  ),
  pow: operator("input, exponent", (call) => call.tensor("input").pow(call.operand("exponent"))),
  round: operator("input, decimals", (call) => call.tensor("input").round({ decimals: call.numberOr("decimals", 0) })),
  rsub: operator("input, other, alpha", (call) => {
    const [x, y] = [call.tensor("input"), call.operand("other")];
    const scaled = x.mul(call.numberOr("alpha", 1));
    return scaled.rsub(y);
  }),
  sub: operator("input, other, alpha", (call) =>
    call.tensor("input").sub(call.operand("other"), { alpha: call.numberOr("alpha", 1) }),
  ),
  where: operator("condition, input, other", (call) =>
    where(call.tensor("condition"), call.operand("input"), call.operand("other")),
  ),
};
