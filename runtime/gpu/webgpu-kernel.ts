/**
 * Kernels on a browser's WebGPU: compiled one by one, with errors that name the line, and their launches checked against
 * what WebGPU forbids but would only tell later, without a place.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { GpuBinding, GpuInfo, GpuKernel, GpuLaunch } from "./device.ts";

/** `GPUShaderStage.COMPUTE` of the WebGPU specification. */
const compute = 4;

/** Most work-groups along one axis of a dispatch. */
const axisGroups = 65_535;

/** A compiled kernel. */
export type WebKernel = {
  readonly kernel: GpuKernel;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
};

/**
 * Compiles a kernel.
 *
 * @throws TargetError K5504 if the browser does not accept its text, K5503 if it cannot be made ready.
 */
export async function compileKernel(device: GPUDevice, kernel: GpuKernel): Promise<WebKernel> {
  const { name, text } = kernel;
  // Faults of the text are told below, with their places.
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code: text, label: name });
  const layout = device.createBindGroupLayout({
    label: name,
    entries: kernel.bindings.map((use, binding) => ({
      binding,
      visibility: compute,
      buffer: { type: use === "read" ? "read-only-storage" : "storage" },
    })),
  });
  const [fault, info] = await Promise.all([device.popErrorScope(), module.getCompilationInfo()]);
  const error = info.messages.find(({ type }) => type === "error");
  if (error !== undefined) {
    const line = text.split("\n")[error.lineNum - 1] ?? "";
    throw fail(messages.wgslRefused(name, error.lineNum, error.linePos, line, error.message));
  }
  if (fault !== null) throw fail(messages.webGpuFailed(`kernel ${name}`, fault.message));
  try {
    const pipeline = await device.createComputePipelineAsync({
      label: name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: name },
    });
    return { kernel, pipeline, layout };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw fail(messages.webGpuFailed(`kernel ${name}`, reason), undefined, cause);
  }
}

/** How `groups` work-groups are laid out; a kernel numbers them x + y * (number of x). */
export function gridOf(groups: number): readonly [x: number, y: number] {
  const x = Math.min(groups, axisGroups);
  return [x, x === 0 ? 0 : Math.ceil(groups / x)];
}

/** Throws unless a launch fits its kernel and the device. @throws TargetError K5505. */
export function checkLaunch({ kernel }: WebKernel, launch: GpuLaunch, info: GpuInfo): void {
  const bad = (expected: string, got: string): Error => fail(messages.gpuLaunch(kernel.name, expected, got));
  const { groups, bindings } = launch;
  if (!Number.isSafeInteger(groups) || groups < 0 || groups > axisGroups ** 2)
    throw bad(`at most ${axisGroups ** 2} work-groups`, String(groups));
  if (bindings.length !== kernel.bindings.length)
    throw bad(`${kernel.bindings.length} bindings`, String(bindings.length));
  for (const [i, { offset, bytes, stride, memory }] of bindings.entries()) {
    if (offset % info.alignment !== 0 || stride % info.alignment !== 0)
      throw bad(`places at multiples of ${info.alignment} bytes`, `binding ${i} at ${offset}, moving by ${stride}`);
    if (bytes <= 0 || bytes % 4 !== 0 || bytes > info.bindingBytes || offset + bytes > memory.bytes)
      throw bad(
        `a part of ${memory.bytes} bytes, no longer than ${info.bindingBytes} and a multiple of 4`,
        `binding ${i}: ${bytes} bytes from ${offset} on`,
      );
  }
  for (const [i, a] of bindings.entries()) {
    for (const [j, b] of bindings.entries()) {
      if (j <= i || a.memory !== b.memory) continue;
      const uses = [kernel.bindings[i], kernel.bindings[j]];
      if (uses[0] !== uses[1]) throw bad("one use of a memory in a launch", `bindings ${i} and ${j} differ`);
      if (uses[0] === "readwrite" && overlap(a, b))
        throw bad("parts that keep apart where they are written", `bindings ${i} and ${j} overlap`);
    }
  }
}

function overlap(a: GpuBinding, b: GpuBinding): boolean {
  return a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}
