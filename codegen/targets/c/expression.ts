/**
 * C expressions from loop-IR expressions. Each C expression has exactly the type of the one it spells: narrow integers
 * are cast back after C's promotion, and constants carry their suffix, so that nothing is computed in another precision.
 * Parentheses follow C's precedences; mixed bit operations are always bracketed, as readers expect.
 */
import { invariant, unreachable } from "../../../ir/diagnostic/diagnostic.ts";
import type { Expr, ValueType } from "../../../ir/loop/loop.ts";
import type { ScalarOp } from "../../../ir/loop/scalar.ts";
import { isFloat } from "../../../ir/type.ts";
import { code, type Fragment } from "../../source-writer.ts";
import { cName, elementType, literal } from "./spelling.ts";
import { maskType, type Support } from "./support.ts";

/** How tightly an expression holds together: C's precedence levels, loosest first. */
const level = { any: 0, ternary: 1, bits: 2, equal: 3, order: 4, sum: 5, product: 6, prefix: 7, primary: 8 } as const;

type Text = { readonly fragment: Fragment; readonly level: number };

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

/** The C text of an expression. `support` is told which functions and types it needs. */
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
      const fragment = literal(expr.type.dtype, expr.value);
      return { fragment, level: expr.value < 0 || Object.is(expr.value, -0) ? level.prefix : level.primary };
    }
    case "variable":
      return primary(cName(expr.name));
    case "load":
      return expr.type.lanes === 1
        ? primary(code`${cName(expr.buffer)}[${expressionText(expr.index, support)}]`)
        : { fragment: code`*${vectorAddress(expr.buffer, expr.index, expr.type, support, true)}`, level: level.prefix };
    case "splat":
      return primary(code`${support.splat(expr.type)}(${expressionText(expr.arg, support)})`);
    case "lane":
      return primary(code`${operand(expr.arg, level.primary, support)}[${expr.lane}]`);
    case "pack":
      return primary(code`(${support.type(expr.type)}){${expr.args.map((arg) => expressionText(arg, support))}}`);
    case "random": {
      const args = [cName(expr.key), code`${expr.use}`, expressionText(expr.index, support)];
      return primary(code`${support.random()}(${args})`);
    }
    case "cast":
      return castText(expr.type, expr.arg, support);
    case "scalar":
      return scalarText(expr.op, expr.type, expr.args, support);
    default:
      return unreachable(expr);
  }
}

/** `(const kiln_f32x8_u *)&buffer[index]`. */
export function vectorAddress(
  buffer: string,
  index: Expr,
  type: ValueType,
  support: Support,
  constant: boolean,
): Fragment {
  const qualifier = constant ? code`const ` : code``;
  return code`(${qualifier}${support.memory(type)} *)&${cName(buffer)}[${expressionText(index, support)}]`;
}

function castText(type: ValueType, arg: Expr, support: Support): Text {
  const from = arg.type;
  if (type.lanes > 1) return vectorCast(type, arg, support);
  if (type.dtype === "bool") return { fragment: code`${operand(arg, level.order, support)} != 0`, level: level.equal };
  // A float beyond the range of a narrow integer wraps around, as on PyTorch's CPU, by way of int32.
  const narrow = type.dtype === "i8" || type.dtype === "u8" || type.dtype === "i16";
  const way = isFloat(from.dtype) && narrow ? code`(int32_t)` : code``;
  const fragment = code`(${elementType(type.dtype)})${way}${operand(arg, level.prefix, support)}`;
  return { fragment, level: level.prefix };
}

function vectorCast(type: ValueType, arg: Expr, support: Support): Text {
  const vector = support.type(type);
  const text = expressionText(arg, support);
  const source = type.dtype === "bool" ? code`-(${text} != 0)` : text;
  support.type(arg.type);
  return { fragment: code`__builtin_convertvector(${source}, ${vector})`, level: level.primary };
}

function scalarText(op: ScalarOp, type: ValueType, args: readonly Expr[], support: Support): Text {
  const [x, y, z] = args;
  invariant(x !== undefined, `${op} without operands`);
  const vector = type.lanes > 1;
  const { dtype } = x.type;
  if (op === "select" && y !== undefined && z !== undefined) return selectText(x, y, z, support);
  if (op === "fma" && y !== undefined && z !== undefined) {
    const product: Expr = { kind: "scalar", type, op: "mul", args: [x, y] };
    return scalarText("add", type, [product, z], support);
  }
  if (op === "neg") return narrowed(code`-${operand(x, level.primary, support)}`, level.prefix, type);
  if (op === "not") {
    const text = operand(x, level.primary, support);
    return vector
      ? { fragment: code`(${text} ^ 1)`, level: level.primary }
      : { fragment: code`!${text}`, level: level.prefix };
  }
  const compare = comparison[op];
  if (compare !== undefined && y !== undefined) {
    const text = binary(compare, x, y, support);
    if (!vector) return text;
    const mask = support.type(type);
    return { fragment: code`__builtin_convertvector(-(${text.fragment}), ${mask})`, level: level.primary };
  }
  const bits = bitwise[op];
  if (bits !== undefined && y !== undefined) {
    const text = code`${operand(x, level.primary, support)} ${bits} ${operand(y, level.primary, support)}`;
    return narrowed(text, level.bits, type);
  }
  const operator = arithmetic[op] ?? divisionOperator(op, dtype, y);
  if (operator !== undefined && y !== undefined) return arithmeticText(operator, type, x, y, support);
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

/** Integers of 32 bits wrap around through unsigned arithmetic; narrower ones are computed in int and cut off. */
function arithmeticText(operator: Operator, type: ValueType, x: Expr, y: Expr, support: Support): Text {
  const text = binary(operator, x, y, support);
  return type.lanes > 1 ? text : narrowed(text.fragment, text.level, type);
}

/** Casts a result back to its own type where C's promotion has widened it. */
function narrowed(fragment: Fragment, at: number, type: ValueType): Text {
  const promoted = type.dtype === "i8" || type.dtype === "u8" || type.dtype === "i16";
  if (!promoted || type.lanes > 1) return { fragment, level: at };
  return { fragment: code`(${elementType(type.dtype)})(${fragment})`, level: level.prefix };
}

/** A choice: C's `?:`, which evaluates one side only; on vectors by a mask, since both sides are there anyway. */
function selectText(condition: Expr, y: Expr, z: Expr, support: Support): Text {
  if (y.type.lanes === 1) {
    const part = (expr: Expr): Fragment => operand(expr, level.bits, support);
    return { fragment: code`${part(condition)} ? ${part(y)} : ${part(z)}`, level: level.ternary };
  }
  const choose = support.maskedSelect(y.type);
  const args = [maskText(condition, y.type, support), expressionText(y, support), expressionText(z, support)];
  return { fragment: code`${choose}(${args})`, level: level.primary };
}

/** A condition over lanes as a mask of -1 and 0 as wide as the values it chooses between. */
function maskText(condition: Expr, chosen: ValueType, support: Support): Fragment {
  const mask = maskType(chosen);
  const [x, y] = condition.kind === "scalar" ? condition.args : [];
  const compare = condition.kind === "scalar" ? comparison[condition.op] : undefined;
  if (compare !== undefined && x !== undefined && y !== undefined && maskType(x.type).dtype === mask.dtype) {
    return code`(${support.type(mask)})(${binary(compare, x, y, support).fragment})`;
  }
  return code`-__builtin_convertvector(${expressionText(condition, support)}, ${support.type(mask)})`;
}
