/**
 * The bytes of safetensors files (https://github.com/huggingface/safetensors, format as of version 0.4): 8 bytes of
 * little-endian header length, a JSON header, then the tensors' bytes. They are taken as hostile: either exactly
 * well-formed or refused with an error that says where. Imports nothing of Node's, so that browsers read and write files.
 */
import { fail } from "../ir/diagnostic/diagnostic.ts";
import { badSafetensors } from "../ir/diagnostic/messages.ts";
import { dtypeBytes, type DType, type Shape } from "../ir/type.ts";
import { fileDtypes, parseHeader, type HeaderTensor } from "./safetensors-header.ts";

/** A tensor: its elements' bytes, row-major, little-endian; `typedArray(dtype, bytes)` views them. */
export type StoredTensor = { readonly dtype: DType; readonly shape: Shape; readonly bytes: Uint8Array };

/** The contents of a file, in the order of the bytes. Names and metadata are the file's own, unchecked text. */
export type SafetensorsFile = {
  readonly metadata: Map<string, string>;
  readonly tensors: Map<string, StoredTensor>;
};

/** Longest header that is read, in bytes; as in the reference implementation. */
const headerLimit = 100_000_000;

/**
 * Reads the contents of a file that is in memory. The tensors' bytes are views of `bytes`.
 *
 * @param name What errors call the file.
 * @throws UserError K3111 for malformed contents.
 */
export function parseSafetensors(bytes: Uint8Array, name: string): SafetensorsFile {
  const headerLength = checkHeaderLength(bytes.subarray(0, 8), bytes.length, name);
  const data = bytes.subarray(8 + headerLength);
  const header = parseHeader(bytes.subarray(8, 8 + headerLength), data.length, name);
  const view = ({ dtype, shape, start, end }: HeaderTensor): StoredTensor => ({
    dtype,
    shape,
    bytes: data.subarray(start, end),
  });
  return { metadata: header.metadata, tensors: new Map(header.tensors.map((tensor) => [tensor.name, view(tensor)])) };
}

/**
 * The chunks of a file, to be written one after the other. Equal contents give equal bytes, whatever the order of the
 * maps: wider element types come first, then names by their UTF-16 code units, and the header is padded with spaces to
 * a multiple of 8, so that each tensor is aligned.
 *
 * @throws UserError K3111 if a tensor's bytes do not fit its type, or a name cannot be written.
 */
export function* encodeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Generator<Uint8Array, void, undefined> {
  const order = [...tensors].sort(
    ([a, { dtype: x }], [b, { dtype: y }]) => dtypeBytes[y] - dtypeBytes[x] || compareText(a, b),
  );
  yield encodeHeader(order, metadata);
  for (const [, { bytes }] of order) yield bytes;
}

function encodeHeader(
  order: readonly (readonly [string, StoredTensor])[],
  metadata: ReadonlyMap<string, string>,
): Uint8Array {
  const entries: string[] = [];
  if (metadata.size > 0) {
    const pairs = [...metadata].sort(([a], [b]) => compareText(a, b));
    entries.push(`"__metadata__":{${pairs.map(([key, value]) => `${quote(key)}:${quote(value)}`).join(",")}}`);
  }
  let start = 0;
  for (const [name, { dtype, shape, bytes }] of order) {
    const expected = shape.reduce((size, extent) => size * extent, dtypeBytes[dtype]);
    if (name === "__metadata__") throw fail(badSafetensors(name, "a tensor may not have this name"));
    if (expected !== bytes.length)
      throw fail(badSafetensors(name, `a tensor of ${expected} bytes was given ${bytes.length}`));
    const end = start + bytes.length;
    entries.push(
      `${quote(name)}:{"dtype":"${fileDtypes[dtype]}","shape":[${shape.join(",")}],"data_offsets":[${start},${end}]}`,
    );
    start = end;
  }
  const text = new TextEncoder().encode(`{${entries.join(",")}}`);
  const length = Math.ceil(text.length / 8) * 8;
  if (length > headerLimit) throw fail(badSafetensors("a new file", `its header would have ${length} bytes`));
  const header = new Uint8Array(8 + length).fill(0x20, 8);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, 8);
  return header;
}

function quote(text: string): string {
  if (/\p{Surrogate}/u.test(text)) throw fail(badSafetensors(text, "a name or value is no valid Unicode"));
  return JSON.stringify(text);
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** The header length that the first eight bytes give. `size` is that of the whole file. @throws UserError K3111. */
export function checkHeaderLength(prefix: Uint8Array, size: number, path: string): number {
  if (prefix.length < 8) throw fail(badSafetensors(path, `it has ${size} bytes; the header length alone takes 8`));
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(size - 8))
    throw fail(badSafetensors(path, `a header of ${length} bytes does not fit into a file of ${size}`));
  if (length > BigInt(headerLimit))
    throw fail(badSafetensors(path, `its header has ${length} bytes; the limit is ${headerLimit}`));
  return Number(length);
}
