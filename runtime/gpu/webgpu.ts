/**
 * A browser's WebGPU as a `GpuDevice`. Calls take effect in the order in which they were made: what comes while a run is
 * being submitted waits its turn. A run is submitted in pieces of some milliseconds, two of them under way at a time, so
 * that the page stays live and a stop is heard. Whatever the browser reports, at once or later, ends the call that it
 * belongs to, or the next one, as a `TargetError`.
 */
import { fail, invariant, type DiagnosticError } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { at } from "../../ir/type.ts";
import type { GpuDevice, GpuInfo, GpuKernel, GpuLaunch, GpuMemory, GpuModule } from "./device.ts";
import type { GpuProgramText, GpuSequence } from "./device.ts";
import { checkLaunch, compileKernel, gridOf, type WebKernel } from "./webgpu-kernel.ts";

/** `GPUBufferUsage` and `GPUMapMode` of the WebGPU specification; the names exist in browsers only. */
const usage = { mapRead: 1, copySource: 4, copyTarget: 8, storage: 128 } as const;
const mapRead = 1;

/** Milliseconds of work in one submission, and the most steps in it. */
const pieceTime = 12;
const pieceSteps = 256;

/** What we ask of the adapter: all that it has. */
const wanted = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
] as const;

/**
 * Opens the browser's fastest GPU.
 *
 * @param gpu `navigator.gpu` if left out.
 * @throws TargetError K5501 without WebGPU, K5502 without a GPU that it can use, K5503 if the GPU refuses.
 */
export async function openWebGpu(gpu: GPU | undefined = browser.navigator?.gpu): Promise<GpuDevice> {
  if (gpu === undefined) throw fail(messages.webGpuMissing(browser.isSecureContext === false));
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) throw fail(messages.webGpuNoAdapter());
  const requiredLimits = Object.fromEntries(wanted.map((name) => [name, adapter.limits[name]]));
  try {
    return new WebGpuDevice(await adapter.requestDevice({ requiredLimits }), adapter.info);
  } catch (cause) {
    throw fail(messages.webGpuFailed("requestDevice", reasonOf(cause)), undefined, cause);
  }
}

/** What a browser's global object has; types tell nothing of it, since this file is read in Node too. */
const browser = globalThis as { readonly navigator?: { readonly gpu?: GPU }; readonly isSecureContext?: boolean };

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

class WebMemory implements GpuMemory {
  readonly bytes: number;
  readonly buffer: GPUBuffer;

  constructor(bytes: number, buffer: GPUBuffer) {
    this.bytes = bytes;
    this.buffer = buffer;
  }

  free(): void {
    this.buffer.destroy();
  }
}

class WebModule implements GpuModule {
  kernels: readonly WebKernel[];

  constructor(kernels: readonly WebKernel[]) {
    this.kernels = kernels;
  }

  free(): void {
    this.kernels = [];
  }
}

class WebGpuDevice implements GpuDevice {
  readonly info: GpuInfo;
  readonly #device: GPUDevice;
  /** Settles when all calls have been submitted; `undefined` when none waits. */
  #turn: Promise<void> | undefined;
  /** What went wrong without a call to tell it to. */
  #fault: DiagnosticError | undefined;
  /** Why every call fails from now on. */
  #lost: DiagnosticError | undefined;
  /** Rejects once the device is lost. */
  readonly #loss: Promise<never>;
  /** Buffers that reads go through, free for the next one, by size. */
  readonly #staging = new Map<number, GPUBuffer[]>();

