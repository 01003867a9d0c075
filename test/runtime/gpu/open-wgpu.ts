/** A device of wgpu-native for tests, or a loud skip where there is none, and small kernels to run on it. */
import type { Context } from "mocha";
import { DiagnosticError } from "../../../ir/diagnostic/diagnostic.ts";
import type { GpuBinding, GpuKernel, GpuMemory } from "../../../runtime/gpu/device.ts";
import { openWgpu, type WgpuDevice } from "../../../runtime/gpu/wgpu.ts";

/** Opens a device; skips the test, saying why, where there is no library or no driver. */
export async function openOrSkip(context: Context): Promise<WgpuDevice> {
  try {
    return await openWgpu();
  } catch (error) {
    if (!(error instanceof DiagnosticError) || !["K5201", "K5202"].includes(error.code)) throw error;
    process.stderr.write(`SKIPPED, no wgpu device: ${error.message}\n`);
    return context.skip();
  }
}

/** A kernel of one input `a` and one output `b`, floats, 64 threads; `i` is the thread's element. */
export function unaryKernel(body: string, changes: Partial<GpuKernel> = {}): GpuKernel {
  const text = `@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read_write> b: array<f32>;
@compute @workgroup_size(64)
fn k(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  ${body}
}
`;
  return { name: "k", text, threads: 64, sharedBytes: 0, bindings: ["read", "readwrite"], ...changes };
}

/** A kernel that tells which of its texts ran, by shuffling the numbers of its threads. */
export const telling = unaryKernel("b[i] = a[i];", {
  variants: [2, 4, 8, 16, 4096].map((subgroup) => ({
    needs: { subgroup, f16: false },
    sharedBytes: 0,
    text: unaryKernel(`b[i] = ${subgroup}.0 + f32(subgroupShuffleXor(l, ${subgroup / 2}u)) / 64.0;`).text,
  })),
});

/** All of a memory, the same at every step. */
export function whole(memory: GpuMemory, changes: Partial<GpuBinding> = {}): GpuBinding {
  return { memory, offset: 0, bytes: memory.bytes, stride: 0, ...changes };
}

/** Memory that holds these numbers. */
export function filled(device: WgpuDevice, values: Float32Array): GpuMemory {
  const memory = device.allocate(values.byteLength);
  device.write(memory, 0, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return memory;
}

/** The numbers in a memory. */
export async function floatsOf(device: WgpuDevice, memory: GpuMemory): Promise<Float32Array> {
  const values = new Float32Array(memory.bytes / 4);
  await device.read(memory, 0, new Uint8Array(values.buffer));
  return values;
}
