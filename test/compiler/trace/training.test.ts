/** Training definitions: entries, names, transforms, metrics, schedulers, and mistakes in them. */
import { assert } from "chai";
import { defineTraining, nn, optim, type Tensor } from "../../../compiler/index.ts";
import type { TrainingOptions } from "../../../compiler/trace/definition.ts";
import { argumentNames, elementNames } from "../../../compiler/trace/argument-names.ts";
import { traceTraining, type LoaderDescriptions } from "../../../compiler/trace/training.ts";
import type { TracedProgram } from "../../../compiler/trace/traced.ts";
import type { FieldDescription, LoaderDescription } from "../../../ir/data/description.ts";
import { verifyGraph } from "../../../ir/verify.ts";
import { failsWith } from "../../fails-with.ts";
import { Simulation } from "../../simulate.ts";

const picture: FieldDescription = {
  dtype: "u8",
  shape: [2, 2],
  resident: true,
  transforms: [{ kind: "toTensor" }, { kind: "normalize", mean: [0.5], std: [0.25] }],
};
const label: FieldDescription = { dtype: "i64", shape: [], resident: true, transforms: [] };

function loader(samples: number, batchSize: number, fields = [picture, label], dropLast = false): LoaderDescription {
  return { samples, batchSize, fields, dropLast };
}

class Net extends nn.Module {
  fc = new nn.Linear(4, 3);
  dropout = new nn.Dropout();
  forward(x: Tensor): Tensor {
    return this.dropout.forward(this.fc.forward(x.flatten(1)));
  }
}

type Setup = {
  model: Net;
  criterion: nn.CrossEntropyLoss;
  optimizer: optim.SGD;
  schedulers: optim.lrScheduler.LRScheduler[];
};

const options: TrainingOptions<Setup> = {
  epochs: 3,
  data: () => ({}),
  setup() {
    const model = new Net();
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
    return {
      model,
      criterion: new nn.CrossEntropyLoss(),
      optimizer,
      schedulers: [
        new optim.lrScheduler.StepLR(optimizer, { stepSize: 2 }),
        new optim.lrScheduler.LambdaLR(optimizer, (step) => 1 / (1 + step), { per: "step" }),
      ],
    };
  },
  trainStep({ model, criterion, optimizer }, [images, labels]) {
    const loss = criterion.forward(model.forward(images), labels);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return { loss };
  },
  evalStep({ model, criterion }, [images, labels]) {
    const scores = model.forward(images);
    return { loss: criterion.forward(scores, labels), correct: scores.argmax(1).eq(labels).sum() };
  },
  predictStep: ({ model }, [images]) => model.forward(images).argmax(1),
};

const loaders = { train: loader(10, 4), validation: loader(4, 4), test: loader(7, 4) };

function trace(changes: Partial<TrainingOptions<Setup>> = {}, given: LoaderDescriptions = loaders): TracedProgram {
  return traceTraining(defineTraining({ ...options, ...changes }), given);
}

