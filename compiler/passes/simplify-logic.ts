/**
 * Rules of comparison, logic, selection and conversion. Each holds for every value, NaN included.
 */
import type { Node } from "../../ir/graph.ts";
import { isFloat, isInteger, type DType } from "../../ir/type.ts";
import { constantOf, exactBits } from "./constant.ts";
import { any, as, attrsOf, constant, op } from "./pattern.ts";
import { rule, type Rule } from "./rewrite.ts";

const x = any("x");
const y = any("y");
const z = any("z");
/** Any bool. */
const b = any("b", isBool);

function isBool(node: Node): boolean {
  return node.type.dtype === "bool";
}

const logic: readonly Rule[] = [
  rule({ name: "not-not", equation: "not not b = b", pattern: op("not", op("not", x)), replace: (m) => m.x }),
  rule({
    name: "not-eq",
    equation: "not (x == y) = x != y",
    pattern: op("not", op("eq", x, y)),
    replace: (m, g) => g.ne(m.x, m.y),
  }),
  rule({
    name: "not-ne",
    equation: "not (x != y) = x == y",
    pattern: op("not", op("ne", x, y)),
    replace: (m, g) => g.eq(m.x, m.y),
  }),
  rule({
    name: "not-lt",
    equation: "not (x < y) = x >= y for integers",
    // With a NaN, both comparisons are false.
    pattern: op("not", op("lt", x, y)),
    when: (m) => !isFloat(m.x.type.dtype),
    replace: (m, g) => g.ge(m.x, m.y),
  }),
  rule({
    name: "not-ge",
    equation: "not (x >= y) = x < y for integers",
    pattern: op("not", op("ge", x, y)),
    when: (m) => !isFloat(m.x.type.dtype),
    replace: (m, g) => g.lt(m.x, m.y),
  }),
  rule({
    name: "not-gt",
    equation: "not (x > y) = x <= y for integers",
    pattern: op("not", op("gt", x, y)),
    when: (m) => !isFloat(m.x.type.dtype),
    replace: (m, g) => g.le(m.x, m.y),
  }),
  rule({
    name: "not-le",
    equation: "not (x <= y) = x > y for integers",
    pattern: op("not", op("le", x, y)),
    when: (m) => !isFloat(m.x.type.dtype),
    replace: (m, g) => g.gt(m.x, m.y),
  }),
  rule({ name: "and-self", equation: "x and x = x", pattern: op(["and", "or"], x, x), replace: (m) => m.x }),
  rule({ name: "and-true", equation: "b and true = b", pattern: op("and", b, constant(1)), replace: (m) => m.b }),
  rule({
    name: "and-false",
    equation: "x and false = false, x and 0 = 0",
    pattern: op("and", x, constant(0)),
    replace: (m, g) => constantOf(g, m.x.type, 0),
  }),
  rule({
    name: "or-true",
    equation: "b or true = true",
    pattern: op("or", b, constant(1)),
    replace: (m, g) => constantOf(g, m.b.type, 1),
  }),
  rule({
    name: "or-false",
    equation: "x or false = x, x or 0 = x",
    pattern: op("or", x, constant(0)),
    replace: (m) => m.x,
  }),
];

const comparisons: readonly Rule[] = [
  rule({
    name: "compare-self-true",
    equation: "(x == x) = (x <= x) = (x >= x) = true for integers",
    pattern: op(["eq", "le", "ge"], x, x),
    when: (m) => !isFloat(m.x.type.dtype),
    replace: (m, g) => constantOf(g, { dtype: "bool", shape: m.x.type.shape }, 1),
  }),
  rule({
    name: "compare-self-false",
    equation: "(x < x) = (x > x) = false",
    pattern: op(["lt", "gt"], x, x),
    replace: (m, g) => constantOf(g, { dtype: "bool", shape: m.x.type.shape }, 0),
  }),
  rule({
    name: "differs-from-self",
    equation: "(x != x) = false for integers",
    // For floats it asks for NaN.
    pattern: op("ne", x, x),
    when: (m) => !isFloat(m.x.type.dtype),
    replace: (m, g) => constantOf(g, { dtype: "bool", shape: m.x.type.shape }, 0),
  }),
  rule({
    name: "bool-is-true",
    equation: "(b == true) = b",
    pattern: op("eq", b, constant(1)),
    replace: (m) => m.b,
  }),
  rule({
    name: "bool-is-not-false",
    equation: "(b != false) = b",
    pattern: op("ne", b, constant(0)),
    replace: (m) => m.b,
  }),
  rule({
    name: "bool-is-false",
    equation: "(b == false) = not b",
    pattern: op("eq", b, constant(0)),
    replace: (m, g) => g.not(m.b),
  }),
  rule({
    name: "bool-is-not-true",
    equation: "(b != true) = not b",
    pattern: op("ne", b, constant(1)),
    replace: (m, g) => g.not(m.b),
  }),
  rule({
    name: "number-of-bool-is-not-zero",
    equation: "(number(b) != 0) = b",
    pattern: op("ne", op("cast", b), constant(0)),
    replace: (m) => m.b,
  }),
  rule({
    name: "number-of-bool-is-positive",
    equation: "(number(b) > 0) = b",
    pattern: op("gt", op("cast", b), constant(0)),
    replace: (m) => m.b,
  }),
  rule({
    name: "number-of-bool-is-zero",
    equation: "(number(b) == 0) = not b",
    pattern: op("eq", op("cast", b), constant(0)),
    replace: (m, g) => g.not(m.b),
  }),
];

