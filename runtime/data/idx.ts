/**
 * The IDX format of MNIST's files (Y. LeCun, "The MNIST database", file format section): two zero bytes, an element type,
 * the rank, the extents as big-endian 32-bit numbers, then the elements, big-endian and row-major. Plain or gzip. Nothing
 * in a file is believed: its size must be exactly what its header says.
 */
import { endianness } from "node:os";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { at, dtypeBytes, formatType, type DType } from "../../ir/type.ts";
import { withDataFile, type DataFile } from "./data-file.ts";
import { typedArray, type TypedArray } from "../typed-array.ts";
import type { Tensorlike } from "./tensorlike.ts";

/** Element types by their code in the header. */
const elementTypes: Readonly<Record<number, DType>> = {
  0x08: "u8",
  0x09: "i8",
  0x0b: "i16",
  0x0c: "i32",
  0x0d: "f32",
  0x0e: "f64",
};

/**
 * Reads an IDX file, plain or gzip, into an array of its own.
 *
 * @throws UserError K2020 to K2022 if there is no such readable regular file, K2023 to K2028 for every way in which it is
 * not a whole IDX file, K2029 for damaged gzip data.
 */
export function readIdx(path: string): Tensorlike {
  return withDataFile(path, (file) => {
    const { dtype, shape, start } = readHeader(file);
    const count = countElements(file, shape);
    const bytes = count * dtypeBytes[dtype];
    const total = start + bytes;
    if (file.size === undefined && total > file.capacity)
      throw fail(messages.idxTooLarge(path, shape, `at most ${file.capacity} bytes, unpacked`));
    const data = file.rest(start, bytes);
    if (data === undefined) {
      const got = file.size === undefined ? "more or fewer bytes, unpacked" : `${file.size} bytes`;
      throw fail(messages.idxSize(path, formatType({ dtype, shape }), total, got));
    }
    return { dtype, shape, data: toElements(data, dtype) };
  });
}

function readHeader(file: DataFile): {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly start: number;
} {
  const magic = file.head(4);
  const hex = Array.from(magic, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  if (magic.length < 4) throw fail(messages.idxHeaderTruncated(file.path, 4, magic.length));
  if (magic[0] !== 0 || magic[1] !== 0) throw fail(messages.notIdx(file.path, `the bytes ${hex}`));
  const dtype = elementTypes[at(magic, 2)];
  if (dtype === undefined) throw fail(messages.idxElementType(file.path, `0x${hex.slice(6, 8)}`));
  const rank = at(magic, 3);
  if (rank === 0) throw fail(messages.idxRank(file.path));
  const start = 4 + 4 * rank;
  const header = file.head(start);
  if (header.length < start) throw fail(messages.idxHeaderTruncated(file.path, start, header.length));
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  return { dtype, shape: Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis)), start };
}

/** Number of elements, without rounding: past 2^53 bytes there is no such file. */
function countElements(file: DataFile, shape: readonly number[]): number {
  if (shape.includes(0)) return 0;
  let count = 1;
  for (const extent of shape) {
    count *= extent;
    if (count > Number.MAX_SAFE_INTEGER / 8)
      throw fail(messages.idxTooLarge(file.path, shape, `at most ${file.capacity} bytes`));
  }
  return count;
}

/** The elements in `bytes`, which are big-endian and are turned in place where the machine is not. */
function toElements(bytes: Uint8Array<ArrayBuffer>, dtype: DType): TypedArray {
  if (endianness() === "LE") {
    const whole = Buffer.from(bytes.buffer);
    if (dtypeBytes[dtype] === 2) whole.swap16();
    else if (dtypeBytes[dtype] === 4) whole.swap32();
    else if (dtypeBytes[dtype] === 8) whole.swap64();
  }
  return typedArray(dtype, bytes);
}
