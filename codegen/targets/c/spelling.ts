/**
 * How C11 spells names, types and numbers of loop IR. Names of the program are kept readable; what C reserves gets
 * trailing underscores, and all names of ours begin with `kiln_`, so that the two can never meet.
 */
import { fail, unreachable } from "../../../ir/diagnostic/diagnostic.ts";
import { dtypeNotInC } from "../../../ir/diagnostic/messages.ts";
import type { ValueType } from "../../../ir/loop/loop.ts";
import type { DType } from "../../../ir/type.ts";
import { code, Fragment, identifier } from "../../source-writer.ts";

/** Words that a C compiler or the headers we include may have taken. */
const reserved = new Set(
  (
    "auto break case char const continue default do double else enum extern float for goto if inline int long register " +
    "restrict return short signed sizeof static struct switch typedef union unsigned void volatile while asm typeof " +
    "bool true false NULL INFINITY NAN main int8_t uint8_t int16_t uint16_t int32_t uint32_t int64_t uint64_t " +
    "linux unix I"
  ).split(" "),
);

/** A name of loop IR in C. */
export function cName(name: string): Fragment {
  const stem = name.replace(/_+$/, "");
  return identifier(reserved.has(stem) || stem.startsWith("kiln_") ? `${name}_` : name);
}

/** The symbol of a kernel. */
export function kernelSymbol(name: string): Fragment {
  return identifier(`kiln_k_${name}`);
}

const spellings: Readonly<Record<DType, string | undefined>> = {
  f32: "float",
  f64: "double",
  f16: undefined,
  bf16: undefined,
  i8: "int8_t",
  u8: "uint8_t",
  i16: "int16_t",
  i32: "int32_t",
  i64: "int64_t",
  bool: "unsigned char",
};

/** The C type of one element. Throws a `TargetError` for the half-precision types, which C11 has not. */
export function elementType(dtype: DType): Fragment {
  const text = spellings[dtype];
  if (text === undefined) throw fail(dtypeNotInC(dtype, "a value of a kernel"));
  return new Fragment(text);
}

/** The C type of a value: an element type, or the vector type declared for it in the program's header. */
export function valueType(type: ValueType): Fragment {
  return type.lanes === 1 ? elementType(type.dtype) : identifier(`kiln_${typeSuffix(type)}`);
}

/** The same vector type, but allowed at any element's address. */
export function memoryType(type: ValueType): Fragment {
  return type.lanes === 1 ? elementType(type.dtype) : identifier(`kiln_${typeSuffix(type)}_u`);
}

/** `f32`, `i64`, `f32x8`: the end of a support function's name. */
export function typeSuffix(type: ValueType): string {
  return type.lanes === 1 ? type.dtype : `${type.dtype}x${type.lanes}`;
}

/** A constant of an element type, exactly: floats in hexadecimal unless they are small integers. */
export function literal(dtype: DType, value: number): Fragment {
  switch (dtype) {
    case "f32":
      return floatLiteral(Math.fround(value), "f");
    case "f64":
      return floatLiteral(value, "");
    case "bool":
      return code`${value === 0 ? 0 : 1}`;
    case "i64":
      // -2^63 and what needs more than 53 bits cannot come from a JavaScript number in the first place.
      return Math.abs(value) > 0x7fffffff ? code`INT64_C(${value})` : code`${value}`;
    case "i8":
    case "u8":
    case "i16":
    case "i32":
      return value === -0x80000000 ? new Fragment("(-2147483647 - 1)") : code`${value}`;
    case "f16":
    case "bf16":
      throw fail(dtypeNotInC(dtype, `the constant ${value}`));
    default:
      return unreachable(dtype);
  }
}

/** A C11 floating constant that is exactly `value`; infinities and NaN through builtins, which need no header. */
export function floatLiteral(value: number, suffix: "f" | ""): Fragment {
  if (Number.isNaN(value)) return new Fragment(`__builtin_nan${suffix}("")`);
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  if (!Number.isFinite(value)) return new Fragment(`${sign}__builtin_inf${suffix}()`);
  const magnitude = Math.abs(value);
  if (Number.isInteger(magnitude * 8) && magnitude < 1e6) {
    const text = String(magnitude);
    return new Fragment(`${sign}${text.includes(".") ? text : `${text}.0`}${suffix}`);
  }
  return new Fragment(`${sign}${hexFloat(magnitude)}${suffix}`);
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
