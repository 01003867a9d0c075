/**
 * Which launches may share a phase. Two launches conflict on a buffer if both touch it and one writes. A conflict needs a
 * barrier unless each thread only meets bytes that it touched itself: both kernels then cut the buffer into the same
 * slabs, one per row of the same task axis, and threads take equal shares of the tasks.
 */
import { affine, rangeOf, affineExpr } from "../lower/index-math.ts";
import type { Lowered } from "../lower/lowered.ts";
import type { Buffer } from "./buffer.ts";

/** How a kernel divides a buffer among its tasks: `stride` elements a row; `undefined` if any task may touch any element. */
export type Slabs = { readonly stride: number; readonly extent: number; readonly tasks: number };

/** How a kernel touches one buffer. */
export type Touch = {
  readonly buffer: Buffer;
  readonly reads: boolean;
  readonly writes: boolean;
  readonly slabs: Slabs | undefined;
};

/** How a kernel touches each of its buffers. */
export function touchesOf(lowered: Lowered): readonly Touch[] {
  const isGpu = lowered.tasks.threads !== undefined;
  return lowered.buffers.map((buffer) => {
    const accesses = lowered.accesses.filter((access) => access.buffer === buffer);
    const all = accesses.map((access) => slabsOf(access, lowered));
    const [first] = all;
    const uniform = first !== undefined && all.every((slabs) => slabs !== undefined && slabs.stride === first.stride);
    const single: Slabs = { stride: 0, extent: 1, tasks: 1 };
    return {
      buffer,
      reads:
        accesses.some(({ write }) => !write) ||
        accesses.some(({ index }) => index.kind === "variable" && index.name === "anywhere"),
      writes: accesses.some(({ write }) => write),
      // Work-groups of different launches run anywhere, and nobody's threads stay with their rows.
      slabs: isGpu ? undefined : lowered.tasks.tasks === 1 ? single : uniform ? first : undefined,
    };
  });
}

/** The slabs of one access: it must stay, for each row variable, within the rows that the variable stands for. */
function slabsOf(access: Lowered["accesses"][number], lowered: Lowered): Slabs | undefined {
  const form = affine(access.index, lowered.ranges);
  if (form === undefined) return undefined;
  const rows = [...form.coefficients].filter(([name]) => lowered.rows.has(name));
  const [row] = rows;
  if (row === undefined || rows.length > 1) return undefined;
  const [name, stride] = row;
  const rest = rangeOf(affineExpr(form, new Set([name])), lowered.ranges);
  const last = rest.max + access.lanes - 1;
  const span = lowered.rows.get(name) ?? 1;
  if (stride <= 0 || rest.min < 0 || Math.floor(last / stride) >= span) return undefined;
  return { stride, extent: lowered.tasks.extent, tasks: lowered.tasks.tasks };
}

/** Whether two kernels may touch a buffer without a barrier between them although one writes. */
function sameThread(a: Slabs | undefined, b: Slabs | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  if (a.tasks === 1 && b.tasks === 1) return true;
  return a.stride === b.stride && a.extent === b.extent && a.tasks === b.tasks;
}

/** For each kernel of an ordered list, those before it that it must not run beside. */
function earlierConflicts(kernels: readonly (readonly Touch[])[]): number[][] {
  const users = new Map<Buffer, { readonly kernel: number; readonly writes: boolean }[]>();
  return kernels.map((touches, kernel) => {
    const before = new Set<number>();
    for (const touch of touches) {
      if (touch.buffer.role === "status") continue; // First failure wins; which one it is does not matter.
      const list = users.get(touch.buffer) ?? [];
      for (const other of list) if (touch.writes || other.writes) before.add(other.kernel);
      users.set(touch.buffer, [...list, { kernel, writes: touch.writes }]);
    }
    before.delete(kernel);
    return [...before];
  });
}

/**
 * Rounds of kernels that run side by side, none in an earlier round than one it conflicts with. In each round come those
 * first that the longest chain of others waits for; the rest joins where it fits. `fit` judges kernels by number.
 */
export function assignRounds(
  kernels: readonly (readonly Touch[])[],
  fit: (members: readonly number[]) => boolean,
): number[][] {
  const before = earlierConflicts(kernels);
  const height = kernels.map(() => 0);
  for (let i = kernels.length - 1; i >= 0; i--)
    for (const j of before[i] ?? []) height[j] = Math.max(height[j] ?? 0, (height[i] ?? 0) + 1);
  const waiting = new Set(kernels.keys());
  const rounds: number[][] = [];
  while (waiting.size > 0) {
    const ready = [...waiting].filter((i) => (before[i] ?? []).every((j) => !waiting.has(j)));
    const members: number[] = [];
    for (const i of ready.toSorted((a, b) => (height[b] ?? 0) - (height[a] ?? 0) || a - b))
      if (fit([...members, i])) members.push(i);
    for (const i of members) waiting.delete(i);
    rounds.push(members.toSorted((a, b) => a - b));
  }
  return rounds;
}

/** The phase of each kernel of an ordered list: the earliest that its conflicts with kernels before it allow. */
export function assignPhases(kernels: readonly (readonly Touch[])[]): number[] {
  const phases: number[] = [];
  const earlier = new Map<Buffer, { readonly phase: number; readonly touch: Touch }[]>();
  for (const touches of kernels) {
    let phase = 0;
    for (const touch of touches) {
      if (touch.buffer.role === "status") continue; // First failure wins; which one it is does not matter.
      for (const before of earlier.get(touch.buffer) ?? []) {
        if (!touch.writes && !before.touch.writes) continue;
        phase = Math.max(phase, before.phase + (sameThread(before.touch.slabs, touch.slabs) ? 0 : 1));
      }
    }
    phases.push(phase);
    for (const touch of touches) {
      const list = earlier.get(touch.buffer) ?? [];
      list.push({ phase, touch });
      earlier.set(touch.buffer, list);
    }
  }
  return phases;
}
