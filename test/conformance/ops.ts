/**
 * The family of single operators: each case becomes a plain function of tensors that calls our vocabulary and
 * differentiates it once and, where the case asks for it, twice. Inputs that the call changes (running statistics) are
 * buffers of the program.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { grad } from "../../compiler/autodiff/backward.ts";
import { zeros } from "../../compiler/tensor/create.ts";
import { Module } from "../../compiler/nn/module.ts";
import { traceFunctionWith } from "../../compiler/trace/function.ts";
import type { Tensor } from "../../compiler/trace/tensor.ts";
import { at, type TensorType } from "../../ir/type.ts";
import { Call, decode } from "./call.ts";
import { execute, type Job, type JobResult, type Target } from "./execute.ts";
import type { Operator } from "./ops/operator.ts";
import { operators } from "./ops/table.ts";
import { ended, judged, Unsupported, type CaseResult, type FamilyResult } from "./report.ts";
import { compare, TensorFile, type Mismatch, type NumberTensor, type Tolerance } from "./tensors.ts";

/** A case of the manifest. */
type OpCase = {
  readonly id: string;
  readonly op: string;
  readonly file: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly rtol: number;
  readonly atol: number;
  readonly mutated?: Readonly<Record<string, string>>;
  readonly cotangents?: readonly (string | null)[];
  readonly grads?: Readonly<Record<string, string>>;
  readonly grad_rtol?: number;
  readonly grad_atol?: number;
  readonly second?: {
    readonly v: Readonly<Record<string, string>>;
    readonly grads: Readonly<Record<string, string>>;
    readonly rtol: number;
    readonly atol: number;
  };
};

/** Options that all families take. */
export type FamilyOptions = {
  readonly target: Target;
  /** Only cases whose id contains this text. */
  readonly filter: string;
  /** Folders of data sets, by name. */
  readonly data: ReadonlyMap<string, string>;
};

/** Runs the family in a folder. */
export async function runOps(folder: string, { target, filter }: FamilyOptions): Promise<FamilyResult> {
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as { cases: readonly OpCase[] }; // by format
  const files = new Map<string, TensorFile>();
  const fileOf = (name: string): TensorFile => {
    const known = files.get(name) ?? new TensorFile(join(folder, name));
    files.set(name, known);
    return known;
  };
  const cases = manifest.cases.filter(({ id }) => id.includes(filter));
  const traced = cases.map((test) => {
    try {
      return { test, job: trace(test, fileOf(test.file)) };
    } catch (error) {
      return { test, error };
    }
  });
  const jobs = traced.flatMap((each) => (each.job === undefined ? [] : [each.job]));
  const results = await execute(target, jobs);
  let next = 0;
  const judgements = traced.map(({ test, job, error }): CaseResult => {
    const name = { id: test.id, group: test.op };
    if (job === undefined) return ended(name, error);
    const result = at(results, next++);
    return "error" in result ? ended(name, result.error) : judge(test, fileOf(test.file), result);
  });
  return { family: "ops", cases: judgements };
}

/** Names of all tensors a case is called with: inputs, cotangents and directions. */
function given(test: OpCase): string[] {
  const cotangents = (test.cotangents ?? []).filter((name) => name !== null);
  return [...new Set([...test.inputs, ...cotangents, ...Object.values(test.second?.v ?? {})])];
}

/** Inputs that the call may write to: they are buffers. */
function writable(test: OpCase, operator: Operator | undefined): string[] {
  const arg = (name: string): unknown => test.kwargs[name] ?? test.args[operator?.signature.indexOf(name) ?? -1];
  const written = (operator?.writes ?? []).flatMap((name) => tensorsIn(arg(name)));
  return [...new Set([...Object.keys(test.mutated ?? {}), ...written])];
}

function tensorsIn(arg: unknown): string[] {
  return typeof arg === "object" && arg !== null && "tensor" in arg ? [String(arg.tensor)] : [];
}

function trace(test: OpCase, file: TensorFile): Job {
  const operator = operators[test.op];
  if (operator === undefined) throw new Unsupported("no such operator");
  const changed = writable(test, operator);
  const names = given(test).filter((name) => !changed.includes(name));
  const traced = traceFunctionWith(
    () => new Changed(changed.map((name) => file.type(name))),
    (states, ...tensors) => {
      const tensor = (name: string): Tensor =>
        states.buffers()[changed.indexOf(name)] ?? at(tensors, names.indexOf(name));
      for (const name of differentiable(test)) tensor(name).requiresGrad_();
      const args = test.args.map((arg) => decode(arg, tensor));
      const kwargs = Object.entries(test.kwargs).map(([key, arg]) => [key, decode(arg, tensor)] as const);
      const called = operator.run(new Call(operator.signature, args, Object.fromEntries(kwargs)));
      return derivatives(test, [called].flat(), tensor);
    },
    names.map((name) => file.type(name)),
    { names, name: "main" },
  );
  return {
    traced: { ...traced, training: undefined },
    inputs: new Map(names.map((name) => [name, file.get(name).values])),
    states: new Map(changed.map((name, i) => [`state${i}`, file.get(name).values])),
  };
}

