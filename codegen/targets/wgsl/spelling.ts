/**
 * How WGSL spells names, types and numbers of loop IR. Values are `f32`, `i32` (for integers of every width, `i64`
 * included) and `bool`, alone or in vectors of 2 and 4. Names of the program are kept readable; what WGSL reserves or
 * predeclares gets a trailing underscore, and all names of ours begin with `kiln_`, so that the two can never meet.
 */
import { fail, invariant, unreachable } from "../../../ir/diagnostic/diagnostic.ts";
import { dtypeNotInWgsl, integerNotInWgsl } from "../../../ir/diagnostic/messages.ts";
import type { ValueType } from "../../../ir/loop/loop.ts";
import type { DType } from "../../../ir/type.ts";
import { code, Fragment, identifier } from "../../source-writer.ts";

/** Keywords, reserved words, predeclared types and functions of WGSL: a name of the program must hide none of them. */
const reserved = new Set(
  // Keywords.
  (
    "alias break case const const_assert continue continuing default diagnostic discard else enable false fn for if let " +
    "loop override requires return struct switch true var while " +
    // Reserved words.
    "NULL Self abstract active alignas alignof as asm asm_fragment async attribute auto await become cast catch class " +
    "co_await co_return co_yield coherent column_major common compile compile_fragment concept const_cast consteval " +
    "constexpr constinit crate debugger decltype delete demote demote_to_helper do dynamic_cast enum explicit export " +
    "extends extern external fallthrough filter final finally friend from fxgroup get goto groupshared highp impl " +
    "implements import inline instanceof interface layout lowp macro macro_rules match mediump meta mod module move mut " +
    "mutable namespace new nil noexcept noinline nointerpolation non_coherent noncoherent noperspective null nullptr of " +
    "operator package packoffset partial pass patch pixelfragment precise precision premerge priv protected pub public " +
    "readonly ref regardless register reinterpret_cast require resource restrict self set shared sizeof smooth snorm " +
    "static static_assert static_cast std subroutine super target template this thread_local throw trait try type typedef " +
    "typeid typename typeof union unless unorm unsafe unsized use using varying virtual volatile wgsl where with " +
    "writeonly yield " +
    // Predeclared types, address spaces and access modes.
    "array atomic bool f16 f32 i32 u32 mat2x2 mat2x3 mat2x4 mat3x2 mat3x3 mat3x4 mat4x2 mat4x3 mat4x4 vec2 vec3 vec4 " +
    "vec2f vec3f vec4f vec2h vec3h vec4h vec2i vec3i vec4i vec2u vec3u vec4u ptr sampler texture_1d texture_2d " +
    "function private workgroup uniform storage read write read_write handle " +
    // Predeclared functions.
    "bitcast all any select arrayLength abs acos acosh asin asinh atan atanh atan2 ceil clamp cos cosh " +
    "countLeadingZeros countOneBits countTrailingZeros cross degrees determinant distance dot dot4U8Packed dot4I8Packed " +
    "exp exp2 extractBits faceForward firstLeadingBit firstTrailingBit floor fma fract frexp insertBits inverseSqrt " +
    "ldexp length log log2 max min mix modf normalize pow quantizeToF16 radians reflect refract reverseBits round " +
    "saturate sign sin sinh smoothstep sqrt step tan tanh transpose trunc dpdx dpdy fwidth textureLoad textureSample " +
    "atomicLoad atomicStore atomicAdd atomicSub atomicMax atomicMin atomicAnd atomicOr atomicXor atomicExchange " +
    "atomicCompareExchangeWeak pack4x8snorm pack2x16float unpack4x8snorm unpack2x16float workgroupBarrier " +
    "storageBarrier textureBarrier workgroupUniformLoad subgroupAdd binding_array immediate"
  ).split(" "),
);

/** A name of loop IR in WGSL. */
export function wgslName(name: string): Fragment {
  const stem = name.replace(/_+$/, "");
  return identifier(reserved.has(stem) || stem.startsWith("kiln_") || stem === "kiln" ? `${name}_` : name);
}

/** How a value of an element type is computed with. */
export type Scalar = "f32" | "i32" | "bool";

/** The WGSL type of one value. Throws a `TargetError` K5301 for the floating-point types that core WGSL has not. */
export function scalarOf(dtype: DType, where = "a value of a kernel"): Scalar {
  switch (dtype) {
    case "f32":
    case "bool":
      return dtype;
    case "i8":
    case "u8":
    case "i16":
    case "i32":
    case "i64":
      return "i32";
    case "f64":
    case "f16":
    case "bf16":
      throw fail(dtypeNotInWgsl(dtype, where));
    default:
      return unreachable(dtype);
  }
}

/** A scalar type, or a vector of `lanes` of it. */
export function laneType(scalar: Scalar | "u32" | "f16", lanes: number): Fragment {
  invariant(lanes === 1 || lanes === 2 || lanes === 4, `WGSL has no vectors of ${lanes}`);
  return new Fragment(lanes === 1 ? scalar : `vec${lanes}<${scalar}>`);
}

/** The WGSL type of a value. */
export function valueType(type: ValueType): Fragment {
  return laneType(scalarOf(type.dtype), type.lanes);
}

/** `f32`, `i64`, `f32x4`: the end of a support function's name. */
export function typeSuffix(type: ValueType): string {
  return type.lanes === 1 ? type.dtype : `${type.dtype}x${type.lanes}`;
}

/** Sentinels of 64-bit reductions: more or less than every number, which on 32 bits the ends of the range are too. */
const ends = new Map([
  [Number.MIN_SAFE_INTEGER, -0x80000000],
  [Number.MAX_SAFE_INTEGER, 0x7fffffff],
]);

/** An integer constant. Throws a `TargetError` K5305 for those beyond 32 bits. */
export function integerLiteral(value: number): Fragment {
  const own = ends.get(value) ?? value;
  if (own < -0x80000000 || own > 0x7fffffff) throw fail(integerNotInWgsl(value));
  // The literal 2147483648 is out of range before its sign is seen.
  return own === -0x80000000 ? new Fragment("bitcast<i32>(0x80000000u)") : code`${own}`;
}

/** A finite float32 constant: the shortest decimal that is exactly it. */
export function floatLiteral(value: number): Fragment {
  invariant(Number.isFinite(value), `WGSL has no constant ${value}`);
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  const magnitude = Math.abs(value);
  // Near the end of the range a shortened decimal may lie beyond it.
  const digits = magnitude < 1e38 ? [1, 2, 3, 4, 5, 6, 7, 8, 9] : [];
  const short = digits
    .map((count) => magnitude.toPrecision(count))
    .find((text) => Math.fround(Number(text)) === magnitude);
  const text = String(Number(short ?? magnitude)).replace("e+", "e");
  return new Fragment(`${sign}${/[.e]/.test(text) ? text : `${text}.0`}${text.includes("e") ? "f" : ""}`);
}
