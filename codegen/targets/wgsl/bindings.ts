/**
 * The bindings of a launch: which ranges of the entry's buffers a kernel is given, and where each of its buffers lies in
 * them. WebGPU lets no buffer be bound for reading and for writing in one dispatch, lets no two ranges overlap if one may
 * be written, and grants eight bindings. So where a launch writes to a buffer of the entry, all its bindings there are
 * `readwrite`, ranges that overlap become one, and neighbours are joined until there are few enough. Small buffers that all
 * threads read much the same elements of (scalars, the batch's indices, the random key) are uniform, and do not count.
 */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import { malformedProgram, tooManyBindings } from "../../../ir/diagnostic/messages.ts";
import { unboundedSize, type Kernel } from "../../../ir/loop/loop.ts";
import { entryLabel, type Launch, type PlannedEntry } from "../../../ir/program.ts";
import { at } from "../../../ir/type.ts";
import { wgslLimits } from "./limits.ts";

/** Part of an entry's buffer. `bytes` is 0 for the whole of a data set, whose length is known at run time. */
export type WgslBinding = { readonly buffer: number; readonly offset: number; readonly bytes: number };

/** How a kernel uses a binding. */
export type WgslAccess = "read" | "readwrite" | "uniform";

/** Where a buffer of a kernel lies: `offset` words from the beginning of a binding. */
export type BufferPlace = { readonly binding: number; readonly offset: number };

/** The bindings of a launch, their uses, and the place of each of the kernel's buffers. */
export type BoundLaunch = {
  readonly bindings: readonly WgslBinding[];
  readonly accesses: readonly WgslAccess[];
  readonly places: readonly BufferPlace[];
};

/** A range and the numbers of the kernel's buffers in it. */
type Range = {
  readonly buffer: number;
  readonly begin: number;
  readonly end: number;
  readonly members: readonly number[];
  readonly uniform: boolean;
};

/** Buffers that are bound as uniform if they are small enough. */
const uniformRoles: ReadonlySet<string> = new Set(["scalars", "indices", "key"]);

/**
 * Plans the bindings of a launch. Throws a `TargetError`: K5302 if it needs more bindings than there are; an `InternalError` K5105 if the launch does not fit its kernel.
 */
export function bindLaunch(kernel: Kernel, launch: Launch, entry: PlannedEntry): BoundLaunch {
  const written = new Set<number>();
  const ranges: Range[] = kernel.buffers.map((param, index) => {
    const { buffer, offset } = checkedArg(kernel, launch, entry, index);
    if (param.access !== "read") written.add(buffer);
    const bytes = Math.max(1, param.size) * 4;
    const whole = Math.ceil(bytes / 16) * 16;
    const role = at(entry.buffers, buffer).role;
    const uniform = uniformRoles.has(role) && param.access === "read" && whole <= wgslLimits.uniformBytes;
    const end = param.size === unboundedSize ? Infinity : offset + (uniform ? whole : bytes);
    return { buffer, begin: offset, end, members: [index], uniform };
  });
  const merged = fewEnough(withoutOverlap(ranges, written), kernel, entry);
  const places: BufferPlace[] = [];
  merged.forEach((range, binding) => {
    for (const member of range.members) {
      places[member] = { binding, offset: (at(launch.args, member).offset - range.begin) / 4 };
    }
  });
  return {
    bindings: merged.map(({ buffer, begin, end }) => ({
      buffer,
      offset: begin,
      bytes: end === Infinity ? 0 : end - begin,
    })),
    accesses: merged.map(({ buffer, uniform }) => (uniform ? "uniform" : written.has(buffer) ? "readwrite" : "read")),
    places,
  };
}

function checkedArg(kernel: Kernel, launch: Launch, entry: PlannedEntry, index: number): Launch["args"][number] {
  const where = `${kernel.name} in ${entryLabel(entry)}`;
  const arg = launch.args[index];
  if (arg === undefined || launch.args.length !== kernel.buffers.length) {
    throw fail(malformedProgram(`${where} gets ${launch.args.length} buffers for ${kernel.buffers.length}`));
  }
  if (entry.buffers[arg.buffer] === undefined) {
    throw fail(malformedProgram(`${where} names buffer ${arg.buffer} of ${entry.buffers.length}`));
  }
  if (arg.offset < 0 || arg.offset % wgslLimits.alignment !== 0) {
    throw fail(malformedProgram(`${where}: offset ${arg.offset} is no multiple of ${wgslLimits.alignment}`));
  }
  return arg;
}

/** Joins ranges that overlap where the launch writes to their buffer or they are uniform; the others stay apart. */
function withoutOverlap(ranges: readonly Range[], written: ReadonlySet<number>): Range[] {
  const result: Range[] = [];
  for (const range of ranges) {
    let joined: Range = range;
    // A range may bridge two that were apart.
    for (;;) {
      const other = result.find(
        ({ buffer, begin, end, uniform }) =>
          buffer === joined.buffer && (written.has(buffer) || uniform) && begin < joined.end && joined.begin < end,
      );
      if (other === undefined) break;
      result.splice(result.indexOf(other), 1);
      joined = join(other, joined);
    }
    result.push(joined);
  }
  return result.sort(byFirstMember);
}

function byFirstMember(x: Range, y: Range): number {
  return Math.min(...x.members) - Math.min(...y.members);
}

function join(x: Range, y: Range): Range {
  return {
    buffer: x.buffer,
    begin: Math.min(x.begin, y.begin),
    end: Math.max(x.end, y.end),
    members: [...x.members, ...y.members].sort((a, b) => a - b),
    uniform: x.uniform,
  };
}

/** Joins neighbours in the same buffer, those first that are shortest together, until the bindings are few enough. */
function fewEnough(all: readonly Range[], kernel: Kernel, entry: PlannedEntry): Range[] {
  const uniform = all.filter((range) => range.uniform);
  let ranges = all.filter((range) => !range.uniform);
  while (ranges.length > wgslLimits.bindings) {
    const inOrder = ranges.toSorted((x, y) => x.buffer - y.buffer || x.begin - y.begin);
    const pairs = inOrder.slice(1).flatMap((range, index) => {
      const before = at(inOrder, index);
      return before.buffer === range.buffer ? [[before, range] as const] : [];
    });
    const spans = pairs.map(([x, y]) => Math.max(x.end, y.end) - x.begin);
    const pair = pairs[spans.indexOf(Math.min(...spans))];
    if (pair === undefined) {
      throw fail(tooManyBindings(kernel.name, entryLabel(entry), ranges.length, wgslLimits.bindings));
    }
    ranges = [...ranges.filter((range) => !pair.includes(range)), join(...pair)];
  }
  return [...ranges, ...uniform].sort(byFirstMember);
}
