/**
 * Device memory for what an entry's steps are given and what they give, for up to `capacity` steps of one run. What the
 * host gives lies in one memory, a record a step, so that a run needs one copy. Each output has a memory of its own: a
 * kernel may read one while it writes another, which WebGPU allows in different memories only.
 */
import type { ManifestBuffer, ManifestEntry } from "../../ir/artifact/manifest.ts";
import { invariant } from "../../ir/diagnostic/diagnostic.ts";
import { at, dtypeBytes, elementCount } from "../../ir/type.ts";
import { fromStored, toStored } from "../convert.ts";
import type { Work } from "../executor.ts";
import { bytesOf, typedArray, type TypedArray } from "../typed-array.ts";
import type { GpuDevice, GpuMemory } from "./device.ts";

/** Where a buffer lies: `offset` bytes into `memory` at the first step, `stride` further with each step. */
export type Place = { readonly memory: GpuMemory; readonly offset: number; readonly stride: number };

/** How an entry's steps lie behind each other. */
type Layout = {
  /** Bytes of a step's record of what the host gives. */
  readonly record: number;
  /** Place of each given buffer in it. */
  readonly offsets: ReadonlyMap<number, number>;
  /** Bytes from one step to the next of each output. */
  readonly outputs: ReadonlyMap<number, number>;
};

/** Most bytes that the buffers of an entry's steps may take together, so that a long run does not crowd out the program. */
const budget = 2 ** 26;

/** Most steps whose buffers are kept at once. */
const longest = 256;

/** Bytes of the status buffer. */
const statusBytes = 16;

function layoutOf(entry: ManifestEntry, alignment: number): Layout {
  // A uniform binding is whole vectors of four words.
  const unit = Math.max(alignment, 16);
  const aligned = (bytes: number): number => Math.max(1, Math.ceil(bytes / unit)) * unit;
  let record = 0;
  const offsets = new Map<number, number>();
  const outputs = new Map<number, number>();
  for (const [place, buffer] of entry.buffers.entries()) {
    const bytes = aligned(storedBytes(buffer));
    if (isGiven(buffer)) {
      offsets.set(place, record);
      record += bytes;
    } else if (buffer.role === "output") outputs.set(place, bytes);
  }
  return { record, offsets, outputs };
}

function isGiven({ role }: ManifestBuffer): boolean {
  return role === "scalars" || role === "indices" || role === "input" || role === "draws" || role === "key";
}

function storedBytes({ shape, stored }: ManifestBuffer): number {
  return elementCount(shape) * dtypeBytes[stored];
}

/** Most steps of an entry that one run on `device` can have. */
export function mostSteps(entry: ManifestEntry, { info }: GpuDevice): number {
  const { record, outputs } = layoutOf(entry, info.alignment);
  const largest = Math.max(record, ...outputs.values(), 1);
  const all = [...outputs.values()].reduce((sum, bytes) => sum + bytes, record);
  const affordable = Math.min(budget / Math.max(all, 1), info.memoryBytes / largest, longest);
  return Math.max(1, Math.floor(affordable));
}

/** The buffers of an entry's steps. */
export class StepBuffers {
  readonly capacity: number;
  readonly #device: GpuDevice;
  readonly #entry: ManifestEntry;
  readonly #layout: Layout;
  readonly #given: GpuMemory;
  readonly #record: Uint8Array;
  readonly #outputs: ReadonlyMap<number, { readonly memory: GpuMemory; readonly host: Uint8Array }>;
  readonly #status: { readonly memory: GpuMemory; readonly host: Uint8Array } | undefined;