  constructor(device: GPUDevice, adapter: GPUAdapterInfo) {
    this.#device = device;
    const { limits } = device;
    const names = [adapter.vendor, adapter.architecture, adapter.device, adapter.description];
    this.info = {
      description: [...new Set(names.filter((name) => name !== ""))].join(" ") || "unnamed GPU",
      alignment: limits.minStorageBufferOffsetAlignment,
      memoryBytes: limits.maxBufferSize,
      bindingBytes: limits.maxStorageBufferBindingSize,
      bindings: limits.maxStorageBuffersPerShaderStage,
      threads: Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
      sharedBytes: limits.maxComputeWorkgroupStorageSize,
    };
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#fault ??= this.#failure("a call", event.error);
    });
    this.#loss = device.lost.then(({ message }) => {
      this.#lost ??= fail(messages.gpuLost(this.info.description, message));
      throw this.#lost;
    });
    // Whoever waits hears of it; that nobody waits is no error.
    this.#loss.catch(() => undefined);
  }

  allocate(bytes: number): GpuMemory {
    this.#check();
    const size = Math.max(4, Math.ceil(bytes / 4) * 4);
    if (size > this.info.memoryBytes) throw fail(messages.gpuMemory(size, this.info.memoryBytes));
    this.#device.pushErrorScope("out-of-memory");
    const buffer = this.#device.createBuffer({ size, usage: usage.storage | usage.copySource | usage.copyTarget });
    this.#device.popErrorScope().then(
      (error) => {
        if (error !== null) this.#fault ??= fail(messages.gpuMemory(size, undefined));
      },
      () => undefined, // the device is lost, which every call tells
    );
    return new WebMemory(size, buffer);
  }

  write(memory: GpuMemory, offset: number, data: Uint8Array): void {
    this.#check();
    const { buffer } = own(memory);
    const send = (bytes: Uint8Array): void => this.#device.queue.writeBuffer(buffer, offset, bytes);
    if (this.#turn === undefined) return send(data);
    const copy = data.slice();
    this.inTurn(() => send(copy)).catch((error: unknown) => {
      this.#fault ??= this.#failure("write", error);
    });
  }

  async read(memory: GpuMemory, offset: number, into: Uint8Array): Promise<void> {
    const { buffer } = own(memory);
    const size = 2 ** Math.ceil(Math.log2(Math.max(256, into.byteLength)));
    const waiting: { mapped?: Promise<void>; staging?: GPUBuffer } = {};
    await this.inTurn(() => {
      const free = this.#staging.get(size)?.pop();
      const staging = free ?? this.#device.createBuffer({ size, usage: usage.mapRead | usage.copyTarget });
      const encoder = this.#device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, offset, staging, 0, into.byteLength);
      this.#device.queue.submit([encoder.finish()]);
      waiting.staging = staging;
      waiting.mapped = staging.mapAsync(mapRead, 0, into.byteLength);
    });
    const { staging, mapped } = waiting;
    if (staging === undefined || mapped === undefined) return;
    try {
      await this.#orLost(mapped);
    } catch (error) {
      staging.destroy();
      throw this.#take() ?? this.#failure("read", error);
    }
    into.set(new Uint8Array(staging.getMappedRange(0, into.byteLength)));
    staging.unmap();
    const others = this.#staging.get(size);
    if (others === undefined) this.#staging.set(size, [staging]);
    else others.push(staging);
    this.#check();
  }

  async load({ kernels }: GpuProgramText): Promise<GpuModule> {
    this.#check();
    for (const kernel of kernels) this.#checkKernel(kernel);
    const compiled = await this.#orLost(Promise.all(kernels.map((kernel) => compileKernel(this.#device, kernel))));
    return new WebModule(compiled);
  }

  sequence(module: GpuModule, launches: readonly GpuLaunch[]): GpuSequence {
    this.#check();
    invariant(module instanceof WebModule, "a module of another device");
    const ready = launches.map((launch): ReadyLaunch => {
      const kernel = at(module.kernels, launch.kernel);
      checkLaunch(kernel, launch, this.info);
      const [x, y] = gridOf(launch.groups);
      const bindings = launch.bindings.map((binding) => ({ ...binding, buffer: own(binding.memory).buffer }));
      return { kernel, x, y, bindings, groups: [], moves: bindings.some(({ stride }) => stride !== 0) };
    });
    return new WebSequence(this, this.#device, ready);
  }

  async close(): Promise<void> {
    await this.#turn;
    if (this.#lost === undefined) await this.#device.queue.onSubmittedWorkDone();
    this.#lost ??= fail(messages.gpuLost(this.info.description, "it was closed"));
    this.#device.destroy();
  }

  /**
   * Calls `task`, which submits work, once all that was asked for before is submitted; at once if that is so. Settles
   * when it has. Throws what was reported before.
   */
  async inTurn(task: () => Promise<void> | void): Promise<void> {
    this.#check();
    const before = this.#turn;
    const result = before === undefined ? task() : before.then(task);
    if (!(result instanceof Promise)) return;
    const turn = result.catch(() => undefined);
    this.#turn = turn;
    void turn.then(() => {
      if (this.#turn === turn) this.#turn = undefined;
    });
    await result;
  }

  /** Calls `submit`, and resolves when what it submitted is done. @throws TargetError if the GPU refused it or is lost. */
  async finished(submit: () => void): Promise<void> {
    const device = this.#device;
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    submit();
    const scopes = [device.popErrorScope(), device.popErrorScope()];
    const [memory, validation] = await this.#orLost(Promise.all([...scopes, device.queue.onSubmittedWorkDone()]));
    const error = memory ?? validation;
    if (error) throw this.#failure("run", error);
    this.#check();
  }

  async #orLost<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#loss]);
  }

  /** Throws what was reported since the last call. */
  #check(): void {
    const error = this.#take();
    if (error !== undefined) throw error;
  }

  #take(): DiagnosticError | undefined {
    if (this.#lost !== undefined) return this.#lost;
    const fault = this.#fault;
    this.#fault = undefined;
    return fault;
  }

  #failure(call: string, error: unknown): DiagnosticError {
    const isMemory = typeof GPUOutOfMemoryError === "function" && error instanceof GPUOutOfMemoryError;
    if (isMemory) return fail(messages.gpuMemory(undefined, undefined));
    // A GPUError has a message and is no Error.
    const reason = typeof error === "object" && error !== null && "message" in error ? error.message : error;
    return fail(messages.webGpuFailed(call, String(reason)), undefined, error);
  }

  #checkKernel(kernel: GpuKernel): void {
    const { info } = this;
    const limits = [
      ["threads of a work-group", kernel.threads, info.threads],
      ["bytes of shared memory", kernel.sharedBytes, info.sharedBytes],
      ["storage buffers", kernel.bindings.length, info.bindings],
    ] as const;
    for (const [what, needs, has] of limits)
      if (needs > has) throw fail(messages.gpuKernelTooLarge(kernel.name, what, needs, has));
  }
}

