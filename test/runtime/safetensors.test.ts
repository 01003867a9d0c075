/** The safetensors reader against hostile files, and the writer against the reader. */
import { assert } from "chai";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DiagnosticError } from "../../ir/diagnostic/diagnostic.ts";
import { Generator } from "../../ir/random/generator.ts";
import { dtypeBytes, dtypes } from "../../ir/type.ts";
import {
  encodeSafetensors,
  parseSafetensors,
  type SafetensorsFile,
  type StoredTensor,
} from "../../runtime/safetensors-bytes.ts";
import { readSafetensors } from "../../runtime/safetensors.ts";
import { typedArray } from "../../runtime/typed-array.ts";
import { failsWith } from "../fails-with.ts";

/** A file with this header text and data. */
function file(header: string, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const text = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return new Uint8Array(Buffer.concat([length, text, data]));
}

function encode(tensors: ReadonlyMap<string, StoredTensor>, metadata?: ReadonlyMap<string, string>): Uint8Array {
  return new Uint8Array(Buffer.concat([...encodeSafetensors(tensors, metadata)]));
}

function tensor(dtype: StoredTensor["dtype"], shape: readonly number[]): StoredTensor {
  const bytes = new Uint8Array(shape.reduce((n, extent) => n * extent, dtypeBytes[dtype]));
  return { dtype, shape, bytes: bytes.map((_, i) => (i * 37) % 251) };
}

/** A small file with all element types, an empty tensor, a scalar, odd names and metadata. */
function sample(): { readonly tensors: Map<string, StoredTensor>; readonly metadata: Map<string, string> } {
  const tensors = new Map(dtypes.map((dtype) => [`t.${dtype}`, tensor(dtype, [3])]));
  tensors.set("scalar", tensor("f32", []));
  tensors.set("empty", tensor("i64", [2, 0, 3]));
  tensors.set('__proto__ "\\\n é ✓ 😀', tensor("u8", [5]));
  return {
    tensors,
    metadata: new Map([
      ["format", "pt"],
      ["__proto__", "x"],
    ]),
  };
}

function contents({ tensors, metadata }: SafetensorsFile): unknown {
  const list = [...tensors].map(([name, { dtype, shape, bytes }]) => [name, dtype, [...shape], [...bytes]]);
  return [
    list.sort((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1)),
    [...metadata].sort(([a], [b]) => (a < b ? -1 : 1)),
  ];
}

const one = (fields: string): string => `{"a":{${fields}}}`;
const good = '"dtype":"F32","shape":[2],"data_offsets":[0,8]';
const bytes8 = new Uint8Array(8);

