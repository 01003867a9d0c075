/** Typed arrays over bytes. */
import { assert } from "chai";
import { dtypeBytes, dtypes } from "../../ir/type.ts";
import { bytesOf, newTypedArray, typedArray } from "../../runtime/typed-array.ts";
import { failsWith } from "../fails-with.ts";

describe("typed arrays", () => {
  it("view aligned bytes and copy others", () => {
    const memory = new Uint8Array(32);
    for (const dtype of dtypes) {
      const aligned = typedArray(dtype, memory.subarray(8, 24));
      assert.equal(aligned.buffer, memory.buffer);
      assert.equal(aligned.length, 16 / dtypeBytes[dtype]);
      const odd = typedArray(dtype, memory.subarray(7, 23));
      assert.equal(odd.buffer === memory.buffer, dtypeBytes[dtype] === 1);
    }
    // Node's buffers share a pool, and their `slice` does not copy.
    const pooled = Buffer.from(Uint8Array.from([9, 0, 0, 0x80, 0x3f]));
    assert.deepEqual([...typedArray("f32", pooled.subarray(1))], [1]);
  });

  it("refuse parts of elements", () => {
    failsWith("K3110", () => typedArray("f32", new Uint8Array(7)));
  });

  it("turn into bytes and back", () => {
    const array = newTypedArray("i64", 2);
    array[1] = -1n;
    assert.deepEqual([...bytesOf(array)], [0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    assert.deepEqual(typedArray("i64", bytesOf(array)), array);
  });
});
