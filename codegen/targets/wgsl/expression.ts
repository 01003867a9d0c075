/**
 * WGSL expressions from loop-IR expressions, in which what is constant is folded. An expression that grows deep is bound to a
 * name in front of its statement, since drivers' compilers recurse. Nothing has side effects and reads outside an array
 * are harmless, so that both sides of a `select` may be computed. Parentheses follow WGSL's grammar, which orders fewer
 * operators than C's.
 */
import { invariant, unreachable } from "../../../ir/diagnostic/diagnostic.ts";
import { printExpr } from "../../../ir/loop/print.ts";
import type { Expr, Stmt, ValueType } from "../../../ir/loop/loop.ts";
import type { ScalarOp } from "../../../ir/loop/scalar.ts";
import { isFloat } from "../../../ir/type.ts";
import { code, Fragment, identifier, type SourceWriter } from "../../source-writer.ts";
import { holdsVectors, laneOf, readBytes, readElement, vectorPlace, type ArrayView, type Index } from "./array.ts";
import { constantOf } from "./fold.ts";
import { floatLiteral, integerLiteral, laneType, scalarOf, valueType, wgslName } from "./spelling.ts";
import { mayLeave, type Support } from "./support.ts";

/** What expressions and statements of a kernel see. */
export type Scope = {
  readonly arrays: ReadonlyMap<string, ArrayView>;
  /** Loads and stores of vectors that are one element of an array of vectors. */
  readonly whole: ReadonlySet<Expr | Stmt>;
  readonly writer: SourceWriter;
  readonly support: Support;
  /** Makes names for values that have none. */
  readonly names: { next: number };
};

/** How tightly an expression holds together: WGSL's levels, loosest first. */
const level = { any: 0, compare: 1, sum: 2, product: 3, prefix: 4, primary: 5 } as const;

/** `depth`: how many expressions stand within each other. */
type Text = { readonly fragment: Fragment; readonly level: number; readonly depth: number };

/** Expressions deeper than this get a name. */
const deepest = 16;

type Operator = { readonly text: Fragment; readonly level: number };

const arithmetic: Partial<Readonly<Record<ScalarOp, Operator>>> = {
  add: { text: code`+`, level: level.sum },
  sub: { text: code`-`, level: level.sum },
  mul: { text: code`*`, level: level.product },
};

const comparison: Partial<Readonly<Record<ScalarOp, Fragment>>> = {
  eq: code`==`,
  ne: code`!=`,
  lt: code`<`,
  le: code`<=`,
  gt: code`>`,
  ge: code`>=`,
};

/** The comparison that holds where another one does not, but for NaN. */
const opposite: Partial<Readonly<Record<ScalarOp, ScalarOp>>> = { lt: "ge", le: "gt", gt: "le", ge: "lt" };

const bitwise: Partial<Readonly<Record<ScalarOp, Fragment>>> = { and: code`&`, or: code`|`, xor: code`^` };

/** The text of an expression. What must stand before its statement is written. */
export function expressionText(expr: Expr, scope: Scope): Fragment {
  return toText(expr, scope).fragment;
}

/** An expression that may stand anywhere and be said again: a name or a constant. */
export function nameOf(expr: Expr, scope: Scope): Fragment {
  const text = toText(expr, scope);
  return expr.kind === "variable" || expr.kind === "constant"
    ? text.fragment
    : bindName(text.fragment, expr.type, scope);
}

/** An index that is said once. */
export function soleIndex(expr: Expr, scope: Scope): Index {
  return { text: operand(toText(expr, scope), level.sum), value: constantOf(expr) };
}

/** An index that may be said again. */
export function indexOf(expr: Expr, scope: Scope): Index {
  const value = constantOf(expr);
  return { text: value === undefined ? nameOf(expr, scope) : integerLiteral(value), value };
}

function bindName(value: Fragment, type: ValueType, scope: Scope): Fragment {
  const name = identifier(`kiln_${scope.names.next++}`);
  scope.writer.line(code`let ${name}: ${valueType(type)} = ${value};`);
  return name;
}

