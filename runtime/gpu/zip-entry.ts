/** Reads one entry of a zip archive that lies in memory, stored or deflated; for archives whose hash has been checked. */
import { inflateRawSync } from "node:zlib";

const endSignature = 0x06054b50;
const endBytes = 22;
const entrySignature = 0x02014b50;

/** Contents of the entry `name`; `undefined` if the archive has none that can be read. */
export function zipEntry(archive: Buffer, name: string): Buffer | undefined {
  try {
    return find(archive, name);
  } catch {
    // An offset beyond the end, or contents that do not inflate.
    return undefined;
  }
}

function find(archive: Buffer, name: string): Buffer | undefined {
  // The record at the end has a comment of any length behind it.
  let end = archive.length - endBytes;
  while (end >= 0 && archive.readUInt32LE(end) !== endSignature) end--;
  if (end < 0) return undefined;
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left--) {
    if (archive.readUInt32LE(at) !== entrySignature) return undefined;
    const nameBytes = archive.readUInt16LE(at + 28);
    if (archive.toString("utf8", at + 46, at + 46 + nameBytes) === name) {
      const method = archive.readUInt16LE(at + 10);
      const packed = archive.readUInt32LE(at + 20);
      const header = archive.readUInt32LE(at + 42);
      const start = header + 30 + archive.readUInt16LE(header + 26) + archive.readUInt16LE(header + 28);
      const contents = archive.subarray(start, start + packed);
      return method === 8 ? inflateRawSync(contents) : method === 0 ? Buffer.from(contents) : undefined;
    }
    at += 46 + nameBytes + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  return undefined;
}
