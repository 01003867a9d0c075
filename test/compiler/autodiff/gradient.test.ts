/** Gradients of traced functions against finite differences, and what flows where. */
import { assert } from "chai";
import { grad, nn, noGrad, optim, tensor, where, zeros, type Tensor } from "../../../compiler/index.ts";
import { traceFunction, traceFunctionWith } from "../../../compiler/trace/function.ts";
import type { TracedProgram } from "../../../compiler/trace/traced.ts";
import { elementCount, type Shape, type TensorType } from "../../../ir/type.ts";
import { failsWith } from "../../fails-with.ts";
import { randomNumbers } from "../../random-numbers.ts";
import { Simulation } from "../../simulate.ts";

const f32 = (...shape: number[]): TensorType => ({ dtype: "f32", shape });
const i64 = (...shape: number[]): TensorType => ({ dtype: "i64", shape });

function run(
  program: TracedProgram,
  inputs: Readonly<Record<string, ArrayLike<number>>>,
): ReadonlyMap<string, Float64Array> {
  return new Simulation(program).run(program.entries[0]?.name ?? "", inputs);
}

type Function1 = (x: Tensor) => Tensor;

const { functional: F } = nn;

/** Functions whose gradient is checked at random points, with the shape of their argument. */
const functions: Readonly<Record<string, readonly [Shape, Function1]>> = {
  broadcasting: [
    [3, 4],
    (x) =>
      x
        .mul(x.select(0, 1))
        .add(x.sum(1, { keepdim: true }))
        .sub(2),
  ],
  "division and powers": [[5], (x) => x.square().add(1).rsqrt().div(x.exp().add(2)).pow(3)],
  matmul: [[4, 4], (x) => x.matmul(x.t()).matmul(x.select(0, 2))],
  "stacked matmul": [[2, 3, 3], (x) => x.matmul(x.transpose(1, 2)).matmul(x.select(0, 0))],
  softmax: [[3, 4], (x) => x.softmax(1).mul(x)],
  logSoftmax: [[3, 4], (x) => x.logSoftmax(0).mul(x)],
  logsumexp: [[3, 4], (x) => x.logsumexp(1)],
  "sigmoid and friends": [
    [6],
    (x) => x.sigmoid().add(F.silu(x)).add(F.softplus(x)).add(F.logsigmoid(x)).add(F.mish(x)),
  ],
  gelu: [[6], (x) => x.gelu().add(x.gelu({ approximate: "tanh" }))],
  piecewise: [[6], (x) => x.relu().add(x.leakyRelu()).add(x.elu()).add(F.selu(x)).add(F.hardswish(x))],
  "max, min and clamp": [
    [3, 4],
    (x) =>
      x
        .amax(1)
        .add(x.amin(1))
        .add(x.max(1).values)
        .add(x.clamp({ min: -0.5, max: 0.5 }).sum(1)),
  ],
  variance: [[3, 4], (x) => x.var(1).add(x.std([0, 1]))],
  product: [[2, 3], (x) => x.prod(1)],
  movement: [
    [2, 3, 4],
    (x) =>
      x
        .permute(2, 0, 1)
        .flip(0)
        .slice(1, 0, 2)
        .reshape(4, -1)
        .mul(x.flatten(1).narrow(1, 2, 6).reshape(4, 3).repeat(1, 2)),
  ],
  "split and stack": [
    [4, 3],
    (x) =>
      x
        .chunk(2)
        .map((part, i) => part.mul(i + 2))
        .reduce((a, b) => a.mul(b)),
  ],
  where: [[5], (x) => where(x.gt(0), x.square(), x.exp())],
  cumulative: [[3, 4], (x) => x.cumsum(1).mul(x.cumsum(0))],
  sort: [[7], (x) => x.sort().values.mul(x.argsort().to("f32"))],
  layerNorm: [[3, 5], (x) => F.layerNorm(x, [5]).mul(x)],
  groupNorm: [[2, 4, 3], (x) => F.groupNorm(x, 2).mul(x)],
  conv2d: [
    [2, 2, 5, 5],
    (x) => F.conv2d(x, x.narrow(2, 0, 3).narrow(3, 1, 2).slice(0, 0, 2), { padding: 1, stride: 2 }),
  ],
  maxPool2d: [[1, 2, 5, 5], (x) => x.maxPool2d(3, { stride: 2, padding: 1 })],
  avgPool2d: [
    [1, 2, 5, 5],
    (x) => x.avgPool2d(2, { ceilMode: true }).add(F.avgPool2d(x, 3, { padding: 1, stride: 2, countIncludePad: false })),
  ],
  adaptiveAvgPool2d: [[1, 1, 5, 7], (x) => x.adaptiveAvgPool2d([2, 3])],
  "huber and smooth L1": [[6], (x) => F.huberLoss(x, x.neg().mul(2)).add(F.smoothL1Loss(x, x.square()))],
  "binary cross entropies": [
    [6],
    (x) =>
      F.binaryCrossEntropyWithLogits(x, x.sigmoid()).add(
        F.binaryCrossEntropy(x.sigmoid(), x.square().clamp({ max: 1 })),
      ),
  ],
  klDiv: [[2, 3], (x) => F.klDiv(x.logSoftmax(1), x.square().softmax(1), { reduction: "batchmean" })],
};

