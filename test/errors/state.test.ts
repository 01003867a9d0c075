/** Parameters, buffers, modules, optimizers and schedulers that are made, kept or used wrongly. */
import { compileMistakes } from "./mistake.ts";
import { project } from "./project.ts";

const net = (fields: string, body: string): string => `  ${fields}
  forward(x: Tensor): Tensor {
    ${body}
  }`;

const step = (body: string): string => `    const loss = model.forward(x).sum();
    optimizer.zeroGrad();
    ${body}
    return { loss };`;

const train = "loss.backward(); optimizer.step();";

const setup = (optimizer: string, rest = "return { model, optimizer };"): string => `    const model = new Net();
    const optimizer = ${optimizer};
    ${rest}`;

describe("mistakes: state, modules and optimizers", () => {
  compileMistakes([
    {
      mistake: "a parameter in a closure",
      files: project({
        setup: `    const scale = new nn.Parameter(zeros([2]));
    const model = new Net();
    model.scale = () => scale;
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
    return { model, optimizer };`,
        net: net(
          "fc = new nn.Linear(4, 2); declare scale: () => Tensor;",
          "return this.fc.forward(x)./*here*/mul(this.scale());",
        ),
      }),
      error: { code: "K1109", expected: "a property of a module", got: "nobody owns", hint: "closures" },
    },
    {
      mistake: "layers in a Set",
      files: project({
        net: net(
          "fc = new nn.Linear(4, 2); more = new Set([new nn.Linear(2, 2)]);",
          "let y = this.fc.forward(x); for (const layer of this.more) y = layer./*here*/forward(y); return y;",
        ),
      }),
      error: { code: "K1109", expected: "a property of a module", got: "nobody owns", hint: "Sets" },
    },
    {
      mistake: "a layer in a private property",
      files: project({
        net: net(
          "fc = new nn.Linear(4, 2); #last = new nn.Linear(2, 2);",
          "return this.#last./*here*/forward(this.fc.forward(x));",
        ),
      }),
      error: { code: "K1109", expected: "a property of a module", got: "nobody owns", hint: "#" },
    },
    {
      mistake: "a layer made in every step",
      files: project({ trainStep: step(`const last = /*here*/new nn.Linear(2, 2); ${train}`) }),
      error: { code: "K1201", expected: "setup()", got: "in a step", hint: "setup()" },
    },
    {
      mistake: "a layer that is trained but not used",
      files: project({
        net: net("fc = new nn.Linear(4, 2); spare = /*here*/new nn.Linear(2, 2);", "return this.fc.forward(x);"),
      }),
      error: { code: "K1605", what: "spare.weight", expected: "a gradient", got: "none", hint: "requiresGrad_(false)" },
    },
    {
      mistake: "a step of the optimizer without backward()",
      files: project({
        net: net("fc = /*here*/new nn.Linear(4, 2);", "return this.fc.forward(x);"),
        trainStep: step("optimizer.step();"),
      }),
      error: { code: "K1605", what: "fc.weight", expected: "a gradient", got: "none", hint: "backward()" },
    },
    {
      mistake: "zeroGrad() between backward() and step()",
      files: project({
        net: net("fc = /*here*/new nn.Linear(4, 2);", "return this.fc.forward(x);"),
        trainStep: step("loss.backward(); optimizer.zeroGrad(); optimizer.step();"),
      }),
      error: { code: "K1605", what: "fc.weight", expected: "a gradient", got: "none", hint: "zeroGrad()" },
    },
    {
      mistake: "a write to a result",
      files: project({ trainStep: step(`loss./*here*/add_(1); ${train}`) }),
      error: { code: "K1112", expected: "a parameter or a buffer", got: "a value of the step", hint: "x.add(" },
    },
    {
      mistake: "a write to a weight while gradients are recorded",
      files: project({ trainStep: step(`model.fc.weight./*here*/mul_(model.fc.weight); ${train}`) }),
      error: { code: "K1111", what: "fc.weight", expected: "no gradient", got: "gradients", hint: "noGrad" },
    },
    {
      mistake: "a buffer with a new shape",
      files: project({
        net: net(
          "fc = new nn.Linear(4, 2); seen = new nn.Buffer(zeros([2]));",
          "this.seen./*here*/copy_(x.sum(0)); return this.fc.forward(x);",
        ),
      }),
      error: { code: "K1129", what: "f32[4]", expected: "1 in the tensor", got: "[2]", hint: "axis" },
    },
    {
      mistake: "a key with a dot",
      files: project({
        net: net('fc = new nn.Linear(4, 2); parts = { "a.b": new nn.Linear(2, 2) };', "return this.fc.forward(x);"),
        setup:
          "    const model = new Net();\n" +
          "    const optimizer = new optim.SGD(model./*here*/parameters(), { lr: 0.1 });\n    return { model, optimizer };",
      }),
      error: { code: "K1202", expected: "without dots", got: "a.b", hint: "Rename" },
    },
    {
      mistake: "a module that holds itself",
      files: project({
        net: net("fc = new nn.Linear(4, 2); self: Net = this;", "return this.fc.forward(x);"),
        setup:
          "    const model = new Net();\n" +
          "    const optimizer = new optim.SGD(model./*here*/parameters(), { lr: 0.1 });\n    return { model, optimizer };",
      }),
      error: { code: "K1203", expected: "a tree", got: "inside itself", hint: "#" },
    },
    {
      mistake: "an optimizer of nothing",
      files: project({ setup: setup("/*here*/new optim.SGD([], { lr: 0.1 })") }),
      error: { code: "K1212", expected: "at least one", got: "none", hint: "properties" },
    },
    {
      mistake: "an optimizer of a module",
      files: project({ setup: setup("/*here*/new optim.SGD(model as never, { lr: 0.1 })") }),
      error: { code: "K1211", expected: "model.parameters()", got: "a Net", hint: "nn.Parameter" },
    },
    {
      mistake: "a parameter given twice",
      files: project({ setup: setup("/*here*/new optim.SGD([model.fc.weight, model.fc.weight], { lr: 0.1 })") }),
      error: { code: "K1213", expected: "once", got: "twice", hint: "one group" },
    },
    {
      mistake: "a learning rate below zero",
      files: project({ setup: setup("/*here*/new optim.SGD(model.parameters(), { lr: -0.1 })") }),
      error: { code: "K1206", what: "lr", expected: "at least 0", got: "-0.1", hint: "lr" },
    },
    {
      mistake: "an option of an optimizer under another name",
      files: project({ setup: setup("/*here*/new optim.Adam(model.parameters(), { learningRate: 0.1 } as never)") }),
      error: { code: "K1603", what: "Adam", expected: "lr", got: "learningRate", hint: "camel case" },
    },
    {
      mistake: "a learning rate as a bare number",
      files: project({ setup: setup("/*here*/new optim.Adam(model.parameters(), 0.1 as never)") }),
      error: { code: "K1603", what: "Adam", expected: "lr", got: "0.1", hint: "in an object" },
    },
    {
      mistake: "an optimizer made in a step",
      files: project({ trainStep: step("const other = /*here*/new optim.SGD(model.parameters(), { lr: 0.1 });") }),
      error: { code: "K1201", what: "optimizer", expected: "setup()", got: "in a step", hint: "setup()" },
    },
    {
      mistake: "an optimizer that never takes a step",
      files: project({
        setup: setup("/*here*/new optim.SGD(model.parameters(), { lr: 0.1 })"),
        trainStep: step("loss.backward();"),
      }),
      error: {
        code: "K1606",
        what: "optimizer",
        expected: "optimizer.step()",
        got: "no call",
        hint: "after backward()",
      },
    },
    {
      mistake: "a step of the optimizer in setup()",
      files: project({
        setup: setup(
          "new optim.SGD(model.parameters(), { lr: 0.1 })",
          "optimizer./*here*/step(); return { model, optimizer };",
        ),
      }),
      error: { code: "K1210", expected: "trainStep", got: "setup()", hint: "backward()" },
    },
    {
      mistake: "an optimizer that setup() does not return",
      files: project({
        top: "let hidden: optim.SGD;",
        setup: setup(
          "(hidden = new optim.SGD(model.parameters(), { lr: 0.1 }))",
          "return { model, optimizer: undefined as never as optim.SGD };",
        ),
        trainStep:
          "    const loss = model.forward(x).sum();\n    loss.backward();\n    hidden./*here*/step();\n    return { loss };",
      }),
      error: { code: "K1109", what: "optimizer", expected: "setup() returns", got: "nobody owns", hint: "Return" },
    },
    {
      mistake: "a scheduler without its step size",
      files: project({
        setup: setup(
          "new optim.SGD(model.parameters(), { lr: 0.1 })",
          "const s = /*here*/new optim.lrScheduler.StepLR(optimizer, { step_size: 3 } as never); return { model, optimizer, s };",
        ),
      }),
      error: { code: "K1603", what: "StepLR", expected: "stepSize", got: "step_size", hint: "camel case" },
    },
    {
      mistake: "a scheduler of no steps",
      files: project({
        setup: setup(
          "new optim.SGD(model.parameters(), { lr: 0.1 })",
          "const s = /*here*/new optim.lrScheduler.StepLR(optimizer, { stepSize: 0 }); return { model, optimizer, s };",
        ),
      }),
      error: { code: "K1206", what: "stepSize", expected: "at least 1", got: "0", hint: "stepSize" },
    },
    {
      mistake: "a step of a scheduler in setup()",
      files: project({
        setup: setup(
          "new optim.SGD(model.parameters(), { lr: 0.1 })",
          "const s = new optim.lrScheduler.StepLR(optimizer, { stepSize: 1 }); s./*here*/step(); return { model, optimizer, s };",
        ),
      }),
      error: { code: "K1214", expected: "trainStep", got: "elsewhere", hint: "after each epoch" },
    },
  ]);
});