/** The text of an operand: in parentheses if it holds together less tightly than `least`. */
function operand(text: Text, least: number): Fragment {
  return text.level >= least ? text.fragment : code`(${text.fragment})`;
}

function toText(expr: Expr, scope: Scope): Text {
  const text = plainText(expr, scope);
  if (text.depth <= deepest) return text;
  return { fragment: bindName(text.fragment, expr.type, scope), level: level.primary, depth: 0 };
}

function depthOf(texts: readonly Text[]): number {
  return 1 + texts.reduce((most, { depth }) => Math.max(most, depth), 0);
}

/** A call, or whatever brackets all of its arguments. */
function call(name: Fragment, args: readonly Text[]): Text {
  return {
    fragment: code`${name}(${args.map(({ fragment }) => fragment)})`,
    level: level.primary,
    depth: depthOf(args),
  };
}

function plainText(expr: Expr, scope: Scope): Text {
  switch (expr.kind) {
    case "constant":
      return constantText(expr.type, expr.value, scope);
    case "variable":
      return { fragment: wgslName(expr.name), level: level.primary, depth: 0 };
    case "load":
      return loadText(expr, scope);
    case "splat":
      return call(valueType(expr.type), [toText(expr.arg, scope)]);
    case "lane": {
      const arg = toText(expr.arg, scope);
      if (expr.arg.type.lanes === 1) return arg;
      return { fragment: laneOf(operand(arg, level.primary), expr.lane), level: level.primary, depth: arg.depth };
    }
    case "pack":
      return call(
        valueType(expr.type),
        expr.args.map((arg) => toText(arg, scope)),
      );
    case "random": {
      const key = viewOf(expr.key, scope);
      const index = toText(expr.index, scope);
      const words = [0, 1, 2, 3].map(
        (word) => code`bitcast<u32>(${readElement(key, { text: integerLiteral(word), value: word }, 0)})`,
      );
      const fragment = code`${scope.support.random()}(vec4<u32>(${words}), ${expr.use}u, ${index.fragment})`;
      return { fragment, level: level.primary, depth: depthOf([index]) };
    }
    case "cast":
      return castText(expr.type, expr.arg, scope);
    case "scalar":
      return scalarText(expr.op, expr.type, expr.args, scope);
    default:
      return unreachable(expr);
  }
}

/** The array that a name stands for. */
export function viewOf(name: string, scope: Scope): ArrayView {
  const view = scope.arrays.get(name);
  invariant(view !== undefined, `no array ${name}`);
  return view;
}

function constantText(type: ValueType, value: number, scope: Scope): Text {
  const scalar = scalarOf(type.dtype, `the constant ${value}`);
  if (scalar === "bool")
    return { fragment: new Fragment(value === 0 ? "false" : "true"), level: level.primary, depth: 0 };
  const own = scalar === "f32" ? Math.fround(value) : value;
  const at = own < 0 || Object.is(own, -0) ? level.prefix : level.primary;
  const literal =
    scalar === "i32" ? integerLiteral(own) : Number.isFinite(own) ? floatLiteral(own) : scope.support.special(own);
  return { fragment: literal, level: at, depth: 0 };
}

function loadText(expr: Extract<Expr, { kind: "load" }>, scope: Scope): Text {
  const view = viewOf(expr.buffer, scope);
  const { lanes } = expr.type;
  const isWhole = scope.whole.has(expr);
  if (isWhole && holdsVectors(view)) {
    const fragment = vectorPlace(view, expr.index, (index) => toText(index, scope).fragment);
    return { fragment, level: level.primary, depth: 1 };
  }
  if (isWhole && view.bits === 8) {
    const index = toText(expr.index, scope);
    return { fragment: readBytes(view, index.fragment), level: level.primary, depth: depthOf([index]) };
  }
  if (lanes === 1 && (holdsVectors(view) || view.bits !== undefined)) {
    const index = indexOf(expr.index, scope);
    return { fragment: readElement(view, index, 0), level: level.primary, depth: 1 };
  }
  if (lanes === 1) {
    const index = toText(expr.index, scope);
    const said = { text: operand(index, level.sum), value: constantOf(expr.index) };
    return { fragment: readElement(view, said, 0), level: level.primary, depth: depthOf([index]) };
  }
  const index = indexOf(expr.index, scope);
  const elements = Array.from({ length: lanes }, (_, lane) => readElement(view, index, lane));
  return { fragment: code`${valueType(expr.type)}(${elements})`, level: level.primary, depth: 1 };
}

