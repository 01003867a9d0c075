/** Model files that cannot be read, definitions with wrong parts, results that are none. */
import { compileMistakes } from "./mistake.ts";
import { defaultData, modelText, project, type Files } from "./project.ts";

/** The working model with one text replaced. */
function edited(from: string | RegExp, to: string): Files {
  const text = modelText();
  const changed = text.replace(from, to);
  if (changed === text) throw new Error(`the model has no ${String(from)}`);
  return { "data.ts": defaultData, "model.ts": changed };
}

const define = "/*here*/defineTraining({";

/** The working model with another property in its definition. */
const withMore = (more: string): Files => edited("defineTraining({", `${define}${more}`);

/** The working model with another `data`. */
const withData = (data: string): Files => edited(/defineTraining\(\{\n {2}data,/, `${define}\n  data: ${data},`);

const isNative = Boolean(Reflect.get(process.features, "typescript"));

describe("mistakes: model files and definitions", () => {
  compileMistakes([
    {
      mistake: "an enum",
      files: edited("class Net", "/*here*/enum Size { small = 1 }\nclass Net"),
      error: { code: "K1309", what: "enum", expected: "blanked", got: "enum", hint: "plain values" },
      isSkipped: isNative,
    },
    {
      mistake: "a syntax error",
      files: edited("class Net", "const half = /*here*/;\nclass Net"),
      error: { code: "K1309", expected: "blanked", got: "xpression", hint: "editor" },
      isSkipped: isNative,
    },
    {
      mistake: "an import of a file that is not there",
      files: edited("./data.ts", "./dta.ts"),
      error: { code: "K1310", expected: "are there", got: "dta.ts", hint: "file extension" },
      place: { file: "model.ts", line: 2, column: 25 },
    },
    {
      mistake: "an import of a name that is not there",
      files: edited("import { nn,", "import { nnn,"),
      error: { code: "K1310", expected: "export what is imported", got: "nnn", hint: "spelling" },
      place: { file: "model.ts", line: 1, column: 10 },
    },
    {
      mistake: "a package that is not installed",
      files: edited("import { data }", 'import left from "left-pad-of-nobody";\nimport { data }'),
      error: { code: "K1310", expected: "are there", got: "left-pad-of-nobody", hint: "installed" },
      place: { file: "model.ts", line: 2, column: 19 },
    },
    {
      mistake: "a mistyped name at the top",
      files: edited("class Net", "const size = /*here*/sise * 2;\nclass Net"),
      error: {
        code: "K1311",
        what: "sise",
        expected: "can be imported",
        got: "ReferenceError",
        hint: "outside of functions",
      },
    },
    {
      mistake: "no default export",
      files: edited("export default", "export const training ="),
      error: { code: "K1312", expected: "export default defineTraining", got: "training", hint: "one default export" },
      place: { file: "model.ts", line: 1, column: 1 },
    },
    {
      mistake: "a default export of something else",
      files: { "model.ts": "export default { epochs: 3 };\n" },
      error: { code: "K1312", expected: "defineTraining", got: "object", hint: "defineTraining" },
      place: { file: "model.ts", line: 1, column: 1 },
    },
    {
      mistake: "a definition of another copy of the library",
      files: {
        "model.ts":
          'export default { [Symbol.for("kiln.definition")]: true, madeBy: () => 0, data() {}, setup() {} };\n',
      },
      error: { code: "K1107", expected: "one copy", got: "two", hint: "npm ls kilnjs" },
      place: { file: "model.ts", line: 1, column: 1 },
    },
    {
      mistake: "a tensor of another copy of the library",
      files: project({
        trainStep: `    const foreign = { [Symbol.for("kiln.tensor")]: true } as unknown as Tensor;
    return { loss: model.forward(x)./*here*/add(foreign).sum() };`,
      }),
      error: { code: "K1107", what: "a tensor", expected: "one copy", got: "two", hint: "npm ls kilnjs" },
    },
    {
      mistake: "no trainStep",
      files: withoutTrainStep(),
      error: { code: "K1303", what: "trainStep", expected: "a function", got: "nothing", hint: "trainStep" },
    },
    {
      mistake: "a part of another name",
      files: withMore(" validate: () => ({}),"),
      error: { code: "K1304", what: "validate", expected: "evalStep", got: "validate", hint: "spelling" },
    },
    {
      mistake: "half an epoch",
      files: withMore(" epochs: 0.5,"),
      error: { code: "K1303", what: "epochs", expected: "a whole number", got: "0.5", hint: "epochs" },
    },
    {
      mistake: "a way to combine that there is not",
      files: withMore(' metrics: { loss: "median" as never },'),
      error: { code: "K1303", what: "metrics.loss", expected: '"mean" or "sum"', got: "median", hint: "metrics" },
    },
    {
      mistake: "a metric that no step returns",
      files: withMore(' metrics: { accuracy: "mean" },'),
      error: { code: "K1306", what: "accuracy", expected: "loss", got: "accuracy", hint: "Return it" },
    },
    {
      mistake: "a step without results",
      files: {
        "data.ts": defaultData,
        "model.ts": modelText({ trainStep: "    optimizer.zeroGrad();" }).replace("defineTraining({", define),
      },
      error: { code: "K1301", what: "train", expected: "{ loss }", got: "undefined", hint: "return { loss }" },
    },
    {
      mistake: "a result that is a number",
      files: {
        "data.ts": defaultData,
        "model.ts": modelText({ trainStep: "    return { loss: model.forward(x).sum(), scale: 2 as never };" }).replace(
          "defineTraining({",
          define,
        ),
      },
      error: { code: "K1302", what: "scale", expected: "a tensor", got: "number", hint: "tensors only" },
    },
    {
      mistake: "data() without a loader to train on",
      files: withData("() => ({ test: data().train })"),
      error: { code: "K1305", what: "train", expected: "`train`", got: "test", hint: "train: new DataLoader" },
    },
    {
      mistake: "a data set where a loader belongs",
      files: withData("() => ({ train: data().train.dataset as never })"),
      error: {
        code: "K2034",
        what: "data().train",
        expected: "a DataLoader",
        got: "TensorDataset",
        hint: "new DataLoader(",
      },
    },
    {
      mistake: "an asynchronous data()",
      files: withData("(async () => data()) as never"),
      error: {
        code: "K1103",
        what: "data()",
        expected: "returns its result",
        got: "a Promise",
        hint: "top of the module",
      },
    },
    {
      mistake: "data() that throws",
      files: edited(
        /defineTraining\(\{\n {2}data,/,
        "defineTraining({\n  data() {\n    const made = /*here*/missing;\n    return made;\n  },",
      ),
      error: { code: "K1601", what: "missing", expected: "data() to end", got: "ReferenceError", hint: "misspelt" },
    },
    {
      mistake: "data() with the model's own variables",
      files: edited(
        /import \{ data \} from "\.\/data\.ts";([^]*)defineTraining\(\{\n {2}data,/,
        `import { DataLoader, TensorDataset } from "kilnjs/data";
let size = 2;
size += 2;$1defineTraining({
  data: () => ({
    train: new DataLoader(
      new TensorDataset({ data: new Float32Array(24), shape: [6, 4] }, { data: new BigInt64Array(6), shape: [6] }),
      { batchSize: /*here*/size },
    ),
  }),`,
      ),
      error: { code: "K4008", what: "size", expected: "data module", got: "size", hint: "data.ts" },
    },
  ]);
});

function withoutTrainStep(): Files {
  const text = modelText();
  const begin = text.indexOf("  trainStep(");
  const end = text.indexOf("\n  },\n", begin) + 6;
  return {
    "data.ts": defaultData,
    "model.ts": (text.slice(0, begin) + text.slice(end)).replace("defineTraining({", define),
  };
}
