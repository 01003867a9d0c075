/**
 * The reference data's tensors: reads safetensors files, gives every element as a float64 number, and compares computed
 * numbers with stored ones by the rule of the data's README.
 */
import { type StoredTensor } from "../../runtime/safetensors-bytes.ts";
import { readSafetensors } from "../../runtime/safetensors.ts";
import { newTypedArray, typedArray, type TypedArray } from "../../runtime/typed-array.ts";
import { toBfloat16, toFloat16 } from "../../ir/random/half.ts";
import { elementCount, formatType, sameType, type DType, type TensorType } from "../../ir/type.ts";

/** A tensor with its elements as numbers in row-major order, whatever its dtype (bools are 0 and 1). */
export type NumberTensor = { readonly type: TensorType; readonly values: Float64Array };

/** How far a result may be from the reference. */
export type Tolerance = { readonly rtol: number; readonly atol: number };

/** A result that is not the reference's. `largest`: the largest |computed - stored|. */
export type Mismatch = { readonly what: string; readonly largest: number; readonly tolerance: Tolerance };

/** The tensors of a file, by name. */
export class TensorFile {
  readonly #stored: ReadonlyMap<string, StoredTensor>;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    this.#stored = readSafetensors(path).tensors;
  }

  /** Names of all tensors, in the order of the file. */
  get names(): readonly string[] {
    return [...this.#stored.keys()];
  }

  /** Whether there is a tensor of this name. */
  has(name: string): boolean {
    return this.#stored.has(name);
  }

  /** The tensor of this name as bytes. Throws if there is none. */
  stored(name: string): StoredTensor {
    const tensor = this.#stored.get(name);
    if (tensor === undefined) throw new Error(`no tensor ${name} in ${this.#path}`);
    return tensor;
  }

  /** The type of a tensor. */
  type(name: string): TensorType {
    const { dtype, shape } = this.stored(name);
    return { dtype, shape };
  }

  /** The tensor of this name as numbers. */
  get(name: string): NumberTensor {
    const { dtype, shape, bytes } = this.stored(name);
    return { type: { dtype, shape }, values: toNumbers(dtype, typedArray(dtype, bytes)) };
  }

  /** Tensors whose names begin with `prefix`, by the rest of the name. */
  below(prefix: string): Map<string, NumberTensor> {
    const names = this.names.filter((name) => name.startsWith(prefix));
    return new Map(names.map((name) => [name.slice(prefix.length), this.get(name)]));
  }
}

/** Elements of a typed array as numbers. */
export function toNumbers(dtype: DType, data: TypedArray): Float64Array {
  if (data instanceof BigInt64Array) return Float64Array.from(data, Number);
  if (dtype === "bf16") return Float64Array.from(data, fromBfloat16);
  if (dtype === "f16") return Float64Array.from(data, fromFloat16);
  return Float64Array.from(data);
}

/** Numbers as the typed array that holds a dtype. */
export function fromNumbers(dtype: DType, values: ArrayLike<number>): TypedArray {
  const data = newTypedArray(dtype, values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    if (data instanceof BigInt64Array) data[i] = BigInt(Math.trunc(value));
    else data[i] = dtype === "bf16" ? toBfloat16(value) : dtype === "f16" ? toFloat16(value) : value;
  }
  return data;
}

const pattern = new Uint32Array(1);
const float = new Float32Array(pattern.buffer);

function fromBfloat16(bits: number): number {
  pattern[0] = bits << 16;
  return float[0] ?? 0;
}

function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** Whether `a` agrees with `b`: |a - b| <= atol + rtol |b|; NaN with NaN, an infinity only with itself. */
export function agrees(a: number, b: number, { rtol, atol }: Tolerance): boolean {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return true;
  return Number.isFinite(b) && Math.abs(a - b) <= atol + rtol * Math.abs(b);
}

/** Where `computed` does not agree with `stored`; `undefined` if it does. `what`: the result's name. */
export function compare(
  what: string,
  computed: NumberTensor,
  stored: NumberTensor,
  tolerance: Tolerance,
): Mismatch | undefined {
  if (!sameType(computed.type, stored.type))
    return {
      what: `${what}: ${formatType(computed.type)}, expected ${formatType(stored.type)}`,
      largest: NaN,
      tolerance,
    };
  let largest = 0;
  let wrong = 0;
  let first = "";
  for (let i = 0; i < elementCount(stored.type.shape); i++) {
    const [a, b] = [computed.values[i] ?? Number.NaN, stored.values[i] ?? Number.NaN];
    if (agrees(a, b, tolerance)) continue;
    if (wrong === 0) first = `element ${i}: ${a}, expected ${b}`;
    wrong++;
    const distance = Math.abs(a - b);
    largest = Number.isNaN(distance) ? Infinity : Math.max(largest, distance);
  }
  return wrong === 0 ? undefined : { what: `${what}: ${wrong} elements differ, ${first}`, largest, tolerance };
}
