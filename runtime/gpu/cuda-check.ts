/**
 * What must hold of a launch on CUDA before the driver sees it. Pointers are free there: a binding may begin anywhere its
 * elements can, ranges of one memory may overlap, and a memory may be read through one binding and written through another.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { GpuKernel, GpuLaunch } from "./device.ts";

/**
 * The kernel that a launch uses, once it is checked against it as it is at the first step. `groups`: most blocks of a
 * launch. @throws TargetError K5208 and K5209.
 */
export function checkCudaLaunch(kernels: readonly GpuKernel[], launch: GpuLaunch, groups: number): GpuKernel {
  const kernel = kernels[launch.kernel];
  if (kernel === undefined) {
    const expected = `a kernel's number below ${kernels.length}`;
    throw fail(messages.gpuBadLaunch(`number ${launch.kernel}`, expected, String(launch.kernel)));
  }
  if (!isCount(launch.groups) || launch.groups === 0 || launch.groups > groups)
    throw fail(messages.gpuBadLaunch(kernel.name, `1 to ${groups} work-groups`, String(launch.groups)));
  if (launch.bindings.length !== kernel.bindings.length) {
    const got = `${launch.bindings.length}`;
    throw fail(messages.gpuBadLaunch(kernel.name, `${kernel.bindings.length} bindings`, got));
  }
  for (const [index, { memory, offset, bytes, stride }] of launch.bindings.entries()) {
    if ([offset, bytes, stride].every(isCount) && bytes > 0 && offset + bytes <= memory.bytes) continue;
    const what = `binding ${index} of the kernel ${kernel.name}`;
    const expected = `at least 1 byte, within ${memory.bytes} bytes`;
    throw fail(messages.gpuBadRange(what, expected, `${bytes} bytes at ${offset}, moved by ${stride}`));
  }
  return kernel;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
