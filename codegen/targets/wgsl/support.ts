/**
 * The functions an emitted module needs beside its kernel: only those that it uses are written, in an order in which each
 * stands before its users.
 */
import { invariant } from "../../../ir/diagnostic/diagnostic.ts";
import type { ValueType } from "../../../ir/loop/loop.ts";
import { scalarOps, type ScalarOp } from "../../../ir/loop/scalar.ts";
import { isFloat, type DType } from "../../../ir/type.ts";
import { code, Fragment, identifier } from "../../source-writer.ts";
import { mathF32 } from "./math.ts";
import { infinity, isNan, keep, multiplyHigh, nan, zero, type MathFunction } from "./math-function.ts";
import { laneType, scalarOf, typeSuffix, valueType } from "./spelling.ts";

/** Names of the lanes of a vector. */
export const laneNames = ["x", "y", "z", "w"] as const;

/** Built-in functions of WGSL that drivers have right, also in vectors. */
const builtins: Partial<Readonly<Record<ScalarOp, string>>> = {
  abs: "abs",
  floor: "floor",
  ceil: "ceil",
  trunc: "trunc",
  round: "round",
  sqrt: "sqrt",
};

/** Collects what a module uses and writes it. */
export class Support {
  readonly #definitions = new Map<string, Fragment>();

  /** The definitions, in an order in which they compile. */
  definitions(): readonly Fragment[] {
    return [...this.#definitions.values()];
  }

  /** Whether the kernel has to set `kiln_zero` when it starts. */
  usesZero(): boolean {
    return this.#definitions.has(zero.name);
  }

  /** Name of the function that applies `op` to operands of a type. */
  function(op: ScalarOp, type: ValueType): Fragment {
    const { dtype, lanes } = type;
    const builtin = builtins[op];
    if (builtin !== undefined) return new Fragment(builtin);
    if ((op === "max" || op === "min") && !isFloat(dtype)) return new Fragment(op);
    const whole = wholeVectors[op];
    if (whole !== undefined && isFloat(dtype)) {
      const nanTest = this.isNan(type);
      return this.#define(`kiln_${op}_${typeSuffix(type)}`, (name) =>
        whole(name, valueType(type), boolType(type), nanTest),
      );
    }
    if (lanes > 1) return this.#lanes(op, type);
    const known = isFloat(dtype) ? mathF32[op] : undefined;
    if (known !== undefined) return this.#math(known);
    invariant(!isFloat(dtype), `WGSL has no function for ${op} on ${dtype}`);
    return this.#define(`kiln_${op}_int`, (name) => integerFunction(name, op));
  }

  /** A float32 that is no literal in WGSL. */
  special(value: number): Fragment {
    if (Number.isNaN(value)) return code`${this.#math(nan)}()`;
    return value < 0 ? code`-${this.#math(infinity)}()` : code`${this.#math(infinity)}()`;
  }

  /** Name of the function that hides from compilers what its argument was computed from. */
  keep(): Fragment {
    return this.#math(keep);
  }

