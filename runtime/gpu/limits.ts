/**
 * What a program needs of a GPU against what the GPU allows, before anything is asked of it: one error that names
 * everything that is too much.
 */
import type { GpuTarget } from "../../ir/artifact/manifest.ts";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import type { GpuInfo } from "./device.ts";

/** Throws unless a device can run a target. @throws TargetError K5233. */
export function checkLimits(name: string, target: GpuTarget, info: GpuInfo): void {
  const { kernels, entries, state } = target;
  const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b), 0);
  const needs: readonly [string, number, number][] = [
    ["threads of a work-group", most(kernels.map(({ threads }) => threads)), info.threads],
    ["bytes of shared arrays", most(kernels.map(({ sharedBytes }) => sharedBytes)), info.sharedBytes],
    [
      "bindings of a kernel",
      most(kernels.map(({ bindings }) => bindings.filter((use) => use !== "uniform").length)),
      info.bindings,
    ],
    ["bytes of state", state.bytes, info.memoryBytes],
    ["bytes of intermediate results", most(entries.map(({ arenaBytes }) => arenaBytes)), info.memoryBytes],
    [
      "bytes of a binding",
      most(
        entries.flatMap(({ launches = [] }) => launches.flatMap(({ bindings }) => bindings.map(({ bytes }) => bytes))),
      ),
      info.bindingBytes,
    ],
  ];
  const lacking = needs.filter(([, needed, allowed]) => needed > allowed);
  if (lacking.length === 0) return;
  throw fail(
    messages.programExceedsDevice(
      name,
      info.description,
      lacking.map(([what, needed]) => `${needed} ${what}`),
      lacking.map(([what, , allowed]) => `${allowed} ${what}`),
    ),
  );
}