/** Malformed files by what is wrong with them. */
const attacks: Readonly<Record<string, Uint8Array>> = {
  "no bytes": new Uint8Array(0),
  "fewer than 8 bytes": new Uint8Array(7),
  "header longer than the file": Uint8Array.from([200, 0, 0, 0, 0, 0, 0, 0, 123, 125]),
  "header length of 2^63": Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 128, 123, 125]),
  "header length of 2^53 + 2": Uint8Array.from([2, 0, 0, 0, 0, 0, 32, 0, 123, 125]),
  "empty header": file(""),
  "space before the brace": file(" {}"),
  "byte order mark": file("\uFEFF{}"),
  "list for an object": file("[]"),
  "open object": file("{"),
  "text behind the object": file("{}x"),
  "second object": file("{}{}"),
  "no UTF-8": new Uint8Array([...file('{"a').subarray(0, 8), 0x7b, 0x22, 0xff]),
  "overlong UTF-8": Uint8Array.from([6, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x22, 0xc0, 0xa2, 0x22, 0x7d]),
  "lone surrogate": file('{"\\ud800":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
  "control character in a name": file('{"\n":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
  "bad escape": file('{"\\x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
  "open string": file('{"a\\"'),
  "comma at the end": file(`{"a":{${good}},}`, bytes8),
  "no comma": file(`{"a":{${good}} "b":{${good}}}`, bytes8),
  "tensor twice": file(`{"a":{${good}},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}`, new Uint8Array(16)),
  "tensor twice by an escape": file(`{"a":{${good}},"\\u0061":{${good}}}`, bytes8),
  "field twice": file(one(`${good},"dtype":"I32"`), bytes8),
  "unknown field": file(one(`${good},"code":"x"`), bytes8),
  "missing field": file(one('"dtype":"F32","shape":[2]'), bytes8),
  "tensor is no object": file('{"a":1}'),
  "deep nesting": file(`{"a":${"[".repeat(100000)}`),
  "deep shape": file(one('"dtype":"F32","shape":[[2]],"data_offsets":[0,8]'), bytes8),
  "unknown type": file(one('"dtype":"F31","shape":[2],"data_offsets":[0,8]'), bytes8),
  "type of the prototype": file(one('"dtype":"constructor","shape":[2],"data_offsets":[0,8]'), bytes8),
  "type is a number": file(one('"dtype":4,"shape":[2],"data_offsets":[0,8]'), bytes8),
  "negative extent": file(one('"dtype":"F32","shape":[-2],"data_offsets":[0,8]'), bytes8),
  fraction: file(one('"dtype":"F32","shape":[2.0],"data_offsets":[0,8]'), bytes8),
  exponent: file(one('"dtype":"F32","shape":[2e0],"data_offsets":[0,8]'), bytes8),
  "leading zero": file(one('"dtype":"F32","shape":[02],"data_offsets":[0,8]'), bytes8),
  "extent past 2^53": file(one('"dtype":"U8","shape":[9007199254740993,0],"data_offsets":[0,0]')),
  "infinite extent": file(one(`"dtype":"U8","shape":[1${"0".repeat(400)},0],"data_offsets":[0,0]`)),
  "product past 2^53": file(one('"dtype":"U8","shape":[4294967296,4294967296,0],"data_offsets":[0,0]')),
  "product that wraps to 0": file(one('"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]')),
  "size does not fit the shape": file(one('"dtype":"F32","shape":[3],"data_offsets":[0,8]'), bytes8),
  "offsets in reverse": file(one('"dtype":"F32","shape":[2],"data_offsets":[8,0]'), bytes8),
  "three offsets": file(one('"dtype":"F32","shape":[2],"data_offsets":[0,8,8]'), bytes8),
  "one offset": file(one('"dtype":"F32","shape":[2],"data_offsets":[8]'), bytes8),
  "offsets past the data": file(one('"dtype":"F32","shape":[2],"data_offsets":[0,8]'), new Uint8Array(7)),
  "trailing bytes": file(one(good), new Uint8Array(9)),
  "bytes before the first tensor": file(one('"dtype":"F32","shape":[2],"data_offsets":[8,16]'), new Uint8Array(16)),
  "gap between tensors": file(
    '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}}',
    new Uint8Array(5),
  ),
  "overlapping tensors": file(
    '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}',
    new Uint8Array(6),
  ),
  "two tensors on the same bytes": file(`{"a":{${good}},"b":{${good}}}`, bytes8),
  "metadata is a list": file('{"__metadata__":[]}'),
  "metadata holds a number": file('{"__metadata__":{"a":1}}'),
  "metadata key twice": file('{"__metadata__":{"a":"1","a":"2"}}'),
  "metadata twice": file('{"__metadata__":{},"__metadata__":{}}'),
};

describe("safetensors", () => {
  let folder = "";
  before(() => (folder = mkdtempSync(join(tmpdir(), "kiln-safetensors-"))));
  after(() => rmSync(folder, { recursive: true, force: true }));

  it("gives back what was written, from memory and from a file", () => {
    const written = sample();
    const bytes = encode(written.tensors, written.metadata);
    assert.deepEqual(contents(parseSafetensors(bytes, "memory")), contents(written));
    const path = join(folder, "sample.safetensors");
    writeFileSync(path, bytes);
    symlinkSync(path, join(folder, "link.safetensors"));
    assert.deepEqual(contents(readSafetensors(path)), contents(written));
    assert.deepEqual(contents(readSafetensors(join(folder, "link.safetensors"))), contents(written));
  });

  it("writes equal bytes for equal contents, wide types first, aligned", () => {
    const { tensors, metadata } = sample();
    const bytes = encode(tensors, metadata);
    assert.deepEqual(encode(new Map([...tensors].toReversed()), new Map([...metadata].toReversed())), bytes);
    const order = [...parseSafetensors(bytes, "memory").tensors.values()];
    const widths = order.map(({ dtype }) => dtypeBytes[dtype]);
    assert.deepEqual(
      widths,
      [...widths].sort((a, b) => b - a),
    );
    for (const { dtype, bytes: data } of order) assert.equal(data.byteOffset % dtypeBytes[dtype], 0);
  });

  it("accepts spaces in the header, fields in any order and no tensors", () => {
    const header = '{ "a" :\t{"data_offsets": [ 0 , 8 ],\n"shape":[ 2 ] , "dtype":"F32" } } \r\n ';
    assert.equal(parseSafetensors(file(header, bytes8), "memory").tensors.get("a")?.dtype, "f32");
    assert.equal(parseSafetensors(file("{}"), "memory").tensors.size, 0);
    assert.equal(encode(new Map()).length, 16);
  });

  it("has no names by inheritance", () => {
    const { tensors, metadata } = parseSafetensors(file("{}"), "memory");
    assert.isUndefined(tensors.get("constructor"));
    assert.isUndefined(metadata.get("__proto__"));
  });

  for (const [what, bytes] of Object.entries(attacks))
    it(`refuses: ${what}`, () => {
      failsWith("K3111", () => parseSafetensors(bytes, "memory"));
      const path = join(folder, "attack.safetensors");
      writeFileSync(path, bytes);
      const error = failsWith("K3111", () => readSafetensors(path));
      assert.notMatch(error.message.replaceAll("\n", ""), /[\u0000-\u001f]/, "no control characters in the message");
      assert.isBelow(error.message.length, 1000);
    });

  it("refuses what is no regular file, without waiting", () => {
    failsWith("K3113", () => readSafetensors(folder));
    failsWith("K3112", () => readSafetensors(join(folder, "no such file")));
    if (process.platform === "win32") return;
    failsWith("K3113", () => readSafetensors("/dev/zero"));
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    failsWith("K3113", () => readSafetensors(pipe));
  });

  it("refuses to write what could not be read", () => {
    const wrong = { ...tensor("f32", [2]), shape: [3] };
    failsWith("K3111", () => encode(new Map([["a", wrong]])));
    failsWith("K3111", () => encode(new Map([["__metadata__", tensor("f32", [1])]])));
    failsWith("K3111", () => encode(new Map([["\ud800", tensor("f32", [1])]])));
  });

  it("refuses every prefix of a valid file", () => {
    const { tensors, metadata } = sample();
    const bytes = encode(tensors, metadata);
    for (let length = 0; length < bytes.length; length++)
      failsWith("K3111", () => parseSafetensors(bytes.subarray(0, length), "memory"));
  });

  it("reads or refuses mutated files, and nothing else", function () {
    this.timeout(10000);
    const { tensors, metadata } = sample();
    const bytes = encode(tensors, metadata);
    const random = Generator.seeded(2026);
    const below = (n: number): number => random.nextU32() % n;
    const pieces = [
      '"',
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      "0",
      "-1",
      "1e9",
      "\\",
      "\\u0000",
      "F64",
      "shape",
      "999999999999",
    ];
    let read = 0;
    for (let run = 0; run < 20000; run++) {
      let mutant = Buffer.from(bytes);
      for (let edits = 1 + below(3); edits > 0; edits--) {
        const at = below(mutant.length);
        const rest = at + below(20);
        const kind = below(4);
        if (kind === 0) mutant[at] = below(256);
        else if (kind === 1) mutant[at] = (mutant[at] ?? 0) ^ (1 << below(8));
        else if (kind === 2) mutant = Buffer.concat([mutant.subarray(0, at), mutant.subarray(rest)]);
        else
          mutant = Buffer.concat([
            mutant.subarray(0, at),
            Buffer.from(pieces[below(pieces.length)] ?? ""),
            mutant.subarray(rest),
          ]);
        if (mutant.length === 0) break;
      }
      try {
        const { tensors: found } = parseSafetensors(mutant, "memory");
        // What is accepted must be whole: each tensor has the bytes its type and shape take.
        for (const { dtype, shape, bytes: data } of found.values())
          assert.equal(
            typedArray(dtype, data).length,
            shape.reduce((n, extent) => n * extent, 1),
          );
        read++;
      } catch (error) {
        if (!(error instanceof DiagnosticError)) throw error;
        assert.equal(error.code, "K3111");
      }
    }
    assert.isAbove(read, 100, "mutations of data alone leave a valid file");
  });

  it("takes no more than linear time over long names, spaces and backslashes", function () {
    this.timeout(5000);
    const long = 4_000_000;
    const empty = '"dtype":"F32","shape":[0],"data_offsets":[0,0]';
    assert.equal(parseSafetensors(file(`{"${"\\\\".repeat(long)}":{${empty}}}`), "memory").tensors.size, 1);
    assert.equal(parseSafetensors(file(`{"${'\\"'.repeat(long)}":{${empty}}}`), "memory").tensors.size, 1);
    assert.equal(parseSafetensors(file(`{${" ".repeat(long)}}`), "memory").tensors.size, 0);
  });
});
