/**
 * The planned program: what a target's emitter takes. Kernels are listed once each; an entry is a list of phases, a phase
 * a list of launches, and a launch binds a kernel's buffers to places in the buffers the entry is called with. Made by
 * the planner, which promises that within a phase no two threads touch the same bytes if one of them writes.
 */
import type { HostExpr } from "./artifact/host-expr.ts";
import type { ManifestBuffer } from "./artifact/manifest.ts";
import type { Draw, Kernel } from "./loop/loop.ts";
import type { DType, Shape } from "./type.ts";

/** Where one buffer of a kernel lies. `buffer`: index into the entry's buffers; `offset`: bytes from its start. */
export type Arg = { readonly buffer: number; readonly offset: number };

/** One use of a kernel. `kernel`: index into the program's kernels; `args`: one for each of the kernel's buffers, in order. */
export type Launch = { readonly kernel: number; readonly args: readonly Arg[] };

/** Launches that may run without a barrier between them. */
export type Phase = readonly Launch[];

/** A buffer an entry is called with, as the manifest lists it. */
export type PlannedBuffer = {
  readonly role: ManifestBuffer["role"];
  readonly name: string;
  /** Element type seen from outside. */
  readonly dtype: DType;
  /** Element type in the buffer. */
  readonly stored: DType;
  readonly shape: Shape;
  /** What the host draws into it, for `draws`. */
  readonly draw?: Draw;
};

/** One compiled function at one batch size. */
export type PlannedEntry = {
  /** `train`, `evaluate`, `predict`, or a plain function's name. */
  readonly name: string;
  /** Batch size it is compiled for; 0 if it has no batch axis. */
  readonly batch: number;
  readonly buffers: readonly PlannedBuffer[];
  readonly phases: readonly Phase[];
  readonly arenaBytes: number;
  /** Formulas of the `scalars` buffer, in order. */
  readonly scalars: readonly HostExpr[];
  /** Counters that a call increments, and by how much. */
  readonly increments: Readonly<Record<string, number>>;
};

/** All that a target needs to write the text of a program. */
export type PlannedProgram = {
  readonly name: string;
  readonly kernels: readonly Kernel[];
  readonly entries: readonly PlannedEntry[];
};

/** The name of an entry in an emitted program: `train@64`, or `train` if it has no batch axis. */
export function entryLabel(entry: { readonly name: string; readonly batch: number }): string {
  return entry.batch === 0 ? entry.name : `${entry.name}@${entry.batch}`;
}
