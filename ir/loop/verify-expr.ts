/**
 * The rules of loop-IR expressions: names in sight, operands of one type, operations on types that have them. A broken
 * rule is returned as a sentence, for the caller to report with its statement.
 */
import { unreachable } from "../diagnostic/diagnostic.ts";
import { isFloat, type DType } from "../type.ts";
import { indexType, type Expr, type ValueType } from "./loop.ts";
import { partsOf } from "./walk.ts";
import { formatValueType, printExpr } from "./print.ts";
import { scalarOps, type ScalarOp } from "./scalar.ts";

/** What is known of a buffer or local array. `size`: in elements. */
export type ArrayInfo = {
  readonly dtype: DType;
  readonly size: number;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly local: boolean;
};

/** Names in sight. */
export type Names = {
  readonly arrays: Map<string, ArrayInfo>;
  readonly variables: Map<string, ValueType>;
  /** Those of the variables that may be assigned. */
  readonly mutables: Set<string>;
  /** Those of the variables that may differ between the threads of a task. */
  readonly varying: Set<string>;
};

/** Whether two value types are equal. */
export function sameValueType(x: ValueType, y: ValueType): boolean {
  return x.dtype === y.dtype && x.lanes === y.lanes;
}

const integerRange: Readonly<Record<DType, readonly [number, number] | undefined>> = {
  i8: [-128, 127],
  u8: [0, 255],
  i16: [-32768, 32767],
  i32: [-2147483648, 2147483647],
  i64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  bool: [0, 1],
  f32: undefined,
  f64: undefined,
  f16: undefined,
  bf16: undefined,
};

/** The rule that an expression breaks, or `undefined`. */
export function verifyExpr(expr: Expr, names: Names): string | undefined {
  const { lanes } = expr.type;
  if (lanes < 1 || lanes > 64 || (lanes & (lanes - 1)) !== 0) return `${printExpr(expr)} has ${lanes} lanes`;
  switch (expr.kind) {
    case "constant":
      return verifyConstant(expr.type, expr.value);
    case "variable": {
      const type = names.variables.get(expr.name);
      if (type === undefined) return `\`${expr.name}\` is no variable in sight`;
      if (sameValueType(type, expr.type)) return undefined;
      return `\`${expr.name}\` is ${formatValueType(type)}, not ${formatValueType(expr.type)}`;
    }
    case "load": {
      const array = names.arrays.get(expr.buffer);
      if (array === undefined) return `there is no buffer \`${expr.buffer}\` in sight`;
      if (!array.readable) return `\`${expr.buffer}\` may not be read`;
      if (array.dtype !== expr.type.dtype) return `\`${expr.buffer}\` holds ${array.dtype}, not ${expr.type.dtype}`;
      if (!sameValueType(expr.index.type, indexType)) return `the index ${printExpr(expr.index)} is no i64`;
      return verifyExpr(expr.index, names);
    }
    case "cast":
      if (expr.arg.type.lanes !== lanes) return `${printExpr(expr)} changes the number of lanes`;
      return verifyExpr(expr.arg, names);
    case "splat":
      if (expr.arg.type.lanes !== 1 || expr.arg.type.dtype !== expr.type.dtype) {
        return `${printExpr(expr)} is of another type than its lanes`;
      }
      return verifyExpr(expr.arg, names);
    case "lane":
      if (expr.arg.type.dtype !== expr.type.dtype || lanes !== 1) return `${printExpr(expr)} is of another type`;
      if (!Number.isInteger(expr.lane) || expr.lane < 0 || expr.lane >= expr.arg.type.lanes)
        return `${printExpr(expr)}: there is no lane ${expr.lane}`;
      return verifyExpr(expr.arg, names);
    case "pack": {
      if (expr.args.length !== lanes) return `${printExpr(expr)} has ${lanes} lanes`;
      const own: ValueType = { dtype: expr.type.dtype, lanes: 1 };
      if (!expr.args.every((arg) => sameValueType(arg.type, own))) return `${printExpr(expr)} mixes types`;
      return firstRule(expr.args, names);
    }
    case "random": {
      const key = names.arrays.get(expr.key);
      if (key?.dtype !== "i32" || key.size < 4 || !key.readable) return `\`${expr.key}\` is no key of four i32`;
      if (!sameValueType(expr.type, { dtype: "i32", lanes: 1 })) return "random bits are i32";
      if (!sameValueType(expr.index.type, indexType)) return `the index ${printExpr(expr.index)} is no i64`;
      return verifyExpr(expr.index, names);
    }
    case "scalar":
      return firstRule(expr.args, names) ?? verifyScalar(expr.op, expr.type, expr.args);
    default:
      return unreachable(expr);
  }
}

/** The first rule that one of several expressions breaks. */
function firstRule(exprs: readonly Expr[], names: Names): string | undefined {
  for (const expr of exprs) {
    const rule = verifyExpr(expr, names);
    if (rule !== undefined) return rule;
  }
  return undefined;
}

function verifyConstant(type: ValueType, value: number): string | undefined {
  if (type.lanes !== 1) return "a constant has one lane";
  const range = integerRange[type.dtype];
  if (range === undefined) return undefined;
  const fits = Number.isSafeInteger(value) && value >= range[0] && value <= range[1] && !Object.is(value, -0);
  return fits ? undefined : `${value} is no ${type.dtype}`;
}

function verifyScalar(op: ScalarOp, type: ValueType, args: readonly Expr[]): string | undefined {
  const definition = scalarOps[op];
  const [first] = args;
  if (args.length !== definition.arity || first === undefined) return `${op} takes ${definition.arity} operands`;
  const numbers = op === "select" ? args.slice(1) : args;
  const [operand] = numbers;
  if (operand === undefined) return `${op} needs operands`;
  if (op === "select" && !sameValueType(first.type, { dtype: "bool", lanes: operand.type.lanes })) {
    return `select chooses by ${formatValueType(first.type)}`;
  }
  if (!numbers.every((arg) => sameValueType(arg.type, operand.type))) {
    return `the operands of ${op} are ${numbers.map((arg) => formatValueType(arg.type)).join(" and ")}`;
  }
  const { dtype, lanes } = operand.type;
  const result: ValueType = { dtype: definition.result === "bool" ? "bool" : dtype, lanes };
  if (!sameValueType(type, result)) return `${op} gives ${formatValueType(result)}, not ${formatValueType(type)}`;
  return accepts(op, dtype) ? undefined : `there is no ${op} of ${dtype}`;
}

/** Operations that are defined on every type. */
const general: ReadonlySet<ScalarOp> = new Set(["select", "eq", "ne", "lt", "le", "gt", "ge"]);

/** Operations on numbers, integers included. */
const numeric: ReadonlySet<ScalarOp> = new Set([
  ...(["max", "min", "neg", "abs", "sign", "add", "sub"] as const),
  ...(["mul", "div", "mod", "pow", "fma"] as const),
]);

/** Whether an operation is defined on an element type. */
export function accepts(op: ScalarOp, dtype: DType): boolean {
  if (general.has(op)) return true;
  if (op === "not") return dtype === "bool";
  if (op === "and" || op === "or" || op === "xor") return !isFloat(dtype);
  return numeric.has(op) ? dtype !== "bool" : isFloat(dtype);
}

/** Whether an expression may have different values in the threads of a task; what is read from memory counts as such. */
export function mayVary(expr: Expr, names: Names): boolean {
  if (expr.kind === "variable") return names.varying.has(expr.name) || names.mutables.has(expr.name);
  return expr.kind === "load" || expr.kind === "random" || partsOf(expr).some((part) => mayVary(part, names));
}
