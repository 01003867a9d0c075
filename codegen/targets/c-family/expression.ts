/**
 * Expressions of C and its relatives from loop-IR expressions. Each has exactly the type of the one it spells: narrow
 * integers are cast back after C's promotion, and constants carry their suffix, so that nothing is computed in another
 * precision. Parentheses follow C's precedences; mixed bit operations are always bracketed, as readers expect. Scalars
 * are the same in all dialects; vectors are spelled by the dialect's `Support`.
 */
import { invariant, unreachable } from "../../../ir/diagnostic/diagnostic.ts";
import type { Expr, ValueType } from "../../../ir/loop/loop.ts";
import type { ScalarOp } from "../../../ir/loop/scalar.ts";
import { isFloat } from "../../../ir/type.ts";
import { code, type Fragment } from "../../source-writer.ts";
import { level, type Support, type Text } from "./support.ts";

type Operator = { readonly text: Fragment; readonly level: number };

/** Operators that C has for numbers of every kind. */
const arithmetic: Partial<Readonly<Record<ScalarOp, Operator>>> = {
  add: { text: code`+`, level: level.sum },
  sub: { text: code`-`, level: level.sum },
  mul: { text: code`*`, level: level.product },
};

const comparison: Partial<Readonly<Record<ScalarOp, Operator>>> = {
  eq: { text: code`==`, level: level.equal },
  ne: { text: code`!=`, level: level.equal },
  lt: { text: code`<`, level: level.order },
  le: { text: code`<=`, level: level.order },
  gt: { text: code`>`, level: level.order },
  ge: { text: code`>=`, level: level.order },
};

const bitwise: Partial<Readonly<Record<ScalarOp, Fragment>>> = { and: code`&`, or: code`|`, xor: code`^` };

/** The text of an expression. `support` is told which functions and types it needs. */
export function expressionText(expr: Expr, support: Support): Fragment {
  return toText(expr, support).fragment;
}

/** The text of an operand: in parentheses if it holds together less tightly than `least`. */
function operand(expr: Expr, least: number, support: Support): Fragment {
  const text = toText(expr, support);
  return text.level >= least ? text.fragment : code`(${text.fragment})`;
}

function toText(expr: Expr, support: Support): Text {
  const primary = (fragment: Fragment): Text => ({ fragment, level: level.primary });
  switch (expr.kind) {
    case "constant": {
      const fragment = support.spelling.literal(expr.type.dtype, expr.value);
      return { fragment, level: expr.value < 0 || Object.is(expr.value, -0) ? level.prefix : level.primary };
    }
    case "variable":
      return primary(support.spelling.name(expr.name));
    case "load":
      return expr.type.lanes === 1
        ? primary(code`${support.spelling.name(expr.buffer)}[${expressionText(expr.index, support)}]`)
        : support.loadLanes(expr, () => expressionText(expr.index, support));
    case "splat":
      return primary(code`${support.splat(expr.type)}(${expressionText(expr.arg, support)})`);
    case "lane":
      return primary(support.lane(operand(expr.arg, level.primary, support), expr.lane));
    case "pack":
      return primary(support.pack(expr.type, () => expr.args.map((arg) => expressionText(arg, support))));
    case "random": {
      const args = [support.spelling.name(expr.key), code`${expr.use}`, expressionText(expr.index, support)];
      return primary(code`${support.random()}(${args})`);
    }
    case "cast":
      return castText(expr.type, expr.arg, support);
    case "scalar":
      return scalarText(expr, support);
    default:
      return unreachable(expr);
  }
}

function castText(type: ValueType, arg: Expr, support: Support): Text {
  const from = arg.type;
  if (type.lanes > 1) {
    const converted = support.convertLanes(from, type, () => expressionText(arg, support));
    return { fragment: converted, level: level.primary };
  }
  if (type.dtype === "bool") return { fragment: code`${operand(arg, level.order, support)} != 0`, level: level.equal };
  // A float beyond the range of a narrow integer wraps around, as on PyTorch's CPU, by way of int32.
  const narrow = type.dtype === "i8" || type.dtype === "u8" || type.dtype === "i16";
  const way = isFloat(from.dtype) && narrow ? code`(${support.spelling.element("i32")})` : code``;
  const fragment = code`(${support.spelling.element(type.dtype)})${way}${operand(arg, level.prefix, support)}`;
  return { fragment, level: level.prefix };
}

type Scalar = Extract<Expr, { kind: "scalar" }>;

