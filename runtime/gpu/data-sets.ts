/**
 * Data sets on a device: every array is uploaded once, as it is but for 64-bit integers, and stays there as long as the
 * host keeps it. It must not change while the program is in use.
 */
import type { ManifestBuffer } from "../../ir/artifact/manifest.ts";
import { toStored } from "../convert.ts";
import { bytesOf, type TypedArray } from "../typed-array.ts";
import type { GpuDevice, GpuMemory } from "./device.ts";

/** A data set on the device, and a number that no other one of this store has. */
export type ResidentField = { readonly memory: GpuMemory; readonly id: number };

/** The data sets of a program. */
export class DataSets {
  readonly #device: GpuDevice;
  readonly #fields: WeakMap<ArrayBufferLike, Map<string, ResidentField>> = new WeakMap();
  readonly #all: Set<GpuMemory> = new Set();
  /** Memory of arrays that the host has forgotten is given back. */
  readonly #forgotten: FinalizationRegistry<GpuMemory>;
  #ids = 0;

  constructor(device: GpuDevice) {
    this.#device = device;
    this.#forgotten = new FinalizationRegistry((memory) => this.#free(memory));
  }

  /** A field on the device. @throws UserError K5231 for a value it cannot hold, TargetError K5203 if there is no room. */
  resident({ name, dtype, stored }: ManifestBuffer, data: TypedArray): ResidentField {
    const fields = this.#fields.get(data.buffer) ?? new Map<string, ResidentField>();
    this.#fields.set(data.buffer, fields);
    const key = `${data.byteOffset}+${data.byteLength} ${dtype} ${stored}`;
    const known = fields.get(key);
    if (known !== undefined) return known;
    const bytes = bytesOf(toStored(name, dtype, stored, data));
    const whole = bytes.length - (bytes.length % 4);
    const memory = this.#device.allocate(Math.max(4, bytes.length));
    if (whole > 0) this.#device.write(memory, 0, bytes.subarray(0, whole));
    if (whole < bytes.length) {
      const last = new Uint8Array(4);
      last.set(bytes.subarray(whole));
      this.#device.write(memory, whole, last);
    }
    this.#all.add(memory);
    this.#forgotten.register(data.buffer, memory);
    const field = { memory, id: this.#ids++ };
    fields.set(key, field);
    return field;
  }

  /** Gives all memory back. */
  close(): void {
    for (const memory of this.#all) memory.free();
    this.#all.clear();
  }

  #free(memory: GpuMemory): void {
    if (this.#all.delete(memory)) memory.free();
  }
}
