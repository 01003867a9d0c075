/**
 * A browser's WebGPU as a `GpuDevice`. Calls take effect in the order in which they were made: what comes while a run is
 * being submitted waits its turn. A run is submitted in pieces of some milliseconds, two of them under way at a time, so
 * that the page stays live and a stop is heard. Whatever the browser reports, at once or later, ends the call that it
 * belongs to, or the next one, as a `TargetError`.
 */
import { fail, type DiagnosticError } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { GpuFeatures } from "../../ir/artifact/manifest.ts";
import { checkCopy, checkKernel, checkLaunch, checkReach, checkSteps } from "./check.ts";
import type { GpuDevice, GpuInfo, GpuLaunch, GpuMemory, GpuModule } from "./device.ts";
import type { GpuProgramText, GpuSequence } from "./device.ts";
import { chooseVariants, haveVariants, measureSubgroup } from "./variants.ts";
import { compileKernel, gridOf, type WebKernel } from "./webgpu-kernel.ts";

/** `GPUBufferUsage` and `GPUMapMode` of the WebGPU specification; the names exist in browsers only. */
const usage = { mapRead: 1, copySource: 4, copyTarget: 8, uniform: 64, storage: 128 } as const;
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

/** Features that variants of kernels need, asked for where they are. */
const optional = ["subgroups", "shader-f16"] as const satisfies readonly GPUFeatureName[];

/**
 * Opens the browser's fastest GPU.
 *
 * @param gpu `navigator.gpu` if left out.
 * @throws TargetError K5501 without WebGPU, K5502 without a GPU that it can use, K5211 if the GPU refuses.
 */
export async function openWebGpu(gpu: GPU | undefined = browser.navigator?.gpu): Promise<GpuDevice> {
  if (gpu === undefined) throw fail(messages.webGpuMissing(browser.isSecureContext === false));
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) throw fail(messages.webGpuNoAdapter());
  const requiredLimits = Object.fromEntries(wanted.map((name) => [name, adapter.limits[name]]));
  try {
    const requiredFeatures = optional.filter((feature) => adapter.features.has(feature));
    return new WebGpuDevice(await adapter.requestDevice({ requiredLimits, requiredFeatures }), adapter.info);
  } catch (cause) {
    throw fail(messages.gpuCallFailed("requestDevice", reasonOf(cause)), undefined, cause);
  }
}

/** What a browser's global object has; types tell nothing of it, since this file is read in Node too. */
const browser = globalThis as { readonly navigator?: { readonly gpu?: GPU }; readonly isSecureContext?: boolean };

function reasonOf(error: unknown): string {
  // A GPUError has a message and is no Error.
  return String(typeof error === "object" && error !== null && "message" in error ? error.message : error);
}

class WebMemory implements GpuMemory {
  readonly owner: WebGpuDevice;
  readonly bytes: number;
  readonly buffer: GPUBuffer;
  isFreed = false;

  constructor(owner: WebGpuDevice, bytes: number, buffer: GPUBuffer) {
    this.owner = owner;
    this.bytes = bytes;
    this.buffer = buffer;
  }

  free(): void {
    this.isFreed = true;
    this.buffer.destroy();
  }
}

class WebModule implements GpuModule {
  readonly owner: WebGpuDevice;
  readonly kernels: readonly WebKernel[];
  isFreed = false;

  constructor(owner: WebGpuDevice, kernels: readonly WebKernel[]) {
    this.owner = owner;
    this.kernels = kernels;
  }

