/**
 * Reading safetensors files. A file is taken as hostile: it is either exactly well-formed or refused with an error that
 * says where; memory is bounded by its size, and nothing in it is ever run. The format itself: `safetensors-bytes.ts`.
 */
import type { Stats } from "node:fs";
import { fstatSync, openSync, readSync, closeSync, constants } from "node:fs";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import { badSafetensors, fileFailed, notRegularFile, tooLargeForMemory } from "../ir/diagnostic/messages.ts";
import { checkHeaderLength, type SafetensorsFile, type StoredTensor } from "./safetensors-bytes.ts";
import { parseHeader } from "./safetensors-header.ts";

/** Longest piece of one read call, in bytes: systems cut longer ones short. */
const readLimit = 2 ** 30;

/**
 * Reads a whole file, each tensor into memory of its own (so files of any size can be read, and each tensor is aligned).
 *
 * @throws UserError K3111 for a malformed file, K3112 if it cannot be read, K3113 if it is no regular file, K3114 if a
 *   tensor does not fit into memory.
 */
export function readSafetensors(path: string): SafetensorsFile {
  const handle = open(path);
  try {
    const size = regularSize(handle, path);
    const prefix = readAt(handle, path, 0, Math.min(8, size));
    const headerLength = checkHeaderLength(prefix, size, path);
    const header = parseHeader(readAt(handle, path, 8, headerLength), size - 8 - headerLength, path);
    const tensors = new Map<string, StoredTensor>();
    for (const { name, dtype, shape, start, end } of header.tensors)
      tensors.set(name, { dtype, shape, bytes: readAt(handle, path, 8 + headerLength + start, end - start) });
    return { metadata: header.metadata, tensors };
  } finally {
    closeSync(handle);
  }
}

/** Opens without waiting, so that a pipe cannot hold us up before it is refused. */
function open(path: string): number {
  try {
    // O_NONBLOCK does not exist on Windows, where it counts as 0 in the sum of bits.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw fail(fileFailed("open", path, cause), undefined, cause);
  }
}

function regularSize(handle: number, path: string): number {
  let stats: Stats;
  try {
    stats = fstatSync(handle);
  } catch (cause) {
    throw fail(fileFailed("read", path, cause), undefined, cause);
  }
  if (!stats.isFile()) throw fail(notRegularFile(path));
  return stats.size;
}

/** Bytes `start … start + length` of an open file. */
function readAt(handle: number, path: string, start: number, length: number): Uint8Array {
  const bytes = allocate(length, path);
  for (let done = 0; done < length;) {
    let count: number;
    try {
      count = readSync(handle, bytes, done, Math.min(readLimit, length - done), start + done);
    } catch (cause) {
      throw fail(fileFailed("read", path, cause), undefined, cause);
    }
    if (count === 0) throw fail(badSafetensors(path, "it became shorter while it was read"));
    done += count;
  }
  return bytes;
}

function allocate(length: number, path: string): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw fail(tooLargeForMemory(path, length), undefined, cause);
  }
}
