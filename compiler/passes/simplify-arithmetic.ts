/**
 * Rules of arithmetic. Each holds for every value of every dtype it fires on, NaN, infinities, -0 and wrap-around
 * included, unless a comment says otherwise; none changes the order in which floats are added or multiplied.
 */
import { isFloat, isInteger } from "../../ir/type.ts";
import { constantOf, hasExactReciprocal, isNeverNegativeZero, isSigned } from "./constant.ts";
import { any, anyConstant, as, constant, constantValue, op } from "./pattern.ts";
import { rule, type Rule } from "./rewrite.ts";

const x = any("x");
const y = any("y");
const c = anyConstant("c");
const d = anyConstant("d");

const identities: readonly Rule[] = [
  rule({
    name: "add-zero",
    equation: "x + 0 = x",
    pattern: op("add", x, constant(0)),
    // -0 + 0 is 0.
    when: (m) => isNeverNegativeZero(m.x),
    replace: (m) => m.x,
  }),
  rule({
    name: "add-negative-zero",
    equation: "x + (-0) = x",
    pattern: op("add", x, constant(-0)),
    replace: (m) => m.x,
  }),
  rule({ name: "sub-zero", equation: "x - 0 = x", pattern: op("sub", x, constant(0)), replace: (m) => m.x }),
  rule({ name: "mul-one", equation: "x * 1 = x", pattern: op("mul", x, constant(1)), replace: (m) => m.x }),
  rule({ name: "div-one", equation: "x / 1 = x", pattern: op("div", x, constant(1)), replace: (m) => m.x }),
  rule({
    name: "mul-zero",
    equation: "x * 0 = 0 for integers",
    // Floats keep the product: NaN * 0 and inf * 0 are NaN, -1 * 0 is -0.
    pattern: op("mul", x, constant(0)),
    when: (m) => isInteger(m.x.type.dtype),
    replace: (m, g) => constantOf(g, m.x.type, 0),
  }),
  rule({
    name: "sub-self",
    equation: "x - x = 0 for integers",
    // inf - inf is NaN.
    pattern: op("sub", x, x),
    when: (m) => isInteger(m.x.type.dtype),
    replace: (m, g) => constantOf(g, m.x.type, 0),
  }),
];

const signs: readonly Rule[] = [
  rule({ name: "neg-neg", equation: "-(-x) = x", pattern: op("neg", op("neg", x)), replace: (m) => m.x }),
  rule({
    name: "mul-minus-one",
    equation: "x * (-1) = -x",
    pattern: op("mul", x, constant(-1)),
    when: (m) => isSigned(m.x.type.dtype),
    replace: (m, g) => g.neg(m.x),
  }),
  rule({
    name: "div-minus-one",
    equation: "x / (-1) = -x",
    pattern: op("div", x, constant(-1)),
    when: (m) => isFloat(m.x.type.dtype),
    replace: (m, g) => g.neg(m.x),
  }),
  rule({
    name: "add-neg",
    equation: "x + (-y) = x - y",
    pattern: op("add", x, op("neg", y)),
    replace: (m, g) => g.sub(m.x, m.y),
  }),
  rule({
    name: "sub-neg",
    equation: "x - (-y) = x + y",
    pattern: op("sub", x, op("neg", y)),
    replace: (m, g) => g.add(m.x, m.y),
  }),
  rule({
    name: "mul-neg-neg",
    equation: "(-x) * (-y) = x * y",
    pattern: op("mul", op("neg", x), op("neg", y)),
    replace: (m, g) => g.mul(m.x, m.y),
  }),
  rule({
    name: "div-neg-neg",
    equation: "(-x) / (-y) = x / y for floats",
    // The smallest integer has no negative.
    pattern: op("div", op("neg", x), op("neg", y)),
    when: (m) => isFloat(m.x.type.dtype),
    replace: (m, g) => g.div(m.x, m.y),
  }),
  rule({
    name: "mul-neg-constant",
    equation: "(-x) * c = x * (-c) for floats",
    pattern: op("mul", op("neg", x), c),
    when: (m) => isFloat(m.x.type.dtype),
    replace: (m, g) => g.mul(m.x, constantOf(g, m.c.type, -(constantValue(m.c) ?? NaN))),
  }),
  rule({
    name: "div-neg-constant",
    equation: "(-x) / c = x / (-c) for floats",
    pattern: op("div", op("neg", x), c),
    when: (m) => isFloat(m.x.type.dtype),
    replace: (m, g) => g.div(m.x, constantOf(g, m.c.type, -(constantValue(m.c) ?? NaN))),
  }),
  rule({
    name: "abs-abs",
    equation: "||x|| = |x|",
    pattern: op("abs", as("inner", op("abs", x))),
    replace: (m) => m.inner,
  }),
  rule({
    name: "abs-neg",
    equation: "|-x| = |x|",
    pattern: op("abs", op("neg", x)),
    when: (m) => isSigned(m.x.type.dtype),
    replace: (m, g) => g.abs(m.x),
  }),
  rule({
    name: "square-abs",
    equation: "|x| * |x| = x * x",
    pattern: op("mul", op("abs", x), op("abs", x)),
    replace: (m, g) => g.mul(m.x, m.x),
  }),
];

