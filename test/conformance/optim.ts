/**
 * The family of optimizers: each case trains a quadratic form and a small network for some steps; schedulers are run in
 * float64 by the runtime; clipping is done on given gradients.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { crossEntropy } from "../../compiler/nn/functional/loss.ts";
import * as nn from "../../compiler/nn/index.ts";
import { Module } from "../../compiler/nn/module.ts";
import type { Optimizer } from "../../compiler/optim/optimizer.ts";
import { zeros } from "../../compiler/tensor/create.ts";
import { traceFunctionWith } from "../../compiler/trace/function.ts";
import { Parameter } from "../../compiler/trace/parameter.ts";
import { at, elementCount, type Shape } from "../../ir/type.ts";
import { execute, type Job, type JobResult } from "./execute.ts";
import { initialValues } from "./modules.ts";
import {
  clippingJob,
  clippingMismatches,
  schedulerMismatches,
  type ClippingCase,
  type SchedulerCase,
} from "./optim-parts.ts";
import type { FamilyOptions } from "./ops.ts";
import { makeOptimizer, type Keywords } from "./ports/optimizers.ts";
import { ended, judged, passed, type CaseResult, type FamilyResult } from "./report.ts";
import { compare, TensorFile, type Mismatch, type NumberTensor, type Tolerance } from "./tensors.ts";

type GroupCase = Keywords & { readonly params: readonly string[] };

type OptimizerCase = {
  readonly id: string;
  readonly optimizer: string;
  readonly kwargs: Keywords;
  readonly groups?: readonly GroupCase[];
  readonly quad?: {
    readonly params: string;
    readonly losses: readonly number[];
    readonly state: Readonly<Record<string, string>>;
    readonly atol: number;
  };
  readonly mlp?: {
    readonly final: Readonly<Record<string, string>>;
    readonly losses: readonly number[];
    readonly atol: number;
    readonly loss_atol: number;
  };
};

type Manifest = {
  readonly steps: number;
  readonly cases: readonly OptimizerCase[];
  readonly schedulers: readonly SchedulerCase[];
  readonly clipping: readonly ClippingCase[];
};

/** One parameter that is trained to minimise ½ pᵀAp - bᵀp. */
class Quadratic extends Module {
  p: Parameter;
  constructor(shape: Shape) {
    super();
    this.p = new Parameter(zeros(shape));
  }
}

/** Runs the family in a folder. */
export async function runOptim(folder: string, { target, filter }: FamilyOptions): Promise<FamilyResult> {
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as Manifest; // by format
  const file = new TensorFile(join(folder, "optim.safetensors"));
  const problems = manifest.cases
    .filter(({ id }) => id.includes(filter))
    .map((test) => ({ test, jobs: attempt(() => jobsOf(test, manifest.steps, file)) }));
  const clippings = manifest.clipping
    .map((test, i) => ({ test, name: { id: `clipping/${i}`, group: test.fn } }))
    .filter(({ name }) => name.id.includes(filter))
    .map((each) => ({ ...each, job: attempt(() => clippingJob(each.test, file)) }));
  const all = [
    ...problems.flatMap(({ jobs }) => jobs.value ?? []),
    ...clippings.flatMap(({ job }) => (job.value === undefined ? [] : [job.value])),
  ];
  const results = await execute(target, all);
  const resultOf = (job: Job): JobResult => {
    const result = at(results, all.indexOf(job));
    if ("error" in result) throw result.error;
    return result;
  };
  const cases = problems.map(({ test, jobs }): CaseResult => {
    const name = { id: test.id, group: test.optimizer };
    return settle(name, () => {
      if (jobs.value === undefined) throw jobs.error;
      const [quad, mlp] = test.quad === undefined ? [undefined, jobs.value[0]] : jobs.value;
      return [
        ...(quad === undefined ? [] : quadMismatches(test, manifest.steps, resultOf(quad), file)),
        ...(mlp === undefined ? [] : mlpMismatches(test, resultOf(mlp), file)),
      ];
    });
  });
  const schedulers = manifest.schedulers
    .map((test, i) => ({ test, name: { id: `schedulers/${i}/${test.scheduler}`, group: test.scheduler } }))
    .filter(({ name }) => name.id.includes(filter))
    .map(({ test, name }) => settle(name, () => schedulerMismatches(test)));
  const clipped = clippings.map(({ test, name, job }) =>
    settle(name, () => {
      if (job.value === undefined) throw job.error;
      return clippingMismatches(test, resultOf(job.value), file);
    }),
  );
  return { family: "optim", cases: [...cases, ...schedulers, ...clipped] };
}

type Attempt<T> = { readonly value: T; readonly error?: never } | { readonly value?: never; readonly error: unknown };

function attempt<T>(run: () => T): Attempt<T> {
  try {
    return { value: run() };
  } catch (error) {
    return { error };
  }
}

function settle(name: { id: string; group: string }, run: () => readonly (Mismatch | undefined)[]): CaseResult {
  try {
    const mismatches = run();
    return mismatches.length === 0 ? passed(name) : judged(name, mismatches);
  } catch (error) {
    return ended(name, error);
  }
}

function jobsOf(test: OptimizerCase, steps: number, file: TensorFile): Job[] {
  return [
    ...(test.quad === undefined ? [] : [quadJob(test, steps, file)]),
    ...(test.mlp === undefined ? [] : [mlpJob(test, steps, file)]),
  ];
}