function castText(type: ValueType, arg: Expr, scope: Scope): Text {
  const from = scalarOf(arg.type.dtype);
  const to = scalarOf(type.dtype);
  const text = toText(arg, scope);
  if (to === "bool") {
    if (from === "bool") return text;
    // NaN counts as true, so floats are looked at as bits.
    const words = laneType(from === "f32" ? "u32" : "i32", type.lanes);
    const zero = from === "f32" ? code`${words}(0u)` : code`${words}(0)`;
    const left =
      from === "f32" ? code`(bitcast<${words}>(${text.fragment}) & ${words}(0x7fffffffu))` : operand(text, level.sum);
    return { fragment: code`${left} != ${zero}`, level: level.compare, depth: depthOf([text]) };
  }
  const converted = from === to ? text : call(valueType(type), [text]);
  const narrow = type.dtype === "i8" || type.dtype === "u8" || type.dtype === "i16";
  if (!narrow || arg.type.dtype === "bool") return converted;
  return call(scope.support.wrap(type.dtype, type.lanes), [converted]);
}

function scalarText(op: ScalarOp, type: ValueType, args: readonly Expr[], scope: Scope): Text {
  const [x, y, z] = args;
  invariant(x !== undefined, `${op} without operands`);
  const { support } = scope;
  if (op === "select" && y !== undefined && z !== undefined) {
    return call(
      code`select`,
      [z, y, x].map((arg) => typedConstant(arg, scope)),
    );
  }
  if (op === "not") return notText(x, scope);
  const texts = operandsOf(op, args, scope);
  const [a, b, c] = texts;
  invariant(a !== undefined, `${op} without operands`);
  const depth = depthOf(texts);
  if (op === "neg")
    return cut(op, type, { fragment: code`-${operand(a, level.primary)}`, level: level.prefix, depth }, scope);
  if (comparison[op] !== undefined && y !== undefined && b !== undefined) return compareText(op, x, y, a, b, scope);
  const bits = bitwise[op];
  if (bits !== undefined && b !== undefined) {
    const symbol = op === "xor" && type.dtype === "bool" ? code`!=` : bits;
    const fragment = code`${operand(a, level.prefix)} ${symbol} ${operand(b, level.prefix)}`;
    return { fragment, level: level.any, depth };
  }
  if (op === "fma" && b !== undefined && c !== undefined) {
    if (isFloat(type.dtype)) return call(code`fma`, texts);
    const fragment = code`${operand(a, level.product)} * ${operand(b, level.prefix)} + ${operand(c, level.product)}`;
    return cut(op, type, { fragment, level: level.sum, depth }, scope);
  }
  const operator = arithmetic[op] ?? divisionOperator(op, x, y);
  if (operator !== undefined && b !== undefined) {
    const fragment = code`${operand(a, operator.level)} ${operator.text} ${operand(b, operator.level + 1)}`;
    return cut(op, type, { fragment, level: operator.level, depth }, scope);
  }
  return cut(op, type, call(support.function(op, x.type), texts), scope);
}

/** A result of 32 bits, cut down where its type is narrower. */
function cut(op: ScalarOp, type: ValueType, text: Text, scope: Scope): Text {
  return mayLeave(op, type.dtype) ? call(scope.support.wrap(type.dtype, type.lanes), [text]) : text;
}

/** WGSL's own division where it means the same: on floats, and on integers by a constant other than 0 and -1. */
function divisionOperator(op: ScalarOp, x: Expr, y: Expr | undefined): Operator | undefined {
  if (op === "div" && isFloat(x.type.dtype)) return { text: code`/`, level: level.product };
  const divisor = y === undefined ? undefined : constantOf(y);
  if (
    (op !== "div" && op !== "mod") ||
    isFloat(x.type.dtype) ||
    divisor === undefined ||
    divisor === 0 ||
    divisor === -1
  )
    return undefined;
  return { text: op === "div" ? code`/` : code`%`, level: level.product };
}

