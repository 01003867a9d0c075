/**
 * Scalar operations: what one lane of a kernel can compute. Each is declared once with its arity, result kind and
 * float64 meaning; the graph's elementwise ops are defined over them, the loop-IR interpreter evaluates them, and each
 * target spells them. Semantics at special values are PyTorch's: NaN propagates through `max` and `min`, `round` is half
 * to even, integer `div` truncates. What PyTorch leaves open is fixed here: integers wrap around, dividing them by zero
 * gives 0 (quotient and remainder), and `select` evaluates only the operand it chooses, so it may guard a load.
 */

/** Meaning of one scalar operation. `result`: `same` as the operands, or `bool`. */
export type ScalarDef = {
  readonly arity: 1 | 2 | 3;
  readonly result: "same" | "bool";
  readonly doc: string;
  readonly evaluate: (x: number, y: number, z: number) => number;
};

function unary(doc: string, evaluate: (x: number) => number): ScalarDef {
  return { arity: 1, result: "same", doc, evaluate };
}

function binary(doc: string, evaluate: (x: number, y: number) => number): ScalarDef {
  return { arity: 2, result: "same", doc, evaluate };
}

function predicate(doc: string, evaluate: (x: number, y: number) => boolean): ScalarDef {
  return { arity: 2, result: "bool", doc, evaluate: (x, y) => (evaluate(x, y) ? 1 : 0) };
}

/** Rounds half to even, as PyTorch's and C's `rint`. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const fraction = x - floor;
  if (fraction < 0.5) return floor;
  if (fraction > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** C's and PyTorch's pow, which JavaScript's differs from where the base is 1 or -1. */
function power(x: number, y: number): number {
  return x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y;
}

/**
 * erf to within a few ulp of float64: the Maclaurin series below 2.5, the continued fraction of erfc above
 * (Abramowitz and Stegun 7.1.5 and 7.1.14).
 */
export function erf(x: number): number {
  const magnitude = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (magnitude > 2.5) return Math.sign(x) * (1 - erfc(magnitude));
  let term = x;
  let sum = x;
  for (let n = 1; n < 100 && Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

/** 1 - erf(x), relatively accurate for large x. */
export function erfc(x: number): number {
  if (Number.isNaN(x)) return x;
  if (x < 2.5) return 1 - erf(x);
  if (x > 27.3) return 0;
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (x + fraction);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
}

/** All scalar operations. */
export const scalarOps = {
  neg: unary("-x", (x) => -x),
  abs: unary("|x|", Math.abs),
  sign: unary("sign of x, 0 at 0", Math.sign),
  floor: unary("largest integer <= x", Math.floor),
  ceil: unary("smallest integer >= x", Math.ceil),
  trunc: unary("x towards zero", Math.trunc),
  round: unary("nearest integer, half to even", roundHalfEven),
  sqrt: unary("square root", Math.sqrt),
  exp: unary("e^x", Math.exp),
  expm1: unary("e^x - 1", Math.expm1),
  log: unary("natural logarithm", Math.log),
  log1p: unary("log(1 + x)", Math.log1p),
  sin: unary("sine", Math.sin),
  cos: unary("cosine", Math.cos),
  tan: unary("tangent", Math.tan),
  asin: unary("arc sine", Math.asin),
  acos: unary("arc cosine", Math.acos),
  atan: unary("arc tangent", Math.atan),
  sinh: unary("hyperbolic sine", Math.sinh),
  cosh: unary("hyperbolic cosine", Math.cosh),
  tanh: unary("hyperbolic tangent", Math.tanh),
  asinh: unary("inverse hyperbolic sine", Math.asinh),
  acosh: unary("inverse hyperbolic cosine", Math.acosh),
  atanh: unary("inverse hyperbolic tangent", Math.atanh),
  erf: unary("error function", erf),
  erfc: unary("1 - erf(x)", erfc),
  not: unary("logical not of a bool", (x) => (x === 0 ? 1 : 0)),
  add: binary("x + y", (x, y) => x + y),
  sub: binary("x - y", (x, y) => x - y),
  mul: binary("x * y", (x, y) => x * y),
  div: binary("x / y; integers truncate", (x, y) => x / y),
  mod: binary("remainder of truncated division, sign of x (C's % and fmod)", (x, y) => x % y),
  pow: binary("x^y; 1 for x = 1, and for x = -1 at infinities, as in C", power),
  atan2: binary("angle of the point (y, x): atan2(x, y) of the operands in order", Math.atan2),
  max: binary("larger operand; NaN if either is", (x, y) => (x > y || Number.isNaN(x) ? x : y)),
  min: binary("smaller operand; NaN if either is", (x, y) => (x < y || Number.isNaN(x) ? x : y)),
  and: binary("logical and of bools, bitwise and of integers", (x, y) => Number(BigInt(x) & BigInt(y))),
  or: binary("logical or of bools, bitwise or of integers", (x, y) => Number(BigInt(x) | BigInt(y))),
  xor: binary("logical xor of bools, bitwise xor of integers", (x, y) => Number(BigInt(x) ^ BigInt(y))),
  eq: predicate("x == y", (x, y) => x === y),
  ne: predicate("x != y", (x, y) => x !== y),
  lt: predicate("x < y", (x, y) => x < y),
  le: predicate("x <= y", (x, y) => x <= y),
  gt: predicate("x > y", (x, y) => x > y),
  ge: predicate("x >= y", (x, y) => x >= y),
  select: {
    arity: 3,
    result: "same",
    doc: "y where x (a bool), else z; the other is not evaluated",
    evaluate: (x, y, z) => (x !== 0 ? y : z),
  },
  fma: { arity: 3, result: "same", doc: "x * y + z, rounded once or twice", evaluate: (x, y, z) => x * y + z },
} as const satisfies Record<string, ScalarDef>;

/** Name of a scalar operation. */
export type ScalarOp = keyof typeof scalarOps;
