/** Shapes and element types that do not fit, in models. */
import { compileMistakes } from "./mistake.ts";
import { project } from "./project.ts";

const net = (fields: string, body: string): string => `  ${fields}
  forward(x: Tensor): Tensor {
    ${body}
  }`;

const loss = (expression: string): string => `    const loss = ${expression};
    loss.backward();
    optimizer.step();
    return { loss };`;

describe("mistakes: shapes and element types", () => {
  compileMistakes([
    {
      mistake: "a linear layer for another number of features",
      files: project({ net: net("fc = new nn.Linear(3, 2);", "return this.fc./*here*/forward(x);") }),
      error: { code: "K1139", expected: "f32[2,4]", got: "4 and 3", hint: "flatten(1)", module: "fc" },
    },
    {
      mistake: "pictures that were not flattened",
      files: project({
        net: net("fc = new nn.Linear(4, 2);", "return this.fc./*here*/forward(x.reshape([2, 2, 2]));"),
      }),
      error: { code: "K1139", expected: "f32[2,2,2]", got: "2 and 4", hint: "flatten(1)", module: "fc" },
    },
    {
      mistake: "a matrix product of matrices that do not fit",
      files: project({ net: net("fc = new nn.Linear(4, 2);", "return x./*here*/matmul(this.fc.weight);") }),
      error: { code: "K1138", expected: "f32[2,4]", got: "4 and 2", hint: "transpose" },
    },
    {
      mistake: "a sum of shapes that do not broadcast",
      files: project({ trainStep: loss("model.forward(x)./*here*/add(x).sum()") }),
      error: { code: "K1124", expected: "equal or 1", got: "f32[2,2], f32[2,4]", hint: "unsqueeze" },
    },
    {
      mistake: "a reshape to another number of elements",
      files: project({ net: net("fc = new nn.Linear(4, 2);", "return this.fc.forward(x./*here*/reshape([2, 5]));") }),
      error: { code: "K1128", expected: "8 elements", got: "[2, 5]", hint: "-1" },
    },
    {
      mistake: "an axis that is not there",
      files: project({ net: net("fc = new nn.Linear(4, 2);", "return this.fc.forward(x)./*here*/softmax(2);") }),
      error: { code: "K1121", expected: "-2 to 1", got: "2", hint: "Axes count from 0" },
    },
    {
      mistake: "parts of different sizes joined",
      files: project({ trainStep: loss("/*here*/cat([model.forward(x), x], 0).sum()") }),
      error: {
        code: "K1001",
        expected: "the extent of axis 0",
        got: "f32[2,2], f32[2,4]",
        hint: "console.log(x.shape)",
      },
    },
    {
      mistake: "a convolution for another number of channels",
      files: project({
        net: net(
          "conv = new nn.Conv2d(3, 2, 1);",
          "return this.conv./*here*/forward(x.reshape([2, 1, 2, 2])).flatten(1);",
        ),
      }),
      error: { code: "K1207", expected: "3 channels", got: "f32[2,1,2,2]", hint: "Reshape", module: "conv" },
    },
    {
      mistake: "a convolution larger than its picture",
      files: project({
        net: net(
          "conv = new nn.Conv2d(1, 2, 5);",
          "return this.conv./*here*/forward(x.reshape([2, 1, 2, 2])).flatten(1);",
        ),
      }),
      error: {
        code: "K1001",
        expected: "fits into the padded input",
        got: "f32[2,1,2,2], f32[2,1,5,5]",
        hint: "shape",
        module: "conv",
      },
    },
    {
      mistake: "labels as numbers with a fraction",
      files: project({ trainStep: loss('nn.functional./*here*/crossEntropy(model.forward(x), y.to("f32"))') }),
      error: { code: "K1209", expected: "i64[2]", got: "f32[2]", hint: "toLong" },
    },
    {
      mistake: "labels one-hot where classes are wanted",
      files: project({ trainStep: loss("nn.functional./*here*/nllLoss(model.forward(x), x)") }),
      error: { code: "K1209", expected: "i64[2]", got: "f32[2,4]", hint: "argmax" },
    },
    {
      mistake: "predictions and targets of different shapes",
      files: project({ trainStep: loss("nn.functional./*here*/binaryCrossEntropy(model.forward(x).sigmoid(), x)") }),
      error: { code: "K1208", expected: "f32[2,2]", got: "f32[2,4]", hint: "reshape" },
    },
    {
      mistake: "bytes given to a layer of floats",
      files: project({ net: net("fc = new nn.Linear(4, 2);", 'return this.fc./*here*/forward(x.to("u8"));') }),
      error: {
        code: "K1602",
        expected: "one element type",
        got: "u8[2,4] and f32[2,4]",
        hint: 'to("f32")',
        module: "fc",
      },
    },
    {
      mistake: "a difference of bools",
      files: project({ trainStep: loss('x.gt(0)./*here*/sub(x.lt(0)).sum().to("f32")') }),
      error: { code: "K1125", expected: "numbers", got: "bool", hint: "logicalXor" },
    },
    {
      mistake: "a layer where its result belongs",
      files: project({ trainStep: loss("x./*here*/add(model.fc).sum()") }),
      error: { code: "K1123", expected: "a tensor", got: "Linear", hint: "forward" },
    },
    {
      mistake: "an array where a tensor belongs",
      files: project({ trainStep: loss("x./*here*/mul([1, 2, 3, 4]).sum()") }),
      error: { code: "K1123", expected: "a tensor", got: "an array", hint: "tensor([…])" },
    },
    {
      mistake: "an index of floats",
      files: project({ trainStep: loss("model.forward(x)./*here*/gather(1, x).sum()") }),
      error: { code: "K1140", expected: "i64", got: "f32[2,4]", hint: "toLong" },
    },
    {
      mistake: "a layer of no size",
      files: project({ net: net("fc = /*here*/new nn.Linear(4, 2.5);", "return this.fc.forward(x);") }),
      error: { code: "K1206", expected: "a whole number", got: "2.5", hint: "outFeatures" },
    },
    {
      mistake: "an option that a layer does not have",
      files: project({ net: net("fc = /*here*/new nn.Linear(4, 2, { bais: false });", "return this.fc.forward(x);") }),
      error: { code: "K1603", what: "Linear", expected: "bias", got: "bais", hint: "camel case" },
    },
    {
      mistake: "a probability above one",
      files: project({
        net: net(
          "fc = new nn.Linear(4, 2); drop = /*here*/new nn.Dropout(20);",
          "return this.drop.forward(this.fc.forward(x));",
        ),
      }),
      error: { code: "K1206", expected: "from 0 to 1", got: "20", hint: "`p`" },
    },
    {
      mistake: "a layer that the model does not have",
      files: project({ net: net("fc = new nn.Linear(4, 2);", "return this.fc2./*here*/forward(x);") }),
      error: {
        code: "K1601",
        what: "the step `train`",
        expected: "without an error",
        got: "reading 'forward'",
        hint: "tsc --noEmit",
      },
    },
    {
      mistake: "an operation that tensors do not have",
      files: project({ trainStep: loss("model.forward(x)./*here*/softmaxx(1).sum()") }),
      error: { code: "K1601", what: "softmaxx", expected: "without an error", got: "TypeError", hint: "tsc --noEmit" },
    },
    {
      mistake: "nothing to join",
      files: project({ trainStep: loss("/*here*/cat([], 0).sum()") }),
      error: { code: "K1137", what: "cat", expected: "a tensor", got: "an empty list", hint: "tensor([…])" },
    },
    {
      mistake: "a tensor of less than no elements",
      files: project({ trainStep: loss("x.add(/*here*/zeros([-1, 4])).sum()") }),
      error: { code: "K1002", what: "shape", expected: "at least 0", got: "[-1, 4]", hint: "argument" },
    },
    {
      mistake: "random numbers of a step drawn in setup()",
      files: project({
        setup: `    const model = new Net();
    const noise = /*here*/bernoulli(zeros([2]));
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
    return { model, optimizer, noise };`,
        top: 'import { bernoulli } from "kilnjs";',
      }),
      error: { code: "K1143", what: "bernoulli", expected: "in a step", got: "setup()", hint: "uniform" },
    },
  ]);
});
