/**
 * Data sets. A data set is anything with a `length` and a `get(index)` that gives one sample, a list of fields such as
 * `[image, label]`; users write their own. Those here hold arrays, or choose from and join others. What is held as arrays
 * stays as it is and can be lent whole to a program (`resident.ts`).
 */
import type { TransformDescription } from "../../ir/data/description.ts";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { at, formatType, sameShape } from "../../ir/type.ts";
import { resident, residentConcat, residentOf, residentSubset, type Resident } from "./resident.ts";
import { formatTensorlike, isArrayValue, nameOf, rowOf, toTensorlike } from "./tensorlike.ts";
import type { ArrayValue, Tensorlike } from "./tensorlike.ts";
import { stepsOf, type Transform } from "./transforms.ts";

/**
 * One field of a sample. A whole number becomes `i64`, another number `f32`, a boolean `bool`, a typed array keeps its
 * own element type; the kind of field that sample 0 has holds for all samples.
 */
export type FieldValue = number | bigint | boolean | ArrayValue;

/** One sample: its fields, in the order in which a batch has them. */
export type Sample = readonly FieldValue[];

/** Transforms a data set asks for: of its first field and of its second one. They are traced into the step. */
export type TransformOptions = {
  readonly transform?: Transform | undefined;
  readonly targetTransform?: Transform | undefined;
};

/** Samples that can be read by number. Extend it, or just have these members. */
export abstract class Dataset {
  /** Number of samples. */
  abstract readonly length: number;
  /** What the compiled step does with the first field. */
  declare transform?: Transform | undefined;
  /** What the compiled step does with the second field. */
  declare targetTransform?: Transform | undefined;
  /** Sample `index`, from 0 to `length - 1`. Must give the same fields in each sample: number, types and shapes. */
  abstract get(index: number): Sample;
}

/** Samples that come in an order of their own, a stream. Each iteration is one pass. */
export abstract class IterableDataset implements Iterable<Sample> {
  /** Number of samples of one pass, where it is known; a compiled program needs it. */
  declare readonly length?: number | undefined;
  declare transform?: Transform | undefined;
  declare targetTransform?: Transform | undefined;
  abstract [Symbol.iterator](): Iterator<Sample>;
}

/** Largest number of samples: sample numbers are 32-bit integers in programs. */
export const maxSamples: number = 2 ** 31 - 1;

/** The length of a data set, checked. @throws UserError K2019 if it is no whole number up to `maxSamples`. */
export function lengthOf(dataset: { readonly length: number }, owner: string): number {
  const { length } = dataset;
  if (!Number.isSafeInteger(length) || length < 0 || length > maxSamples)
    throw fail(messages.badDatasetLength(owner, length));
  return length;
}

/** Whether a data set is a stream: it can be iterated and has no `get`. */
export function isIterableDataset(dataset: Dataset | IterableDataset): dataset is IterableDataset {
  return typeof dataset === "object" && dataset !== null && !("get" in dataset);
}

/** Samples held as arrays: field f of sample i is row i of tensor f, `[samples, ...shape]`. Nothing is copied. */
export class TensorDataset extends Dataset {
  override readonly length: number;
  /** The fields, `[samples, ...shape]` each. */
  readonly tensors: readonly Tensorlike[];

  /**
   * Takes the fields one by one as PyTorch does, or a list of them and options.
   *
   * @throws UserError K2001 without any field, K2009 or K2013 for a bad array, K2014 if the fields differ in length.
   */
  constructor(...tensors: readonly ArrayValue[]);
  constructor(tensors: readonly ArrayValue[], options?: TransformOptions);
  constructor(...given: readonly (ArrayValue | readonly ArrayValue[] | TransformOptions | undefined)[]) {
    super();
    const [first, options] = given;
    const listed = Array.isArray(first);
    const values: readonly unknown[] = listed ? first : given;
    this.tensors = values.map((value, i) => fieldTensor(value, `field ${i} of TensorDataset`));
    const [field] = this.tensors;
    if (field === undefined)
      throw fail(messages.badDataOption("TensorDataset", "tensors", "at least one tensor", "none"));
    if (this.tensors.some((tensor) => tensor.shape[0] !== field.shape[0]))
      throw fail(messages.fieldRowsDiffer(this.tensors.map(formatTensorlike)));
    this.length = lengthOf({ length: at(field.shape, 0) }, "TensorDataset");
    if (listed && typeof options === "object" && !Array.isArray(options))
      applyTransforms(this, options as TransformOptions); // told apart by the first argument
  }

  override get(index: number): Sample {
    checkIndex(this, index);
    return this.tensors.map((tensor) => rowOf(tensor, index));
  }

  /** The whole fields, unless a subclass reads samples in its own way. */
  [resident](): Resident | undefined {
    if (this.get !== TensorDataset.prototype.get) return undefined;
    return {
      types: this.tensors.map((tensor) => ({ dtype: tensor.dtype, shape: tensor.shape.slice(1) })),
      fields: () =>
        this.tensors.map((tensor) => ({
          data: tensor.data,
          dtype: tensor.dtype,
          shape: tensor.shape.slice(1),
          rows: this.length,
        })),
      rows: () => undefined,
    };
  }
}

/** A choice of samples: sample i is sample `indices[i]` of `dataset`. */
export class Subset extends Dataset {
  override readonly length: number;
  readonly dataset: Dataset;
  readonly indices: Int32Array;

  /** @throws UserError K2005 if an index is not in the data set. */
  constructor(dataset: Dataset, indices: ArrayLike<number>) {
    super();
    const length = lengthOf(dataset, "Subset");
    for (let i = 0; i < indices.length; i++) {
      const index = at(indices, i);
      if (!Number.isSafeInteger(index) || index < 0 || index >= length)
        throw fail(messages.sampleOutside("Subset", index, length));
    }
    this.dataset = dataset;
    this.indices = Int32Array.from(indices);
    this.length = this.indices.length;
  }

