/** Modules and gradient clipping against PyTorch's results, on the reference interpreter. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { grad, nn, zeros, type Tensor } from "../../../compiler/index.ts";
import { traceFunctionWith } from "../../../compiler/trace/function.ts";
import type { TensorType } from "../../../ir/type.ts";
import { goldenDir, loadManifest, openTensors, requireGolden, type GoldenTensor } from "../../golden.ts";
import { Simulation } from "../../simulate.ts";

type Case = {
  readonly id: string;
  readonly module: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly mode?: "train" | "eval";
  readonly inputs?: Readonly<Record<string, string>>;
  readonly state?: Readonly<Record<string, string>>;
  readonly outputs?: readonly string[];
  readonly cotangents?: readonly string[];
  readonly grads?: Readonly<Record<string, string>>;
  readonly state_after?: Readonly<Record<string, string>>;
  readonly steps?: readonly {
    readonly x: string;
    readonly y: string;
    readonly running_mean: string;
    readonly running_var: string;
  }[];
  readonly rtol: number;
  readonly atol: number;
  readonly grad_rtol: number;
  readonly grad_atol: number;
};

const ported = ["BatchNorm1d", "BatchNorm2d", "GroupNorm", "LayerNorm", "Embedding", "CrossEntropyLoss"];
const isThere = goldenDir() !== undefined;
const tensors = isThere ? openTensors("modules/modules.safetensors") : new Map<string, GoldenTensor>();
const cases = isThere ? loadManifest<Case>("modules").cases.filter(({ module }) => ported.includes(module)) : [];

const stored = (name: string): GoldenTensor => tensors.get(name) ?? assert.fail(`no tensor ${name}`);
const values = (name: string): number[] => Array.from(stored(name).data, Number);
const typeOf = (name: string): TensorType => ({ dtype: stored(name).dtype, shape: stored(name).shape });
const camel = (name: string): string => name.replaceAll(/_([a-z])/g, (_, c: string) => c.toUpperCase());

type AnyModule = new (...args: unknown[]) => nn.Module & { forward(...x: Tensor[]): Tensor };

function construct({ module, args, kwargs }: Case): InstanceType<AnyModule> {
  const table: Readonly<Record<string, unknown>> = nn;
  const type = table[module] as AnyModule;
  const options = Object.fromEntries(Object.entries(kwargs).map(([name, value]) => [camel(name), value]));
  return new type(...args, options);
}

function close(got: ArrayLike<number> | undefined, name: string, atol: number, rtol: number): void {
  const expected = values(name);
  assert.equal(got?.length, expected.length, name);
  expected.forEach((b, i) => {
    const a = got?.[i] ?? NaN;
    assert.isAtMost(Math.abs(a - b), atol + rtol * Math.abs(b), `${name}[${i}]: ${a} for ${b}`);
  });
}

describe("modules have PyTorch's results", () => {
  it("finds the reference data", function () {
    requireGolden(this);
    assert.isAbove(cases.length, 8);
  });

  for (const golden of cases.filter(({ steps }) => steps === undefined)) {
    it(golden.id, () => {
      const { inputs = {}, state = {}, outputs = [], cotangents = [], grads = {}, state_after: after = {} } = golden;
      const names = Object.keys(inputs);
      const program = traceFunctionWith(
        () => ({ model: construct(golden) }),
        ({ model }, ...given: Tensor[]) => {
          if (golden.mode === "eval") model.eval();
          const [cotangent, ...rest] = given.toReversed();
          const x = rest.toReversed();
          const wanted = Object.keys(grads).map((key) => {
            const leaf = key.startsWith("in.") ? x[names.indexOf(key.slice(3))] : model.stateDict().get(key.slice(6));
            return (leaf ?? assert.fail(key)).requiresGrad_();
          });
          const y = model.forward(...x);
          const parts = grad(y, wanted, { gradOutputs: cotangent ?? zeros([]) });
          return { y, ...Object.fromEntries(Object.keys(grads).map((key, i) => [key, parts[i] ?? zeros([])])) };
        },
        [...names.map((name) => typeOf(inputs[name] ?? "")), typeOf(cotangents[0] ?? "")],
        { name: "main", names: [...names, "cotangent"] },
      );
      const run = new Simulation(program, new Map(Object.entries(state).map(([name, key]) => [name, values(key)])));
      const given = Object.fromEntries(Object.entries(inputs).map(([name, key]) => [name, values(key)]));
      const got = run.run("main", { ...given, cotangent: values(cotangents[0] ?? "") });
      close(got.get("y"), outputs[0] ?? "", golden.atol, golden.rtol);
      for (const [key, name] of Object.entries(grads)) close(got.get(key), name, golden.grad_atol, golden.grad_rtol);
      for (const [name, key] of Object.entries(after)) close(run.state(name), key, golden.atol, golden.rtol);
    });
  }

  for (const golden of cases.filter(({ steps }) => steps !== undefined)) {
    it(golden.id, () => {
      const steps = golden.steps ?? [];
      const program = traceFunctionWith(
        () => ({ model: construct(golden) }),
        ({ model }, x: Tensor) => ({ y: model.forward(x) }),
        [typeOf(steps[0]?.x ?? "")],
        { name: "main", names: ["x"] },
      );
      const run = new Simulation(program);
      for (const step of steps) {
        close(run.run("main", { x: values(step.x) }).get("y"), step.y, golden.atol, golden.rtol);
        close(run.state("running_mean"), step.running_mean, golden.atol, golden.rtol);
        close(run.state("running_var"), step.running_var, golden.atol, golden.rtol);
      }
    });
  }
});

type Clipping = {
  readonly fn: string;
  readonly kwargs: { readonly max_norm?: number; readonly norm_type?: number | "inf"; readonly clip_value?: number };
  readonly grads: readonly string[];
  readonly out: readonly string[];
  readonly total_norm: number | null;
};

describe("gradient clipping has PyTorch's results", () => {
  if (!isThere) return;
  const optim = openTensors("optim/optim.safetensors");
  const file = join(goldenDir() ?? "", "optim", "manifest.json");
  const { clipping } = JSON.parse(readFileSync(file, "utf8")) as { readonly clipping: readonly Clipping[] };
  for (const [index, { fn, kwargs, grads, out, total_norm: norm }] of clipping.entries()) {
    it(`${fn} ${index}`, () => {
      const types = grads.map((name) => optim.get(name) ?? assert.fail(name));
      const program = traceFunctionWith(
        () => {
          const model = new nn.Module();
          return { model: Object.assign(model, { p: types.map(({ shape }) => new nn.Parameter(zeros(shape))) }) };
        },
        ({ model }, ...given: Tensor[]) => {
          model.p.forEach((parameter, i) => (parameter.grad = given[i]));
          const { max_norm: maxNorm, norm_type: normType = 2, clip_value: clipValue = 0 } = kwargs;
          const options = { normType: normType === "inf" ? Infinity : normType };
          const total = maxNorm === undefined ? undefined : nn.clipGradNorm_(model.p, maxNorm, options);
          if (maxNorm === undefined) nn.clipGradValue_(model.p, clipValue);
          const clipped = model.p.map(({ grad: each }) => each ?? zeros([]));
          return total === undefined ? clipped : [...clipped, total];
        },
        types.map(({ dtype, shape }) => ({ dtype, shape })),
        { name: "main" },
      );
      const inputs = Object.fromEntries(types.map(({ data }, i) => [`input${i}`, Array.from(data, Number)]));
      const got = new Simulation(program).run("main", inputs);
      out.forEach((name, i) => {
        const expected = Array.from(optim.get(name)?.data ?? [], Number);
        assert.isNotEmpty(expected);
        expected.forEach((b, j) => assert.closeTo(got.get(`output${i}`)?.[j] ?? NaN, b, 1e-6 + 1e-5 * Math.abs(b)));
      });
      if (norm !== null) assert.closeTo(got.get(`output${grads.length}`)?.[0] ?? NaN, norm, 1e-5 * norm);
    });
  }
});