function scalarText(expr: Scalar, support: Support): Text {
  const { op, type, args } = expr;
  const [x, y, z] = args;
  invariant(x !== undefined, `${op} without operands`);
  const vector = type.lanes > 1;
  const { dtype } = x.type;
  if (op === "select" && y !== undefined && z !== undefined) return selectText(x, y, z, support);
  if (op === "fma" && y !== undefined && z !== undefined) {
    const product: Expr = { kind: "scalar", type, op: "mul", args: [x, y] };
    return scalarText({ kind: "scalar", type, op: "add", args: [product, z] }, support);
  }
  if (op === "neg") return negated(expr, x, support);
  if (op === "not") {
    const text = operand(x, level.primary, support);
    return vector ? support.notLanes(text) : { fragment: code`!${text}`, level: level.prefix };
  }
  const compare = comparison[op];
  if (compare !== undefined && y !== undefined) {
    const text = binary(compare, x, y, support);
    return vector ? support.compareLanes(text, type) : text;
  }
  const bits = bitwise[op];
  if (bits !== undefined && y !== undefined) {
    const text = code`${operand(x, level.primary, support)} ${bits} ${operand(y, level.primary, support)}`;
    return narrowed(text, level.bits, type, support);
  }
  const operator = arithmetic[op] ?? divisionOperator(op, dtype, y);
  if (operator !== undefined && y !== undefined) return arithmeticText(operator, expr, [x, y], support);
  const list = args.map((arg) => expressionText(arg, support));
  return { fragment: code`${support.function(op, x.type)}(${list})`, level: level.primary };
}

/** C's own division where it means the same: on floats, and on integers by a constant other than 0 and -1. */
function divisionOperator(op: ScalarOp, dtype: Expr["type"]["dtype"], divisor: Expr | undefined): Operator | undefined {
  if (op === "div" && isFloat(dtype)) return { text: code`/`, level: level.product };
  const safe = divisor?.kind === "constant" && divisor.value !== 0 && divisor.value !== -1;
  if ((op !== "div" && op !== "mod") || isFloat(dtype) || !safe) return undefined;
  return { text: op === "div" ? code`/` : code`%`, level: level.product };
}

function binary(operator: Operator, x: Expr, y: Expr, support: Support): Text {
  const left = operand(x, operator.level, support);
  const right = operand(y, operator.level + 1, support);
  return { fragment: code`${left} ${operator.text} ${right}`, level: operator.level };
}

/**
 * Integers of 32 and 64 bits that may leave their range wrap around: by the compiler's leave, or through unsigned
 * arithmetic. Narrower ones are computed in int and cut off.
 */
function arithmeticText(operator: Operator, expr: Scalar, [x, y]: readonly [Expr, Expr], support: Support): Text {
  const { type } = expr;
  if (support.wraps(expr)) {
    const unsigned = support.spelling.unsigned(type.dtype);
    const [left, right] = [x, y].map((arg) => code`(${unsigned})${operand(arg, level.prefix, support)}`);
    invariant(left !== undefined && right !== undefined, "arithmetic has two operands");
    const whole = code`(${support.spelling.element(type.dtype)})(${left} ${operator.text} ${right})`;
    return { fragment: whole, level: level.prefix };
  }
  const text = binary(operator, x, y, support);
  return type.lanes > 1 ? text : narrowed(text.fragment, text.level, type, support);
}

function negated(expr: Scalar, x: Expr, support: Support): Text {
  const { type } = expr;
  if (!support.wraps(expr)) return narrowed(code`-${operand(x, level.primary, support)}`, level.prefix, type, support);
  const inside = code`0 - (${support.spelling.unsigned(type.dtype)})${operand(x, level.prefix, support)}`;
  return { fragment: code`(${support.spelling.element(type.dtype)})(${inside})`, level: level.prefix };
}

/** Casts a result back to its own type where C's promotion has widened it. */
function narrowed(fragment: Fragment, at: number, type: ValueType, support: Support): Text {
  const promoted = type.dtype === "i8" || type.dtype === "u8" || type.dtype === "i16";
  if (!promoted || type.lanes > 1) return { fragment, level: at };
  return { fragment: code`(${support.spelling.element(type.dtype)})(${fragment})`, level: level.prefix };
}

/** A choice: C's `?:`, which evaluates one side only; on vectors lane by lane, since both sides are there anyway. */
function selectText(condition: Expr, y: Expr, z: Expr, support: Support): Text {
  if (y.type.lanes > 1) {
    return { fragment: support.chooseLanes(condition, y, z), level: level.primary };
  }
  const part = (expr: Expr): Fragment => operand(expr, level.bits, support);
  return { fragment: code`${part(condition)} ? ${part(y)} : ${part(z)}`, level: level.ternary };
}

/** A comparison as C's operator gives it, on vectors too; `undefined` for other expressions. */
export function comparisonText(condition: Expr, support: Support): Fragment | undefined {
  if (condition.kind !== "scalar") return undefined;
  const [x, y] = condition.args;
  const compare = comparison[condition.op];
  if (compare === undefined || x === undefined || y === undefined) return undefined;
  return binary(compare, x, y, support).fragment;
}
