/**
 * The small functions and vector types an emitted program needs beside its kernels, in C: what the dialects share, and
 * GCC's vector types with their masks. All functions are `static inline`, so that loops around them vectorise.
 */
import type { Expr, ValueType } from "../../../ir/loop/loop.ts";
import type { ScalarOp } from "../../../ir/loop/scalar.ts";
import { dtypeBytes, isFloat, type DType } from "../../../ir/type.ts";
import { code, Fragment, identifier } from "../../source-writer.ts";
import { comparisonText, expressionText } from "../c-family/expression.ts";
import { libraryFunction } from "../c-family/library.ts";
import { typeSuffix } from "../c-family/spelling.ts";
import { functionArity, level, Support, type LaneLoad, type Text } from "../c-family/support.ts";
import { mathF32, type MathFunction } from "./math.ts";
import { cName, cSpelling, elementType, floatLiteral, memoryType, valueType } from "./spelling.ts";

/** The functions and types of a C program. */
export class CSupport extends Support {
  constructor() {
    super(cSpelling, new Fragment("static inline __attribute__((always_inline))"));
  }

  /** The C type of a value; declares the vector types it needs. */
  type(type: ValueType): Fragment {
    if (type.lanes > 1) this.define(`kiln_${typeSuffix(type)}`, () => vectorTypes(type));
    return valueType(type);
  }

