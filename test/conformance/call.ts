/**
 * Calls as the reference data writes them: PyTorch's positional and keyword arguments, decoded from JSON and bound to
 * the names that an operator's own signature gives them. What an argument cannot be here is `Unsupported`.
 */
import type { Tensor } from "../../compiler/trace/tensor.ts";
import { isTensor } from "../../compiler/trace/tensor.ts";
import type { DType } from "../../ir/type.ts";
import { Unsupported } from "./report.ts";

/** A dtype as an argument. */
export type DTypeArg = { readonly kind: "dtype"; readonly dtype: DType };

/** A part of an index: `start:stop:step`. */
export type SliceArg = {
  readonly kind: "slice";
  readonly start: number | undefined;
  readonly stop: number | undefined;
  readonly step: number | undefined;
};

/** A part of an index: `...`. */
export type EllipsisArg = { readonly kind: "ellipsis" };

/** One decoded argument. */
export type Arg = Tensor | number | string | boolean | null | DTypeArg | SliceArg | EllipsisArg | readonly Arg[];

const dtypeNames: Readonly<Record<string, DType>> = {
  float32: "f32",
  float64: "f64",
  float16: "f16",
  bfloat16: "bf16",
  int8: "i8",
  uint8: "u8",
  int16: "i16",
  int32: "i32",
  int64: "i64",
  bool: "bool",
};

/** The argument that a JSON value stands for. `tensor` gives the tensor of a name. */
export function decode(json: unknown, tensor: (name: string) => Tensor): Arg {
  if (json === null || typeof json === "number" || typeof json === "string" || typeof json === "boolean") return json;
  if (Array.isArray(json)) return json.map((part: unknown) => decode(part, tensor));
  if (typeof json !== "object" || json === undefined) throw new Unsupported(`an argument of type ${typeof json}`);
  const [[key, value] = ["", undefined]] = Object.entries(json);
  switch (key) {
    case "tensor":
      return tensor(String(value));
    case "float":
      return value === "nan" ? Number.NaN : value === "inf" ? Infinity : -Infinity;
    case "dtype": {
      const dtype = dtypeNames[String(value)];
      if (dtype === undefined) throw new Unsupported(`dtype ${String(value)}`);
      return { kind: "dtype", dtype };
    }
    case "slice": {
      const [start, stop, step] = (value as readonly (number | null)[]).map((bound) => bound ?? undefined); // by format
      return { kind: "slice", start, stop, step };
    }
    case "ellipsis":
      return { kind: "ellipsis" };
    default:
      throw new Unsupported(`an argument ${JSON.stringify(json)}`);
  }
}

/** Keywords that say where and how a tensor lives, which Kiln decides itself. */
const ignoredKeywords: readonly string[] = [
  "device",
  "requires_grad",
  "layout",
  "pin_memory",
  "memory_format",
  "inplace",
  "sparse_grad",
];

/** The arguments of a call, by the names in the operator's signature. */
export class Call {
  readonly #values: ReadonlyMap<string, Arg>;

  /** Binds positional arguments to `signature`; a name with a star in front takes all that are left as a list. */
  constructor(signature: readonly string[], args: readonly Arg[], kwargs: Readonly<Record<string, Arg>>) {
    const values = new Map<string, Arg>();
    const names = signature.map((name) => name.replace("*", ""));
    const rest = signature.findIndex((name) => name.startsWith("*"));
    args.forEach((arg, i) => {
      const name = names[rest >= 0 && i >= rest ? rest : i];
      if (name === undefined) throw new Unsupported(`${args.length} positional arguments`);
      const known = values.get(name);
      values.set(
        name,
        i >= rest && rest >= 0 ? [...(Array.isArray(known) ? (known as readonly Arg[]) : []), arg] : arg,
      );
    });
    for (const [name, arg] of Object.entries(kwargs)) {
      if (ignoredKeywords.includes(name)) continue;
      if (!names.includes(name)) throw new Unsupported(`the keyword argument ${name}`);
      values.set(name, arg);
    }
    this.#values = values;
  }

  /** Whether an argument was given and is not None. */
  has(name: string): boolean {
    return (this.#values.get(name) ?? null) !== null;
  }

  /** Whether an argument was given, be it None. */
  given(name: string): boolean {
    return this.#values.has(name);
  }

  /** An argument as it is; `null` if it is missing. */
  arg(name: string): Arg {
    return this.#values.get(name) ?? null;
  }

  /** A tensor. */
  tensor(name: string): Tensor {
    const value = this.arg(name);
    return isTensor(value) ? value : wrong(name, "a tensor", value);
  }

  /** A tensor, or `undefined` for None. */
  tensorOr(name: string): Tensor | undefined {
    return this.has(name) ? this.tensor(name) : undefined;
  }

  /** A list of tensors. */
  tensors(name: string): Tensor[] {
    const value = this.arg(name);
    const list: readonly Arg[] = isList(value) ? value : [value];
    const flat = list.length === 1 && list[0] !== undefined && isList(list[0]) ? list[0] : list;
    return flat.map((each) => (isTensor(each) ? each : wrong(name, "tensors", value)));
  }

  /** A tensor or number. */
  operand(name: string): Tensor | number | boolean {
    const value = this.arg(name);
    return isTensor(value) || typeof value === "number" || typeof value === "boolean"
      ? value
      : wrong(name, "a tensor or number", value);
  }

  /** A number; booleans count as 0 and 1. */
  number(name: string): number {
    const value = this.arg(name);
    if (typeof value === "boolean") return Number(value);
    return typeof value === "number" ? value : wrong(name, "a number", value);
  }

  /** A number, or `otherwise` where it is missing or None. */
  numberOr<T>(name: string, otherwise: T): number | T {
    return this.has(name) ? this.number(name) : otherwise;
  }

  /** A truth value, or `otherwise` where it is missing or None. */
  flag(name: string, otherwise: boolean = false): boolean {
    const value = this.has(name) ? this.arg(name) : otherwise;
    return typeof value === "boolean"
      ? value
      : typeof value === "number"
        ? value !== 0
        : wrong(name, "a truth value", value);
  }

  /** A text, or `otherwise` where it is missing or None. */
  text(name: string, otherwise: string): string {
    const value = this.has(name) ? this.arg(name) : otherwise;
    return typeof value === "string" ? value : wrong(name, "a text", value);
  }

  /** A list of numbers, perhaps given as one number. */
  numbers(name: string): number[] {
    const value = this.arg(name);
    const list: readonly Arg[] = isList(value) ? value : [value];
    return list.map((each) => (typeof each === "number" ? each : wrong(name, "numbers", value)));
  }

  /** A number, a list of numbers, or `undefined` where it is missing or None. */
  numbersOr(name: string): number | number[] | undefined {
    if (!this.has(name)) return undefined;
    const value = this.arg(name);
    return typeof value === "number" ? value : this.numbers(name);
  }

  /** A dtype, or `undefined`. */
  dtype(name: string): DType | undefined {
    const value = this.arg(name);
    return value !== null && typeof value === "object" && "kind" in value && value.kind === "dtype"
      ? value.dtype
      : undefined;
  }
}

/** Whether an argument is a list. */
export function isList(value: Arg): value is readonly Arg[] {
  return Array.isArray(value);
}

function wrong(name: string, expected: string, got: Arg): never {
  throw new Unsupported(
    `argument ${name}: expected ${expected}, got ${isTensor(got) ? got.toString() : JSON.stringify(got)}`,
  );
}
