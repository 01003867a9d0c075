/**
 * The small functions and vector types an emitted program needs beside its kernels: only those that it uses are written,
 * in an order in which each stands before its users. All are `static inline`, so that loops around them vectorise.
 */
import { invariant } from "../../../ir/diagnostic/diagnostic.ts";
import type { ValueType } from "../../../ir/loop/loop.ts";
import type { ScalarOp } from "../../../ir/loop/scalar.ts";
import { dtypeBytes, isFloat, type DType } from "../../../ir/type.ts";
import { code, Fragment, identifier } from "../../source-writer.ts";
import { mathF32, type MathFunction } from "./math.ts";
import { elementType, floatLiteral, literal, memoryType, typeSuffix, valueType } from "./spelling.ts";

/** Operations of float64 that C's library has under this name. */
const libm64: Partial<Readonly<Record<ScalarOp, string>>> = {
  exp: "exp",
  expm1: "expm1",
  log: "log",
  log1p: "log1p",
  sin: "sin",
  cos: "cos",
  tan: "tan",
  asin: "asin",
  acos: "acos",
  atan: "atan",
  sinh: "sinh",
  cosh: "cosh",
  tanh: "tanh",
  asinh: "asinh",
  acosh: "acosh",
  atanh: "atanh",
  erf: "erf",
  erfc: "erfc",
  pow: "pow",
  atan2: "atan2",
  mod: "fmod",
};

/** Roundings that compile to one instruction where the machine has it. */
const builtins: Partial<Readonly<Record<ScalarOp, string>>> = {
  abs: "__builtin_fabs",
  floor: "__builtin_floor",
  ceil: "__builtin_ceil",
  trunc: "__builtin_trunc",
  round: "__builtin_rint",
  sqrt: "__builtin_sqrt",
};

/** Collects what a program uses and writes it. */
export class Support {
  readonly #definitions = new Map<string, Fragment>();

  /** The definitions, in an order in which they compile. */
  definitions(): readonly Fragment[] {
    return [...this.#definitions.values()];
  }

  /** The C type of a value; declares the vector types it needs. */
  type(type: ValueType): Fragment {
    if (type.lanes > 1 && !this.#definitions.has(`type ${typeSuffix(type)}`)) {
      this.#definitions.set(`type ${typeSuffix(type)}`, vectorTypes(type));
    }
    return valueType(type);
  }

  /** The type of a vector in memory at any element's address. */
  memory(type: ValueType): Fragment {
    this.type(type);
    return memoryType(type);
  }

  /** Name of the function that applies `op` to operands of a type. */
  function(op: ScalarOp, type: ValueType): Fragment {
    if (type.lanes > 1) return this.#lanes(op, type);
    const builtin = builtins[op];
    if (builtin !== undefined && isFloat(type.dtype)) {
      return identifier(type.dtype === "f32" ? `${builtin}f` : builtin);
    }
    if (type.dtype === "f32") {
      const known = mathF32[op];
      if (known !== undefined) return this.#math(known);
    }
    const library = libm64[op];
    if (type.dtype === "f64" && library !== undefined) return identifier(library);
    return this.#define(`kiln_${op}_${type.dtype}`, (name) => scalarFunction(name, op, type.dtype));
  }

  /** Name of the reduction over `max` or `min` that keeps NaN, for a `reduction` clause. */
  reduction(op: "max" | "min", dtype: DType): Fragment {
    const type: ValueType = { dtype, lanes: 1 };
    const combine = this.function(op, type);
    const infinity = floatLiteral(op === "max" ? -Infinity : Infinity, dtype === "f32" ? "f" : "");
    return this.#define(
      `kiln_${op}_${dtype}_all`,
      (name) =>
        code`#pragma omp declare reduction(${name} : ${elementType(dtype)} : omp_out = ${combine}(omp_out, omp_in)) initializer(omp_priv = ${infinity})`,
    );
  }