/** Holds the inputs that a call changes. */
class Changed extends Module {
  constructor(types: readonly TensorType[]) {
    super();
    types.forEach(({ dtype, shape }, i) => this.registerBuffer(`state${i}`, zeros(shape, { dtype })));
  }
}

/** Inputs that gradients are asked for, and the cotangents where second derivatives are. */
function differentiable(test: OpCase): string[] {
  const cotangents = (test.cotangents ?? []).filter((name) => name !== null);
  const second = Object.keys(test.second?.grads ?? {});
  return [
    ...new Set([...Object.keys(test.grads ?? {}), ...cotangents.filter((name) => second.includes(name)), ...second]),
  ];
}

/** Outputs, gradients and second-order gradients, under the names of the tensors they are compared with. */
function derivatives(
  test: OpCase,
  outputs: readonly Tensor[],
  tensor: (name: string) => Tensor,
): Record<string, Tensor> {
  const results: Record<string, Tensor> = {};
  if (outputs.length !== test.outputs.length)
    throw new Error(`${outputs.length} outputs, expected ${test.outputs.length}`);
  outputs.forEach((output, i) => {
    results[at(test.outputs, i)] = output;
  });
  const inputs = Object.keys(test.grads ?? {});
  if (inputs.length === 0) return results;
  const heads = outputs.flatMap((output, i) => {
    const cotangent = test.cotangents?.[i];
    return output.requiresGrad && typeof cotangent === "string" ? [{ output, cotangent: tensor(cotangent) }] : [];
  });
  const first = gradientsOf(heads, inputs.map(tensor));
  inputs.forEach((name, i) => {
    results[test.grads?.[name] ?? ""] = at(first, i);
  });
  if (test.second === undefined) return results;
  const { v, grads } = test.second;
  const weighted = Object.entries(v).flatMap(([name, direction]) => {
    const gradient = first[inputs.indexOf(name)];
    return gradient?.requiresGrad === true ? [{ output: gradient, cotangent: tensor(direction) }] : [];
  });
  const targets = Object.keys(grads);
  const second = gradientsOf(weighted, targets.map(tensor));
  targets.forEach((name, i) => {
    results[grads[name] ?? ""] = at(second, i);
  });
  return results;
}

type Head = { readonly output: Tensor; readonly cotangent: Tensor };

/** Gradients of the weighted sum of `heads`; zero where nothing depends on an input. */
function gradientsOf(heads: readonly Head[], inputs: readonly Tensor[]): Tensor[] {
  if (heads.length === 0) return inputs.map((input) => input.zerosLike());
  const parts = grad(
    heads.map(({ output }) => output),
    inputs,
    { gradOutputs: heads.map(({ cotangent }) => cotangent), createGraph: true, allowUnused: true },
  );
  return parts.map((part, i) => part ?? at(inputs, i).zerosLike());
}

function judge(test: OpCase, file: TensorFile, { outputs, states }: JobResult): CaseResult {
  const check = (label: string, name: string, tolerance: Tolerance): Mismatch | undefined => {
    const computed = outputs.get(name);
    if (computed === undefined) return { what: `${label}: not computed`, largest: NaN, tolerance };
    return compare(label, computed, file.get(name), tolerance);
  };
  const gradTolerance = { rtol: test.grad_rtol ?? 0, atol: test.grad_atol ?? 0 };
  const changed = writable(test, operators[test.op]);
  const mutated = Object.entries(test.mutated ?? {}).map(([name, after]) => {
    const stored = file.get(after);
    const computed: NumberTensor = {
      type: stored.type,
      values: states.get(`state${changed.indexOf(name)}`) ?? new Float64Array(),
    };
    return compare(`${name} afterwards`, computed, stored, test);
  });
  return judged({ id: test.id, group: test.op }, [
    ...test.outputs.map((name, i) => check(`output ${i}`, name, test)),
    ...mutated,
    ...Object.entries(test.grads ?? {}).map(([name, stored]) => check(`gradient of ${name}`, stored, gradTolerance)),
    ...Object.entries(test.second?.grads ?? {}).map(([name, stored]) =>
      check(`second gradient of ${name}`, stored, { rtol: test.second?.rtol ?? 0, atol: test.second?.atol ?? 0 }),
    ),
  ]);
}
