/**
 * What a processor offers to kernels, as the compiler's predefined macros tell it: vector width and registers for the
 * schedules, and the names of the features that compiled code will need, as Linux lists them in /proc/cpuinfo.
 */
import { closeCache, openCache } from "./cache.ts";
import { findCompiler } from "./c-compiler.ts";

/** A processor as schedules see it. `lanes`: f32 in a vector register; `registers`: vector registers. */
export type CpuProfile = {
  readonly march: string;
  readonly lanes: 4 | 8 | 16;
  readonly registers: 16 | 32;
  /** Features that compiled code needs, by their names in /proc/cpuinfo, sorted. */
  readonly features: readonly string[];
};

/** Macro of the compiler → name in /proc/cpuinfo, for what may turn up in generated code. */
const featureNames: Readonly<Record<string, string>> = {
  __SSE3__: "pni",
  __SSSE3__: "ssse3",
  __SSE4_1__: "sse4_1",
  __SSE4_2__: "sse4_2",
  __POPCNT__: "popcnt",
  __AVX__: "avx",
  __AVX2__: "avx2",
  __FMA__: "fma",
  __F16C__: "f16c",
  __BMI__: "bmi1",
  __BMI2__: "bmi2",
  __LZCNT__: "abm",
  __MOVBE__: "movbe",
  __ADX__: "adx",
  __GFNI__: "gfni",
  __AVX512F__: "avx512f",
  __AVX512CD__: "avx512cd",
  __AVX512BW__: "avx512bw",
  __AVX512DQ__: "avx512dq",
  __AVX512VL__: "avx512vl",
  __AVX512IFMA__: "avx512ifma",
  __AVX512VBMI__: "avx512vbmi",
  __AVX512VBMI2__: "avx512_vbmi2",
  __AVX512VNNI__: "avx512_vnni",
  __AVX512BITALG__: "avx512_bitalg",
  __AVX512VPOPCNTDQ__: "avx512_vpopcntdq",
  __AVX512BF16__: "avx512_bf16",
  __AVX512FP16__: "avx512_fp16",
  __AVXVNNI__: "avx_vnni",
  __ARM_FEATURE_ATOMICS: "atomics",
  __ARM_FEATURE_DOTPROD: "asimddp",
  __ARM_FEATURE_FP16_VECTOR_ARITHMETIC: "asimdhp",
  __ARM_FEATURE_SVE: "sve",
  __ARM_FEATURE_SVE2: "sve2",
};

/** The features that code compiled under these macros needs, sorted. */
export function featuresOf(macros: ReadonlySet<string>): readonly string[] {
  return Object.entries(featureNames)
    .filter(([macro]) => macros.has(macro))
    .map(([, name]) => name)
    .sort();
}

/** The profile that a compiler's macros describe. */
export function profileOf(macros: ReadonlySet<string>, march: string): CpuProfile {
  const features = featuresOf(macros);
  if (macros.has("__AVX512F__")) return { march, lanes: 16, registers: 32, features };
  if (macros.has("__AVX__")) return { march, lanes: 8, registers: 16, features };
  return { march, lanes: 4, registers: macros.has("__aarch64__") ? 32 : 16, features };
}

/** Asks the C compiler for a processor's profile; remembered on disk. Throws what `findCompiler` throws. */
export async function cpuProfile(march = "native"): Promise<CpuProfile> {
  const cache = await openCache();
  try {
    return profileOf((await findCompiler(cache, march)).macros, march);
  } finally {
    await closeCache(cache);
  }
}