  /** Name of the function that makes a vector of equal lanes. */
  splat(type: ValueType): Fragment {
    const vector = this.type(type);
    const lanes = Array.from({ length: type.lanes }, () => new Fragment("x"));
    return this.#define(
      `kiln_splat_${typeSuffix(type)}`,
      (name) => code`${inline} ${vector} ${name}(${elementType(type.dtype)} x) {
  return (${vector}){${lanes}};
}`,
    );
  }

  /** Name of the function that gives counter-based random bits (`ir/random/counter.ts`). */
  random(): Fragment {
    return this.#define(
      "kiln_random_bits",
      (name) => code`${inline} int32_t ${name}(const int32_t *key, uint32_t use, int64_t index) {
  uint32_t c0 = (uint32_t)(index >> 2), c1 = use, c2 = (uint32_t)key[2], c3 = (uint32_t)key[3];
  uint32_t k0 = (uint32_t)key[0], k1 = (uint32_t)key[1];
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = UINT64_C(0xd2511f53) * c0, p1 = UINT64_C(0xcd9e8d57) * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  const uint32_t words[4] = {c0, c1, c2, c3};
  return (int32_t)(words[index & 3] >> 8);
}`,
    );
  }

  /** Name of the function that chooses by a mask, as vector comparisons give it (-1 or 0 in integers of the same width). */
  maskedSelect(type: ValueType): Fragment {
    const vector = this.type(type);
    const mask = this.type(maskType(type));
    return this.#define(
      `kiln_choose_${typeSuffix(type)}`,
      (name) => code`${inline} ${vector} ${name}(${mask} m, ${vector} y, ${vector} z) {
  return (${vector})((m & (${mask})y) | (~m & (${mask})z));
}`,
    );
  }

  /** Name of the function that records a failed check. */
  report(): Fragment {
    return this.#define(
      "kiln_report",
      (name) => code`static inline void ${name}(int32_t *status, int32_t failure, int64_t value, int64_t limit) {
  int32_t none = 0;
  if (__atomic_compare_exchange_n(status, &none, failure, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    status[1] = (int32_t)value;
    status[2] = (int32_t)limit;
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

  #lanes(op: ScalarOp, type: ValueType): Fragment {
    const vector = this.type(type);
    if ((op === "max" || op === "min") && isFloat(type.dtype)) return this.#laneExtremum(op, type, vector);
    const one = this.function(op, { dtype: type.dtype, lanes: 1 });
    const names = ["x", "y", "z"].slice(0, binaryFunctions.has(op) ? 2 : 1).map((name) => new Fragment(name));
    const params = names.map((name) => code`${vector} ${name}`);
    const args = names.map((name) => code`${name}[lane]`);
    return this.#define(
      `kiln_${op}_${typeSuffix(type)}`,
      (name) => code`${inline} ${vector} ${name}(${params}) {
  ${vector} result;
  for (int lane = 0; lane < ${type.lanes}; lane++) result[lane] = ${one}(${args});
  return result;
}`,
    );
  }

  #laneExtremum(op: "max" | "min", type: ValueType, vector: Fragment): Fragment {
    const choose = this.maskedSelect(type);
    const compare = new Fragment(op === "max" ? ">" : "<");
    return this.#define(
      `kiln_${op}_${typeSuffix(type)}`,
      (name) => code`${inline} ${vector} ${name}(${vector} x, ${vector} y) {
  return ${choose}((x ${compare} y) | (x != x), x, y);
}`,
    );
  }
}

/** The type of a comparison of vectors: integers as wide as the operands. */
export function maskType(type: ValueType): ValueType {
  const widths: Readonly<Record<number, DType>> = { 1: "i8", 2: "i16", 4: "i32", 8: "i64" };
  return { dtype: widths[dtypeBytes[type.dtype]] ?? "i32", lanes: type.lanes };
}

const inline = new Fragment("static inline __attribute__((always_inline))");

/** Operations of two operands that are functions. */
const binaryFunctions: ReadonlySet<ScalarOp> = new Set(["pow", "atan2", "mod", "div", "max", "min"]);

/** A vector type, and the same one allowed at any address and over any other type. */
function vectorTypes(type: ValueType): Fragment {
  const element = elementType(type.dtype);
  const bytes = dtypeBytes[type.dtype] * type.lanes;
  return code`typedef ${element} ${valueType(type)} __attribute__((vector_size(${bytes})));
typedef ${element} ${memoryType(type)} __attribute__((vector_size(${bytes}), aligned(${dtypeBytes[type.dtype]}), may_alias));`;
}

/** The function for an operation that is no C operator on one element type. */
function scalarFunction(name: Fragment, op: ScalarOp, dtype: DType): Fragment {
  const type = elementType(dtype);
  const one = (body: Fragment): Fragment => code`${inline} ${type} ${name}(${type} x) {
  ${body}
}`;
  const two = (body: Fragment): Fragment => code`${inline} ${type} ${name}(${type} x, ${type} y) {
  ${body}
}`;
  const wide = dtype === "i32" || dtype === "i64";
  const unsigned = new Fragment(dtype === "i64" ? "uint64_t" : "uint32_t");
  const nan = isFloat(dtype) ? new Fragment(" || x != x") : new Fragment("");
  const makers: Partial<Readonly<Record<ScalarOp, () => Fragment>>> = {
    max: () => two(code`return x > y${nan} ? x : y;`),
    min: () => two(code`return x < y${nan} ? x : y;`),
    // The last choice keeps NaN and the sign of zero, which the comparisons alone would lose.
    sign: () =>
      isFloat(dtype)
        ? one(code`return x > 0 ? ${literal(dtype, 1)} : x < 0 ? ${literal(dtype, -1)} : x;`)
        : one(code`return (${type})((x > 0) - (x < 0));`),
    abs: () => one(code`return x < 0 ? (${type})(0 - (${unsigned})x) : x;`),
    // The least number divided by -1 overflows, which traps on x86; narrower types are promoted before they divide.
    div: () =>
      wide
        ? two(code`return y == 0 ? 0 : y == -1 ? (${type})(0 - (${unsigned})x) : x / y;`)
        : two(code`return y == 0 ? 0 : (${type})(x / y);`),
    mod: () =>
      wide ? two(code`return y == 0 || y == -1 ? 0 : x % y;`) : two(code`return y == 0 ? 0 : (${type})(x % y);`),
    pow: () => integerPower(name, type, unsigned),
  };
  const make = makers[op];
  invariant(make !== undefined, `C has no function for ${op} on ${dtype}`);
  return make();
}

/** Powers of integers by squaring, wrapping around; a negative exponent gives 0 but for the bases 1 and -1. */
function integerPower(name: Fragment, type: Fragment, unsigned: Fragment): Fragment {
  return code`${inline} ${type} ${name}(${type} x, ${type} y) {
  if (y < 0) return x == 1 ? 1 : x == (${type})-1 ? (${type})(y & 1 ? -1 : 1) : 0;
  ${unsigned} power = 1, square = (${unsigned})x;
  for (; y > 0; y = (${type})(y / 2), square *= square) power *= y & 1 ? square : 1;
  return (${type})power;
}`;
}
