/** Every optimizer against PyTorch's trajectories, on the reference interpreter. */
import { assert } from "chai";
import { nn, optim, tensor, type Tensor } from "../../../compiler/index.ts";
import type { Params, Optimizer } from "../../../compiler/optim/index.ts";
import { traceFunctionWith } from "../../../compiler/trace/function.ts";
import type { TracedProgram } from "../../../compiler/trace/traced.ts";
import type { TensorType } from "../../../ir/type.ts";
import { goldenDir, loadManifest, openTensors, requireGolden, type GoldenTensor } from "../../golden.ts";
import { Simulation } from "../../simulate.ts";

type Problem = { readonly losses: readonly number[]; readonly atol: number };
type Case = {
  readonly id: string;
  readonly optimizer: string;
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly groups?: readonly (Readonly<Record<string, unknown>> & { readonly params: readonly string[] })[];
  readonly quad?: Problem & { readonly params: string; readonly state: Readonly<Record<string, string>> };
  readonly mlp?: Problem & { readonly final: Readonly<Record<string, string>>; readonly loss_atol: number };
};

const tensors = goldenDir() === undefined ? new Map<string, GoldenTensor>() : openTensors("optim/optim.safetensors");
const cases = goldenDir() === undefined ? [] : loadManifest<Case>("optim").cases;

function values(name: string): number[] {
  const stored = tensors.get(name);
  if (stored === undefined) throw new Error(`no tensor ${name}`);
  return Array.from(stored.data, Number);
}

function typeOf(name: string): TensorType {
  const { dtype, shape } = tensors.get(name) ?? { dtype: "f32", shape: [] };
  return { dtype, shape };
}

const camel = (name: string): string => name.replaceAll(/_([a-z])/g, (_, c: string) => c.toUpperCase());

function options(kwargs: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(kwargs).map(([name, value]) => [camel(name), value]));
}

type AnyOptimizer = new (params: Params<never>, options: Record<string, unknown>) => Optimizer;

function makeOptimizer(golden: Case, parameters: ReadonlyMap<string, nn.Parameter>): Optimizer {
  const table: Readonly<Record<string, unknown>> = optim;
  const type = table[golden.optimizer] as AnyOptimizer;
  const find = (name: string): nn.Parameter => parameters.get(name) ?? assert.fail(`no parameter ${name}`);
  const groups = golden.groups?.map(({ params, ...rest }) => ({ ...options(rest), params: params.map(find) }));
  return new type((groups ?? parameters.values()) as Params<never>, options(golden.kwargs));
}

function close(got: ArrayLike<number>, expected: ArrayLike<number>, atol: number, rtol: number, what: string): void {
  assert.equal(got.length, expected.length, what);
  for (let i = 0; i < got.length; i++) {
    const [a, b] = [got[i] ?? NaN, expected[i] ?? NaN];
    assert.isAtMost(Math.abs(a - b), atol + rtol * Math.abs(b), `${what}[${i}]: ${a} for ${b}`);
  }
}

class Quad extends nn.Module {
  p = new nn.Parameter(tensor(values("quad.p0")));
}

function quadProgram(golden: Case): TracedProgram {
  return traceFunctionWith(
    () => {
      const model = new Quad();
      return { model, optimizer: makeOptimizer(golden, new Map(model.namedParameters())) };
    },
    ({ model, optimizer }, A: Tensor, b: Tensor) => {
      const loss = model.p.dot(A.mv(model.p)).mul(0.5).sub(b.dot(model.p));
      loss.backward();
      optimizer.step();
      return { loss };
    },
    [typeOf("quad.A"), typeOf("quad.b")],
    { name: "step", names: ["A", "b"] },
  );
}

function mlpProgram(golden: Case): TracedProgram {
  const x = typeOf("mlp.x");
  const y = typeOf("mlp.y");
  return traceFunctionWith(
    () => {
      const model = new nn.Sequential(new nn.Linear(7, 5), new nn.Tanh(), new nn.Linear(5, 3));
      return { model, optimizer: makeOptimizer(golden, new Map(model.namedParameters())) };
    },
    ({ model, optimizer }, inputs: Tensor, labels: Tensor) => {
      const loss = nn.functional.crossEntropy(model.forward(inputs), labels);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      return { loss };
    },
    [
      { dtype: x.dtype, shape: x.shape.slice(1) },
      { dtype: y.dtype, shape: y.shape.slice(1) },
    ],
    { name: "step", names: ["x", "y"] },
  );
}

describe("optimizers have PyTorch's trajectories", () => {
  it("finds the reference data", function () {
    requireGolden(this);
    assert.isAbove(cases.length, 20);
  });

  for (const golden of cases) {
    const { quad, mlp } = golden;
    if (quad !== undefined) {
      it(`${golden.id} on the quadratic`, () => {
        const run = new Simulation(quadProgram(golden), new Map([["p", values("quad.p0")]]));
        const expected = values(quad.params);
        const width = run.state("p").length;
        quad.losses.forEach((loss, step) => {
          const got = run.run("step", { A: values("quad.A"), b: values("quad.b") }).get("loss")?.[0] ?? NaN;
          close([got], [loss], 1e-5, 1e-5, `loss ${step}`);
          close(run.state("p"), expected.slice(step * width, (step + 1) * width), quad.atol, 1e-5, `p after ${step}`);
        });
        for (const [slot, name] of Object.entries(quad.state)) {
          if (["step", "eta", "mu"].includes(slot)) continue;
          close(run.state(`optimizer.${slot}.p`), values(name), Math.max(1e-5, quad.atol), 1e-4, slot);
        }
      });
    }
    if (mlp !== undefined) {
      it(`${golden.id} on the network`, () => {
        const names = ["0.weight", "0.bias", "2.weight", "2.bias"];
        const run = new Simulation(
          mlpProgram(golden),
          new Map(names.map((name) => [name, values(`mlp.init.${name}`)])),
        );
        const [x, y] = [values("mlp.x"), values("mlp.y")];
        const steps = mlp.losses.length;
        mlp.losses.forEach((loss, step) => {
          const part = (all: number[]): number[] =>
            all.slice((step * all.length) / steps, ((step + 1) * all.length) / steps);
          const got = run.run("step", { x: part(x), y: part(y) }).get("loss")?.[0] ?? NaN;
          close([got], [loss], mlp.loss_atol, 1e-5, `loss ${step}`);
        });
        for (const [name, stored] of Object.entries(mlp.final))
          close(run.state(name), values(stored), mlp.atol, 1e-5, name);
      });
    }
  }
});