  free(): void {
    this.isFreed = true;
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

  /** Size of subgroups, as the browser tells it and as it was measured. */
  readonly #leastSubgroup: number;
  #subgroup: Promise<number> | undefined;

  constructor(device: GPUDevice, adapter: GPUAdapterInfo) {
    this.#device = device;
    this.#leastSubgroup = adapter.subgroupMinSize ?? 0;
    const { limits } = device;
    const names = [adapter.vendor, adapter.architecture, adapter.device, adapter.description];
    this.info = {
      description: [...new Set(names.filter((name) => name !== ""))].join(" ") || "unnamed GPU",
      alignment: Math.max(limits.minStorageBufferOffsetAlignment, limits.minUniformBufferOffsetAlignment),
      memoryBytes: limits.maxBufferSize,
      bindingBytes: limits.maxStorageBufferBindingSize,
      bindings: limits.maxStorageBuffersPerShaderStage,
      threads: Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
      sharedBytes: limits.maxComputeWorkgroupStorageSize,
    };
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#fault ??= failure("a call", event.error);
    });
    this.#loss = device.lost.then(({ message }) => {
      this.#lost ??= fail(messages.gpuLost(message === "" ? "the browser gives no reason" : message));
      throw this.#lost;
    });
    // Whoever waits hears of it; that nobody waits is no error.
    this.#loss.catch(() => undefined);
  }

  allocate(bytes: number): GpuMemory {
    this.#check();
    const size = Math.ceil(bytes / 4) * 4;
    const { memoryBytes } = this.info;
    if (!Number.isSafeInteger(size) || size <= 0 || size > memoryBytes)
      throw fail(messages.gpuOutOfMemory(bytes, `a memory has 1 to ${memoryBytes} bytes`));
    const uses = usage.storage | usage.uniform | usage.copySource | usage.copyTarget;
    this.#device.pushErrorScope("out-of-memory");
    const buffer = this.#device.createBuffer({ size, usage: uses });
    this.#device.popErrorScope().then(
      (error) => {
        if (error !== null) this.#fault ??= fail(messages.gpuOutOfMemory(bytes, error.message), undefined, error);
      },
      () => undefined, // the device is lost, which every call tells
    );
    return new WebMemory(this, size, buffer);
  }

  write(memory: GpuMemory, offset: number, data: Uint8Array): void {
    this.#check();
    const { buffer } = this.#own("memory", memory, WebMemory);
    checkCopy("what is written", memory.bytes, offset, data.byteLength);
    const send = (bytes: Uint8Array): void => this.#device.queue.writeBuffer(buffer, offset, bytes);
    if (this.#turn === undefined) return send(data);
    const copy = data.slice();
    this.inTurn(() => send(copy)).catch((error: unknown) => {
      this.#fault ??= failure("write", error);
    });
  }

  async read(memory: GpuMemory, offset: number, into: Uint8Array): Promise<void> {
    const { buffer } = this.#own("memory", memory, WebMemory);
    checkCopy("what is read", memory.bytes, offset, into.byteLength);
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
      throw this.#take() ?? failure("read", error);
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
    const chosen = haveVariants(kernels) ? chooseVariants(kernels, await this.#measured()) : kernels;
    for (const kernel of chosen) checkKernel(this.info, kernel);
    const compiled = await this.#orLost(Promise.all(chosen.map((kernel) => compileKernel(this.#device, kernel))));
    return new WebModule(this, compiled);
  }

  /** What the device offers, measured at the first call. */
  async #measured(): Promise<GpuFeatures> {
    const { features } = this.#device;
    if (features.has("subgroups")) this.#subgroup ??= measureSubgroup(this, this.#leastSubgroup);
    return { subgroup: (await this.#subgroup) ?? 1, f16: features.has("shader-f16") };
  }

  sequence(module: GpuModule, launches: readonly GpuLaunch[]): GpuSequence {
    this.#check();
    const { kernels } = this.#own("module", module, WebModule);
    const texts = kernels.map(({ kernel }) => kernel);
    const ready = launches.flatMap((launch): ReadyLaunch[] => {
      const bindings = launch.bindings.map((binding) => ({
        ...binding,
        buffer: this.#own("memory", binding.memory, WebMemory).buffer,
      }));
      checkLaunch(this.info, texts, launch);
      const kernel = kernels[launch.kernel];
      const moves = bindings.some(({ stride }) => stride !== 0);
      return kernel === undefined ? [] : [{ kernel, grid: gridOf(launch.groups), launch, bindings, moves, groups: [] }];
    });
    return new WebSequence(this, this.#device, ready);
  }

  async close(): Promise<void> {
    await this.#turn;
    if (this.#lost === undefined) await this.#device.queue.onSubmittedWorkDone();
    this.#lost ??= fail(messages.gpuClosed());
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
    if (error) throw failure("run", error);
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

  /** `value` as what this device made. @throws TargetError K5207. */
  #own<T extends { readonly owner: WebGpuDevice; readonly isFreed: boolean }>(
    what: string,
    value: unknown,
    made: new (...args: never) => T,
  ): T {
    if (!(value instanceof made) || value.owner !== this) throw fail(messages.gpuForeign(what, false));
    if (value.isFreed) throw fail(messages.gpuForeign(what, true));
    return value;
  }
}

function failure(call: string, error: unknown): DiagnosticError {
  return fail(messages.gpuCallFailed(call, reasonOf(error)), undefined, error);
}

type ReadyLaunch = {
  readonly kernel: WebKernel;
  readonly grid: readonly [x: number, y: number];
  readonly launch: GpuLaunch;
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
    checkSteps(steps);
    for (const { launch } of this.#launches) checkReach(launch, steps);
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
        pass.dispatchWorkgroups(...launch.grid);
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
