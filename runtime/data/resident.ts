/**
 * Resident data: what a data set holds as whole arrays. A program can gather rows from such arrays inside its step, so
 * the loader hands out row numbers instead of data. A choice of samples maps numbers; parts that share an array keep
 * sharing it.
 */
import { at, elementCount, type DType, type Shape, type TensorType } from "../../ir/type.ts";
import { bytesOf, newTypedArray, type TypedArray } from "../typed-array.ts";

/** A whole field: `rows` rows of `shape`, densely packed. */
export type ResidentField = {
  readonly data: TypedArray;
  readonly dtype: DType;
  /** Shape of one row. */
  readonly shape: Shape;
  readonly rows: number;
};

/** How a data set's samples lie in whole fields. */
export type Resident = {
  /** The type of one sample's field, for each field. */
  readonly types: readonly TensorType[];
  /** The whole fields. */
  readonly fields: () => readonly ResidentField[];
  /** Row of each sample; `undefined` if sample i is row i. */
  readonly rows: () => Int32Array | undefined;
};

/** The method by which a data set tells how it is resident. */
export const resident: unique symbol = Symbol.for("kiln.resident");

/** How `dataset` is resident; `undefined` if it is not. */
export function residentOf(dataset: object): Resident | undefined {
  if (!(resident in dataset) || typeof dataset[resident] !== "function") return undefined;
  return dataset[resident]() as Resident | undefined; // the symbol is ours alone
}

/** A choice of the samples of a resident data set. */
export function residentSubset(whole: Resident, indices: Int32Array): Resident {
  let rows: Int32Array | undefined;
  return {
    types: whole.types,
    fields: whole.fields,
    rows() {
      if (rows !== undefined) return rows;
      const outer = whole.rows();
      return (rows = outer === undefined ? indices : indices.map((index) => at(outer, index)));
    },
  };
}

/** Resident data sets behind each other; arrays are joined when first asked for, each distinct one once. */
export function residentConcat(parts: readonly { readonly view: Resident; readonly length: number }[]): Resident {
  const distinct = (): readonly (readonly ResidentField[])[] => {
    const seen: (readonly ResidentField[])[] = [];
    for (const { view } of parts) {
      const fields = view.fields();
      if (!seen.some((other) => sameArrays(other, fields))) seen.push(fields);
    }
    return seen;
  };
  let joined: readonly ResidentField[] | undefined;
  let rows: Int32Array | undefined;
  return {
    types: parts[0]?.view.types ?? [],
    fields: () => (joined ??= join(distinct())),
    rows() {
      if (rows !== undefined) return rows;
      const sets = distinct();
      rows = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
      let next = 0;
      for (const { view, length } of parts) {
        const own = view.fields();
        const place = sets.findIndex((other) => sameArrays(other, own));
        const base = sets.slice(0, place).reduce((sum, fields) => sum + (fields[0]?.rows ?? 0), 0);
        const map = view.rows();
        for (let i = 0; i < length; i++) rows[next++] = base + (map === undefined ? i : at(map, i));
      }
      return rows;
    },
  };
}

function sameArrays(a: readonly ResidentField[], b: readonly ResidentField[]): boolean {
  return a.every((field, i) => field.data === b[i]?.data);
}

/** The fields of several data sets behind each other. */
function join(sets: readonly (readonly ResidentField[])[]): readonly ResidentField[] {
  const [first] = sets;
  if (first === undefined || sets.length === 1) return first ?? [];
  return first.map((field, f) => {
    const rows = sets.reduce((sum, fields) => sum + at(fields, f).rows, 0);
    const data = newTypedArray(field.dtype, rows * elementCount(field.shape));
    const bytes = bytesOf(data);
    let offset = 0;
    for (const fields of sets) {
      const part = bytesOf(at(fields, f).data);
      bytes.set(part, offset);
      offset += part.byteLength;
    }
    return { data, dtype: field.dtype, shape: field.shape, rows };
  });
}

/** Rows `rows` of a field as one dense array `[rows.length, ...shape]`. */
export function gatherRows(field: ResidentField, rows: Int32Array): TypedArray {
  const size = elementCount(field.shape);
  const data = newTypedArray(field.dtype, rows.length * size);
  if (data instanceof BigInt64Array && field.data instanceof BigInt64Array && size === 1) {
    for (let i = 0; i < rows.length; i++) data[i] = at(field.data, at(rows, i));
    return data;
  }
  const source = bytesOf(field.data);
  const target = bytesOf(data);
  const step = rows.length === 0 ? 0 : target.byteLength / rows.length;
  for (let i = 0; i < rows.length; i++) {
    const from = at(rows, i) * step;
    target.set(source.subarray(from, from + step), i * step);
  }
  return data;
}