/** The operands of an operation, hidden from drivers where these would take x - x, x / x, x * 0 and x / 0 for exact. */
function operandsOf(op: ScalarOp, args: readonly Expr[], scope: Scope): readonly Text[] {
  const texts = args.map((arg) => toText(arg, scope));
  const [x, y] = args;
  const [a, b] = texts;
  if (x?.type.dtype !== "f32" || y === undefined || a === undefined || b === undefined) return texts;
  const hide = (text: Text): Text =>
    x.type.lanes === 1 ? call(scope.support.keep(), [text]) : call(scope.support.keepLanes(x.type), [text]);
  const isZero = (expr: Expr): boolean => constantOf(expr) === 0;
  if ((op === "sub" || op === "div") && same(x, y)) return [a, hide(b)];
  if ((op === "mul" || op === "div") && isZero(y)) return [a, hide(b)];
  if ((op === "mul" || op === "div") && isZero(x)) return [hide(a), b];
  return texts;
}

function same(x: Expr, y: Expr): boolean {
  return x.kind === y.kind && x.kind !== "scalar" && printExpr(x) === printExpr(y);
}

function compareText(op: ScalarOp, x: Expr, y: Expr, a: Text, b: Text, scope: Scope): Text {
  const { support } = scope;
  const depth = depthOf([a, b]);
  const symbol = comparison[op];
  invariant(symbol !== undefined, `${op} does not compare`);
  if (isFloat(x.type.dtype) && same(x, y)) {
    const isNan = call(support.isNan(x.type), [a]);
    if (op === "ne") return isNan;
    if (op === "eq" || op === "le" || op === "ge")
      return { ...isNan, fragment: code`!${isNan.fragment}`, level: level.prefix };
  }
  if (op === "ne" && isFloat(x.type.dtype)) return call(support.function("ne", x.type), [a, b]);
  if (x.type.dtype === "bool" && op !== "eq" && op !== "ne") return compareBools(op, a, b);
  return { fragment: code`${operand(a, level.sum)} ${symbol} ${operand(b, level.sum)}`, level: level.compare, depth };
}

/** Bools have no order in WGSL: false is less than true. */
function compareBools(op: ScalarOp, a: Text, b: Text): Text {
  const [left, right] = [operand(a, level.primary), operand(b, level.primary)];
  const texts: Partial<Readonly<Record<ScalarOp, Fragment>>> = {
    lt: code`!${left} & ${right}`,
    le: code`!${left} | ${right}`,
    gt: code`${left} & !${right}`,
    ge: code`${left} | !${right}`,
  };
  const fragment = texts[op];
  invariant(fragment !== undefined, `${op} does not compare`);
  return { fragment, level: level.any, depth: depthOf([a, b]) };
}

/** Drivers turn `!(x < y)` into `x >= y`, which differs for NaN. */
function notText(x: Expr, scope: Scope): Text {
  const reverse = x.kind === "scalar" ? opposite[x.op] : undefined;
  const [a, b] = x.kind === "scalar" ? x.args : [];
  if (reverse !== undefined && a !== undefined && b !== undefined && isFloat(a.type.dtype)) {
    const texts = [toText(a, scope), toText(b, scope)] as const;
    const said = compareText(reverse, a, b, ...texts, scope).fragment;
    const isNan = scope.support.isNan(a.type);
    const fragment = code`(${said}) | ${isNan}(${texts[0].fragment}) | ${isNan}(${texts[1].fragment})`;
    return { fragment, level: level.any, depth: depthOf(texts) };
  }
  const text = toText(x, scope);
  return { fragment: code`!${operand(text, level.primary)}`, level: level.prefix, depth: depthOf([text]) };
}

/** A constant of a choice says its type, which two constants alone would leave open. */
function typedConstant(expr: Expr, scope: Scope): Text {
  const text = toText(expr, scope);
  if (expr.kind !== "constant" || expr.type.dtype === "bool") return text;
  return call(valueType(expr.type), [text]);
}
