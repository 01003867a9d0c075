/**
 * Reading data files that may be damaged, truncated or made to harm: only regular files are opened (a pipe would never
 * end), and a gzip file is never unpacked past what its reader says that it holds.
 */
import { constants as memory } from "node:buffer";
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { gunzipSync, constants as zlib } from "node:zlib";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { nameOf } from "./tensorlike.ts";

/** An open data file whose bytes can be asked for from the front. */
export type DataFile = {
  readonly path: string;
  /** The first `count` bytes (unpacked), or all there are if fewer. */
  head(count: number): Uint8Array;
  /** Most bytes the file can hold, unpacked. */
  readonly capacity: number;
  /** Number of bytes, where that is known before unpacking. */
  readonly size: number | undefined;
  /**
   * The bytes from `start` on, `count` of them, in an array of their own; `undefined` if there are more or fewer.
   */
  rest(start: number, count: number): Uint8Array<ArrayBuffer> | undefined;
};

/** The most that deflate can compress, with room: 1032 times (RFC 1951: 258 bytes in two bits). */
const gzipRatio = 1100;

/** Bytes of a gzip file within which its own header must end: its extra field alone may have 65,535 (RFC 1952). */
const longestHeader = 72 * 1024;

/** Largest piece of memory that is taken before anything is unpacked into it, in bytes. */
const largestChunk = 2 ** 28;

/**
 * Opens a file for the time of `use`.
 *
 * @throws UserError K2020 if it is missing, K2021 if it cannot be read, K2022 if it is no regular file, K2029 if it is a
 * damaged gzip file.
 */
export function withDataFile<T>(path: string, use: (file: DataFile) => T): T {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a pipe must not block
  } catch (cause) {
    throw openFailure(path, cause);
  }
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) throw fail(messages.notARegularFile(path, kindOf(stats)));
    const start = readAt(descriptor, path, 0, Math.min(stats.size, 2));
    const gzip = start[0] === 0x1f && start[1] === 0x8b;
    return use(
      gzip ? gzipFile(path, readAt(descriptor, path, 0, stats.size)) : plainFile(path, descriptor, stats.size),
    );
  } finally {
    closeSync(descriptor);
  }
}

function plainFile(path: string, descriptor: number, size: number): DataFile {
  return {
    path,
    size,
    capacity: size,
    head: (count) => readAt(descriptor, path, 0, Math.min(count, size)),
    rest: (start, count) => {
      if (start + count !== size) return undefined;
      const bytes = readAt(descriptor, path, start, count);
      return bytes.length === count ? bytes : undefined;
    },
  };
}

function gzipFile(path: string, packed: Uint8Array): DataFile {
  return {
    path,
    size: undefined,
    capacity: Math.min(packed.length * gzipRatio, memory.MAX_LENGTH),
    head(count) {
      const bytes = unpackStart(path, packed.subarray(0, 4096));
      if (bytes.length >= count || packed.length <= 4096) return bytes.subarray(0, count);
      return unpackStart(path, packed.subarray(0, longestHeader)).subarray(0, count); // a long name or comment
    },
    rest(start, count) {
      // One chunk for all: joining many would take the memory twice. The byte more lets it see the end at once.
      const chunk = Math.min(start + count + 1, largestChunk);
      const bytes = unpack(path, packed, start + count, chunk, zlib.Z_FINISH);
      if (bytes?.length !== start + count) return undefined;
      return new Uint8Array(bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + start + count));
    },
  };
}

/** What the start of a gzip file unpacks to. @throws UserError K2029 for damaged data. */
function unpackStart(path: string, packed: Uint8Array): Uint8Array {
  return unpack(path, packed, packed.length * gzipRatio, 2 ** 20, zlib.Z_SYNC_FLUSH) ?? new Uint8Array(0);
}

/** Unpacked bytes; `undefined` if there are more than `limit`. @throws UserError K2029 for damaged data. */
function unpack(
  path: string,
  packed: Uint8Array,
  limit: number,
  chunkSize: number,
  finishFlush: number,
): Buffer<ArrayBuffer> | undefined {
  try {
    return gunzipSync(packed, { finishFlush, maxOutputLength: Math.max(limit, 1), chunkSize: Math.max(chunkSize, 64) });
  } catch (cause) {
    if (codeOf(cause) === "ERR_BUFFER_TOO_LARGE") return undefined;
    throw fail(messages.gzipDamaged(path, cause instanceof Error ? cause.message : nameOf(cause)), undefined, cause);
  }
}

/** `count` bytes from `position`, or fewer if the file ends before. */
function readAt(descriptor: number, path: string, position: number, count: number): Uint8Array<ArrayBuffer> {
  let bytes = new Uint8Array(0);
  let done = 0;
  try {
    bytes = new Uint8Array(count);
    while (done < count) {
      const read = readSync(descriptor, bytes, done, Math.min(count - done, 2 ** 30), position + done);
      if (read === 0) break;
      done += read;
    }
  } catch (cause) {
    const reason =
      cause instanceof RangeError ? "more bytes than there is memory for" : (codeOf(cause) ?? nameOf(cause));
    throw fail(messages.dataFileUnreadable(path, reason), undefined, cause);
  }
  return done === count ? bytes : bytes.slice(0, done);
}

function openFailure(path: string, cause: unknown): Error {
  const code = codeOf(cause);
  return code === "ENOENT" || code === "ENOTDIR"
    ? fail(messages.dataFileMissing([path], "Check the path, and that the data is unpacked there."), undefined, cause)
    : fail(messages.dataFileUnreadable(path, code ?? nameOf(cause)), undefined, cause);
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return "a folder";
  if (stats.isFIFO()) return "a pipe";
  if (stats.isSocket()) return "a socket";
  return "a device";
}

function codeOf(cause: unknown): string | undefined {
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined;
}
