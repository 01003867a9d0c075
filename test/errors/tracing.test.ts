/** Values wanted while tracing, tensors out of place, gradients of what has none. */
import { compileMistakes } from "./mistake.ts";
import { modelText, project } from "./project.ts";

/** A step that does `statement` with its loss. */
const withLoss = (statement: string): string => `    const loss = model.forward(x).sum();
    ${statement}
    loss.backward();
    optimizer.step();
    return { loss };`;

const valueRead = { code: "K1105", expected: "values are not", hint: "return the tensor from the step" } as const;

describe("mistakes: tracing", () => {
  compileMistakes([
    {
      mistake: "the value of a loss",
      files: project({ trainStep: withLoss("const value = loss./*here*/item();") }),
      error: { ...valueRead, got: "item()" },
    },
    {
      mistake: "a decision by a loss",
      files: project({ trainStep: withLoss("if (loss /*here*/> 1) return { loss };") }),
      error: { ...valueRead, got: "comparison", hint: "where()" },
    },
    {
      mistake: "a loss as a number",
      files: project({ trainStep: withLoss("const value = /*here*/Number(loss);") }),
      error: { ...valueRead, got: "JavaScript operators" },
    },
    {
      mistake: "arithmetic with JavaScript's operators",
      files: project({ trainStep: withLoss("const half = loss /*here*/* 0.5;") }),
      error: { ...valueRead, got: "JavaScript operators", hint: "x.add(y)" },
    },
    {
      mistake: "a loss in a message",
      files: project({ trainStep: withLoss("console.log(`loss: ${/*here*/loss}`);") }),
      error: { ...valueRead, got: "text" },
    },
    {
      mistake: "a loss in JSON",
      files: project({ trainStep: withLoss("console.log(JSON./*here*/stringify({ loss }));") }),
      error: { ...valueRead, got: "JSON" },
    },
    {
      mistake: "a loop over a tensor",
      files: project({ trainStep: withLoss("for (const row of /*here*/x) row.sum();") }),
      error: { code: "K1106", expected: "an array of tensors", got: "f32[2,4]", hint: "unbind" },
    },
    {
      mistake: "an asynchronous forward",
      files: project({
        net: `  fc = new nn.Linear(4, 2);
  async forward(x: Tensor): Promise<Tensor> {
    return this.fc.forward(x);
  }`,
        trainStep: `    const out = model./*here*/forward(x) as unknown as Tensor;
    return { loss: out.sum() };`,
      }),
      error: { code: "K1103", what: "forward", expected: "returns its result", got: "a Promise", hint: "data()" },
    },
    {
      mistake: "an asynchronous step",
      files: {
        ...project(),
        "model.ts": modelText()
          .replace("trainStep({", "async trainStep({")
          .replace("defineTraining({", "/*here*/defineTraining({"),
      },
      error: { code: "K1103", what: "train", expected: "returns its result", got: "a Promise", hint: "data()" },
    },
    {
      mistake: "an asynchronous setup",
      files: {
        ...project(),
        "model.ts": modelText()
          .replace("setup()", "async setup()")
          .replace("defineTraining({", "/*here*/defineTraining({"),
      },
      error: { code: "K1103", what: "setup", expected: "returns its result", got: "a Promise", hint: "data()" },
    },
    {
      mistake: "a tensor kept from another step",
      files: project({
        top: "let kept: Tensor | undefined;",
        trainStep: `    const loss = model.forward(x).sum();
    const change = kept === undefined ? loss : loss./*here*/sub(kept);
    kept = loss;
    return { loss: change };`,
        more: "  evalStep({ model }, [x]) { return { loss: model.forward(x).sum()./*no*/sub(kept as Tensor) }; },",
        data: evaluatedData(),
      }),
      error: { code: "K1104", expected: "tensors of the same step", got: "train", hint: "registerBuffer" },
    },
    {
      mistake: "a tensor made at the top of the file",
      files: project({ top: "const ones = /*here*/zeros([4]).add(1);" }),
      error: { code: "K1101", expected: "inside setup()", got: "outside", hint: "setup()" },
    },
    {
      mistake: "a gradient of several numbers",
      files: project({ trainStep: "    model.forward(x)./*here*/backward();\n    return { loss: x.sum() };" }),
      error: { code: "K1152", expected: "one element", got: "f32[2,2]", hint: "mean()" },
    },
    {
      mistake: "a gradient of what no parameter leads to",
      files: project({ trainStep: "    x.sum()./*here*/backward();\n    return { loss: x.sum() };" }),
      error: { code: "K1151", expected: "from a parameter", got: "f32[]", hint: "noGrad" },
    },
    {
      mistake: "a gradient through argmax",
      files: project({
        trainStep:
          '    const loss = model.forward(x).argmax(1).to("f32").sum();\n    loss./*here*/backward();\n    return { loss };',
      }),
      error: { code: "K1151", expected: "from a parameter", got: "f32[]", hint: "argmax" },
    },
    {
      mistake: "a gradient with respect to what takes none",
      files: project({
        trainStep: "    const loss = model.forward(x).sum();\n    /*here*/grad(loss, x);\n    return { loss };",
      }),
      error: { code: "K1154", expected: "requires a gradient", got: "f32[2,4]", hint: "requiresGrad_()" },
    },
    {
      mistake: "a forward that calls itself without end",
      files: project({
        net: `  fc = new nn.Linear(4, 2);
  forward(x: Tensor): Tensor {
    return this./*here*/forward(x);
  }`,
      }),
      error: { code: "K1601", what: "train", expected: "without an error", got: "call stack", hint: "tsc" },
    },
    {
      mistake: "a step that throws",
      files: project({ trainStep: '    throw /*here*/new Error("not written yet");' }),
      error: {
        code: "K1601",
        what: "not written yet",
        expected: "an error",
        got: "Error: not written yet",
        hint: "your own code",
      },
    },
  ]);
});

function evaluatedData(): string {
  return `import { DataLoader, TensorDataset } from "kilnjs/data";
const set = () => new TensorDataset({ data: new Float32Array(24), shape: [6, 4] }, { data: new BigInt64Array(6), shape: [6] });
export const data = () => ({ train: new DataLoader(set(), { batchSize: 4 }), test: new DataLoader(set(), { batchSize: 2 }) });
`;
}