/** Numbers from -2 to 2, different from each other. */
function randomPoint(count: number, seed: number): Float64Array {
  const next = randomNumbers(seed);
  return Float64Array.from({ length: count }, () => 4 * next() - 2);
}

/** A fixed weighting, so that every element of a result counts differently. */
const weigh = (y: Tensor): Tensor =>
  y
    .flatten()
    .mul(tensor(Array.from({ length: y.numel() }, (_, i) => Math.sin(i + 1))))
    .sum();

function checkGradient(shape: Shape, body: Function1, seed: number): void {
  const program = traceFunction((x: Tensor) => weigh(body(x.toDouble())), [{ dtype: "f64", shape }], {
    name: "main",
    grad: true,
  });
  const value = (x: Float64Array): number => run(program, { x }).get("output")?.[0] ?? NaN;
  const x = randomPoint(elementCount(shape), seed);
  const gradient = run(program, { x }).get("grad.x") ?? new Float64Array(x.length);
  const step = 1e-5;
  for (let i = 0; i < x.length; i++) {
    const moved = (by: number): Float64Array => x.map((v, j) => (j === i ? v + by : v));
    const expected = (value(moved(step)) - value(moved(-step))) / (2 * step);
    const got = gradient[i] ?? NaN;
    assert.isAtMost(Math.abs(got - expected), 1e-6 * (1 + Math.abs(expected)), `element ${i}: ${got} for ${expected}`);
  }
}