  /** The same for vectors. */
  keepLanes(type: ValueType): Fragment {
    this.#math(zero);
    const [text, words] = [valueType(type), laneType("u32", type.lanes)];
    return this.#define(
      `kiln_keep_${typeSuffix(type)}`,
      (name) => code`fn ${name}(x: ${text}) -> ${text} {
  return bitcast<${text}>(bitcast<${words}>(x) + ${words}(kiln_zero));
}`,
    );
  }

  /** Name of the function that tells NaN. */
  isNan(type: ValueType): Fragment {
    if (type.lanes === 1) return this.#math(isNan);
    const words = laneType("u32", type.lanes);
    return this.#define(
      `kiln_is_nan_${typeSuffix(type)}`,
      (name) => code`fn ${name}(x: ${valueType(type)}) -> ${boolType(type)} {
  return (bitcast<${words}>(x) & ${words}(0x7fffffffu)) > ${words}(0x7f800000u);
}`,
    );
  }

  /** Name of the function that cuts an integer down to the range of a narrower type. */
  wrap(dtype: DType, lanes: number): Fragment {
    const type: ValueType = { dtype, lanes };
    const text = valueType(type);
    const bits = dtype === "i16" ? 16 : 8;
    const body = dtype === "u8" ? code`x & ${text}(255)` : code`extractBits(x, 0u, ${bits}u)`;
    return this.#define(
      `kiln_wrap_${typeSuffix(type)}`,
      (name) => code`fn ${name}(x: ${text}) -> ${text} {
  return ${body};
}`,
    );
  }

  /** Name of the function that gives counter-based random bits (`ir/random/counter.ts`) from a key of four words. */
  random(): Fragment {
    const high = this.#math(multiplyHigh);
    return this.#define(
      "kiln_random_bits",
      (name) => code`fn ${name}(key: vec4<u32>, purpose: u32, index: i32) -> i32 {
  var c = vec4<u32>(u32(index) >> 2u, purpose, key.z, key.w);
  var k = key.xy;
  for (var round = 0; round < 10; round++) {
    let first = c.x;
    let second = c.z;
    c = vec4<u32>(${high}(0xcd9e8d57u, second) ^ c.y ^ k.x, 0xcd9e8d57u * second, ${high}(0xd2511f53u, first) ^ c.w ^ k.y, 0xd2511f53u * first);
    k += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  return i32(c[index & 3] >> 8u);
}`,
    );
  }

  /** Name of the function that records a failed check in the status buffer called `status`. */
  report(status: Fragment): Fragment {
    return this.#define(
      `kiln_report_${status.text}`,
      (name) => code`fn ${name}(failure: i32, value: i32, limit: i32) {
  loop {
    let seen = atomicCompareExchangeWeak(&${status}[0], 0, failure);
    if (seen.exchanged) {
      atomicStore(&${status}[1], value);
      atomicStore(&${status}[2], limit);
    }
    if (seen.exchanged || seen.old_value != 0) {
      break;
    }
  }
}`,
    );
  }

  #define(name: string, make: (name: Fragment) => Fragment): Fragment {
    const fragment = identifier(name);
    if (!this.#definitions.has(name)) this.#definitions.set(name, make(fragment));
    return fragment;
  }

  #math(known: MathFunction): Fragment {
    for (const needed of known.needs) this.#math(needed);
    return this.#define(known.name, () => known.text);
  }

  /** A function of vectors that goes lane by lane. */
  #lanes(op: ScalarOp, type: ValueType): Fragment {
    const vector = valueType(type);
    const one = this.function(op, { dtype: type.dtype, lanes: 1 });
    const names = ["x", "y", "z"].slice(0, scalarOps[op].arity).map((name) => new Fragment(name));
    const params = names.map((name) => code`${name}: ${vector}`);
    const values = laneNames
      .slice(0, type.lanes)
      .map((lane) => code`${one}(${names.map((name) => code`${name}.${new Fragment(lane)}`)})`);
    return this.#define(
      `kiln_${op}_${typeSuffix(type)}`,
      (name) => code`fn ${name}(${params}) -> ${vector} {
  return ${vector}(${values});
}`,
    );
  }
}

function boolType(type: ValueType): Fragment {
  return laneType("bool", type.lanes);
}

type Maker = (name: Fragment, type: Fragment, bool: Fragment, nanTest: Fragment) => Fragment;

/** Functions of floats that WGSL can say of whole vectors at once. */
const wholeVectors: Partial<Readonly<Record<ScalarOp, Maker>>> = {
  max: (name, type, _bool, nanTest) => code`fn ${name}(x: ${type}, y: ${type}) -> ${type} {
  return select(select(y, x, x > y), x, ${nanTest}(x));
}`,
  min: (name, type, _bool, nanTest) => code`fn ${name}(x: ${type}, y: ${type}) -> ${type} {
  return select(select(y, x, x < y), x, ${nanTest}(x));
}`,
  // The last choice keeps NaN and the sign of zero.
  sign: (name, type) => code`fn ${name}(x: ${type}) -> ${type} {
  return select(select(x, ${type}(-1.0), x < ${type}(0.0)), ${type}(1.0), x > ${type}(0.0));
}`,
  ne: (name, type, bool, nanTest) => code`fn ${name}(x: ${type}, y: ${type}) -> ${bool} {
  return (x != y) | ${nanTest}(x) | ${nanTest}(y);
}`,
};

/** A function of 32-bit integers; narrower ones are cut to their range where it is called. */
function integerFunction(name: Fragment, op: ScalarOp): Fragment {
  switch (op) {
    case "sign":
      return code`fn ${name}(x: i32) -> i32 {
  return clamp(x, -1, 1);
}`;
    case "div":
      return code`fn ${name}(x: i32, y: i32) -> i32 {
  return select(x / select(y, 1, y == 0), 0, y == 0);
}`;
    case "mod":
      return code`fn ${name}(x: i32, y: i32) -> i32 {
  return select(x % select(y, 1, y == 0 || y == -1), 0, y == 0);
}`;
    // By squaring, wrapping around; a negative exponent gives 0 but for the bases 1 and -1.
    case "pow":
      return code`fn ${name}(x: i32, y: i32) -> i32 {
  var power = 1;
  var square = x;
  for (var rest = max(y, 0); rest > 0; rest = rest >> 1u) {
    power = power * select(1, square, (rest & 1) == 1);
    square = square * square;
  }
  let reciprocal = select(select(0, select(1, -1, (y & 1) == 1), x == -1), 1, x == 1);
  return select(power, reciprocal, y < 0);
}`;
    default:
      invariant(false, `WGSL has no function for ${op} on integers`);
  }
}

/** Whether results of `op` on a type may leave its range, which is narrower than the type that computes them. */
export function mayLeave(op: ScalarOp, dtype: DType): boolean {
  if (scalarOf(dtype) !== "i32" || dtype === "i32" || dtype === "i64") return false;
  return ["neg", "abs", "add", "sub", "mul", "div", "pow", "fma"].includes(op);
}
