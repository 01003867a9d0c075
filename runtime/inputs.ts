/**
 * Plain values as inputs of a step: numbers, nested arrays and typed arrays become typed arrays of the right type, and
 * their size tells which of an entry's compiled batch sizes is meant.
 */
import type { ManifestEntry } from "../ir/artifact/manifest.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { toBfloat16, toFloat16 } from "../ir/random/half.ts";
import { at, elementCount, formatType, type DType } from "../ir/type.ts";
import { newTypedArray, type TypedArray } from "./typed-array.ts";

/** A value for one input of a step. Booleans count as 0 and 1; numbers are rounded to the input's type. */
export type CallInput = TypedArray | number | bigint | boolean | readonly CallInput[];

/**
 * The variant of an entry that inputs fit, and the inputs as its typed arrays.
 *
 * @throws UserError K3006 if no variant has this batch size, K3007 for anything else that does not fit.
 */
export function toInputs(
  variants: readonly ManifestEntry[],
  given: ReadonlyMap<string, CallInput>,
): { readonly entry: ManifestEntry; readonly views: ReadonlyMap<string, TypedArray> } {
  const entry =
    variants.find((variant) => fits(variant, given)) ?? (variants.length === 1 ? at(variants, 0) : undefined);
  if (entry === undefined) throw misfit(variants, given);
  const views = new Map<string, TypedArray>();
  const types = new Map(
    entry.buffers.filter((buffer) => buffer.role === "input").map((buffer) => [buffer.name, buffer.dtype]),
  );
  for (const [name, value] of given) {
    const dtype = types.get(name);
    // An unknown name is reported by the run, with the names there are.
    if (isTyped(value)) views.set(name, value);
    else
      views.set(
        name,
        dtype === undefined
          ? new Uint8Array()
          : convert(dtype, value, (got) => fail(messages.badEntryInput(entry.name, name, "whole numbers", got))),
      );
  }
  return { entry, views };
}

function fits(variant: ManifestEntry, given: ReadonlyMap<string, CallInput>): boolean {
  return variant.buffers.every(
    (buffer) => buffer.role !== "input" || countOf(given.get(buffer.name)) === elementCount(buffer.shape),
  );
}

/** Says what is wrong with inputs that fit none of several variants: one of them, or all in their batch size. */
function misfit(variants: readonly ManifestEntry[], given: ReadonlyMap<string, CallInput>): Error {
  const first = at(variants, 0);
  const sizes = variants.map((variant) => variant.batch);
  const batches = new Set<number>();
  for (const buffer of first.buffers) {
    if (buffer.role !== "input" || buffer.shape[0] !== first.batch) continue;
    const value = given.get(buffer.name);
    const sample = elementCount(buffer.shape.slice(1));
    if (value === undefined || countOf(value) % sample !== 0)
      return fail(
        messages.badEntryInput(
          first.name,
          buffer.name,
          `batches of ${formatType({ dtype: buffer.dtype, shape: buffer.shape.slice(1) })}`,
          value === undefined ? "nothing" : `${countOf(value)} elements`,
        ),
      );
    batches.add(countOf(value) / sample);
  }
  return fail(messages.programBatchNotCompiled(first.name, [...batches].join(" and "), sizes));
}

function isTyped(value: CallInput): value is TypedArray {
  return ArrayBuffer.isView(value);
}

/** Number of elements of a value. */
function countOf(value: CallInput | undefined): number {
  if (value === undefined) return -1;
  if (isTyped(value)) return value.length;
  if (!Array.isArray(value)) return 1;
  return (value as readonly CallInput[]).reduce<number>((sum, part) => sum + countOf(part), 0); // narrowed to any[] by isArray
}

function convert(dtype: DType, value: CallInput, refuse: (got: string) => Error): TypedArray {
  const numbers: (number | bigint)[] = [];
  flatten(value, numbers);
  const data = newTypedArray(dtype, numbers.length);
  for (const [i, number] of numbers.entries()) {
    if (data instanceof BigInt64Array) {
      if (!Number.isFinite(Number(number))) throw refuse(String(number));
      data[i] = typeof number === "bigint" ? number : BigInt(Math.trunc(number));
    } else data[i] = encode(dtype, Number(number));
  }
  return data;
}

function encode(dtype: DType, value: number): number {
  if (dtype === "f16") return toFloat16(value);
  if (dtype === "bf16") return toBfloat16(value);
  return dtype === "bool" ? Number(value !== 0) : value;
}

function flatten(value: CallInput, into: (number | bigint)[]): void {
  if (typeof value === "boolean") into.push(Number(value));
  else if (typeof value === "number" || typeof value === "bigint") into.push(value);
  else for (const part of value) flatten(part, into);
}