  override get(index: number): Sample {
    checkIndex(this, index);
    return this.dataset.get(at(this.indices, index));
  }

  [resident](): Resident | undefined {
    if (this.get !== Subset.prototype.get) return undefined;
    const whole = residentOf(this.dataset);
    return whole === undefined ? undefined : residentSubset(whole, this.indices);
  }
}

/** Several data sets as one, in order. */
export class ConcatDataset extends Dataset {
  override readonly length: number;
  readonly datasets: readonly Dataset[];
  /** Number of samples before the end of each part. */
  readonly cumulativeSizes: readonly number[];
  #resident: Resident | undefined;

  /**
   * @throws UserError K2001 without any part, K2015 if the parts differ in their transforms or in the types of fields
   * they hold as arrays.
   */
  constructor(datasets: readonly Dataset[]) {
    super();
    if (datasets.length === 0)
      throw fail(messages.badDataOption("ConcatDataset", "datasets", "at least one data set", "none"));
    this.datasets = [...datasets];
    let total = 0;
    this.cumulativeSizes = datasets.map((dataset) => (total += lengthOf(dataset, "ConcatDataset")));
    this.length = lengthOf({ length: total }, "ConcatDataset");
    sameTransforms(datasets);
    checkSameTypes(datasets);
  }

  override get(index: number): Sample {
    checkIndex(this, index);
    const part = this.cumulativeSizes.findIndex((end) => index < end);
    const before = part === 0 ? 0 : at(this.cumulativeSizes, part - 1);
    return at(this.datasets, part).get(index - before);
  }

  /** The fields of all parts behind each other, joined when first asked for; parts of one array are not copied. */
  [resident](): Resident | undefined {
    if (this.get !== ConcatDataset.prototype.get) return undefined;
    if (this.#resident !== undefined) return this.#resident;
    const parts: { view: Resident; length: number }[] = [];
    for (const dataset of this.datasets) {
      const view = residentOf(dataset);
      if (view === undefined) return undefined;
      parts.push({ view, length: dataset.length });
    }
    return (this.#resident = residentConcat(parts));
  }
}

/** Throws unless `index` numbers a sample of `dataset`. */
function checkIndex(dataset: Dataset, index: number): void {
  if (!Number.isSafeInteger(index) || index < 0 || index >= dataset.length)
    throw fail(messages.sampleOutside(dataset.constructor.name, index, dataset.length));
}

/** Sets the transforms given in `options`. @throws UserError K2016 if one is no transform. */
function applyTransforms(dataset: Dataset, options: TransformOptions): void {
  stepsOf(options.transform, "`transform`");
  stepsOf(options.targetTransform, "`targetTransform`");
  if (options.transform !== undefined) dataset.transform = options.transform;
  if (options.targetTransform !== undefined) dataset.targetTransform = options.targetTransform;
}

/** The transforms of one field after the other; fields past the end have none. */
export type FieldTransforms = readonly (readonly TransformDescription[])[];

/**
 * The transforms of a data set's fields: its own, or else those of the data set it chooses from or joins.
 *
 * @throws UserError K2016 if one is no transform, K2015 if the parts of a `ConcatDataset` ask for different ones.
 */
export function transformsOf(dataset: Dataset | IterableDataset): FieldTransforms {
  const inner =
    dataset instanceof Subset
      ? transformsOf(dataset.dataset)
      : dataset instanceof ConcatDataset
        ? sameTransforms(dataset.datasets)
        : [];
  const own = [dataset.transform, dataset.targetTransform];
  return own.map((transform, field) =>
    transform === undefined
      ? (inner[field] ?? [])
      : stepsOf(transform, `\`${field === 0 ? "transform" : "targetTransform"}\` of ${dataset.constructor.name}`),
  );
}

/** The transforms that all data sets of a list have. */
function sameTransforms(datasets: readonly Dataset[]): FieldTransforms {
  const [first = [], ...others] = datasets.map(transformsOf);
  others.forEach((other, i) => {
    const equal = first.every((steps, field) => {
      const mine = other[field] ?? [];
      return steps.length === mine.length && steps.every((step, k) => sameTransform(step, at(mine, k)));
    });
    if (!equal) throw fail(messages.concatDiffers(i + 1, "the same transforms in all parts", "other transforms"));
  });
  return first;
}

function sameTransform(a: TransformDescription, b: TransformDescription): boolean {
  if (a.kind === "lambda") return b.kind === "lambda" && a.apply === b.apply;
  return JSON.stringify(a) === JSON.stringify(b);
}

/** A field of a `TensorDataset`: at least one axis. */
function fieldTensor(value: unknown, place: string): Tensorlike {
  if (!isArrayValue(value)) throw fail(messages.notAField(place, nameOf(value)));
  const tensor = toTensorlike(value, place);
  if (tensor.shape.length === 0)
    throw fail(messages.fieldDataMismatch(place, "a shape [samples, ...]", "the shape [] of a single number"));
  return tensor;
}

function checkSameTypes(datasets: readonly Dataset[]): void {
  const views = datasets.map(residentOf);
  const first = views[0]?.types;
  if (first === undefined) return;
  views.forEach((view, part) => {
    const types = view?.types;
    if (types === undefined) return;
    const equal =
      types.length === first.length &&
      types.every((type, f) => type.dtype === first[f]?.dtype && sameShape(type.shape, first[f].shape));
    if (!equal)
      throw fail(messages.concatDiffers(part, first.map(formatType).join(", "), types.map(formatType).join(", ")));
  });
}
