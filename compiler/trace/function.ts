/** Tracing a plain function of tensors, with or without state: for tests, tools and `compile()` as a function. */
import type { TensorType } from "../../ir/type.ts";
import { grad as gradients } from "../autodiff/backward.ts";
import { argumentNames, completeNames } from "./argument-names.ts";
import { traceProgram, type TraceOptions } from "./program.ts";
import { Tensor } from "./tensor.ts";
import { currentTrace } from "./trace.ts";
import type { TracedProgram } from "./traced.ts";

/** Options of `traceFunction`. */
export type FunctionOptions = TraceOptions & {
  /** Name of the entry; the function's own by default. */
  readonly name?: string;
  /**
   * Also gives, as `grad.<argument>`, the gradient of the sum of the floating-point results with respect to each
   * floating-point argument that they depend on.
   */
  readonly grad?: boolean;
};

/** Traces `callee` on tensors of the given types. Arguments are inputs under the names they have in its text. */
export function traceFunction(
  callee: (...tensors: Tensor[]) => unknown,
  types: readonly TensorType[],
  options: FunctionOptions = {},
): TracedProgram {
  return traceFunctionWith(
    () => undefined,
    (_, ...tensors) => callee(...tensors),
    types,
    { names: argumentNames(callee), name: callee.name === "" ? "main" : callee.name, ...options },
  );
}

/** The same with state: `setup` makes modules and optimizers, which `callee` gets as its first argument. */
export function traceFunctionWith<S>(
  setup: () => S,
  callee: (setup: S, ...tensors: Tensor[]) => unknown,
  types: readonly TensorType[],
  options: FunctionOptions & {
    /** Names of the inputs; those in the text of `callee` by default. */
    readonly names?: readonly (string | undefined)[];
    /** Modules in training mode, or in evaluation mode without gradients. */
    readonly mode?: "train" | "eval";
  } = {},
): TracedProgram {
  const names = completeNames(options.names ?? argumentNames(callee).slice(1), types.length, "input");
  const inputs = types.map((type, i) => ({ kind: "input" as const, name: names[i] ?? `input${i}`, type }));
  const run = (state: S, tensors: Tensor[]): unknown =>
    options.grad === true ? withGradients(tensors, names, () => callee(state, ...tensors)) : callee(state, ...tensors);
  const name = options.name ?? (callee.name === "" ? "main" : callee.name);
  const entry = { name, batch: 0, mode: options.mode ?? "train", inputs, place: undefined, run } as const;
  const { program } = traceProgram(setup, [entry], options);
  return { ...program, training: undefined };
}

/** Results of `body`, and the gradients of their sum with respect to `tensors`. */
function withGradients(tensors: readonly Tensor[], names: readonly string[], body: () => unknown): unknown {
  for (const tensor of tensors) if (isReal(tensor)) tensor.requiresGrad_();
  const results = body();
  const record = results instanceof Tensor ? { output: results } : { ...(results as Record<string, Tensor>) };
  const sources = tensors.filter(isReal);
  const heads = Object.values(record).filter((each) => each.requiresGrad);
  if (heads.length === 0) return record;
  const parts = currentTrace().withGrad(true, () =>
    gradients(heads, sources, { allowUnused: true, gradOutputs: heads.map((head) => head.onesLike()) }),
  );
  const named = sources.flatMap((source, i): [string, Tensor][] => {
    const part = parts[i];
    return part === undefined ? [] : [[`grad.${names[tensors.indexOf(source)] ?? i}`, part]];
  });
  return { ...record, ...Object.fromEntries(named) };
}

function isReal(x: Tensor): boolean {
  return x.dtype === "f32" || x.dtype === "f64" || x.dtype === "f16" || x.dtype === "bf16";
}
