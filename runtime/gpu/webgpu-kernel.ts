/** Kernels on a browser's WebGPU: compiled one by one, with errors that name the line. */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { BindingUse, GpuKernel } from "./device.ts";
import { enabling } from "./variants.ts";

/** `GPUShaderStage.COMPUTE` of the WebGPU specification. */
const compute = 4;

/** What WebGPU calls the uses of a binding. */
const bufferTypes = {
  read: "read-only-storage",
  readwrite: "storage",
  uniform: "uniform",
} as const satisfies Readonly<Record<BindingUse, GPUBufferBindingType>>;

/** Most work-groups along one axis of a dispatch. */
const axisGroups = 65_535;

/** A compiled kernel. */
export type WebKernel = {
  readonly kernel: GpuKernel;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
};

/** Compiles a kernel. @throws TargetError K5204 if the browser does not accept it. */
export async function compileKernel(device: GPUDevice, kernel: GpuKernel): Promise<WebKernel> {
  const { name } = kernel;
  const text = enabling(kernel, { subgroups: true });
  // Faults of the text are told below, with their places.
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code: text, label: name });
  const layout = device.createBindGroupLayout({
    label: name,
    entries: kernel.bindings.map((use, binding) => ({
      binding,
      visibility: compute,
      buffer: { type: bufferTypes[use] },
    })),
  });
  const [fault, info] = await Promise.all([device.popErrorScope(), module.getCompilationInfo()]);
  const error = info.messages.find(({ type }) => type === "error");
  if (error !== undefined) {
    const line = text.split("\n")[error.lineNum - 1] ?? "";
    const reason = `line ${error.lineNum}, column ${error.linePos}: ${error.message}\n${line.trim()}`;
    throw fail(messages.gpuKernelRefused(name, reason));
  }
  if (fault !== null) throw fail(messages.gpuKernelRefused(name, fault.message));
  try {
    const pipeline = await device.createComputePipelineAsync({
      label: name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: name },
    });
    return { kernel, pipeline, layout };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw fail(messages.gpuKernelRefused(name, reason), undefined, cause);
  }
}

/** How `groups` work-groups are laid out; a kernel numbers them x + y * (number of x). */
export function gridOf(groups: number): readonly [x: number, y: number] {
  const x = Math.min(groups, axisGroups);
  return [x, Math.ceil(groups / x)];
}
