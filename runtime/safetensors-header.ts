/**
 * The JSON header of a safetensors file. It is read by its own grammar rather than as any JSON: an object of metadata
 * and tensors, each with exactly the fields it must have. So a name given twice, a number that is no plain integer and
 * deep nesting, which `JSON.parse` would let pass, are refused where they stand.
 */
import { fail } from "../ir/diagnostic/diagnostic.ts";
import { badSafetensors } from "../ir/diagnostic/messages.ts";
import { dtypeBytes, dtypes, type DType } from "../ir/type.ts";

/** A tensor of a header; its bytes are `start … end` of the data. */
export type HeaderTensor = {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
};

/** What a header says; tensors in the order of their bytes. */
export type Header = { readonly metadata: Map<string, string>; readonly tensors: readonly HeaderTensor[] };

/** How the format writes our element types. */
export const fileDtypes: { readonly [D in DType]: string } = {
  f32: "F32",
  f64: "F64",
  f16: "F16",
  bf16: "BF16",
  i8: "I8",
  u8: "U8",
  i16: "I16",
  i32: "I32",
  i64: "I64",
  bool: "BOOL",
};

const ourDtypes = new Map(dtypes.map((dtype) => [fileDtypes[dtype], dtype]));

/**
 * Reads a header and checks that its tensors cover the `dataLength` bytes of data exactly, without gap or overlap.
 *
 * @param file What errors call the file.
 * @throws UserError K3111.
 */
export function parseHeader(bytes: Uint8Array, dataLength: number, file: string): Header {
  const reader = new HeaderReader(decode(bytes, file), file);
  const header = reader.readHeader();
  let end = 0;
  for (const tensor of header.tensors) {
    if (tensor.start !== end) reader.refuse(`the bytes of ${tensor.name} start at ${tensor.start}, expected ${end}`);
    end = tensor.end;
  }
  if (end !== dataLength) reader.refuse(`its tensors take ${end} bytes, its data has ${dataLength}`);
  return header;
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw fail(badSafetensors(file, "its header is no UTF-8"), undefined, cause);
  }
}

const integerToken = /(?:0|[1-9][0-9]*)(?![0-9.eE])/y;
const space = /[ \t\r\n]*/y;

class HeaderReader {
  readonly #text: string;
  readonly #file: string;
  #at = 0;

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
  }

  /** Fails, saying what is wrong with the file. */
  refuse(what: string): never {
    throw fail(badSafetensors(this.#file, what));
  }

  readHeader(): Header {
    // The format demands that the header starts with the brace; spaces may follow it.
    if (this.#text[0] !== "{") this.refuse("its header does not start with `{`");
    let metadata: Map<string, string> | undefined;
    const tensors: HeaderTensor[] = [];
    this.#readObject((name) => {
      if (name === "__metadata__") metadata = this.#readMetadata();
      else tensors.push(this.#readTensor(name));
    });
    if (this.#at !== this.#text.length) this.#expected("the end of the header");
    tensors.sort((a, b) => a.start - b.start || a.end - b.end);
    return { metadata: metadata ?? new Map<string, string>(), tensors };
  }

  #readMetadata(): Map<string, string> {
    const metadata = new Map<string, string>();
    this.#readObject((key) => metadata.set(key, this.#readString()));
    return metadata;
  }

  #readTensor(name: string): HeaderTensor {
    let dtype: DType | undefined;
    let shape: number[] | undefined;
    let offsets: number[] | undefined;
    this.#readObject((field) => {
      if (field === "dtype") dtype = this.#readDtype(name);
      else if (field === "shape") shape = this.#readIntegers();
      else if (field === "data_offsets") offsets = this.#readIntegers();
      else this.refuse(`tensor ${name} has an unknown field ${field}`);
    });
    if (dtype === undefined || shape === undefined || offsets === undefined)
      return this.refuse(`tensor ${name} lacks one of dtype, shape, data_offsets`);
    const [start, end] = offsets;
    if (start === undefined || end === undefined || offsets.length !== 2)
      return this.refuse(`tensor ${name} has ${offsets.length} data_offsets, expected 2`);
    let size: number = dtypeBytes[dtype];
    for (const extent of shape) {
      size *= extent;
      if (!Number.isSafeInteger(size)) this.refuse(`tensor ${name} has more elements than can be counted`);
    }
    if (end - start !== size)
      this.refuse(`tensor ${name} has ${end - start} bytes, but ${dtype}[${shape.join(",")}] takes ${size}`);
    return { name, dtype, shape, start, end };
  }

  #readDtype(name: string): DType {
    const text = this.#readString();
    return ourDtypes.get(text) ?? this.refuse(`tensor ${name} has the element type ${text}, which Kiln does not have`);
  }

  /** Reads `{ "key": value, … }`; `readValue` reads each value. */
  #readObject(readValue: (key: string) => void): void {
    this.#take("{");
    const keys = new Set<string>();
    if (this.#tryTake("}")) return;
    do {
      const key = this.#readString();
      if (keys.has(key)) this.refuse(`the name ${key} stands there twice`);
      keys.add(key);
      this.#take(":");
      readValue(key);
    } while (this.#tryTake(","));
    this.#take("}");
  }

  #readIntegers(): number[] {
    this.#take("[");
    const integers: number[] = [];
    if (this.#tryTake("]")) return integers;
    do integers.push(this.#readInteger());
    while (this.#tryTake(","));
    this.#take("]");
    return integers;
  }

  #readInteger(): number {
    const value = Number(this.#match(integerToken) ?? this.#expected("an integer"));
    if (!Number.isSafeInteger(value)) this.#expected("an integer below 2^53");
    this.#skipSpace();
    return value;
  }

  #readString(): string {
    const end = this.#text[this.#at] === '"' ? closingQuote(this.#text, this.#at) : -1;
    if (end < 0) this.#expected("a string");
    const text = parseString(this.#text.slice(this.#at, end + 1)) ?? this.#expected("a valid string");
    this.#at = end + 1;
    this.#skipSpace();
    return text;
  }

  #take(character: string): void {
    if (!this.#tryTake(character)) this.#expected(`\`${character}\``);
  }

  #tryTake(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    this.#skipSpace();
    return true;
  }

  #skipSpace(): void {
    this.#match(space);
  }

  #match(token: RegExp): string | undefined {
    token.lastIndex = this.#at;
    const found = token.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #expected(what: string): never {
    return this.refuse(`its header has something other than ${what} at character ${this.#at}`);
  }
}

/** Where the string that opens at `start` closes; -1 if it does not. A quote behind an odd number of backslashes is inside. */
function closingQuote(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text[end - 1 - slashes] === "\\") slashes++;
    if (slashes % 2 === 0) return end;
  }
  return -1;
}

/** The text a JSON string stands for; `undefined` if it is malformed or no valid Unicode. */
function parseString(token: string): string | undefined {
  try {
    const text: unknown = JSON.parse(token);
    return typeof text === "string" && !/\p{Surrogate}/u.test(text) ? text : undefined;
  } catch {
    return undefined;
  }
}