describe("training definitions", () => {
  it("become one entry a batch size that occurs", () => {
    const program = trace();
    assert.deepEqual(
      program.entries.map(({ name, batch }) => `${name}@${batch}`),
      ["train@4", "train@2", "evaluate@4", "evaluate@3", "predict@4", "predict@1"],
    );
    for (const { graph } of program.entries) verifyGraph(graph);
    const drop = trace({}, { train: loader(10, 4, undefined, true) });
    assert.deepEqual(drop.entries.map(({ name, batch }) => `${name}@${batch}`).slice(0, 2), ["train@4", "predict@4"]);
  });

  it("get an entry of their own for loaders with other fields", () => {
    const program = trace(
      {},
      { ...loaders, test: loader(4, 4, [{ ...picture, transforms: [{ kind: "toTensor" }] }, label]) },
    );
    assert.include(
      program.entries.map(({ name }) => name),
      "evaluate.test",
    );
  });

  it("evaluate without dropout and without gradients, and train with both", () => {
    const program = trace();
    const has = (entry: string, op: string): boolean =>
      program.entries.find(({ name }) => name === entry)?.graph.nodes.some((node) => node.op === op) ?? false;
    assert.isTrue(has("train", "drawBernoulli"));
    assert.isFalse(has("evaluate", "drawBernoulli"));
    assert.deepEqual(program.entries.find(({ name }) => name === "evaluate")?.graph.writes, []);
    assert.deepEqual(program.entries[0]?.increments, { "optimizer.step": 1 });
  });

  it("trace the transforms of a field", () => {
    const program = trace({ evalStep: (_, [images]) => ({ images }) });
    const run = new Simulation(program);
    const images = run
      .run("evaluate", { images: Array.from({ length: 16 }, (_, i) => i * 17), labels: [0, 0, 0, 0] })
      .get("images");
    assert.deepEqual([images?.[0], images?.[15]], [-2, 2]);
    const lambda: FieldDescription = { ...label, transforms: [{ kind: "lambda", apply: (x: Tensor) => x.add(5) }] };
    const changed = trace(
      { evalStep: (_, [, labels]) => ({ labels }) },
      { ...loaders, validation: loader(4, 4, [picture, lambda]) },
    );
    const labels = new Simulation(changed)
      .run("evaluate", { images: new Uint8Array(16), labels: [1, 2, 3, 4] })
      .get("labels");
    assert.deepEqual([...(labels ?? [])], [6, 7, 8, 9]);
  });

  it("feed what is resident and hand over the rest", () => {
    const program = trace({}, { train: loader(4, 4, [{ ...picture, resident: false }, label]) });
    assert.deepEqual(
      program.entries[0]?.inputs.map(({ kind, name }) => `${kind} ${name}`),
      ["input images", "feed labels"],
    );
    assert.deepEqual(
      program.entries[0]?.inputs.map(({ leaf }) => leaf.op),
      ["input", "feed"],
    );
  });

  it("say how results combine, and describe schedulers as data", () => {
    const { training } = trace();
    assert.deepEqual(training?.metrics, [
      { name: "loss", combine: "mean" },
      { name: "correct", combine: "sum" },
    ]);
    assert.deepEqual(training?.schedulers[0], {
      optimizer: "optimizer",
      kind: "StepLR",
      per: "epoch",
      options: { stepSize: 2, gamma: 0.1 },
    });
    const table = training?.schedulers[1];
    assert.equal(table?.per, "step");
    const factors = table?.options["factors"];
    assert.deepEqual(Array.isArray(factors) ? factors.slice(0, 3) : [], [1, 1 / 2, 1 / 3]);
    assert.lengthOf(Array.isArray(factors) ? factors : [], 10);
    assert.deepEqual([training?.epochs, training?.seed, training?.logEvery], [3, 0, 100]);
  });

  it("give the same program twice", () => {
    const text = (program: TracedProgram): string => JSON.stringify(program);
    assert.equal(text(trace()), text(trace()));
  });

  it("name their inputs by the arguments in the text", () => {
    assert.deepEqual(
      argumentNames((a: number, b = "(,)", ...rest: number[]) => [a, b, rest]),
      ["a", "b", undefined],
    );
    assert.deepEqual(
      argumentNames((x: number) => x),
      ["x"],
    );
    assert.deepEqual(
      elementNames(
        ({ a }: { a: number }, [x /* one, two */, { y }, z]: [number, { y: number }, number]) => [a, x, y, z],
        1,
      ),
      ["x", undefined, "z"],
    );
    assert.deepEqual(
      elementNames((_: number, batch: number[]) => batch, 1),
      [],
    );
  });

  it("K1301, K1302: steps that return no tensors", () => {
    failsWith("K1301", () => trace({ trainStep: () => undefined as never }));
    failsWith("K1302", () => trace({ trainStep: () => ({ loss: 3 as unknown as Tensor }) }));
  });

  it("K1303, K1304: parts that are missing, wrong or unknown", () => {
    failsWith("K1303", () => defineTraining({ ...options, setup: undefined as never }));
    failsWith("K1303", () => defineTraining({ ...options, epochs: -1 }));
    failsWith("K1303", () => defineTraining({ ...options, seed: 0.5 }));
    failsWith("K1303", () => defineTraining({ ...options, evalStep: 3 as never }));
    failsWith("K1303", () => defineTraining({ ...options, metrics: { loss: "average" as never } }));
    failsWith("K1304", () => defineTraining({ ...options, epoch: 3 } as typeof options));
  });

  it("K1305, K1306, K1307: loaders, metrics and lambdas", () => {
    failsWith("K1305", () => trace({}, { test: loader(4, 4) }));
    failsWith("K1306", () => trace({ metrics: { accuracy: "mean" } }));
    const lambda: FieldDescription = { ...label, transforms: [{ kind: "lambda", apply: () => 3 }] };
    failsWith("K1307", () => trace({}, { train: loader(4, 4, [picture, lambda]) }));
  });

  it("K1103: steps that are asynchronous", () => {
    failsWith("K1103", () => trace({ trainStep: (() => Promise.resolve({})) as never }));
    failsWith("K1103", () => trace({ setup: (() => Promise.reject(new Error("late"))) as never }));
  });

  it("K1104: a tensor kept from another step", () => {
    let kept: Tensor | undefined;
    failsWith("K1104", () =>
      trace({
        evalStep: (_, [images]) => {
          const sum = images.sum();
          kept ??= sum;
          return { sum: kept.add(sum) };
        },
      }),
    );
  });

  it("K1214, K1215: schedulers", () => {
    failsWith("K1215", () =>
      trace({
        setup: () => {
          const made = options.setup();
          return { ...made, schedulers: [new optim.lrScheduler.LambdaLR(made.optimizer, () => NaN)] };
        },
      }),
    );
    failsWith("K1214", () =>
      trace({
        setup: () => {
          const made = options.setup();
          made.schedulers[0]?.step();
          return made;
        },
      }),
    );
  });
});