const constants: readonly Rule[] = [
  rule({
    name: "div-power-of-two",
    equation: "x / c = x * (1 / c) where c and 1 / c are powers of two",
    // Both sides are then the same real number, rounded once.
    pattern: op("div", x, c),
    when: (m) => isFloat(m.x.type.dtype) && hasExactReciprocal(m.x.type.dtype, constantValue(m.c) ?? NaN),
    replace: (m, g) => g.mul(m.x, constantOf(g, m.c.type, 1 / (constantValue(m.c) ?? NaN))),
  }),
  rule({
    name: "add-constants",
    equation: "(x + c) + d = x + (c + d) for integers",
    pattern: op("add", op("add", x, c), d),
    when: (m) => isInteger(m.x.type.dtype) && constantValue(m.x) === undefined,
    replace: (m, g) => g.add(m.x, g.add(m.c, m.d)),
  }),
  rule({
    name: "mul-constants",
    equation: "(x * c) * d = x * (c * d) for integers",
    pattern: op("mul", op("mul", x, c), d),
    when: (m) => isInteger(m.x.type.dtype) && constantValue(m.x) === undefined,
    replace: (m, g) => g.mul(m.x, g.mul(m.c, m.d)),
  }),
];

const powers: readonly Rule[] = [
  rule({
    name: "pow-zero",
    // NaN too: NaN^0 is 1.
    equation: "x^0 = 1",
    pattern: op("pow", x, constant(0)),
    replace: (m, g) => constantOf(g, m.x.type, 1),
  }),
  rule({ name: "pow-one", equation: "x^1 = x", pattern: op("pow", x, constant(1)), replace: (m) => m.x }),
  rule({
    name: "pow-two",
    equation: "x^2 = x * x",
    pattern: op("pow", x, constant(2)),
    replace: (m, g) => g.mul(m.x, m.x),
  }),
  rule({
    name: "pow-three",
    equation: "x^3 = x * x * x",
    // Rounded twice instead of once, as PyTorch does (`pow_tensor_scalar_optimized_kernel`).
    pattern: op("pow", x, constant(3)),
    replace: (m, g) => g.mul(g.mul(m.x, m.x), m.x),
    tolerance: 2 ** -22,
  }),
  rule({
    name: "pow-minus-one",
    equation: "x^(-1) = 1 / x for floats",
    pattern: op("pow", x, constant(-1)),
    when: (m) => isFloat(m.x.type.dtype),
    replace: (m, g) => g.div(constantOf(g, m.x.type, 1), m.x),
  }),
  rule({
    name: "pow-half",
    equation: "x^0.5 = sqrt(x)",
    // (-inf)^0.5 is inf and (-0)^0.5 is 0 in C, but PyTorch takes the square root here: NaN and -0.
    pattern: op("pow", x, constant(0.5)),
    when: (m) => isFloat(m.x.type.dtype),
    replace: (m, g) => g.sqrt(m.x),
    except: [-Infinity],
    looseZero: true,
  }),
];

const extrema: readonly Rule[] = [
  rule({ name: "max-self", equation: "max(x, x) = x", pattern: op(["max", "min"], x, x), replace: (m) => m.x }),
  rule({
    name: "max-lowest",
    equation: "max(x, -inf) = x",
    pattern: op("max", x, constant(-Infinity)),
    when: (m) => isFloat(m.x.type.dtype),
    replace: (m) => m.x,
  }),
  rule({
    name: "min-highest",
    equation: "min(x, inf) = x",
    pattern: op("min", x, constant(Infinity)),
    when: (m) => isFloat(m.x.type.dtype),
    replace: (m) => m.x,
  }),
  rule({
    name: "max-max",
    equation: "max(max(x, y), y) = max(x, y)",
    // Which of 0 and -0 is larger is left open.
    pattern: op("max", as("inner", op("max", x, y)), y),
    replace: (m) => m.inner,
    looseZero: true,
  }),
  rule({
    name: "min-min",
    equation: "min(min(x, y), y) = min(x, y)",
    pattern: op("min", as("inner", op("min", x, y)), y),
    replace: (m) => m.inner,
    looseZero: true,
  }),
];

/** Rules of arithmetic. */
export const arithmeticRules: readonly Rule[] = [...identities, ...signs, ...constants, ...powers, ...extrema];