const selections: readonly Rule[] = [
  rule({
    name: "select-true",
    equation: "select(true, y, z) = y",
    pattern: op("select", constant(1), y, z),
    replace: (m) => m.y,
  }),
  rule({
    name: "select-false",
    equation: "select(false, y, z) = z",
    pattern: op("select", constant(0), y, z),
    replace: (m) => m.z,
  }),
  rule({ name: "select-same", equation: "select(b, y, y) = y", pattern: op("select", x, y, y), replace: (m) => m.y }),
  rule({
    name: "select-not",
    equation: "select(not b, y, z) = select(b, z, y)",
    pattern: op("select", op("not", b), y, z),
    replace: (m, g) => g.select(m.b, m.z, m.y),
  }),
  rule({
    name: "select-of-bools",
    equation: "select(b, true, false) = b",
    pattern: op("select", b, constant(1), constant(0)),
    when: (_, root) => isBool(root),
    replace: (m) => m.b,
  }),
  rule({
    name: "select-select-then",
    equation: "select(b, select(b, x, y), z) = select(b, x, z)",
    pattern: op("select", b, op("select", b, x, y), z),
    replace: (m, g) => g.select(m.b, m.x, m.z),
  }),
  rule({
    name: "select-select-else",
    equation: "select(b, x, select(b, y, z)) = select(b, x, z)",
    pattern: op("select", b, x, op("select", b, y, z)),
    replace: (m, g) => g.select(m.b, m.x, m.z),
  }),
];

/** Wider floats that hold all values of a float. */
const widerFloats: Readonly<Partial<Record<DType, readonly DType[]>>> = {
  f16: ["f32", "f64"],
  bf16: ["f32", "f64"],
  f32: ["f64"],
};

/** Whether every value of `from` is a value of `to`. */
function isLossless(from: DType, to: DType): boolean {
  if (from === to) return true;
  if (isFloat(from)) return widerFloats[from]?.includes(to) ?? false;
  if (to === "bool") return false;
  const { bits, signed } = exactBits[from];
  return bits <= exactBits[to].bits && (!signed || exactBits[to].signed);
}

const conversions: readonly Rule[] = [
  rule({
    name: "cast-same",
    equation: "cast(x: A): A = x",
    pattern: op("cast", x),
    when: (m, root) => m.x.type.dtype === root.type.dtype,
    replace: (m) => m.x,
  }),
  rule({
    name: "cast-cast",
    equation: "cast(cast(x: A): B): C = cast(x: A): C where B holds every value of A",
    pattern: op("cast", as("inner", op("cast", x))),
    when: (m) => isLossless(m.x.type.dtype, m.inner.type.dtype),
    replace: (m, g, root) => g.cast(m.x, { dtype: attrsOf(root, "cast").dtype }),
  }),
  rule({
    name: "cast-select-of-numbers",
    equation: "select(b, 1, 0) = number(b)",
    pattern: op("select", b, constant(1), constant(0)),
    when: (_, root) => isInteger(root.type.dtype) || isFloat(root.type.dtype),
    replace: (m, g, root) => g.cast(m.b, { dtype: root.type.dtype }),
  }),
];

/** Rules of comparison, logic, selection and conversion. */
export const logicRules: readonly Rule[] = [...logic, ...comparisons, ...selections, ...conversions];
