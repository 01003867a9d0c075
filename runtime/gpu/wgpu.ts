/**
 * The device `wgpu`: any GPU with Vulkan, Metal or Direct3D 12, or a driver in software, through wgpu-native. All checks
 * are made here, before a call: wgpu-native ends the process for many that a browser would refuse. Work is queued for the
 * device's own thread, so that no call but `readSync` and `runSync` waits for it.
 */
import { totalmem } from "node:os";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { loadNative, wgpuReadLimit, type NativeAdapter, type NativeWgpuDevice } from "../native.ts";
import { checkCopy, checkKernel, checkLaunch, checkReach, checkSteps } from "./check.ts";
import type {
  BindingUse,
  GpuDevice,
  GpuInfo,
  GpuKernel,
  GpuLaunch,
  GpuMemory,
  GpuModule,
  GpuProgramText,
  GpuSequence,
} from "./device.ts";
import { findWgpu } from "./find-wgpu.ts";
import { wgpuVersion } from "./wgpu-pins.ts";
import { wgslDanger } from "./wgsl-text.ts";

/** How to open a device. */
export type WgpuOptions = {
  /** Part of the name or driver of the adapter; by default `KILN_WGPU_ADAPTER`, else a discrete GPU comes first. */
  readonly adapter?: string;
};

/** A device of wgpu-native. */
export type WgpuDevice = Omit<GpuDevice, "readSync" | "sequence"> & {
  readonly readSync: NonNullable<GpuDevice["readSync"]>;
  sequence(module: GpuModule, launches: readonly GpuLaunch[]): WgpuSequence;
  /** Takes the device away, as a driver that resets does; for tests of what happens then. */
  lose(): void;
};

/** A sequence of a device of wgpu-native. */
export type WgpuSequence = GpuSequence & { readonly runSync: NonNullable<GpuSequence["runSync"]> };

/** Opens a device, obtaining wgpu-native if need be. @throws TargetError K5201 and K5202, and what the addon's build throws. */
export async function openWgpu(options: WgpuOptions = {}): Promise<WgpuDevice> {
  const wanted = options.adapter ?? process.env["KILN_WGPU_ADAPTER"] ?? "";
  const addon = await loadNative();
  const library = await findWgpu();
  quietLayer();
  const native = new addon.WgpuDevice();
  try {
    const { adapter, limits } = await native.open(library.path, wanted);
    const memoryBytes = Math.floor(limits.memoryBytes / 4) * 4;
    return new Device(native, adapter, { ...limits, memoryBytes, description: describeAdapter(adapter) });
  } catch (error) {
    const isLibrary = callOf(error) === "library";
    const what = isLibrary
      ? messages.wgpuUnavailable(wgpuVersion, [`${library.path}: ${textOf(error)}`])
      : messages.noGpuDevice(wanted, textOf(error));
    throw fail(what, undefined, error);
  }
}

/**
 * What `kiln doctor` says of this device: the library's path, or why there is none, and the adapters. Downloads nothing
 * and never rejects.
 */
export async function describeWgpu(): Promise<{ readonly library: string; readonly adapters: readonly string[] }> {
  let library: string;
  try {
    library = (await findWgpu({ offline: true })).path;
  } catch (error) {
    return { library: textOf(error), adapters: [] };
  }
  try {
    const addon = await loadNative();
    quietLayer();
    return { library, adapters: (await new addon.WgpuDevice().adapters(library)).map(describeAdapter) };
  } catch (error) {
    return { library: `${library}: ${textOf(error)}`, adapters: [] };
  }
}

/**
 * Where no desktop is, a layer of Mesa's that orders GPUs as the desktop does says on standard error that it found none.
 * We order them ourselves.
 */
function quietLayer(): void {
  if (process.platform === "linux" && process.env["XDG_RUNTIME_DIR"] === undefined)
    process.env["NODEVICE_SELECT"] ??= "1";
}

function describeAdapter({ name, driver, kind }: NativeAdapter): string {
  const more = [driver.trim(), kind === "software" ? "in software" : ""].filter((part) => part !== "");
  return more.length === 0 ? name : `${name} (${more.join(", ")})`;
}

