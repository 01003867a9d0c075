/** The compiler as a library (`kilnjs/compiler`): compile a model file or a plain function, inspect and check artifacts. */
import { basename } from "node:path";
import type { TensorType } from "../ir/type.ts";
import { compileTraced, type CompileOptions, type CompileResult } from "./compile.ts";
import { traceFunction, type FunctionOptions } from "./trace/function.ts";
import type { Tensor } from "./trace/tensor.ts";

export { compileModel, compileTraced, type CompileOptions, type CompileResult } from "./compile.ts";
export { inspect, inspectStages, type InspectOptions, type InspectStage } from "./inspect.ts";
export { traceFunction, traceFunctionWith, type FunctionOptions } from "./trace/function.ts";
export type { TracedProgram } from "./trace/traced.ts";

/**
 * Compiles a plain function of tensors into an artifact with one entry; `Program.load(options.out)` of `kilnjs/runtime`
 * runs it. `types`: of the arguments, in order. With `grad: true` the entry also gives the gradient of the sum of its
 * results with respect to each argument.
 */
export function compile(
  callee: (...tensors: Tensor[]) => unknown,
  types: readonly TensorType[],
  options: CompileOptions & FunctionOptions,
): Promise<CompileResult> {
  const traced = traceFunction(callee, types, options);
  return compileTraced(traced, { ...options, name: options.name ?? basename(options.out) });
}
