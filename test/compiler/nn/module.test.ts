/** Modules: what they hold, under which names, in which order, and what happens when something is wrong. */
import { assert } from "chai";
import { nn, optim, randn, tensor, zeros, type Tensor } from "../../../compiler/index.ts";
import { traceFunctionWith } from "../../../compiler/trace/function.ts";
import { moduleBrand } from "../../../compiler/nn/walk.ts";
import type { TracedProgram } from "../../../compiler/trace/traced.ts";
import { failsWith } from "../../fails-with.ts";
import { Simulation } from "../../simulate.ts";

const x23 = { dtype: "f32", shape: [2, 3] } as const;

/** Runs `body` in a setup and returns what it returned. */
function inSetup<T extends object>(body: () => T): T {
  let result: T | undefined;
  traceFunctionWith(
    () => {
      result = body();
      return result;
    },
    () => ({}),
    [],
    { name: "main" },
  );
  return result ?? assert.fail("setup did not run");
}

function trace<S extends object>(setup: () => S, step: (setup: S, x: Tensor) => unknown): TracedProgram {
  return traceFunctionWith(setup, step, [x23], { name: "main", names: ["x"] });
}

class Block extends nn.Module {
  norm = new nn.BatchNorm1d(3);
  linear = new nn.Linear(3, 3);
  forward(x: Tensor): Tensor {
    return this.linear.forward(this.norm.forward(x)).relu();
  }
}

class Net extends nn.Module {
  blocks = [new Block(), new Block()];
  heads = new Map([["a", new nn.Linear(3, 1)]]);
  seq = new nn.Sequential(new nn.Linear(3, 2, { bias: false }), new nn.ReLU());
  list = new nn.ModuleList([new nn.Linear(1, 1)]);
  config = { width: 3, names: ["a"] };
  tied = this.blocks[0]?.linear;
  scale = new nn.Parameter(tensor([2.5]));
  constructor() {
    super();
    this.registerBuffer("table", zeros([2]), { persistent: false });
  }
  forward(x: Tensor): Tensor {
    return this.blocks.reduce((value, block) => block.forward(value), x).mul(this.scale);
  }
}

