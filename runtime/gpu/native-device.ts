/**
 * What devices have in common that the addon drives from a thread of their own: it knows memories, modules and sequences
 * by numbers. Here they are objects that are checked before each call, so that nothing reaches the addon that was freed,
 * belongs to another device or leads out of a memory, and what JavaScript forgets is given back.
 */
import { DiagnosticError, fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { gpuReadLimit, type NativeGpuDevice } from "../native.ts";
import { checkCopy, checkReach, checkSteps } from "./check.ts";
import type { GpuInfo, GpuKernel, GpuLaunch, GpuMemory, GpuModule, GpuSequence } from "./device.ts";

/** What the addon knows by a number, and whether it was given back. */
export class Owned {
  readonly owner: NativeDevice;
  readonly id: number;
  /** Bytes of the device's memory that it takes. */
  readonly bytes: number;
  isFreed = false;

  constructor(owner: NativeDevice, id: number, bytes = 0) {
    this.owner = owner;
    this.id = id;
    this.bytes = bytes;
    owner.track(this);
  }

  /** Gives it back, once nothing queued uses it. Nothing happens the second time. */
  free(): void {
    if (this.isFreed) return;
    this.isFreed = true;
    this.owner.release(this);
  }
}

/** Memory of a device. */
export class OwnedMemory extends Owned implements GpuMemory {}

/** Kernels that a device has compiled. */
export class OwnedModule extends Owned implements GpuModule {
  readonly kernels: readonly GpuKernel[];

  constructor(owner: NativeDevice, id: number, kernels: readonly GpuKernel[]) {
    super(owner, id);
    this.kernels = kernels;
  }
}

/** Launches that a device has prepared; they keep their kernels, but not the memories they use. */
export class OwnedSequence extends Owned implements GpuSequence {
  readonly launches: readonly GpuLaunch[];

  constructor(owner: NativeDevice, id: number, launches: readonly GpuLaunch[]) {
    super(owner, id);
    this.launches = launches;
  }

  /** Runs steps off the calling thread. */
  async run(steps: number): Promise<number> {
    this.check(steps);
    return this.owner.promised("run", async (native) => native.run(this.id, steps));
  }

  /** Runs steps while the calling thread waits. */
  runSync(steps: number): number {
    this.check(steps);
    return this.owner.called("run", (native) => native.runSync(this.id, steps));
  }

  /** Ends the runs that were asked for, after the steps that are under way. */
  stop(): void {
    this.owner.halt(this);
  }

  private check(steps: number): void {
    checkSteps(steps);
    this.owner.own("sequence", this, OwnedSequence);
    for (const launch of this.launches) {
      for (const { memory } of launch.bindings) this.owner.own("memory", memory, OwnedMemory);
      checkReach(launch, steps);
    }
  }
}

/** What is left of an object that JavaScript has forgotten. */
type Held = Pick<Owned, "id" | "bytes">;

/** The part of a device that does not depend on who drives it. `N`: its calls in the addon. */
export abstract class NativeDevice<N extends NativeGpuDevice = NativeGpuDevice> {
  readonly info: GpuInfo;
  private readonly native: N;
  private isClosed = false;
  /** Bytes of all memories that were not given back. */
  private allocated = 0;
  private readonly forgotten: FinalizationRegistry<Held>;

  constructor(native: N, info: GpuInfo) {
    this.native = native;
    this.info = info;
    this.forgotten = new FinalizationRegistry((held) => this.giveBack(held));
  }

  /** Zeroed memory of at least `bytes` bytes, a multiple of four. */
  allocate(bytes: number): OwnedMemory {
    const size = Math.ceil(bytes / 4) * 4;
    const { memoryBytes } = this.info;
    if (!Number.isSafeInteger(size) || size <= 0 || size > memoryBytes)
      throw fail(messages.gpuOutOfMemory(bytes, `a memory has 1 to ${memoryBytes} bytes`));
    const room = this.capacity() - this.allocated;
    if (size > room)
      throw fail(messages.gpuOutOfMemory(bytes, `${Math.max(0, room)} bytes of this machine's are left`));
    const id = this.called("allocate", (native) => native.allocate(size), bytes);
    return new OwnedMemory(this, id, size);
  }

  /** Copies to the device. */
  write(memory: GpuMemory, offset: number, data: Uint8Array): void {
    const { id } = this.own("memory", memory, OwnedMemory);
    checkCopy("what is written", memory.bytes, offset, data.byteLength);
    this.called("write", (native) => native.write(id, offset, data));
  }

  /** Copies from the device, off the calling thread. */
  async read(memory: GpuMemory, offset: number, into: Uint8Array): Promise<void> {
    const { id } = this.own("memory", memory, OwnedMemory);
    checkCopy("what is read", memory.bytes, offset, into.byteLength);
    // All pieces are queued at once, before any later call.
    const reads = pieces(into).map(async ({ at, piece }) =>
      this.promised("read", async (native) => native.read(id, offset + at, piece)),
    );
    const failed = (await Promise.allSettled(reads)).find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  /** Copies from the device while the calling thread waits. */
  readSync(memory: GpuMemory, offset: number, into: Uint8Array): void {
    const { id } = this.own("memory", memory, OwnedMemory);
    checkCopy("what is read", memory.bytes, offset, into.byteLength);
    for (const { at, piece } of pieces(into)) this.called("read", (native) => native.readSync(id, offset + at, piece));
  }

  /** Gives everything back; waits for what is running. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    const closing = this.promised("close", async (native) => native.close());
    this.isClosed = true;
    await closing;
  }

  /** Remembers to give something back when it is forgotten. */
  track(owned: Owned): void {
    this.allocated += owned.bytes;
    this.forgotten.register(owned, { id: owned.id, bytes: owned.bytes }, owned);
  }

  /** Ends the runs of a sequence. One that is gone has none. */
  halt(sequence: OwnedSequence): void {
    if (!this.isClosed && !sequence.isFreed) this.native.stop(sequence.id);
  }

  /** Gives something back. */
  release(owned: Owned): void {
    this.forgotten.unregister(owned);
    this.giveBack(owned);
  }

  /** `value` as what this device made. @throws TargetError K5206 and K5207. */
  own<T extends Owned>(what: string, value: unknown, made: new (...args: never) => T): T {
    if (this.isClosed) throw fail(messages.gpuClosed());
    if (!(value instanceof made) || value.owner !== this) throw fail(messages.gpuForeign(what, false));
    if (value.isFreed) throw fail(messages.gpuForeign(what, true));
    return value;
  }

  /** Calls the addon. `bytes`: how much memory the call is for. */
  called<T>(call: string, action: (native: N) => T, bytes = 0): T {
    if (this.isClosed) throw fail(messages.gpuClosed());
    try {
      return action(this.native);
    } catch (error) {
      throw this.errorFor(call, error, bytes);
    }
  }

  /** The same for calls that answer later. */
  async promised<T>(call: string, action: (native: N) => Promise<T>): Promise<T> {
    try {
      return await this.answered(action);
    } catch (error) {
      if (error instanceof DiagnosticError) throw error;
      throw this.errorFor(call, error, 0);
    }
  }

  /** The same, rejecting with what the addon threw. */
  protected async answered<T>(action: (native: N) => Promise<T>): Promise<T> {
    if (this.isClosed) throw fail(messages.gpuClosed());
    return action(this.native);
  }

  /** Most bytes that all memories together may take, where the driver does not see to it. */
  protected capacity(): number {
    return Infinity;
  }

  /** The error for what the addon threw in a call for `bytes` bytes. */
  protected abstract errorFor(call: string, error: unknown, bytes: number): Error;

  private giveBack({ id, bytes }: Held): void {
    this.allocated -= bytes;
    if (!this.isClosed) this.native.free(id);
  }
}

/** Which kind of failure the addon threw, and its text: `memory`, `lost`, another that a device tells apart, or the call. */
export function nativeFailure(call: string, error: unknown): { readonly kind: string; readonly text: string } {
  const kind = typeof error === "object" && error !== null && "call" in error ? String(error.call) : call;
  return { kind, text: error instanceof Error ? error.message : String(error) };
}

/** Ends a device that could not be opened, and its thread. Why it could not says more than what this fails with. */
export async function abandon(native: NativeGpuDevice): Promise<void> {
  try {
    await native.close();
  } catch {
    // As above.
  }
}

/** An array in pieces that one call reads. */
function pieces(into: Uint8Array): readonly { readonly at: number; readonly piece: Uint8Array }[] {
  return Array.from({ length: Math.ceil(into.byteLength / gpuReadLimit) }, (_, index) => {
    const at = index * gpuReadLimit;
    return { at, piece: into.subarray(at, at + gpuReadLimit) };
  });
}