  /** Allocates them. @throws TargetError K5203 if there is not enough memory. */
  constructor(device: GpuDevice, entry: ManifestEntry, capacity: number) {
    this.capacity = capacity;
    this.#device = device;
    this.#entry = entry;
    this.#layout = layoutOf(entry, device.info.alignment);
    const { record, outputs } = this.#layout;
    const allocated: GpuMemory[] = [];
    const allocate = (bytes: number): GpuMemory => {
      const memory = device.allocate(Math.max(bytes, 4));
      allocated.push(memory);
      return memory;
    };
    try {
      this.#given = allocate(record * capacity);
      this.#outputs = new Map(
        [...outputs].map(([place, stride]) => {
          const bytes = stride * capacity;
          return [place, { memory: allocate(bytes), host: new Uint8Array(bytes) }];
        }),
      );
      const checks = entry.buffers.some(({ role }) => role === "status");
      this.#status = checks ? { memory: allocate(statusBytes), host: new Uint8Array(statusBytes) } : undefined;
    } catch (error) {
      for (const memory of allocated) memory.free();
      throw error;
    }
    this.#record = new Uint8Array(record * capacity);
  }

  /** Where buffer `place` of the entry lies; `undefined` for state, arena and data sets. */
  placeOf(place: number): Place | undefined {
    const { record, offsets, outputs } = this.#layout;
    const offset = offsets.get(place);
    if (offset !== undefined) return { memory: this.#given, offset, stride: record };
    const output = this.#outputs.get(place);
    if (output !== undefined) return { memory: output.memory, offset: 0, stride: outputs.get(place) ?? 0 };
    if (this.#entry.buffers[place]?.role !== "status" || this.#status === undefined) return undefined;
    return { memory: this.#status.memory, offset: 0, stride: 0 };
  }

  /** Hands what the host gives to the device. @throws UserError K5231 for a value that the device cannot hold. */
  upload({ steps, given }: Work): void {
    const { record, offsets } = this.#layout;
    for (const [place, offset] of offsets) {
      const buffer = at(this.#entry.buffers, place);
      const view = given[place];
      invariant(view !== undefined && !(view instanceof Uint32Array), "a buffer that the host gives is missing");
      const bytes = bytesOf(toStored(buffer.name, buffer.dtype, buffer.stored, view));
      const size = storedBytes(buffer);
      for (let step = 0; step < steps; step++)
        this.#record.set(bytes.subarray(step * size, (step + 1) * size), step * record + offset);
    }
    if (record > 0) this.#device.write(this.#given, 0, this.#record.subarray(0, steps * record));
    if (this.#status !== undefined) this.#device.write(this.#status.memory, 0, new Uint8Array(statusBytes));
  }

  /** Fetches what `steps` steps gave. */
  async download(steps: number): Promise<void> {
    await Promise.all(this.#results(steps).map(({ memory, host }) => this.#device.read(memory, 0, host)));
  }

  /** The same on the calling thread, of a device that it can wait for. */
  downloadSync(steps: number): void {
    for (const { memory, host } of this.#results(steps)) this.#device.readSync?.(memory, 0, host);
  }

  #results(steps: number): { readonly memory: GpuMemory; readonly host: Uint8Array }[] {
    const outputs = [...this.#outputs].map(([place, { memory, host }]) => ({
      memory,
      host: host.subarray(0, steps * (this.#layout.outputs.get(place) ?? 0)),
    }));
    return this.#status === undefined ? outputs : [...outputs, this.#status];
  }

  /** The words of the status buffer, as they were fetched. */
  status(): Int32Array {
    return new Int32Array(this.#status?.host.buffer ?? new ArrayBuffer(statusBytes), 0, 4);
  }

  /** Copies what was fetched of an output to `into`, the steps behind each other. */
  collect(place: number, into: TypedArray): void {
    const { shape, dtype, stored } = at(this.#entry.buffers, place);
    const host = this.#outputs.get(place)?.host;
    const stride = this.#layout.outputs.get(place) ?? 0;
    const elements = elementCount(shape);
    invariant(host !== undefined, "an output without memory");
    for (let step = 0; step * elements < into.length; step++) {
      const from = host.subarray(step * stride, step * stride + elements * dtypeBytes[stored]);
      fromStored(dtype, stored, typedArray(stored, from), into.subarray(step * elements, (step + 1) * elements));
    }
  }

  /** Gives the memory back. */
  free(): void {
    this.#given.free();
    for (const { memory } of this.#outputs.values()) memory.free();
    this.#status?.memory.free();
  }
}