describe("modules", () => {
  it("name their states as PyTorch does, in order of definition", () => {
    const { model } = inSetup(() => ({ model: new Net() }));
    assert.deepEqual(
      model.namedParameters().map(([name]) => name),
      [
        "scale",
        "blocks.0.norm.weight",
        "blocks.0.norm.bias",
        "blocks.0.linear.weight",
        "blocks.0.linear.bias",
        "blocks.1.norm.weight",
        "blocks.1.norm.bias",
        "blocks.1.linear.weight",
        "blocks.1.linear.bias",
        "heads.a.weight",
        "heads.a.bias",
        "seq.0.weight",
        "list.0.weight",
        "list.0.bias",
      ],
    );
    const keys = [...model.stateDict().keys()];
    assert.include(keys, "tied.weight", "shared tensors stand under each name");
    assert.include(keys, "blocks.0.norm.num_batches_tracked");
    assert.notInclude(keys, "table", "a buffer that is not persistent");
    assert.deepEqual(
      model
        .namedModules()
        .map(([name]) => name)
        .slice(0, 4),
      ["", "blocks.0", "blocks.0.norm", "blocks.0.linear"],
    );
  });

  it("take the key of setup's record where several have parameters", () => {
    const one = trace(
      () => ({ model: new nn.Linear(3, 1), criterion: new nn.MSELoss() }),
      ({ model }, x) => model.forward(x),
    );
    assert.deepEqual(
      one.states.map(({ name }) => name),
      ["weight", "bias"],
    );
    const two = trace(
      () => ({ generator: new nn.Linear(3, 3), discriminator: new nn.Linear(3, 1) }),
      (nets, x) => nets.discriminator.forward(nets.generator.forward(x)),
    );
    assert.deepEqual(
      two.states.map(({ name }) => name),
      ["generator.weight", "generator.bias", "discriminator.weight", "discriminator.bias"],
    );
  });

  it("note the module that an op runs in", () => {
    const program = trace(
      () => ({ model: new Net() }),
      ({ model }, x) => model.forward(x),
    );
    const dots = program.entries[0]?.graph.nodes.filter(({ op }) => op === "dot") ?? [];
    assert.deepEqual(
      dots.map(({ source }) => source?.module),
      ["blocks.0.linear", "blocks.1.linear"],
    );
    assert.match(dots[0]?.source?.file ?? "", /module\.test\.[jt]s$/);
  });

  it("note it also where forward is a property", () => {
    class Late extends nn.Module {
      inner = new nn.Identity();
      forward = (x: Tensor): Tensor => x.mul(2);
    }
    class Outer extends nn.Module {
      late = new Late();
      weight = new nn.Parameter(zeros([1]));
      forward(x: Tensor): Tensor {
        return this.late.forward(x);
      }
    }
    const program = trace(
      () => ({ model: new Outer() }),
      ({ model }, x) => model.forward(x),
    );
    assert.equal(program.entries[0]?.graph.nodes.find(({ op }) => op === "mul")?.source?.module, "late");
  });

  it("draw initial values in order of construction", () => {
    const program = trace(
      () => {
        const noise = randn([2]);
        const model = new Net();
        void new nn.Linear(2, 2);
        nn.init.kaimingNormal_(tensorOf(model));
        return { model, noise };
      },
      ({ model }, x) => model.forward(x),
    );
    const draws = program.init.filter(({ kind }) => kind === "uniform" || kind === "normal").map(({ state }) => state);
    assert.deepEqual(draws.slice(0, 3), ["noise", "blocks.0.linear.weight", "blocks.0.linear.bias"]);
    assert.equal(draws.at(-1), "seq.0.weight");
    assert.deepEqual(draws.slice(-3, -1), ["setup.0", "setup.1"], "a layer that nobody keeps draws all the same");
    assert.deepEqual(
      program.init.filter(({ kind }) => kind === "scratch").map(({ state }) => state),
      ["setup.0", "setup.1"],
    );
    assert.notInclude(
      program.states.map(({ name }) => name),
      "setup.0",
    );
  });

  it("start from values, copies and constants", () => {
    const program = trace(
      () => {
        const model = new nn.Linear(3, 1);
        model.weight.copy_(tensor([[1, 2, 3]]));
        model.bias?.fill_(4);
        const copy = new nn.Linear(3, 1);
        copy.loadStateDict(model.stateDict());
        return { model, copy };
      },
      ({ model, copy }, x) => model.forward(x).add(copy.forward(x)),
    );
    const last = program.init.filter(({ kind }) => kind !== "uniform");
    assert.deepInclude(last[0], {
      kind: "values",
      state: "model.weight",
      base64: Buffer.from(Float32Array.of(1, 2, 3).buffer).toString("base64"),
    });
    assert.deepInclude(last[1], { kind: "constant", state: "model.bias", value: 4 });
    assert.deepInclude(last[2], { kind: "copy", state: "copy.weight", from: "model.weight" });
  });

  it("keep large constants as buffers", () => {
    class Table extends nn.Module {
      table = new nn.Buffer(tensor(Array.from({ length: 2000 }, (_, i) => i / 2)));
      forward(x: Tensor): Tensor {
        return x.sum().add(this.table);
      }
    }
    const program = trace(
      () => ({ model: new Table() }),
      ({ model }, x) => model.forward(x),
    );
    assert.deepEqual(program.states, [{ name: "table", role: "buffer", dtype: "f32", shape: [2000] }]);
    assert.equal(program.init[0]?.kind, "values");
  });

  it("switch between training and evaluation", () => {
    const { model } = inSetup(() => ({ model: new Net() }));
    model.eval();
    assert.isFalse(model.blocks[1]?.norm.training);
    model.train();
    assert.isTrue(model.blocks[1]?.norm.training);
    const dropout = trace(
      () => ({ model: new nn.Dropout(0.25) }),
      ({ model: layer }, x) => layer.forward(x),
    );
    const draw = dropout.entries[0]?.graph.nodes.find(({ op }) => op === "drawBernoulli");
    assert.deepEqual(draw?.attrs, { p: 0.75, shape: [2, 3] });
    const still = traceFunctionWith(
      () => ({ model: new nn.Dropout() }),
      ({ model: layer }, x: Tensor) => layer.forward(x),
      [x23],
      { mode: "eval" },
    );
    assert.isUndefined(still.entries[0]?.graph.nodes.find(({ op }) => op === "drawBernoulli"));
  });

  it("keep running averages as state", () => {
    const program = trace(
      () => ({ model: new nn.BatchNorm1d(3, { momentum: 0.5 }) }),
      ({ model }, x) => model.forward(x),
    );
    const run = new Simulation(program, new Map([["weight", [1, 1, 1]]]));
    run.run("main", { x: [0, 2, 4, 2, 2, 8] });
    assert.deepEqual([...run.state("running_mean")], [0.5, 1, 3]);
    assert.deepEqual([...run.state("running_var")], [1.5, 0.5, 4.5]);
    assert.deepEqual([...run.state("num_batches_tracked")], [1]);
  });

  it("give the new value when read after a write", () => {
    class Counter extends nn.Module {
      count = new nn.Buffer(zeros([1]));
      forward(x: Tensor): Tensor {
        this.count.add_(1);
        const once = this.count.mul(10);
        this.count.add_(1);
        return x.sum().add(once).add(this.count);
      }
    }
    const run = new Simulation(
      trace(
        () => ({ model: new Counter() }),
        ({ model }, x) => ({ y: model.forward(x) }),
      ),
    );
    assert.deepEqual([...(run.run("main", { x: [0, 0, 0, 0, 0, 0] }).get("y") ?? [])], [12]);
    assert.deepEqual([...run.state("count")], [2]);
  });
});