describe("gradients", () => {
  for (const [name, [shape, body]] of Object.entries(functions)) {
    it(`of ${name}`, () => checkGradient(shape, body, 7));
  }

  it("of a gradient", () => {
    checkGradient([4], (x) => grad(x.pow(3).add(x.sin()).sum(), [x], { createGraph: true })[0]?.mul(x) ?? x, 3);
  });

  it("of cross entropy with weights, smoothing and ignored classes", () => {
    const program = traceFunction(
      (x: Tensor, y: Tensor) =>
        F.crossEntropy(x, y, { weight: tensor([1, 2, 0.5], { dtype: "f64" }), labelSmoothing: 0.2, ignoreIndex: 1 }),
      [{ dtype: "f64", shape: [4, 3] }, i64(4)],
      { name: "main", grad: true },
    );
    const x = randomPoint(12, 5);
    const y = [0, 1, 2, 2];
    const value = (at: Float64Array): number => run(program, { x: at, y }).get("output")?.[0] ?? NaN;
    const got = run(program, { x, y }).get("grad.x") ?? new Float64Array();
    x.forEach((_, i) => {
      const moved = (by: number): Float64Array => x.map((v, j) => (j === i ? v + by : v));
      assert.closeTo(got[i] ?? NaN, (value(moved(1e-5)) - value(moved(-1e-5))) / 2e-5, 1e-7);
    });
  });

  it("build only what reaches the inputs asked for", () => {
    const program = traceFunction(
      (x: Tensor, w: Tensor) => grad(x.matmul(w.requiresGrad_()).sum(), [w]),
      [f32(2, 3), f32(3, 2)],
      { name: "main" },
    );
    const dots = program.entries[0]?.graph.nodes.filter((node) => node.op === "dot") ?? [];
    assert.equal(dots.length, 1, "the gradient of x and the product itself are not needed");
  });

  it("do not flow through detach, noGrad and comparisons", () => {
    const program = traceFunction(
      (x: Tensor) => {
        x.requiresGrad_();
        const y = x
          .detach()
          .mul(x)
          .add(noGrad(() => x.mul(5)))
          .add(x.gt(0).to("f32"));
        return grad(y.sum(), [x]);
      },
      [f32(3)],
      { name: "main" },
    );
    assert.deepEqual([...(run(program, { x: [1, -2, 3] }).get("output0") ?? [])], [1, -2, 3]);
  });

  it("add up over several backward calls until zeroGrad", () => {
    const program = traceFunctionWith(
      () => ({ model: new nn.Linear(2, 1, { bias: false }) }),
      ({ model }, x: Tensor) => {
        assert.isUndefined(model.weight.grad);
        model.forward(x).sum().backward();
        model.forward(x).mul(2).sum().backward();
        const sum = model.weight.grad ?? zeros([]);
        model.zeroGrad();
        assert.isUndefined(model.weight.grad);
        return { sum };
      },
      [f32(1, 2)],
      { name: "main" },
    );
    assert.deepEqual([...(run(program, { x: [1, 2] }).get("sum") ?? [])], [3, 6]);
  });

  it("skip frozen parameters, and a parameter written in the step is a leaf again", () => {
    const program = traceFunctionWith(
      () => {
        const model = new nn.Linear(2, 2);
        return { model, optimizer: new optim.SGD(model.parameters(), { lr: 0.5 }) };
      },
      ({ model, optimizer }, x: Tensor) => {
        model.bias?.requiresGrad_(false);
        model.forward(x).sum().backward();
        assert.isUndefined(model.bias?.grad);
        optimizer.step();
        optimizer.zeroGrad();
        model.forward(x).square().sum().backward();
        optimizer.step();
        return { w: model.weight };
      },
      [f32(1, 2)],
      { name: "main" },
    );
    assert.equal(program.entries[0]?.increments["optimizer.step"], 2);
    const simulation = new Simulation(program, new Map([["weight", [1, 1, 1, 1]]]));
    // First step: gradient [1, 2] a row, w = [0.5, 0]; then y = 0.5, gradient 2 y x = [1, 2], w = [0, -1].
    assert.deepEqual([...(simulation.run("main", { x: [1, 2] }).get("w") ?? [])], [0, -1, 0, -1]);
    assert.deepEqual([...simulation.state("weight")], [0, -1, 0, -1]);
  });

  it("say what is wrong", () => {
    const trace = (body: (x: Tensor) => unknown): TracedProgram => traceFunction(body, [f32(3)], { name: "main" });
    failsWith("K1151", () => trace((x) => x.sum().backward()));
    failsWith("K1152", () => trace((x) => x.requiresGrad_().mul(2).backward()));
    failsWith("K1153", () =>
      trace((x) =>
        x
          .requiresGrad_()
          .mul(2)
          .backward(zeros([2])),
      ),
    );
    failsWith("K1154", () => trace((x) => grad(x.requiresGrad_().sum(), [x.detach()])));
    failsWith("K1155", () => trace((x) => grad(x.requiresGrad_().sum(), [x.mul(2)])));
    failsWith("K1114", () => trace((x) => x.requiresGrad_().mul(2).requiresGrad_(false)));
  });
});
