/**
 * How C11 spells names, types and numbers of loop IR.
 */
import { dtypeNotInC } from "../../../ir/diagnostic/messages.ts";
import type { ValueType } from "../../../ir/loop/loop.ts";
import type { DType } from "../../../ir/type.ts";
import { code, identifier, type Fragment } from "../../source-writer.ts";
import { Spelling, typeSuffix } from "../c-family/spelling.ts";

export { kernelSymbol } from "../c-family/spelling.ts";

/** The spellings of C11 with the extensions of GCC and Clang. */
export const cSpelling = new Spelling({
  reserved: (
    "auto break case char const continue default do double else enum extern float for goto if inline int long register " +
    "restrict return short signed sizeof static struct switch typedef union unsigned void volatile while asm typeof " +
    "bool true false NULL INFINITY NAN main int8_t uint8_t int16_t uint16_t int32_t uint32_t int64_t uint64_t " +
    "linux unix I"
  ).split(" "),
  elements: {
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
  },
  missing: dtypeNotInC,
  wide: (value) => code`INT64_C(${value})`,
  unsigned: { i32: code`uint32_t`, i64: code`uint64_t` },
  nan: { f: '__builtin_nanf("")', "": '__builtin_nan("")' },
  infinity: { f: "__builtin_inff()", "": "__builtin_inf()" },
});

/** A name of loop IR in C. */
export function cName(name: string): Fragment {
  return cSpelling.name(name);
}

/** The C type of one element. Throws a `TargetError` for the half-precision types, which C11 has not. */
export function elementType(dtype: DType): Fragment {
  return cSpelling.element(dtype);
}

/** A C11 floating constant that is exactly `value`. */
export function floatLiteral(value: number, suffix: "f" | ""): Fragment {
  return cSpelling.float(value, suffix);
}

/** The C type of a value: an element type, or the vector type declared for it in the program's header. */
export function valueType(type: ValueType): Fragment {
  return type.lanes === 1 ? elementType(type.dtype) : identifier(`kiln_${typeSuffix(type)}`);
}

/** The same vector type, but allowed at any element's address. */
export function memoryType(type: ValueType): Fragment {
  return type.lanes === 1 ? elementType(type.dtype) : identifier(`kiln_${typeSuffix(type)}_u`);
}
