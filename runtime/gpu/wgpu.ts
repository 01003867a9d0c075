/**
 * The device `wgpu`: any GPU with Vulkan, Metal or Direct3D 12, or a driver in software, through wgpu-native. All checks
 * are made here, before a call: wgpu-native ends the process for many that a browser would refuse. Work is queued for the
 * device's own thread, so that no call but `readSync` and `runSync` waits for it.
 */
import { totalmem } from "node:os";
import { DiagnosticError, fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { GpuFeatures } from "../../ir/artifact/manifest.ts";
import { loadNative, type NativeAdapter, type NativeWgpuDevice } from "../native.ts";
import { checkKernel, checkLaunch } from "./check.ts";
import type { BindingUse, GpuDevice, GpuInfo, GpuLaunch, GpuModule, GpuProgramText, GpuSequence } from "./device.ts";
import { findWgpu } from "./find-wgpu.ts";
import { abandon, NativeDevice, nativeFailure, OwnedMemory, OwnedModule, OwnedSequence } from "./native-device.ts";
import { chooseVariants, enabling, haveVariants, measureSubgroup } from "./variants.ts";
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
    await abandon(native);
    const { kind, text } = nativeFailure("open", error);
    const what =
      kind === "library"
        ? messages.wgpuUnavailable(wgpuVersion, [`${library.path}: ${text}`])
        : messages.noGpuDevice(wanted, text);
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
    const native = new addon.WgpuDevice();
    try {
      return { library, adapters: (await native.adapters(library)).map(describeAdapter) };
    } finally {
      await abandon(native);
    }
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

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Uses of a binding by their number in the addon. */
const uses: readonly BindingUse[] = ["read", "readwrite", "uniform"];

class Device extends NativeDevice<NativeWgpuDevice> implements WgpuDevice {
  private readonly adapter: NativeAdapter;
  /** Threads of a subgroup, measured. */
  private subgroup: Promise<number> | undefined;

  constructor(native: NativeWgpuDevice, adapter: NativeAdapter, info: GpuInfo) {
    super(native, info);
    this.adapter = adapter;
  }

  async load(program: GpuProgramText): Promise<OwnedModule> {
    const isVaried = haveVariants(program.kernels);
    const kernels = isVaried ? chooseVariants(program.kernels, await this.measured()) : program.kernels;
    for (const kernel of kernels) {
      checkKernel(this.info, kernel);
      const danger = wgslDanger(kernel.text);
      if (danger !== undefined)
        throw fail(messages.gpuKernelTooLarge(kernel.name, "a text that can be parsed", danger));
    }
    // The library's compiler takes subgroups for granted, and does not know their name.
    const texts = kernels.map((kernel) => ({
      name: kernel.name,
      text: enabling(kernel, { subgroups: false }),
      uses: kernel.bindings.map((use) => uses.indexOf(use)),
    }));
    try {
      return new OwnedModule(this, await this.answered(async (native) => native.load(texts)), kernels);
    } catch (error) {
      const { kind, text } = nativeFailure("load", error);
      const number = /^kernel (\d+)$/.exec(kind)?.[1];
      if (number === undefined) throw error instanceof DiagnosticError ? error : this.errorFor("load", error, 0);
      throw fail(
        messages.gpuKernelRefused(kernels[Number(number)]?.name ?? `number ${number}`, text),
        undefined,
        error,
      );
    }
  }

  sequence(module: GpuModule, launches: readonly GpuLaunch[]): OwnedSequence {
    const owned = this.own("module", module, OwnedModule);
    const described = launches.map((launch) => {
      const ids = launch.bindings.map(({ memory }) => this.own("memory", memory, OwnedMemory).id);
      checkLaunch(this.info, owned.kernels, launch);
      const ranges = launch.bindings.flatMap(({ offset, bytes, stride }, index) => [
        ids[index] ?? 0,
        offset,
        bytes,
        stride,
      ]);
      return { module: owned.id, kernel: launch.kernel, groups: launch.groups, ranges };
    });
    const id = this.called("sequence", (native) => native.sequence(described));
    return new OwnedSequence(this, id, launches);
  }

  /** What the device offers, measured at the first call. */
  private async measured(): Promise<GpuFeatures> {
    const { subgroup, f16 } = this.adapter;
    if (subgroup !== undefined) this.subgroup ??= measureSubgroup(this, subgroup);
    return { subgroup: (await this.subgroup) ?? 1, f16 };
  }

  lose(): void {
    this.called("lose", (native) => native.lose());
  }

  /** A driver promises more than there is, and the system ends the process that uses it. */
  protected override capacity(): number {
    const { kind } = this.adapter;
    return kind === "software" || kind === "integrated" ? totalmem() : Infinity;
  }

  protected errorFor(call: string, error: unknown, bytes: number): Error {
    const { kind, text } = nativeFailure(call, error);
    if (kind === "lost") return fail(messages.gpuLost(text), undefined, error);
    if (kind === "memory") return fail(messages.gpuOutOfMemory(bytes, text), undefined, error);
    return fail(messages.gpuCallFailed(kind, text), undefined, error);
  }
}
