/**
 * The family of modules: each case builds a module from PyTorch's arguments, gives it a state, calls it in one mode and
 * differentiates. Cases with steps feed a batch norm batch by batch and look at its running averages.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { grad } from "../../compiler/autodiff/backward.ts";
import type { Module } from "../../compiler/nn/module.ts";
import { traceFunctionWith } from "../../compiler/trace/function.ts";
import { isTensor, type Tensor } from "../../compiler/trace/tensor.ts";
import type { TracedProgram } from "../../compiler/trace/traced.ts";
import { Generator } from "../../ir/random/generator.ts";
import { initialize } from "../../ir/random/initialize.ts";
import { at, elementCount } from "../../ir/type.ts";
import { newTypedArray } from "../../runtime/typed-array.ts";
import { decode, type Arg } from "./call.ts";
import { execute, type Job, type JobResult } from "./execute.ts";
import type { FamilyOptions } from "./ops.ts";
import { camelCase, makeModule } from "./ports/modules.ts";
import { ended, judged, Unsupported, type CaseResult, type FamilyResult } from "./report.ts";
import { compare, TensorFile, toNumbers, type Mismatch, type Tolerance } from "./tensors.ts";

type BatchNormStep = Readonly<Record<"x" | "y" | "running_mean" | "running_var", string>>;

type ModuleCase = {
  readonly id: string;
  readonly module: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly mode?: "train" | "eval";
  readonly call?: Readonly<Record<string, unknown>>;
  readonly inputs?: Readonly<Record<string, string>>;
  readonly state?: Readonly<Record<string, string>>;
  readonly outputs?: readonly string[];
  readonly cotangents?: readonly (string | null)[];
  readonly grads?: Readonly<Record<string, string>>;
  readonly state_after?: Readonly<Record<string, string>>;
  readonly steps?: readonly BatchNormStep[];
  readonly eval?: { readonly x: string; readonly y: string };
  readonly rtol: number;
  readonly atol: number;
  readonly grad_rtol?: number;
  readonly grad_atol?: number;
};

/** Runs the family in a folder. */
export async function runModules(folder: string, { target, filter }: FamilyOptions): Promise<FamilyResult> {
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as { cases: readonly ModuleCase[] }; // by format
  const file = new TensorFile(join(folder, "modules.safetensors"));
  const cases = manifest.cases.filter(({ id }) => id.includes(filter));
  const traced = cases.map((test) => {
    try {
      return { test, job: test.steps === undefined ? callJob(test, file) : stepsJob(test, test.steps, file) };
    } catch (error) {
      return { test, error };
    }
  });
  const results = await execute(
    target,
    traced.flatMap(({ job }) => (job === undefined ? [] : [job])),
  );
  let next = 0;
  const judgements = traced.map(({ test, job, error }): CaseResult => {
    const name = { id: test.id, group: test.module };
    if (job === undefined) return ended(name, error);
    const result = at(results, next++);
    return "error" in result ? ended(name, result.error) : judged(name, mismatches(test, file, result));
  });
  return { family: "modules", cases: judgements };
}

function plain(value: unknown): Arg {
  return decode(value, () => {
    throw new Unsupported("a tensor as a module's argument");
  });
}

function build(test: ModuleCase): Module {
  const kwargs = Object.fromEntries(Object.entries(test.kwargs).map(([key, value]) => [key, plain(value)]));
  return makeModule(test.module, test.args.map(plain), kwargs);
}

/** First values of the states of a program, by its own initialisation. */
export function initialValues(traced: Omit<TracedProgram, "training">, seed: number = 0): Map<string, Float64Array> {
  const targets = new Map(
    traced.states.map(({ name, dtype, shape }) => [
      name,
      { dtype, shape, data: newTypedArray(dtype, elementCount(shape)) },
    ]),
  );
  initialize(traced.init, targets, Generator.seeded(seed));
  return new Map([...targets].map(([name, { dtype, data }]) => [name, toNumbers(dtype, data)]));
}

/** Calls `forward` as PyTorch would be called: tensors in order, those after an LSTM's input as one state. */
function callForward(test: ModuleCase, module: Module, tensors: Readonly<Record<string, Tensor>>): Tensor[] {
  const forward: unknown = Reflect.get(module, "forward");
  if (typeof forward !== "function") throw new Unsupported(`${test.module} has no forward`);
  const options: Record<string, unknown> = {};
  const ordered: unknown[] = [];
  for (const [name, tensor] of Object.entries(tensors)) {
    if (name.startsWith("kw_")) options[camelCase(name.slice("kw_".length))] = tensor;
    else ordered.push(tensor);
  }
  for (const [name, value] of Object.entries(test.call ?? {})) options[camelCase(name)] = plain(value);
  const isPair = test.module.startsWith("LSTM") && ordered.length === 3;
  const args = isPair ? [ordered[0], ordered.slice(1)] : ordered;
  const result: unknown = Reflect.apply(forward, module, Object.keys(options).length === 0 ? args : [...args, options]);
  return [result].flat(4).filter(isTensor);
}