function tensorOf(model: Net): Tensor {
  return model.stateDict().get("seq.0.weight") ?? assert.fail("no weight");
}

describe("mistakes with modules", () => {
  const hidden = new Set<nn.Linear>();

  it("K1109: a parameter that nobody owns", () => {
    class Hider extends nn.Module {
      readonly #layer = new nn.Linear(3, 1);
      forward(x: Tensor): Tensor {
        return this.#layer.forward(x);
      }
    }
    const error = failsWith("K1109", () =>
      trace(
        () => ({ model: new Hider() }),
        ({ model }, x) => model.forward(x),
      ),
    );
    assert.match(error.source?.file ?? "", /module\.test/);
    failsWith("K1109", () =>
      trace(
        () => {
          hidden.add(new nn.Linear(3, 1));
          return {};
        },
        (_, x) => [...hidden].map((layer) => layer.forward(x)),
      ),
    );
  });

  it("K1101: a module made outside setup", () => {
    failsWith("K1101", () => new nn.Linear(2, 2));
  });

  it("K1201: a module made in a step", () => {
    failsWith("K1201", () =>
      trace(
        () => ({}),
        (_, x) => new nn.Linear(3, 1).forward(x),
      ),
    );
  });

  it("K1202: bad names", () => {
    const withKey = (key: unknown): unknown =>
      inSetup(() => ({ model: Object.assign(new nn.Module(), { parts: new Map([[key, new nn.Linear(1, 1)]]) }) }));
    failsWith("K1202", () => withKey("a.b"));
    failsWith("K1202", () => withKey(""));
    failsWith("K1202", () => withKey(3));
    failsWith("K1202", () => withKey("__proto__"));
  });

  it("K1203: a module that holds itself", () => {
    class Loop extends nn.Module {
      child: nn.Module = this;
    }
    failsWith("K1203", () => inSetup(() => ({ model: new Loop() })));
  });

  it("K1107: a module or an optimizer of another copy of the library", () => {
    failsWith("K1107", () => inSetup(() => ({ model: { [moduleBrand]: true } })));
    failsWith("K1107", () => inSetup(() => ({ optimizer: { [Symbol.for("kiln.optimizer")]: true } })));
  });

  it("K1204: a state dict that does not fit", () => {
    failsWith("K1204", () =>
      inSetup(() => ({ model: new nn.Linear(1, 1).loadStateDict(new Map([["wait", zeros([1])]])) })),
    );
  });

  it("K1205: nn.init in a step", () => {
    failsWith("K1205", () =>
      trace(
        () => ({ model: new nn.Linear(3, 1) }),
        ({ model }) => nn.init.zeros_(model.weight),
      ),
    );
  });

  it("K1206: options out of range", () => {
    failsWith("K1206", () => inSetup(() => ({ model: new nn.Linear(0, 1) })));
    failsWith("K1206", () => inSetup(() => ({ model: new nn.Conv2d(3, 4, 3, { groups: 2 }) })));
    failsWith("K1206", () => inSetup(() => ({ model: new nn.Conv2d(3, 4, [3]) })));
    failsWith("K1206", () =>
      trace(
        () => ({ model: new nn.Dropout(2) }),
        ({ model }, x) => model.forward(x),
      ),
    );
    failsWith("K1206", () =>
      inSetup(() => {
        const model = new nn.Linear(1, 1);
        return { model, optimizer: new optim.SGD(model.parameters(), { lr: -1 }) };
      }),
    );
    failsWith("K1206", () =>
      inSetup(() => {
        const model = new nn.Linear(1, 1);
        return { model, optimizer: new optim.SGD(model.parameters(), { nesterov: true }) };
      }),
    );
  });

  it("K1207, K1139, K1140: inputs that do not fit", () => {
    failsWith("K1207", () =>
      trace(
        () => ({ model: new nn.Conv2d(1, 1, 3) }),
        ({ model }, x) => model.forward(x),
      ),
    );
    failsWith("K1207", () =>
      trace(
        () => ({ model: new nn.BatchNorm2d(3) }),
        ({ model }, x) => model.forward(x),
      ),
    );
    failsWith("K1207", () =>
      trace(
        () => ({ model: new nn.LayerNorm(4) }),
        ({ model }, x) => model.forward(x),
      ),
    );
    failsWith("K1139", () =>
      trace(
        () => ({ model: new nn.Linear(4, 1) }),
        ({ model }, x) => model.forward(x),
      ),
    );
    failsWith("K1140", () =>
      trace(
        () => ({ model: new nn.Embedding(4, 1) }),
        ({ model }, x) => model.forward(x),
      ),
    );
  });

  it("K1208, K1209: losses", () => {
    failsWith("K1208", () =>
      trace(
        () => ({ c: new nn.BCELoss() }),
        ({ c }, x) => c.forward(x, x.sum()),
      ),
    );
    failsWith("K1209", () =>
      trace(
        () => ({ c: new nn.NLLLoss() }),
        ({ c }, x) => c.forward(x, x.argmax()),
      ),
    );
    failsWith("K1209", () =>
      trace(
        () => ({ c: new nn.NLLLoss() }),
        ({ c }, x) => c.forward(x, x.sum(1)),
      ),
    );
  });

  it("K1210 to K1213: optimizers", () => {
    failsWith("K1210", () => inSetup(() => (new optim.Adam(new nn.Linear(1, 1).parameters()).step(), {})));
    failsWith("K1211", () => inSetup(() => ({ o: new optim.Adam([zeros([1])] as unknown as nn.Parameter[]) })));
    failsWith("K1212", () => inSetup(() => ({ o: new optim.Adam(new nn.ReLU().parameters()) })));
    failsWith("K1213", () =>
      inSetup(() => {
        const model = new nn.Linear(1, 1);
        return { o: new optim.Adam([...model.parameters(), ...model.parameters()]) };
      }),
    );
    failsWith("K1109", () =>
      trace(
        () => {
          const model = new nn.Linear(3, 1);
          const optimizer = new optim.SGD(model.parameters());
          return { model, step: () => optimizer.step() };
        },
        ({ step }) => step(),
      ),
    );
  });

  it("K1111, K1112, K1110: writes", () => {
    failsWith("K1111", () =>
      trace(
        () => ({ model: new nn.Linear(3, 1) }),
        ({ model }, x) => model.weight.add_(x.sum().mul(model.weight)),
      ),
    );
    const error = failsWith("K1112", () =>
      trace(
        () => ({}),
        (_, x) => x.add_(1),
      ),
    );
    assert.include(error.message, "x = x.add(");
    failsWith("K1129", () =>
      trace(
        () => ({ model: new nn.Linear(3, 1) }),
        ({ model }, x) => model.bias?.copy_(x),
      ),
    );
  });

  it("K1108: computing with parameters in setup", () => {
    failsWith("K1108", () =>
      inSetup(() => ({ model: Object.assign(new nn.Module(), { p: new nn.Parameter(randn([2]).mul(2)) }) })),
    );
  });

  it("K1113: two states of one name", () => {
    failsWith("K1113", () => inSetup(() => ({ a: { b: randn([1]) }, "a.b": randn([1]) })));
  });
});
