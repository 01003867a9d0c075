/**
 * Which of an artifact's targets a program is loaded for. Takes the device that was asked for; gives the manifest as the
 * target sees it that runs there, or says what the artifact was compiled for.
 */
import {
  targetNames,
  viewTarget,
  type LoadedManifest,
  type Manifest,
  type TargetName,
} from "../ir/artifact/manifest.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";

/** Where a program can run: on the processor, through WebGPU, or on an NVIDIA GPU. */
export type DeviceName = "cpu" | "wgpu" | "cuda";

/** Target that runs on each device. */
export const deviceTargets: Readonly<Record<DeviceName, TargetName>> = { cpu: "c", wgpu: "wgsl", cuda: "cuda" };

/** What may be asked for: a device, or `auto`. */
export const deviceChoices = ["auto", "cpu", "wgpu", "cuda"] as const;

/** A device, or `auto`: the processor if the artifact was compiled for it, else what it was compiled for. */
export type DeviceChoice = (typeof deviceChoices)[number];

/** The manifest as the target for `device` sees it. @throws TargetError K5230 if the artifact has no such target. */
export function selectTarget(manifest: Manifest, device: DeviceChoice = "auto"): LoadedManifest {
  const wanted = device === "auto" ? targetNames : [deviceTargets[device]];
  const [found] = wanted.flatMap((name) => manifest.targets.find((each) => each.name === name) ?? []);
  if (found !== undefined) return viewTarget(manifest, found);
  const has = manifest.targets.map(({ name }) => name);
  throw fail(messages.targetNotCompiled(device, wanted[0] ?? "", has));
}
