/** The IDX reader against whole, truncated, changed and hostile files. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { assert } from "chai";
import * as fc from "fast-check";
import { UserError } from "../../../ir/diagnostic/diagnostic.ts";
import { readIdx } from "../../../runtime/data/index.ts";
import { failsWith } from "../../fails-with.ts";

/** An IDX file of these axes. */
function idx(code: number, shape: readonly number[], data: Uint8Array | Buffer): Buffer {
  const head = Buffer.alloc(4 + 4 * shape.length);
  head[2] = code;
  head[3] = shape.length;
  shape.forEach((extent, axis) => head.writeUInt32BE(extent, 4 + 4 * axis));
  return Buffer.concat([head, data]);
}

describe("readIdx", () => {
  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), "kiln-idx-"))));
  after(() => rmSync(folder, { recursive: true, force: true }));

  function file(bytes: Uint8Array): string {
    const path = join(folder, "file");
    writeFileSync(path, bytes);
    return path;
  }
  const small = idx(8, [2, 3], Buffer.from([1, 2, 3, 4, 5, 6]));

  it("reads bytes, plain and gzip", () => {
    for (const bytes of [small, gzipSync(small)]) {
      const read = readIdx(file(bytes));
      assert.deepEqual(read, { dtype: "u8", shape: [2, 3], data: Uint8Array.of(1, 2, 3, 4, 5, 6) });
    }
  });

  it("reads every element type, big-endian", () => {
    const bytes = Buffer.alloc(16);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const whole = (code: number, width: number): readonly number[] =>
      Array.from(readIdx(file(idx(code, [16 / width], bytes))).data, Number);
    view.setInt16(0, -2);
    assert.equal(whole(0x0b, 2)[0], -2);
    assert.equal(whole(0x09, 1)[0], -1);
    view.setInt32(4, -70000);
    assert.equal(whole(0x0c, 4)[1], -70000);
    view.setFloat32(8, 1.5);
    assert.equal(whole(0x0d, 4)[2], 1.5);
    view.setFloat64(8, Math.PI);
    assert.equal(whole(0x0e, 8)[1], Math.PI);
  });

  it("takes an empty set for what it is", () => {
    assert.deepEqual(readIdx(file(idx(8, [0, 28, 28], Buffer.alloc(0)))).shape, [0, 28, 28]);
  });

  it("refuses every prefix, plain and gzip, and anything behind the end", () => {
    for (const whole of [small, gzipSync(small)]) {
      for (let length = 0; length < whole.length; length++)
        assert.throws(() => readIdx(file(whole.subarray(0, length))), UserError, undefined, `${length} bytes`);
    }
    failsWith("K2027", () => readIdx(file(Buffer.concat([small, Buffer.of(0)]))));
    failsWith("K2027", () => readIdx(file(gzipSync(Buffer.concat([small, Buffer.of(0)])))));
    failsWith("K2027", () => readIdx(file(gzipSync(small.subarray(0, -1)))));
  });

  it("gives each fault its own code", () => {
    failsWith("K2020", () => readIdx(join(folder, "none")));
    failsWith("K2022", () => readIdx(folder));
    failsWith("K2023", () => readIdx(file(Buffer.of(0, 0, 8))));
    failsWith("K2023", () => readIdx(file(small.subarray(0, 9))));
    failsWith("K2024", () => readIdx(file(Buffer.from("<html>not found</html>"))));
    failsWith("K2025", () => readIdx(file(idx(10, [1], Buffer.of(0)))));
    failsWith("K2026", () => readIdx(file(idx(8, [], Buffer.of(0)))));
    failsWith("K2027", () => readIdx(file(small.subarray(0, -1))));
    failsWith("K2028", () => readIdx(file(idx(8, [2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1], Buffer.of(0)))));
    failsWith("K2028", () => readIdx(file(gzipSync(idx(14, [2 ** 32 - 1], Buffer.of(0))))));
    failsWith("K2029", () => readIdx(file(gzipSync(small).subarray(0, -9))));
  });

  it("does not wrap round: axes whose product is a multiple of 2^64 are too many", () => {
    failsWith("K2028", () => readIdx(file(idx(8, [2 ** 31, 2 ** 31, 4], Buffer.alloc(0)))));
  });

  it("says path, expected, got and a hint", () => {
    const error = failsWith("K2027", () => readIdx(file(small.subarray(0, -1))));
    assert.include(error.message, join(folder, "file"));
    assert.include(error.message, "18 bytes for u8[2,3]");
    assert.include(error.message, "17 bytes");
    assert.include(error.message, "hint:");
  });

  it("does not unpack a bomb", () => {
    const bomb = gzipSync(Buffer.concat([small, Buffer.alloc(100 * 2 ** 20)]));
    const path = file(bomb);
    const before = process.memoryUsage().rss;
    failsWith("K2027", () => readIdx(path));
    assert.isBelow(process.memoryUsage().rss - before, 40 * 2 ** 20);
  });

  it("finds the header behind a long gzip name", () => {
    const packed = gzipSync(small);
    const flags = Buffer.from(packed.subarray(0, 10));
    flags[3] = 8;
    const named = (length: number): Buffer =>
      Buffer.concat([flags, Buffer.alloc(length, 65), Buffer.of(0), packed.subarray(10)]);
    assert.deepEqual(readIdx(file(named(20000))).shape, [2, 3]);
    assert.throws(() => readIdx(file(named(2 ** 20))), UserError);
  });

  it("does not wait for a pipe", function () {
    if (process.platform === "win32") this.skip();
    const path = join(folder, "pipe");
    execFileSync("mkfifo", [path]);
    failsWith("K2022", () => readIdx(path));
  });

  it("tells what the system refuses to open", () => {
    assert.include(failsWith("K2021", () => readIdx(join(folder, "x".repeat(5000)))).message, "ENAMETOOLONG");
  });

  it("takes names apart from control characters", () => {
    const odd = join(folder, "a\u001b[31m");
    mkdirSync(odd);
    assert.notInclude(failsWith("K2022", () => readIdx(odd)).message, "\u001b");
  });

  it("gives a tensor that fits its file, or a UserError, whatever bytes change", () => {
    const change = fc.array(fc.tuple(fc.nat(small.length - 1), fc.nat(255)), { maxLength: 4 });
    fc.assert(
      fc.property(change, fc.boolean(), (changes, zip) => {
        const bytes = Buffer.from(small);
        for (const [place, value] of changes) bytes[place] = value;
        try {
          const { dtype, shape, data } = readIdx(file(zip ? gzipSync(bytes) : bytes));
          assert.equal(data.byteLength, 18 - 4 - 4 * shape.length, dtype);
        } catch (error) {
          assert.instanceOf(error, UserError);
        }
      }),
      { numRuns: 300, seed: 1 },
    );
  });

  it("gives a UserError for damaged gzip data", () => {
    const packed = gzipSync(idx(8, [4000], Buffer.from(Array.from({ length: 4000 }, (_, i) => (i * i) % 251))));
    fc.assert(
      fc.property(fc.nat(packed.length - 1), fc.integer({ min: 1, max: 255 }), (place, flip) => {
        const bytes = Buffer.from(packed);
        bytes[place] = (bytes[place] ?? 0) ^ flip;
        try {
          assert.equal(readIdx(file(bytes)).data.length, 4000);
        } catch (error) {
          assert.instanceOf(error, UserError);
        }
      }),
      { numRuns: 300, seed: 2 },
    );
  });
});
