/**
 * An entry on a device without a program around it: a memory for each of its buffers, filled with numbers that any model
 * takes (small, positive; integers below 10), and its launches, which can be run one by one or as a step.
 */
import { at, dtypeBytes, elementCount, type DType } from "../../ir/type.ts";
import type { CudaEntry } from "../../codegen/targets/cuda/emit.ts";
import type { CudaDevice } from "../../runtime/gpu/cuda.ts";
import type { GpuBinding, GpuLaunch, GpuMemory, GpuModule } from "../../runtime/gpu/device.ts";
import type { CudaBuild } from "./planned.ts";

/** A program's first entry, loaded. */
export class LoadedEntry {
  readonly device: CudaDevice;
  readonly module: GpuModule;
  readonly launches: readonly GpuLaunch[];
  private readonly memories: readonly GpuMemory[];

  private constructor(device: CudaDevice, module: GpuModule, memories: readonly GpuMemory[], entry: CudaEntry) {
    this.device = device;
    this.module = module;
    this.memories = memories;
    this.launches = entry.launches.map(({ kernel, groups, bindings }) => ({
      kernel,
      groups,
      bindings: bindings.map(({ buffer, offset, bytes }): GpuBinding => {
        const memory = at(memories, buffer);
        // A data set is as long as it happens to be.
        return { memory, offset, bytes: bytes === 0 ? memory.bytes - offset : bytes, stride: 0 };
      }),
    }));
  }

  /** Loads a program and gives its first entry memory. `seed`: of what the memory holds. */
  static async load(device: CudaDevice, build: CudaBuild, text = build.text, seed = 1): Promise<LoadedEntry> {
    const module = await device.load(text);
    const random = generator(seed);
    const entry = at(build.plan.program.entries, 0);
    const memories = entry.buffers.map(({ role, stored, shape }) => {
      const bytes =
        role === "state"
          ? build.plan.stateBytes
          : role === "arena"
            ? entry.arenaBytes
            : elementCount(shape) * dtypeBytes[stored];
      // Vectors may reach over the end.
      const memory = device.allocate(Math.ceil((bytes + 16) / 16) * 16);
      const contents = new Uint8Array(memory.bytes);
      if (role === "state")
        for (const { buffer, offset } of build.plan.states)
          fill(contents, offset, buffer.dtype, elementCount(buffer.shape), random);
      else if (role !== "arena" && role !== "status" && role !== "output")
        fill(contents, 0, stored, elementCount(shape), random);
      device.write(memory, 0, contents);
      return memory;
    });
    return new LoadedEntry(device, module, memories, at(build.cuda.entries, 0));
  }

  /** The bytes of a binding, and up to 3 behind it. */
  read({ memory, offset, bytes }: GpuBinding): Uint8Array {
    const begin = Math.floor(offset / 4) * 4;
    const contents = new Uint8Array(Math.ceil((offset + bytes - begin) / 4) * 4);
    this.device.readSync(memory, begin, contents);
    return contents.subarray(offset - begin, offset - begin + bytes);
  }

  /** Runs some of the launches once. */
  run(launches: readonly GpuLaunch[]): void {
    const sequence = this.device.sequence(this.module, launches);
    sequence.runSync(1);
    sequence.free();
  }

  /** Seconds that a step of these launches takes: the median of blocks of at least `block` seconds. */
  time(launches: readonly GpuLaunch[], block: number, blocks = 5): number {
    const sequence = this.device.sequence(this.module, launches);
    const run = (steps: number): number => {
      const begin = performance.now();
      sequence.runSync(steps);
      return (performance.now() - begin) / 1000;
    };
    run(1);
    let steps = 1;
    for (let took = run(1); took < block; took = run(steps)) {
      const wanted = Math.ceil((steps * block * 1.2) / Math.max(took, 1e-7));
      steps = Math.min(Math.max(wanted, steps + 1), steps * 16);
    }
    const times = Array.from({ length: blocks }, () => run(steps) / steps).toSorted((a, b) => a - b);
    sequence.free();
    return at(times, blocks >> 1);
  }

  /** Copies all memories from another loading of the same program. */
  copyFrom(other: LoadedEntry): void {
    for (const [i, memory] of this.memories.entries()) {
      const contents = new Uint8Array(memory.bytes);
      other.device.readSync(at(other.memories, i), 0, contents);
      this.device.write(memory, 0, contents);
    }
  }

  /** Gives everything back. */
  free(): void {
    for (const memory of this.memories) memory.free();
    this.module.free();
  }
}

/** Numbers in [0, 1) that look random and are the same everywhere (xorshift). */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

function fill(bytes: Uint8Array, offset: number, dtype: DType, count: number, random: () => number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let i = 0; i < count; i++) {
    const place = offset + i * dtypeBytes[dtype];
    if (dtype === "f32") view.setFloat32(place, 0.01 + random() / 16, true);
    else if (dtype === "f64") view.setFloat64(place, 0.01 + random() / 16, true);
    else if (dtype === "bool") view.setUint8(place, random() < 0.5 ? 0 : 1);
    // The low byte alone: a number below 10 in every integer type.
    else view.setUint8(place, Math.floor(random() * 10));
  }
}
