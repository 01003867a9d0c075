/**
 * Tensors from a user's file: NumPy's .npy (version 1 to 3, C order), .safetensors, or IDX. Files are taken as hostile:
 * what is not exactly well-formed is a `UserError` (K6051, or those of the readers).
 */
import { readFileSync } from "node:fs";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { elementCount, dtypeBytes, type DType } from "../ir/type.ts";
import { readIdx } from "../runtime/data/idx.ts";
import type { Tensorlike } from "../runtime/data/tensorlike.ts";
import { readSafetensors } from "../runtime/safetensors.ts";
import { typedArray } from "../runtime/typed-array.ts";

/** The tensors in a file, by name; the name is empty where a format has none. */
export function readTensors(file: string): Map<string, Tensorlike> {
  if (file.endsWith(".safetensors")) {
    const { tensors } = readSafetensors(file);
    return new Map(
      [...tensors].map(([name, { dtype, shape, bytes }]) => [name, { dtype, shape, data: typedArray(dtype, bytes) }]),
    );
  }
  return new Map([["", file.endsWith(".npy") ? parseNpy(readBytes(file), file) : readIdx(file)]]);
}

function readBytes(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw fail(messages.fileFailed("read", file, cause), undefined, cause);
  }
}

/** NumPy's names of element types. */
const npyTypes: Readonly<Record<string, DType>> = {
  "<f4": "f32",
  "<f8": "f64",
  "<f2": "f16",
  "|i1": "i8",
  "|u1": "u8",
  "<i2": "i16",
  "<i4": "i32",
  "<i8": "i64",
  "|b1": "bool",
};

/** The array in the bytes of a .npy file (numpy.lib.format). `file` names it in errors. */
function parseNpy(bytes: Uint8Array, file: string): Tensorlike {
  const refuse = (got: string): Error =>
    fail(messages.badPredictInput(file, "a .npy file: little-endian, in C order", got));
  if (bytes.length < 12 || Buffer.from(bytes.subarray(0, 6)).toString("latin1") !== "\u0093NUMPY") {
    throw refuse("bytes that do not begin as one");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isShort = bytes[6] === 1;
  const start = isShort ? 10 : 12;
  const length = isShort ? view.getUint16(8, true) : view.getUint32(8, true);
  if (start + length > bytes.length) throw refuse("a header that is cut short");
  const header = Buffer.from(bytes.subarray(start, start + length)).toString("latin1");
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1] ?? "";
  const dtype = Object.hasOwn(npyTypes, descr) ? npyTypes[descr] : undefined;
  const dims = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1];
  if (dtype === undefined || dims === undefined) throw refuse(`elements of type ${descr === "" ? "unknown" : descr}`);
  if (/'fortran_order':\s*True/.test(header)) throw refuse("an array in Fortran order");
  const shape = dims
    .split(",")
    .map((text) => text.trim())
    .filter((text) => text !== "")
    .map(Number);
  const count = elementCount(shape);
  const data = bytes.subarray(start + length);
  if (!shape.every(Number.isSafeInteger) || !Number.isSafeInteger(count) || data.length !== count * dtypeBytes[dtype]) {
    throw refuse(`${data.length} bytes for the shape (${dims})`);
  }
  return { dtype, shape, data: typedArray(dtype, data) };
}
