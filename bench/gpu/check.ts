/**
 * Checks kernels on a device one by one, in the order of a step, each from the contents that the device itself has made so
 * far. What a kernel should give is said by the loop-IR interpreter where that takes seconds, else by the same kernels under
 * the CUDA emulation (which the tests compare with the C target), where that is there.
 */
import { interpretKernel, loopArray, type LoopArray } from "../../ir/loop/interpret.ts";
import { unboundedSize, type Kernel } from "../../ir/loop/loop.ts";
import { at, dtypeBytes, type DType } from "../../ir/type.ts";
import type { LoadedEntry } from "./entry.ts";
import type { CudaBuild } from "./planned.ts";

/** How a kernel did. `worst`: the largest error, in parts of the largest number there is. */
export type KernelCheck = {
  readonly kernel: string;
  readonly by: "interpreter" | "emulation" | "nobody";
  readonly worst: number;
  readonly isRight: boolean;
};

/** Work that the interpreter is given at most. */
const interpretedFlops = 4e6;
const interpretedElements = 3e5;

/** Error that rounding and another order of sums may make. */
const tolerance = 2e-5;

/** Runs every launch of an entry once and checks what it writes. */
export function checkKernels(build: CudaBuild, entry: LoadedEntry, emulated: LoadedEntry | undefined): KernelCheck[] {
  return entry.launches.map((launch) => {
    const kernel = at(build.plan.program.kernels, launch.kernel);
    const elements = launch.bindings.reduce((sum, { bytes }) => sum + bytes / 4, 0);
    const isSmall = kernel.flops <= interpretedFlops && elements <= interpretedElements;
    const before = isSmall ? launch.bindings.map((binding) => entry.read(binding)) : [];
    if (!isSmall) emulated?.copyFrom(entry);
    entry.run([launch]);
    let expected: readonly Uint8Array[] | undefined;
    if (isSmall) expected = interpreted(kernel, before);
    else if (emulated !== undefined) {
      const same = at(emulated.launches, entry.launches.indexOf(launch));
      emulated.run([same]);
      expected = same.bindings.map((binding) => emulated.read(binding));
    }
    if (expected === undefined) return { kernel: kernel.name, by: "nobody", worst: NaN, isRight: true };
    const wanted = expected;
    const worst = Math.max(
      0,
      ...launch.bindings.map((binding, i) => {
        const { access, dtype } = at(kernel.buffers, i);
        return access === "read" ? 0 : difference(dtype, entry.read(binding), at(wanted, i));
      }),
    );
    return { kernel: kernel.name, by: isSmall ? "interpreter" : "emulation", worst, isRight: worst <= tolerance };
  });
}

/** What a kernel makes of its buffers. */
function interpreted(kernel: Kernel, before: readonly Uint8Array[]): readonly Uint8Array[] {
  const arrays: Record<string, LoopArray> = {};
  const results = kernel.buffers.map(({ name, dtype, size }, i) => {
    const bytes = at(before, i);
    const given = Math.floor(bytes.length / dtypeBytes[dtype]);
    // Vectors may reach over the end.
    const array = loopArray(dtype, size === unboundedSize ? given : Math.max(size, given));
    const view = new Uint8Array(array.buffer);
    view.set(bytes.subarray(0, given * dtypeBytes[dtype]));
    arrays[name] = array;
    return view.subarray(0, bytes.length);
  });
  interpretKernel(kernel, arrays, { races: false });
  return results;
}

/** The largest difference, in parts of the largest number; 1 for integers that differ and for NaN on one side only. */
export function difference(dtype: DType, got: Uint8Array, wanted: Uint8Array): number {
  if (dtype !== "f32" && dtype !== "f64") return Buffer.compare(got, wanted) === 0 ? 0 : 1;
  const [a, b] = [floats(dtype, got), floats(dtype, wanted)];
  let largest = 0;
  let worst = 0;
  for (const [i, x] of a.entries()) {
    const y = b[i] ?? NaN;
    if (Object.is(x, y) || x === y) {
      if (Number.isFinite(x)) largest = Math.max(largest, Math.abs(x));
      continue;
    }
    if (!Number.isFinite(x) || !Number.isFinite(y)) return 1;
    largest = Math.max(largest, Math.abs(x), Math.abs(y));
    worst = Math.max(worst, Math.abs(x - y));
  }
  return worst === 0 ? 0 : worst / largest;
}

function floats(dtype: "f32" | "f64", bytes: Uint8Array): Float32Array | Float64Array {
  const copy = Uint8Array.from(bytes);
  return dtype === "f32"
    ? new Float32Array(copy.buffer, 0, copy.length >> 2)
    : new Float64Array(copy.buffer, 0, copy.length >> 3);
}