/** The call that failed, as the addon names it. */
function callOf(error: unknown): string | undefined {
  return typeof error === "object" && error !== null && "call" in error ? String(error.call) : undefined;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What the addon knows by a number, and whether it was given back. */
class Owned {
  readonly owner: Device;
  readonly id: number;
  /** Bytes of the device's memory that it takes. */
  readonly bytes: number;
  isFreed = false;

  constructor(owner: Device, id: number, bytes: number) {
    this.owner = owner;
    this.id = id;
    this.bytes = bytes;
    owner.track(this);
  }

  free(): void {
    if (this.isFreed) return;
    this.isFreed = true;
    this.owner.release(this);
  }
}

class Memory extends Owned implements GpuMemory {}

class Module extends Owned implements GpuModule {
  readonly kernels: readonly GpuKernel[];

  constructor(owner: Device, id: number, kernels: readonly GpuKernel[]) {
    super(owner, id, 0);
    this.kernels = kernels;
  }
}

class Sequence extends Owned implements WgpuSequence {
  readonly launches: readonly GpuLaunch[];

  constructor(owner: Device, id: number, launches: readonly GpuLaunch[]) {
    super(owner, id, 0);
    this.launches = launches;
  }

  async run(steps: number): Promise<number> {
    this.check(steps);
    return this.owner.promised("run", async (native) => native.run(this.id, steps));
  }

  runSync(steps: number): number {
    this.check(steps);
    return this.owner.called("run", (native) => native.runSync(this.id, steps));
  }

  stop(): void {
    this.owner.halt(this);
  }

  private check(steps: number): void {
    checkSteps(steps);
    this.owner.own("sequence", this, Sequence);
    for (const launch of this.launches) {
      for (const { memory } of launch.bindings) this.owner.own("memory", memory, Memory);
      checkReach(launch, steps);
    }
  }
}

/** Uses of a binding by their number in the addon. */
const uses: readonly BindingUse[] = ["read", "readwrite", "uniform"];

class Device implements WgpuDevice {
  readonly info: GpuInfo;
  private readonly native: NativeWgpuDevice;
  private readonly sharesMemory: boolean;
  private allocated = 0;
  private isClosed = false;
  /** Gives back what JavaScript has forgotten. */
  private readonly forgotten: FinalizationRegistry<{ readonly id: number; readonly bytes: number }>;

  constructor(native: NativeWgpuDevice, adapter: NativeAdapter, info: GpuInfo) {
    this.native = native;
    this.info = info;
    this.sharesMemory = adapter.kind === "software" || adapter.kind === "integrated";
    this.forgotten = new FinalizationRegistry(({ id, bytes }) => {
      this.allocated -= bytes;
      native.free(id);
    });
  }

  allocate(bytes: number): Memory {
    const size = Math.ceil(bytes / 4) * 4;
    const { memoryBytes } = this.info;
    if (!Number.isSafeInteger(size) || size <= 0 || size > memoryBytes)
      throw fail(messages.gpuOutOfMemory(bytes, `a memory has 1 to ${memoryBytes} bytes`));
    // A driver promises more than there is, and the system ends the process that uses it.
    const room = this.sharesMemory ? totalmem() - this.allocated : Infinity;
    if (size > room)
      throw fail(messages.gpuOutOfMemory(bytes, `${Math.max(0, room)} bytes of this machine's are left`));
    const id = this.called("allocate", (native) => native.allocate(size), bytes);
    this.allocated += size;
    return new Memory(this, id, size);
  }

  write(memory: GpuMemory, offset: number, data: Uint8Array): void {
    const { id } = this.own("memory", memory, Memory);
    checkCopy("what is written", memory.bytes, offset, data.byteLength);
    this.called("write", (native) => native.write(id, offset, data));
  }

  async read(memory: GpuMemory, offset: number, into: Uint8Array): Promise<void> {
    const { id } = this.own("memory", memory, Memory);
    checkCopy("what is read", memory.bytes, offset, into.byteLength);
    // All pieces are queued at once, before any later call.
    const reads = pieces(into).map(async ({ at, piece }) =>
      this.promised("read", async (native) => native.read(id, offset + at, piece)),
    );
    const failed = (await Promise.allSettled(reads)).find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  readSync(memory: GpuMemory, offset: number, into: Uint8Array): void {
    const { id } = this.own("memory", memory, Memory);
    checkCopy("what is read", memory.bytes, offset, into.byteLength);
    for (const { at, piece } of pieces(into)) this.called("read", (native) => native.readSync(id, offset + at, piece));
  }

  async load({ kernels }: GpuProgramText): Promise<Module> {
    for (const kernel of kernels) {
      checkKernel(this.info, kernel);
      const danger = wgslDanger(kernel.text);
      if (danger !== undefined)
        throw fail(messages.gpuKernelTooLarge(kernel.name, "a text that can be parsed", danger));
    }
    const texts = kernels.map(({ name, text, bindings }) => ({
      name,
      text,
      uses: bindings.map((use) => uses.indexOf(use)),
    }));
    const id = await this.promised("load", async (native) => native.load(texts), kernels);
    return new Module(this, id, kernels);
  }

  sequence(module: GpuModule, launches: readonly GpuLaunch[]): Sequence {
    const { id, kernels } = this.own("module", module, Module);
    const described = launches.map((launch) => {
      for (const { memory } of launch.bindings) this.own("memory", memory, Memory);
      checkLaunch(this.info, kernels, launch);
      const ranges = launch.bindings.flatMap(({ memory, offset, bytes, stride }) => [
        this.own("memory", memory, Memory).id,
        offset,
        bytes,
        stride,
      ]);
      return { module: id, kernel: launch.kernel, groups: launch.groups, ranges };
    });
    return new Sequence(
      this,
      this.called("sequence", (native) => native.sequence(described)),
      launches,
    );
  }

  lose(): void {
    this.called("lose", (native) => native.lose());
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    await this.native.close();
  }

  /** Remembers to give something back when it is forgotten. */
  track(owned: Owned): void {
    this.forgotten.register(owned, { id: owned.id, bytes: owned.bytes }, owned);
  }

  /** Ends the runs of a sequence. One that is gone has none. */
  halt(sequence: Sequence): void {
    this.native.stop(sequence.id);
  }

  /** Gives something back. */
  release(owned: Owned): void {
    this.forgotten.unregister(owned);
    this.allocated -= owned.bytes;
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
  called<T>(call: string, action: (native: NativeWgpuDevice) => T, bytes = 0): T {
    if (this.isClosed) throw fail(messages.gpuClosed());
    try {
      return action(this.native);
    } catch (error) {
      throw deviceError(call, error, [], bytes);
    }
  }

  /** The same for calls that answer later. */
  async promised<T>(
    call: string,
    action: (native: NativeWgpuDevice) => Promise<T>,
    kernels: readonly GpuKernel[] = [],
  ): Promise<T> {
    if (this.isClosed) throw fail(messages.gpuClosed());
    try {
      return await action(this.native);
    } catch (error) {
      throw deviceError(call, error, kernels, 0);
    }
  }
}

/** An array in pieces that one call reads. */
function pieces(into: Uint8Array): readonly { readonly at: number; readonly piece: Uint8Array }[] {
  return Array.from({ length: Math.ceil(into.byteLength / wgpuReadLimit) }, (_, index) => {
    const at = index * wgpuReadLimit;
    return { at, piece: into.subarray(at, at + wgpuReadLimit) };
  });
}

/** The error for what the addon threw; its `call` says which kind of failure it is. */
function deviceError(call: string, error: unknown, kernels: readonly GpuKernel[], bytes: number): Error {
  const text = textOf(error);
  const failed = callOf(error) ?? call;
  if (failed === "lost") return fail(messages.gpuLost(text), undefined, error);
  if (failed === "memory") return fail(messages.gpuOutOfMemory(bytes, text), undefined, error);
  const number = /^kernel (\d+)$/.exec(failed)?.[1];
  if (number !== undefined) {
    const name = kernels[Number(number)]?.name ?? `number ${number}`;
    return fail(messages.gpuKernelRefused(name, text), undefined, error);
  }
  return fail(messages.gpuCallFailed(failed, text), undefined, error);
}
