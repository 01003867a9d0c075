/**
 * A GPU made of the loop-IR interpreter: the whole interface, with memory of its own, work-groups, barriers and the checks
 * of a device. Kernels are found by the name of their function. For tests of everything above a device.
 */
import { TargetError } from "../../../ir/diagnostic/diagnostic.ts";
import { interpretKernel, type LoopArray } from "../../../ir/loop/interpret.ts";
import { unboundedSize, type Kernel } from "../../../ir/loop/loop.ts";
import { at, dtypeBytes } from "../../../ir/type.ts";
import type {
  GpuDevice,
  GpuInfo,
  GpuLaunch,
  GpuMemory,
  GpuModule,
  GpuProgramText,
  GpuSequence,
} from "../../../runtime/gpu/device.ts";
import { typedArray } from "../../../runtime/typed-array.ts";

class InterpretedMemory implements GpuMemory {
  readonly bytes: number;
  readonly data: Uint8Array;
  isFree = false;

  constructor(bytes: number) {
    this.bytes = Math.ceil(bytes / 4) * 4;
    this.data = new Uint8Array(this.bytes);
  }

  free(): void {
    this.isFree = true;
  }
}

class InterpretedModule implements GpuModule {
  readonly kernels: readonly Kernel[];
  isFree = false;

  constructor(kernels: readonly Kernel[]) {
    this.kernels = kernels;
  }

  free(): void {
    this.isFree = true;
  }
}

/** What a device was asked for, to see what crosses its border. */
export type Traffic = { writes: number; writtenBytes: number; reads: number; readBytes: number; sequences: number };

/** A device that interprets. */
export class InterpretedDevice implements GpuDevice {
  readonly info: GpuInfo;
  readonly traffic: Traffic = { writes: 0, writtenBytes: 0, reads: 0, readBytes: 0, sequences: 0 };
  /** Everything that was given out, to see that it comes back. */
  readonly memories: InterpretedMemory[] = [];
  isClosed = false;
  /** Set to lose the device before the next step. */
  isLost = false;
  /** Called before each step. */
  onStep: () => void = () => undefined;
  /** Ends with the run that was asked for last. */
  #turn: Promise<unknown> = Promise.resolve();
  readonly #kernels: ReadonlyMap<string, Kernel>;
  /** There if the thread can wait. */
  readonly readSync?: NonNullable<GpuDevice["readSync"]>;

  /** `waits`: whether the thread can wait for it, as it can in Node and cannot in a browser. */
  constructor(
    kernels: readonly Kernel[],
    { waits = true, info = {} }: { waits?: boolean; info?: Partial<GpuInfo> } = {},
  ) {
    this.#kernels = new Map(kernels.map((kernel) => [kernel.name, kernel]));
    const limits = { memoryBytes: 2 ** 28, bindingBytes: 2 ** 27, bindings: 8, threads: 256, sharedBytes: 16384 };
    this.info = { description: "interpreter", alignment: 256, ...limits, ...info };
    if (waits) this.readSync = (memory, offset, into) => this.#copy(memory, offset, into);
  }

  allocate(bytes: number): GpuMemory {
    const memory = new InterpretedMemory(bytes);
    this.memories.push(memory);
    return memory;
  }

  write(memory: GpuMemory, offset: number, data: Uint8Array): void {
    const { data: bytes } = ours(memory);
    if (offset % 4 !== 0 || data.length % 4 !== 0) throw new RangeError("a write of half a word");
    bytes.set(data, offset);
    this.traffic.writes++;
    this.traffic.writtenBytes += data.length;
  }

  async read(memory: GpuMemory, offset: number, into: Uint8Array): Promise<void> {
    await this.#turn;
    this.#copy(memory, offset, into);
  }

  #copy(memory: GpuMemory, offset: number, into: Uint8Array): void {
    if (this.isLost) throw lost();
    if (offset % 4 !== 0 || into.length % 4 !== 0) throw new RangeError("a read of half a word");
    into.set(ours(memory).data.subarray(offset, offset + into.length));
    this.traffic.reads++;
    this.traffic.readBytes += into.length;
  }

  async load({ kernels }: GpuProgramText): Promise<GpuModule> {
    return new InterpretedModule(
      kernels.map(({ name, threads, bindings }) => {
        const kernel = this.#kernels.get(name);
        if (kernel === undefined || kernel.threads !== threads || kernel.buffers.length !== bindings.length)
          throw new RangeError(`the kernel ${name} is not the one that was declared`);
        return kernel;
      }),
    );
  }

  sequence(module: GpuModule, launches: readonly GpuLaunch[]): GpuSequence {
    this.traffic.sequences++;
    if (!(module instanceof InterpretedModule)) throw new RangeError("another device's module");
    for (const { kernel, groups, bindings } of launches) {
      if (at(module.kernels, kernel).tasks !== groups) throw new RangeError("another number of work-groups");
      for (const { memory, offset, bytes, stride } of bindings)
        if (offset % 256 !== 0 || stride % 256 !== 0 || offset + bytes > memory.bytes)
          throw new RangeError("a binding that is not aligned, or outside");
    }
    const state = { stopped: false };
    const runSync = (steps: number): number => {
      for (let step = 0; step < steps; step++) {
        if (this.isLost) throw lost();
        for (const launch of launches) interpret(at(module.kernels, launch.kernel), launch, step);
      }
      return steps;
    };
    const steadily = async (steps: number): Promise<number> => {
      state.stopped = false;
      let done = 0;
      // Steps one by one, so that a stop is heard.
      for (; done < steps && !state.stopped; done++) {
        await new Promise((resolve) => setImmediate(resolve));
        this.onStep();
        if (this.isLost) throw lost();
        for (const launch of launches) interpret(at(module.kernels, launch.kernel), launch, done);
      }
      return done;
    };
    const run = async (steps: number): Promise<number> => {
      const running = steadily(steps);
      this.#turn = running.catch(() => undefined);
      return running;
    };
    const sequence: GpuSequence = { run, stop: () => void (state.stopped = true), free: () => undefined };
    return this.readSync === undefined ? sequence : { ...sequence, runSync };
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}

function lost(): TargetError {
  return new TargetError({ code: "K5205", kind: "target", what: "the device is lost" });
}

function ours(memory: GpuMemory): InterpretedMemory {
  if (!(memory instanceof InterpretedMemory) || memory.isFree) throw new RangeError("memory that is not ours any more");
  return memory;
}

/** Runs one launch of one step. */
function interpret(kernel: Kernel, { bindings }: GpuLaunch, step: number): void {
  const arrays: Record<string, LoopArray> = {};
  for (const [i, { name, dtype, size }] of kernel.buffers.entries()) {
    const { memory, offset, bytes, stride } = at(bindings, i);
    const start = offset + step * stride;
    const { data } = ours(memory);
    const width = dtypeBytes[dtype];
    const length = size === unboundedSize ? Math.floor(bytes / width) : size;
    if (length * width > bytes || start + bytes > data.length) throw new RangeError(`${kernel.name} leaves ${name}`);
    arrays[name] = typedArray(dtype, data.subarray(start, start + length * width)) as LoopArray; // no half floats here
  }
  interpretKernel(kernel, arrays);
}