function quadJob(test: OptimizerCase, steps: number, file: TensorFile): Job {
  const [A, b, p0] = [file.get("quad.A"), file.get("quad.b"), file.get("quad.p0")];
  const traced = traceFunctionWith(
    () => {
      const model = new Quadratic(p0.type.shape);
      return { model, optimizer: makeOptimizer(test.optimizer, [model.p], test.kwargs) };
    },
    ({ model, optimizer }, a, linear) => {
      const { p } = model;
      const loss = p.dot(a.mv(p)).mul(0.5).sub(linear.dot(p));
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      return { loss, p: p.mul(1) };
    },
    [A.type, b.type],
    { names: ["A", "b"], name: "main" },
  );
  return {
    traced,
    inputs: new Map([
      ["A", A.values],
      ["b", b.values],
    ]),
    states: new Map([...initialValues(traced), ["p", p0.values]]),
    calls: Array.from({ length: steps }, () => new Map()),
  };
}

function mlpJob(test: OptimizerCase, steps: number, file: TensorFile): Job {
  const init = file.below("mlp.init.");
  const [x, y] = [file.get("mlp.x"), file.get("mlp.y")];
  const [hidden = 0, inputs = 0] = init.get("0.weight")?.type.shape ?? [];
  const [classes = 0] = init.get("2.weight")?.type.shape ?? [];
  const traced = traceFunctionWith(
    () => {
      const model = new nn.Sequential(new nn.Linear(inputs, hidden), new nn.Tanh(), new nn.Linear(hidden, classes));
      return { model, optimizer: groupedOptimizer(test, model) };
    },
    ({ model, optimizer }, batch, labels) => {
      const loss = crossEntropy(model.forward(batch), labels);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      return { loss };
    },
    [x, y].map(({ type }) => ({ dtype: type.dtype, shape: type.shape.slice(1) })),
    { names: ["x", "y"], name: "main" },
  );
  const given = [...init].map(([name, { values }]) => [name, values] as const);
  return {
    traced,
    inputs: new Map(),
    states: new Map([...initialValues(traced), ...given]),
    calls: Array.from(
      { length: steps },
      (_, s) =>
        new Map([
          ["x", entryOf(x, s)],
          ["y", entryOf(y, s)],
        ]),
    ),
  };
}

/** Entry `index`, counted modulo their number, of the first axis. */
export function entryOf({ type, values }: NumberTensor, index: number): Float64Array {
  const [count = 1, ...shape] = type.shape;
  const size = elementCount(shape);
  return values.subarray((index % count) * size, ((index % count) + 1) * size);
}

function groupedOptimizer({ optimizer, kwargs, groups }: OptimizerCase, model: Module): Optimizer {
  if (groups === undefined) return makeOptimizer(optimizer, model.parameters(), kwargs);
  const named = new Map(model.namedParameters());
  const made = groups.map(({ params, ...rest }) => ({
    ...rest,
    params: params.flatMap((name) => {
      const parameter = named.get(name);
      return parameter === undefined ? [] : [parameter];
    }),
  }));
  return makeOptimizer(optimizer, made, kwargs);
}

/** What PyTorch keeps as state and we derive from the number of steps: by optimizer and name. */
const derived: Readonly<Record<string, Readonly<Record<string, (steps: number, kwargs: Keywords) => number>>>> = {
  ASGD: {
    eta: (steps, { lr = 1e-2, lambd = 1e-4, alpha = 0.75 }) =>
      Number(lr) / (1 + Number(lambd) * Number(lr) * steps) ** Number(alpha),
    mu: (steps, { t0 = 1e6 }) => 1 / Math.max(1, steps - Number(t0)),
  },
};

function quadMismatches(
  test: OptimizerCase,
  steps: number,
  { calls, states }: JobResult,
  file: TensorFile,
): (Mismatch | undefined)[] {
  const { quad } = test;
  if (quad === undefined) return [];
  const params = file.get(quad.params);
  const shape = params.type.shape.slice(1);
  const trajectory = calls.map((outputs, s) =>
    compare(
      `p after step ${s}`,
      outputs.get("p") ?? nothing,
      { type: { dtype: "f32", shape }, values: entryOf(params, s) },
      { atol: quad.atol, rtol: 1e-5 },
    ),
  );
  const state = Object.entries(quad.state).map(([key, name]) => {
    const stored = file.get(name);
    const own = states.get(`optimizer.${key}.p`);
    const scalar = key === "step" ? steps : derived[test.optimizer]?.[key]?.(steps, test.kwargs);
    const values = own ?? Float64Array.of(scalar ?? Number.NaN);
    return compare(`state ${key}`, { type: stored.type, values }, stored, {
      atol: Math.max(1e-5, quad.atol),
      rtol: 1e-4,
    });
  });
  return [...trajectory, compareLosses("quad", calls, quad.losses, { atol: 1e-5, rtol: 1e-5 }), ...state];
}

const nothing: NumberTensor = { type: { dtype: "f32", shape: [0] }, values: new Float64Array() };

function compareLosses(
  label: string,
  calls: JobResult["calls"],
  losses: readonly number[],
  tolerance: Tolerance,
): Mismatch | undefined {
  const type = { dtype: "f32", shape: [losses.length] } as const;
  const values = Float64Array.from(losses, (_, s) => calls[s]?.get("loss")?.values[0] ?? Number.NaN);
  return compare(`losses of ${label}`, { type, values }, { type, values: Float64Array.from(losses) }, tolerance);
}

function mlpMismatches(
  { mlp }: OptimizerCase,
  { calls, states }: JobResult,
  file: TensorFile,
): (Mismatch | undefined)[] {
  if (mlp === undefined) return [];
  const final = Object.entries(mlp.final).map(([name, tensor]) => {
    const stored = file.get(tensor);
    const computed = { type: stored.type, values: states.get(name) ?? new Float64Array() };
    return compare(`${name} at the end`, computed, stored, { atol: mlp.atol, rtol: 1e-5 });
  });
  return [compareLosses("mlp", calls, mlp.losses, { atol: mlp.loss_atol, rtol: 0 }), ...final];
}