  /** The address of a vector in memory, which may be any element's. */
  #address(buffer: string, index: () => Fragment, type: ValueType, constant: boolean): Fragment {
    const qualifier = constant ? code`const ` : code``;
    this.type(type);
    return code`(${qualifier}${memoryType(type)} *)&${cName(buffer)}[${index()}]`;
  }

  /** The compiler wraps integers around (`-fwrapv`). */
  wraps(): boolean {
    return false;
  }

  loadLanes(load: LaneLoad, index: () => Fragment): Text {
    return { fragment: code`*${this.#address(load.buffer, index, load.type, true)}`, level: level.prefix };
  }

  storeLanes(buffer: string, index: Expr, value: Expr): Fragment {
    const target = this.#address(buffer, () => expressionText(index, this), value.type, false);
    return code`*${target} = ${expressionText(value, this)};`;
  }

  lane(vector: Fragment, lane: number): Fragment {
    return code`${vector}[${lane}]`;
  }

  pack(type: ValueType, parts: () => readonly Fragment[]): Fragment {
    return code`(${this.type(type)}){${parts()}}`;
  }

  convertLanes(from: ValueType, to: ValueType, value: () => Fragment): Fragment {
    const vector = this.type(to);
    const text = value();
    const source = to.dtype === "bool" ? code`-(${text} != 0)` : text;
    this.type(from);
    return code`__builtin_convertvector(${source}, ${vector})`;
  }

  compareLanes(comparison: Text, type: ValueType): Text {
    const mask = this.type(type);
    return { fragment: code`__builtin_convertvector(-(${comparison.fragment}), ${mask})`, level: level.primary };
  }

  notLanes(value: Fragment): Text {
    return { fragment: code`(${value} ^ 1)`, level: level.primary };
  }

  chooseLanes(condition: Expr, y: Expr, z: Expr): Fragment {
    const choose = this.#maskedSelect(y.type);
    return code`${choose}(${[this.#mask(condition, y.type), expressionText(y, this), expressionText(z, this)]})`;
  }

  /** A condition over lanes as a mask of -1 and 0 as wide as the values it chooses between. */
  #mask(condition: Expr, chosen: ValueType): Fragment {
    const mask = maskType(chosen);
    const operand = condition.kind === "scalar" ? condition.args[0] : undefined;
    if (operand !== undefined && maskType(operand.type).dtype === mask.dtype) {
      const compared = comparisonText(condition, this);
      if (compared !== undefined) return code`(${this.type(mask)})(${compared})`;
    }
    return code`-__builtin_convertvector(${expressionText(condition, this)}, ${this.type(mask)})`;
  }

  protected library(op: ScalarOp, dtype: DType): Fragment | undefined {
    const library = libraryFunction(op, dtype);
    if (library?.isInstruction === true) return identifier(`__builtin_${library.name}`);
    // The library's of float32 do not vectorise.
    const own = dtype === "f32" ? mathF32[op] : undefined;
    if (own !== undefined) return this.#math(own);
    return library === undefined ? undefined : identifier(library.name);
  }

  /** Name of the reduction over `max` or `min` that keeps NaN, for a `reduction` clause. */
  reduction(op: "max" | "min", dtype: DType): Fragment {
    const type: ValueType = { dtype, lanes: 1 };
    const combine = this.function(op, type);
    const infinity = floatLiteral(op === "max" ? -Infinity : Infinity, dtype === "f32" ? "f" : "");
    return this.define(
      `kiln_${op}_${dtype}_all`,
      (name) =>
        code`#pragma omp declare reduction(${name} : ${elementType(dtype)} : omp_out = ${combine}(omp_out, omp_in)) initializer(omp_priv = ${infinity})`,
    );
  }

  splat(type: ValueType): Fragment {
    const vector = this.type(type);
    const lanes = Array.from({ length: type.lanes }, () => new Fragment("x"));
    return this.define(
      `kiln_splat_${typeSuffix(type)}`,
      (name) => code`${this.head(vector, name, [code`${elementType(type.dtype)} x`])}
  return (${vector}){${lanes}};
}`,
    );
  }

  /** Name of the function that chooses by a mask, as vector comparisons give it (-1 or 0 in integers of the same width). */
  #maskedSelect(type: ValueType): Fragment {
    const vector = this.type(type);
    const mask = this.type(maskType(type));
    return this.define(
      `kiln_choose_${typeSuffix(type)}`,
      (name) => code`${this.head(vector, name, [code`${mask} m`, code`${vector} y`, code`${vector} z`])}
  return (${vector})((m & (${mask})y) | (~m & (${mask})z));
}`,
    );
  }

  report(): Fragment {
    return this.define(
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

  #math(known: MathFunction): Fragment {
    for (const needed of known.needs) this.#math(needed);
    return this.define(known.name, () => known.text);
  }

  protected lanes(op: ScalarOp, type: ValueType): Fragment {
    const vector = this.type(type);
    if ((op === "max" || op === "min") && isFloat(type.dtype)) return this.#laneExtremum(op, type, vector);
    const one = this.function(op, { dtype: type.dtype, lanes: 1 });
    const names = ["x", "y"].slice(0, functionArity(op)).map((name) => new Fragment(name));
    const params = names.map((name) => code`${vector} ${name}`);
    const args = names.map((name) => code`${name}[lane]`);
    return this.define(
      `kiln_${op}_${typeSuffix(type)}`,
      (name) => code`${this.head(vector, name, params)}
  ${vector} result;
  for (int lane = 0; lane < ${type.lanes}; lane++) result[lane] = ${one}(${args});
  return result;
}`,
    );
  }

  #laneExtremum(op: "max" | "min", type: ValueType, vector: Fragment): Fragment {
    const choose = this.#maskedSelect(type);
    const compare = new Fragment(op === "max" ? ">" : "<");
    return this.define(
      `kiln_${op}_${typeSuffix(type)}`,
      (name) => code`${this.head(vector, name, [code`${vector} x`, code`${vector} y`])}
  return ${choose}((x ${compare} y) | (x != x), x, y);
}`,
    );
  }
}

/** The type of a comparison of vectors: integers as wide as the operands. */
function maskType(type: ValueType): ValueType {
  const widths: Readonly<Record<number, DType>> = { 1: "i8", 2: "i16", 4: "i32", 8: "i64" };
  return { dtype: widths[dtypeBytes[type.dtype]] ?? "i32", lanes: type.lanes };
}

/** A vector type, and the same one allowed at any address and over any other type. */
function vectorTypes(type: ValueType): Fragment {
  const element = elementType(type.dtype);
  const bytes = dtypeBytes[type.dtype] * type.lanes;
  return code`typedef ${element} ${valueType(type)} __attribute__((vector_size(${bytes})));
typedef ${element} ${memoryType(type)} __attribute__((vector_size(${bytes}), aligned(${dtypeBytes[type.dtype]}), may_alias));`;
}
