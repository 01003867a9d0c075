/** Kernels for tests of CUDA devices, as text in the form that the CUDA target emits, and what they compute. */
import type { GpuBinding, GpuKernel, GpuMemory } from "../../../runtime/gpu/device.ts";

/** The program's text. */
export const kernelsText = `
#ifndef KILN_EMULATION
#define KILN_SHARED(type, name, size) __shared__ __align__(16) type name[size]
#endif
// chosen[i] = data[indices[i]]
extern "C" __global__ void __launch_bounds__(32) gather(const float *data, const int *indices, float *chosen) {
  int i = blockIdx.x * 32 + threadIdx.x;
  chosen[i] = data[indices[i]];
}
// state[i] = state[i] / 2 + chosen[i]
extern "C" __global__ void __launch_bounds__(32) update(float *state, const float *chosen) {
  int i = blockIdx.x * 32 + threadIdx.x;
  state[i] = state[i] / 2 + chosen[i];
}
// sum[0] = sum of 64 numbers of state
extern "C" __global__ void __launch_bounds__(64) total(const float *state, float *sum) {
  KILN_SHARED(float, part, 64);
  int i = threadIdx.x;
  part[i] = state[i];
  __syncthreads();
  for (int half = 32; half > 0; half /= 2) {
    if (i < half) part[i] += part[i + half];
    __syncthreads();
  }
  if (i == 0) sum[0] = part[0];
}
// to[i] = 3 * to[i] + from[i]
extern "C" __global__ void __launch_bounds__(32) mix(int *to, const int *from) {
  int i = blockIdx.x * 32 + threadIdx.x;
  to[i] = (int)(3u * (unsigned)to[i] + (unsigned)from[i]);
}
// state[i] += 1 after everything
extern "C" __global__ void __launch_bounds__(32) bump(float *state) {
  state[blockIdx.x * 32 + threadIdx.x] += 1;
}
`;

/** The program's kernels. */
export const kernels: readonly GpuKernel[] = [
  { name: "gather", text: kernelsText, threads: 32, sharedBytes: 0, bindings: ["read", "read", "readwrite"] },
  { name: "update", text: kernelsText, threads: 32, sharedBytes: 0, bindings: ["readwrite", "read"] },
  { name: "total", text: kernelsText, threads: 64, sharedBytes: 256, bindings: ["read", "readwrite"] },
  { name: "bump", text: kernelsText, threads: 32, sharedBytes: 0, bindings: ["readwrite"] },
  { name: "mix", text: kernelsText, threads: 32, sharedBytes: 0, bindings: ["readwrite", "read"] },
];

/** A binding that all steps share, or that moves by `stride`. */
export function bind(memory: GpuMemory, offset: number, bytes: number, stride = 0): GpuBinding {
  return { memory, offset, bytes, stride };
}

/** Numbers of a step: 64 of `state` after `steps` steps, and the total of each step, from what each step chooses. */
export function reference(data: Float32Array, indices: Int32Array, steps: number): { state: number[]; sums: number[] } {
  const state = Array.from({ length: 64 }, () => 0);
  const sums: number[] = [];
  for (let step = 0; step < steps; step++) {
    for (let i = 0; i < 64; i++) state[i] = (state[i] ?? 0) / 2 + (data[indices[step * 64 + i] ?? 0] ?? 0);
    sums.push(state.reduce((sum, value) => sum + value, 0));
    for (let i = 0; i < 64; i++) state[i] = (state[i] ?? 0) + 1;
  }
  return { state, sums };
}