/** Memory of this device. */
function own(memory: GpuMemory): WebMemory {
  invariant(memory instanceof WebMemory, "memory of another device");
  return memory;
}

type ReadyLaunch = {
  readonly kernel: WebKernel;
  readonly x: number;
  readonly y: number;
  readonly bindings: readonly (GpuLaunch["bindings"][number] & { readonly buffer: GPUBuffer })[];
  /** Whether a binding moves from step to step. */
  readonly moves: boolean;
  /** Bind groups, by step where a binding moves. */
  readonly groups: GPUBindGroup[];
};

class WebSequence implements GpuSequence {
  readonly #owner: WebGpuDevice;
  readonly #device: GPUDevice;
  readonly #launches: readonly ReadyLaunch[];
  /** Milliseconds that a step takes. */
  #pace: number | undefined;
  #stops = 0;

  constructor(owner: WebGpuDevice, device: GPUDevice, launches: readonly ReadyLaunch[]) {
    this.#owner = owner;
    this.#device = device;
    this.#launches = launches;
  }

  async run(steps: number): Promise<number> {
    const stops = this.#stops;
    const pieces: Promise<void>[] = [];
    let submitted = 0;
    let ended = 0;
    await this.#owner.inTurn(async () => {
      while (submitted < steps && this.#stops === stops) {
        const first = submitted;
        const count = Math.min(steps - first, this.#pieceLength());
        const start = performance.now();
        const piece = this.#owner
          .finished(() => this.#submit(first, count))
          .then(() => {
            const now = performance.now();
            // The piece before may have ended after this one was submitted.
            this.#pace = (now - Math.max(start, ended)) / count;
            ended = now;
          });
        // It is awaited below; until then nobody listens.
        piece.catch(() => undefined);
        pieces.push(piece);
        submitted += count;
        // The first piece of all tells how long a step takes.
        await (this.#pace === undefined ? piece : pieces.at(-2));
      }
    });
    await Promise.all(pieces);
    return submitted;
  }

  stop(): void {
    this.#stops++;
  }

  free(): void {
    for (const { groups } of this.#launches) groups.length = 0;
  }

  #pieceLength(): number {
    if (this.#pace === undefined) return 1;
    return Math.max(1, Math.min(pieceSteps, Math.floor(pieceTime / Math.max(this.#pace, 1e-3))));
  }

  #submit(first: number, count: number): void {
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let step = first; step < first + count; step++) {
      for (const launch of this.#launches) {
        pass.setPipeline(launch.kernel.pipeline);
        pass.setBindGroup(0, this.#group(launch, step));
        pass.dispatchWorkgroups(launch.x, launch.y);
      }
    }
    pass.end();
    this.#device.queue.submit([encoder.finish()]);
  }

  #group(launch: ReadyLaunch, step: number): GPUBindGroup {
    const place = launch.moves ? step : 0;
    return (launch.groups[place] ??= this.#device.createBindGroup({
      layout: launch.kernel.layout,
      entries: launch.bindings.map(({ buffer, offset, bytes, stride }, binding) => ({
        binding,
        resource: { buffer, offset: offset + place * stride, size: bytes },
      })),
    }));
  }
}
