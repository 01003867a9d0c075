/**
 * Collating: from samples to a batch. Sample 0 of a data set tells how many fields there are and of which type; every
 * later sample must have the same, and each field of a batch becomes one array `[n, ...shape]`. A user's collate function
 * takes the place of this where it is given, under the same rule.
 */
import { DiagnosticError, fail } from "../../ir/diagnostic/diagnostic.ts";
import { framesOf } from "../../ir/diagnostic/frames.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { at, elementCount, formatType, sameShape, sameType, type TensorType } from "../../ir/type.ts";
import type { Dataset, FieldValue, Sample } from "./dataset.ts";
import { bytesOf, newTypedArray, type TypedArray } from "../typed-array.ts";
import { isArrayValue, nameOf, toTensorlike, typeOf, type Tensorlike } from "./tensorlike.ts";

/** The fields of a batch, `[n, ...shape]` each, as stored: transforms are part of the compiled step. */
export type Batch = readonly Tensorlike[];

/** A user's way from samples to the fields of a batch, `[n, ...]` each. */
export type Collate = (samples: readonly Sample[]) => readonly FieldValue[];

/**
 * Sample `index` of a data set.
 *
 * @throws UserError K2012 around whatever `get` throws, K2008 if it gives no list of fields.
 */
export function readSample(dataset: Dataset, index: number): Sample {
  const place = `sample ${index} of ${dataset.constructor.name}`;
  let sample: unknown;
  try {
    sample = dataset.get(index);
  } catch (cause) {
    throw readFailure(place, cause);
  }
  return checkSample(sample, place);
}

/** The error for an error thrown by the user's code; one that already tells its sample stays as it is. */
export function readFailure(place: string, cause: unknown): DiagnosticError {
  if (cause instanceof DiagnosticError && cause.code === "K2012") return cause;
  const reason = cause instanceof Error ? (cause.message.split("\n", 1)[0] ?? "") : nameOf(cause);
  return fail(messages.getFailed(place, reason), framesOf(cause)[0], cause);
}

/** `sample`, if it is a list of fields. @throws UserError K2008 otherwise. */
export function checkSample(sample: unknown, place: string): Sample {
  if (!Array.isArray(sample)) {
    const got =
      sample instanceof Promise ? "a promise (`get` cannot wait: load before, or in an async factory)" : nameOf(sample);
    throw fail(messages.notASample(place, got));
  }
  return sample as Sample; // its fields are checked one by one when they are read
}

/**
 * The type of a field of a sample: whole numbers are `i64`, other numbers `f32`, arrays what they are.
 *
 * @throws UserError K2009 or K2013 if no tensor can be made of it.
 */
export function fieldType(value: unknown, place: string): TensorType {
  if (typeof value === "number") return { dtype: Number.isSafeInteger(value) ? "i64" : "f32", shape: [] };
  if (typeof value === "bigint") return { dtype: "i64", shape: [] };
  if (typeof value === "boolean") return { dtype: "bool", shape: [] };
  if (isArrayValue(value)) return typeOf(toTensorlike(value, place));
  throw fail(messages.notAField(place, nameOf(value)));
}

/** The types of all fields of a sample. */
export function sampleTypes(sample: Sample, place: string): readonly TensorType[] {
  return sample.map((value, f) => fieldType(value, `field ${f} of ${place}`));
}

/**
 * A batch of `count` samples, field by field. Each sample is copied before the next one is read, so `get` may use one
 * array again and again. `place` names a sample in errors.
 *
 * @throws UserError K2010 if a sample has more or fewer fields than `types`, K2011 if a field differs from its type,
 * K2009 or K2013 if no tensor can be made of it.
 */
export function collateSamples(
  count: number,
  read: (row: number) => Sample,
  types: readonly TensorType[],
  place: (row: number) => string,
): Batch {
  const columns = types.map((type) => newTypedArray(type.dtype, count * elementCount(type.shape)));
  for (let row = 0; row < count; row++) {
    const sample = read(row);
    if (sample.length !== types.length) throw fail(messages.fieldCountDiffers(place(row), types.length, sample.length));
    for (let f = 0; f < types.length; f++) {
      const type = at(types, f);
      const name = `field ${f} of ${place(row)}`;
      if (!put(at(columns, f), row, sample[f], type, name)) throw misfit(sample[f], type, name);
    }
  }
  return types.map((type, f) => ({ dtype: type.dtype, shape: [count, ...type.shape], data: at(columns, f) }));
}

/** Writes a field into row `row` of its column; false if it is not of the column's type. */
function put(column: TypedArray, row: number, value: unknown, type: TensorType, place: string): boolean {
  if (isArrayValue(value)) {
    const tensor = toTensorlike(value, place);
    if (!sameType(tensor, type)) return false;
    bytesOf(column).set(bytesOf(tensor.data), row * tensor.data.byteLength);
    return true;
  }
  if (type.shape.length > 0) return false;
  if (column instanceof BigInt64Array) {
    const whole = typeof value === "bigint" ? value : Number.isSafeInteger(value) ? BigInt(Number(value)) : undefined;
    if (whole === undefined || BigInt.asIntN(64, whole) !== whole) return false;
    column[row] = whole;
    return true;
  }
  if (typeof value === "number" && type.dtype === "f32") column[row] = value;
  else if (typeof value === "boolean" && type.dtype === "bool") column[row] = value ? 1 : 0;
  else return false;
  return true;
}

/** Why a field does not fit its column. */
function misfit(value: unknown, type: TensorType, place: string): DiagnosticError {
  const own = fieldType(value, place);
  const printed = isArrayValue(value) ? formatType(own) : `${nameOf(value)} (${formatType(own)})`;
  const hint = !sameShape(own.shape, type.shape)
    ? "Programs have fixed shapes: crop, pad or resize in `get` so that all samples have the same."
    : typeof value === "number" && type.dtype === "i64"
      ? "A whole number in sample 0 makes a field i64; for f32 return Float32Array.of(x) with shape [] in all samples."
      : "Return the same element type in all samples.";
  return fail(messages.fieldTypeDiffers(place, `${formatType(type)}, as in sample 0`, printed, hint));
}

/**
 * The fields a user's collate function gives for `samples`.
 *
 * @throws UserError K2018 if the result is no list of arrays whose first extent is the number of samples, or, where
 * `types` are known, of other types; K2012 around whatever it throws.
 */
export function collateByUser(
  collate: Collate,
  samples: readonly Sample[],
  types: readonly TensorType[] | undefined,
): Batch {
  let result: unknown;
  try {
    result = collate(samples);
  } catch (cause) {
    throw readFailure(`a batch of ${samples.length} samples (in \`collate\`)`, cause);
  }
  if (!Array.isArray(result)) throw fail(messages.badCollateResult("its result", "an array of fields", nameOf(result)));
  if (types !== undefined && types.length !== result.length)
    throw fail(messages.badCollateResult("its result", `${types.length} fields`, `${result.length} fields`));
  return result.map((value: unknown, f) => {
    const name = `field ${f} of its result`;
    if (!isArrayValue(value)) throw fail(messages.badCollateResult(name, "{ data, shape, dtype? }", nameOf(value)));
    const tensor = toTensorlike(value, `field ${f} of what \`collate\` gave`);
    const type = types?.[f] ?? { dtype: tensor.dtype, shape: tensor.shape.slice(1) };
    const expected = { dtype: type.dtype, shape: [samples.length, ...type.shape] };
    if (!sameType(tensor, expected))
      throw fail(messages.badCollateResult(name, formatType(expected), formatType(typeOf(tensor))));
    return tensor;
  });
}
