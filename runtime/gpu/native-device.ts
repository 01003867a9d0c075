/**
 * What devices have in common that the addon drives from a thread of their own: it knows memories, modules and sequences
 * by numbers. Here they are objects that are checked before each call, so that nothing reaches the addon that was freed,
 * belongs to another device or leads out of a memory, and what JavaScript forgets is given back.
 */
import { DiagnosticError, fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { checkCopy, checkReach, checkSteps } from "./check.ts";
import type { GpuKernel, GpuLaunch, GpuMemory, GpuModule, GpuSequence } from "./device.ts";

/** The calls that every such device of the addon has. */
export type NativeGpu = {
  free(id: number): void;
  write(memory: number, offset: number, data: Uint8Array): void;
  read(memory: number, offset: number, into: Uint8Array): Promise<void>;
  readSync(memory: number, offset: number, into: Uint8Array): void;
  run(sequence: number, steps: number): Promise<number>;
  runSync(sequence: number, steps: number): number;
  stop(sequence: number): void;
  close(): Promise<void>;
};

/** Most bytes that one call reads: what is copied on JavaScript's thread at once. */
const readLimit = 4 * 2 ** 20;

/** What the addon knows by a number, and whether it was given back. */
export class Owned {
  readonly owner: NativeDevice;
  readonly id: number;
  isFreed = false;

  constructor(owner: NativeDevice, id: number) {
    this.owner = owner;
    this.id = id;
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
export class OwnedMemory extends Owned implements GpuMemory {
  readonly bytes: number;

  constructor(owner: NativeDevice, id: number, bytes: number) {
    super(owner, id);
    this.bytes = bytes;
  }
}

/** Kernels that a device has compiled. */
export class OwnedModule extends Owned implements GpuModule {
  readonly kernels: readonly GpuKernel[];

  constructor(owner: NativeDevice, id: number, kernels: readonly GpuKernel[]) {
    super(owner, id);
    this.kernels = kernels;
  }
}

/** Launches that a device has prepared. */
export class OwnedSequence extends Owned implements GpuSequence {
  readonly launches: readonly GpuLaunch[];
  readonly module: OwnedModule;

  constructor(owner: NativeDevice, id: number, module: OwnedModule, launches: readonly GpuLaunch[]) {
    super(owner, id);
    this.module = module;
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
    if (!this.isFreed) this.owner.called("stop", (native) => native.stop(this.id));
  }

  private check(steps: number): void {
    checkSteps(steps);
    this.owner.own("sequence", this, OwnedSequence);
    this.owner.own("module", this.module, OwnedModule);
    for (const launch of this.launches) {
      for (const { memory } of launch.bindings) this.owner.own("memory", memory, OwnedMemory);
      checkReach(launch, steps);
    }
  }
}

/** The part of a device that does not depend on who drives it. `N`: its calls in the addon. */
export abstract class NativeDevice<N extends NativeGpu = NativeGpu> {
  private readonly native: N;
  private isClosed = false;
  private readonly forgotten: FinalizationRegistry<number>;

  constructor(native: N) {
    this.native = native;
    this.forgotten = new FinalizationRegistry((id) => {
      if (!this.isClosed) native.free(id);
    });
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
    this.forgotten.register(owned, owned.id, owned);
  }

  /** Gives something back. */
  release(owned: Owned): void {
    this.forgotten.unregister(owned);
    if (!this.isClosed) this.native.free(owned.id);
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

  /** The error for what the addon threw in a call for `bytes` bytes. */
  protected abstract errorFor(call: string, error: unknown, bytes: number): Error;
}

/** Which kind of failure the addon threw, and its text: `memory`, `lost`, another that a device tells apart, or the call. */
export function nativeFailure(call: string, error: unknown): { readonly kind: string; readonly text: string } {
  const kind = typeof error === "object" && error !== null && "call" in error ? String(error.call) : call;
  return { kind, text: error instanceof Error ? error.message : String(error) };
}

/** An array in pieces that one call reads. */
function pieces(into: Uint8Array): readonly { readonly at: number; readonly piece: Uint8Array }[] {
  return Array.from({ length: Math.ceil(into.byteLength / readLimit) }, (_, index) => {
    const at = index * readLimit;
    return { at, piece: into.subarray(at, at + readLimit) };
  });
}