function callJob(test: ModuleCase, file: TensorFile): Job {
  const inputs = Object.entries(test.inputs ?? {});
  const cotangents = (test.cotangents ?? []).filter((name) => name !== null);
  const names = [...inputs.map(([, name]) => name), ...cotangents];
  const traced = traceFunctionWith(
    () => build(test),
    (module, ...tensors) => {
      if (test.mode === "eval") module.eval();
      else module.train();
      const tensor = (name: string): Tensor => at(tensors, names.indexOf(name));
      for (const [key, name] of inputs) if (`in.${key}` in (test.grads ?? {})) tensor(name).requiresGrad_();
      const outputs = callForward(test, module, Object.fromEntries(inputs.map(([key, name]) => [key, tensor(name)])));
      return results(test, module, outputs, tensor);
    },
    names.map((name) => file.type(name)),
    { names, name: "main" },
  );
  const given = Object.entries(test.state ?? {}).map(([key, name]) => [key, file.get(name).values] as const);
  return {
    traced: { ...traced, training: undefined },
    inputs: new Map(names.map((name) => [name, file.get(name).values])),
    states: new Map([...initialValues(traced), ...given]),
  };
}

/** Outputs and gradients, under the names of the tensors they are compared with. */
function results(
  test: ModuleCase,
  module: Module,
  outputs: readonly Tensor[],
  tensor: (name: string) => Tensor,
): Record<string, Tensor> {
  const expected = test.outputs ?? [];
  if (outputs.length !== expected.length) throw new Error(`${outputs.length} outputs, expected ${expected.length}`);
  const found: Record<string, Tensor> = Object.fromEntries(outputs.map((output, i) => [at(expected, i), output]));
  const grads = Object.entries(test.grads ?? {});
  const parameters = new Map<string, Tensor>(module.namedParameters());
  const sources = grads.map(([key]) => {
    const source = key.startsWith("in.")
      ? tensor(test.inputs?.[key.slice("in.".length)] ?? "")
      : parameters.get(key.slice("param.".length));
    if (source === undefined) throw new Error(`no parameter ${key}`);
    return source;
  });
  const heads = outputs.flatMap((output, i) => {
    const cotangent = test.cotangents?.[i];
    return output.requiresGrad && typeof cotangent === "string" ? [{ output, cotangent: tensor(cotangent) }] : [];
  });
  if (heads.length === 0) return found;
  const parts = grad(
    heads.map(({ output }) => output),
    sources,
    { gradOutputs: heads.map(({ cotangent }) => cotangent), allowUnused: true },
  );
  grads.forEach(([, name], i) => {
    found[name] = parts[i] ?? at(sources, i).zerosLike();
  });
  return found;
}

/** All steps of a batch norm in one entry, then one call in evaluation mode. */
function stepsJob(test: ModuleCase, steps: readonly BatchNormStep[], file: TensorFile): Job {
  const names = [...steps.map(({ x }) => x), ...(test.eval === undefined ? [] : [test.eval.x])];
  const traced = traceFunctionWith(
    () => build(test),
    (module, ...tensors) => {
      const found: Record<string, Tensor> = {};
      const call = (x: string): Tensor => at(callForward(test, module, { x: at(tensors, names.indexOf(x)) }), 0);
      const buffers = new Map<string, Tensor>(module.namedBuffers());
      for (const step of steps) {
        found[step.y] = call(step.x);
        for (const key of ["running_mean", "running_var"] as const) {
          const buffer = buffers.get(key);
          if (buffer !== undefined) found[step[key]] = buffer.mul(1);
        }
      }
      module.eval();
      if (test.eval !== undefined) found[test.eval.y] = call(test.eval.x);
      return found;
    },
    names.map((name) => file.type(name)),
    { names, name: "main" },
  );
  return {
    traced: { ...traced, training: undefined },
    inputs: new Map(names.map((name) => [name, file.get(name).values])),
    states: initialValues(traced),
  };
}

function mismatches(test: ModuleCase, file: TensorFile, { outputs, states }: JobResult): (Mismatch | undefined)[] {
  const check = (label: string, name: string, tolerance: Tolerance): Mismatch | undefined => {
    const computed = outputs.get(name);
    if (computed === undefined) return { what: `${label}: not computed`, largest: NaN, tolerance };
    return compare(label, computed, file.get(name), tolerance);
  };
  const gradTolerance = { rtol: test.grad_rtol ?? 0, atol: test.grad_atol ?? 0 };
  const after = Object.entries(test.state_after ?? {}).map(([key, name]) => {
    const stored = file.get(name);
    return compare(
      `${key} afterwards`,
      { type: stored.type, values: states.get(key) ?? new Float64Array() },
      stored,
      test,
    );
  });
  const steps = (test.steps ?? []).flatMap((step, i) =>
    (["y", "running_mean", "running_var"] as const).map((key) => check(`${key} of step ${i}`, step[key], test)),
  );
  return [
    ...(test.outputs ?? []).map((name, i) => check(`output ${i}`, name, test)),
    ...after,
    ...Object.entries(test.grads ?? {}).map(([key, name]) => check(`gradient of ${key}`, name, gradTolerance)),
    ...steps,
    ...(test.eval === undefined ? [] : [check("y in evaluation mode", test.eval.y, test)]),
  ];
}
