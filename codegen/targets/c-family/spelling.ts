/**
 * How C and its relatives spell names, types and numbers of loop IR. Takes what a dialect has of its own; gives fragments.
 * Names of the program are kept readable; what the dialect reserves gets trailing underscores, and all names of ours begin
 * with `kiln_`, so that the two can never meet.
 */
import { fail, unreachable, type Diagnostic } from "../../../ir/diagnostic/diagnostic.ts";
import type { ValueType } from "../../../ir/loop/loop.ts";
import type { DType } from "../../../ir/type.ts";
import { code, Fragment, identifier } from "../../source-writer.ts";

/** What dialects spell differently. */
export type DialectWords = {
  /** Words that the compiler or the headers of an emitted program may have taken. */
  readonly reserved: readonly string[];
  /** Types of single elements; `undefined` for what the dialect has not. */
  readonly elements: Readonly<Record<DType, string | undefined>>;
  /** The error for an element type that the dialect has not. */
  readonly missing: (dtype: DType, where: string) => Diagnostic;
  /** An i64 constant that needs more than 32 bits. */
  readonly wide: (value: number) => Fragment;
  /** Unsigned integers of 32 and 64 bits, through which signed ones wrap around. */
  readonly unsigned: { readonly i32: Fragment; readonly i64: Fragment };
  /** NaN and infinity, by the suffix of the type. */
  readonly nan: Readonly<Record<"f" | "", string>>;
  readonly infinity: Readonly<Record<"f" | "", string>>;
};

/** The symbol of a kernel. */
export function kernelSymbol(name: string): Fragment {
  return identifier(`kiln_k_${name}`);
}

/** `f32`, `i64`, `f32x8`: the end of a support function's name. */
export function typeSuffix(type: ValueType): string {
  return type.lanes === 1 ? type.dtype : `${type.dtype}x${type.lanes}`;
}

/** The spellings of one dialect. */
export class Spelling {
  readonly #words: DialectWords;
  readonly #reserved: ReadonlySet<string>;

  constructor(words: DialectWords) {
    this.#words = words;
    this.#reserved = new Set(words.reserved);
  }

  /** A name of loop IR. */
  name(name: string): Fragment {
    const stem = name.replace(/_+$/, "");
    return identifier(this.#reserved.has(stem) || stem.startsWith("kiln_") ? `${name}_` : name);
  }

  /** The type of one element. Throws a `TargetError` for the types that the dialect has not. */
  element(dtype: DType): Fragment {
    const text = this.#words.elements[dtype];
    if (text === undefined) throw fail(this.#words.missing(dtype, "a value of a kernel"));
    return new Fragment(text);
  }

  /** The unsigned integer in which a signed one is computed where it may wrap around. */
  unsigned(dtype: DType): Fragment {
    return dtype === "i64" ? this.#words.unsigned.i64 : this.#words.unsigned.i32;
  }

  /** A constant of an element type, exactly: floats in hexadecimal unless they are small integers. */
  literal(dtype: DType, value: number): Fragment {
    switch (dtype) {
      case "f32":
        return this.float(Math.fround(value), "f");
      case "f64":
        return this.float(value, "");
      case "bool":
        return code`${value === 0 ? 0 : 1}`;
      case "i64":
        // -2^63 and what needs more than 53 bits cannot come from a JavaScript number in the first place.
        return Math.abs(value) > 0x7fffffff ? this.#words.wide(value) : code`${value}`;
      case "i8":
      case "u8":
      case "i16":
      case "i32":
        return value === -0x80000000 ? new Fragment("(-2147483647 - 1)") : code`${value}`;
      case "f16":
      case "bf16":
        throw fail(this.#words.missing(dtype, `the constant ${value}`));
      default:
        return unreachable(dtype);
    }
  }

  /** A floating constant that is exactly `value`; infinities and NaN in the dialect's own words, which need no header. */
  float(value: number, suffix: "f" | ""): Fragment {
    if (Number.isNaN(value)) return new Fragment(this.#words.nan[suffix]);
    const sign = value < 0 || Object.is(value, -0) ? "-" : "";
    if (!Number.isFinite(value)) return new Fragment(`${sign}${this.#words.infinity[suffix]}`);
    const magnitude = Math.abs(value);
    if (Number.isInteger(magnitude * 8) && magnitude < 1e6) {
      const text = String(magnitude);
      return new Fragment(`${sign}${text.includes(".") ? text : `${text}.0`}${suffix}`);
    }
    return new Fragment(`${sign}${hexFloat(magnitude)}${suffix}`);
  }
}

/** A positive finite number as `0x1.8p+3`: exact, and the same on every compiler. */
function hexFloat(value: number): string {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  const high = bits.getUint32(0);
  const exponent = (high >>> 20) & 0x7ff;
  const mantissa = (BigInt(high & 0xfffff) << 32n) | BigInt(bits.getUint32(4));
  const digits = mantissa.toString(16).padStart(13, "0").replace(/0+$/, "");
  const power = exponent === 0 ? -1022 : exponent - 1023;
  return `0x${exponent === 0 ? 0 : 1}${digits === "" ? "" : `.${digits}`}p${power < 0 ? "" : "+"}${power}`;
}
