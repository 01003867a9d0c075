/**
 * What must hold of kernels, launches and ranges before a driver sees them, on any device: drivers answer what does not
 * with undefined behaviour, or by ending the process. Everything throws a `TargetError` that says what does not fit.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { GpuBinding, GpuInfo, GpuKernel, GpuLaunch } from "./device.ts";

/** Work-groups a launch may have: two dimensions of what WebGPU promises for one. */
export const mostGroups = 65_535 ** 2;

/** Uniform bindings a kernel may have, and the bytes of each: what WebGPU promises. */
const mostUniforms = 12;
const uniformBytes = 65_536;

/** Checks a range of `bytes` at `offset` that is copied from or to a memory of `size` bytes. @throws TargetError K5208. */
export function checkCopy(what: string, size: number, offset: number, bytes: number): void {
  const fits = isCount(offset) && offset % 4 === 0 && bytes % 4 === 0 && bytes > 0 && offset + bytes <= size;
  if (fits) return;
  const expected = `an offset and a length in multiples of 4, at least 4 bytes, within ${size} bytes`;
  throw fail(messages.gpuBadRange(what, expected, `${bytes} bytes at ${offset}`));
}

/** Checks a kernel against the limits of a device. @throws TargetError K5212. */
export function checkKernel(info: GpuInfo, kernel: GpuKernel): void {
  const within = (what: string, got: number, most: number, least: number): void => {
    if (Number.isInteger(got) && got >= least && got <= most) return;
    throw fail(messages.gpuKernelTooLarge(kernel.name, `${least} to ${most} ${what}`, String(got)));
  };
  within("threads", kernel.threads, info.threads, 1);
  within("bytes of shared arrays", kernel.sharedBytes, info.sharedBytes, 0);
  const uniforms = kernel.bindings.filter((use) => use === "uniform").length;
  within("bindings beside uniform ones", kernel.bindings.length - uniforms, info.bindings, 1);
  within("uniform bindings", uniforms, mostUniforms, 0);
}

/** Checks a launch against its kernel, as it is at the first step. @throws TargetError K5208 and K5209. */
export function checkLaunch(info: GpuInfo, kernels: readonly GpuKernel[], launch: GpuLaunch): void {
  const kernel = kernels[launch.kernel];
  if (kernel === undefined) {
    const expected = `a kernel's number below ${kernels.length}`;
    throw fail(messages.gpuBadLaunch(`number ${launch.kernel}`, expected, String(launch.kernel)));
  }
  if (!isCount(launch.groups) || launch.groups === 0 || launch.groups > mostGroups)
    throw fail(messages.gpuBadLaunch(kernel.name, `1 to ${mostGroups} work-groups`, String(launch.groups)));
  if (launch.bindings.length !== kernel.bindings.length) {
    const got = `${launch.bindings.length}`;
    throw fail(messages.gpuBadLaunch(kernel.name, `${kernel.bindings.length} bindings`, got));
  }
  launch.bindings.forEach((binding, index) => {
    const most = kernel.bindings[index] === "uniform" ? Math.min(uniformBytes, info.bindingBytes) : info.bindingBytes;
    checkBinding(info.alignment, most, `binding ${index} of the kernel ${kernel.name}`, binding);
    checkAgainstOthers(kernel, launch.bindings, index);
  });
}

/** Checks that a launch's bindings stay within their memory for so many steps. @throws TargetError K5208. */
export function checkReach(launch: GpuLaunch, steps: number): void {
  launch.bindings.forEach(({ memory, offset, bytes, stride }, index) => {
    const end = offset + stride * (steps - 1) + bytes;
    if (end <= memory.bytes) return;
    const expected = `an end within ${memory.bytes} bytes after ${steps} steps`;
    throw fail(messages.gpuBadRange(`binding ${index} of launch of kernel ${launch.kernel}`, expected, String(end)));
  });
}

/** Checks a number of steps. @throws TargetError K5210. */
export function checkSteps(steps: number): void {
  if (!isCount(steps) || steps === 0) throw fail(messages.gpuBadSteps(steps));
}

function checkBinding(alignment: number, most: number, what: string, binding: GpuBinding): void {
  const { memory, offset, bytes, stride } = binding;
  const isAligned = [offset, stride].every((each) => isCount(each) && each % alignment === 0);
  const isSized = isCount(bytes) && bytes > 0 && bytes % 4 === 0 && bytes <= most;
  if (isAligned && isSized && offset + bytes <= memory.bytes) return;
  const expected = `an offset and a stride in multiples of ${alignment} and a length in multiples of 4 up to ${most}, within ${memory.bytes} bytes`;
  throw fail(messages.gpuBadRange(what, expected, `${bytes} bytes at ${offset}, moved by ${stride}`));
}

/** WebGPU's rule: in one dispatch a memory is read through all its bindings, or written through ranges that are apart. */
function checkAgainstOthers(kernel: GpuKernel, bindings: readonly GpuBinding[], index: number): void {
  const one = bindings[index];
  for (const [other, two] of bindings.slice(0, index).entries()) {
    if (one?.memory !== two.memory) continue;
    const pair = `bindings ${other} and ${index} of one memory`;
    if ((kernel.bindings[index] === "readwrite") !== (kernel.bindings[other] === "readwrite"))
      throw fail(messages.gpuBadLaunch(kernel.name, `${pair} declared alike`, "one read, one readwrite"));
    const apart = one.offset + one.bytes <= two.offset || two.offset + two.bytes <= one.offset;
    if (kernel.bindings[index] === "readwrite" && !apart)
      throw fail(messages.gpuBadLaunch(kernel.name, `${pair} that do not overlap`, "ranges that do"));
  }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
