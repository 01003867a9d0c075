/**
 * What a C function of the emitted programs' mathematics is: its text and what must stand before it. The files
 * `math-*.ts` define them, by family; `math.ts` says which operation each is.
 */
import { Fragment } from "../../source-writer.ts";

/** One C function: its name, its definition, and the functions it calls. */
export type MathFunction = { readonly name: string; readonly text: Fragment; readonly needs: readonly MathFunction[] };

/** `static inline float kiln_<name>_f32(<params>) { body }`. `body` is C text, indented by two spaces. */
export function floatFunction(
  name: string,
  params: "float x" | "float x, float y",
  needs: readonly MathFunction[],
  body: string,
): MathFunction {
  const head = `static inline __attribute__((always_inline)) float kiln_${name}_f32(${params}) {`;
  return { name: `kiln_${name}_f32`, needs, text: new Fragment(`${head}\n${body}\n}`) };
}

/** A C function of another signature. `text`: the whole definition of `name`, after `static inline`. */
export function inlineFunction(name: string, needs: readonly MathFunction[], text: string): MathFunction {
  return { name, needs, text: new Fragment(`static inline __attribute__((always_inline)) ${text}`) };
}

/** Reads a float32's bits; compilers turn the copy into nothing. */
export const floatBits = inlineFunction(
  "kiln_bits",
  [],
  `int32_t kiln_bits(float x) {
  int32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}`,
);

/** The float32 with the given bits. */
export const floatFromBits = inlineFunction(
  "kiln_from_bits",
  [],
  `float kiln_from_bits(int32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}`,
);

/** 2^n for -126 <= n <= 127. */
export const powerOfTwo = inlineFunction(
  "kiln_power_of_two",
  [floatFromBits],
  `float kiln_power_of_two(int32_t n) {
  return kiln_from_bits((n + 127) << 23);
}`,
);
