/**
 * Which buffers of a kernel overlap one another in some launch. The planner may let a launch write where it reads (an
 * elementwise result over its operand); such buffers must not be declared `restrict`. Also checks that every launch fits
 * its kernel and its entry's buffers.
 */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import { malformedProgram } from "../../../ir/diagnostic/messages.ts";
import type { Kernel } from "../../../ir/loop/loop.ts";
import { entryLabel, type Launch, type PlannedEntry, type PlannedProgram } from "../../../ir/program.ts";
import { dtypeBytes } from "../../../ir/type.ts";

/** For each kernel, the names of its buffers that overlap another one of which either is written. */
export function aliasedBuffers(program: PlannedProgram): readonly ReadonlySet<string>[] {
  const aliased = program.kernels.map(() => new Set<string>());
  for (const entry of program.entries) {
    for (const launch of entry.phases.flat()) {
      const kernel = program.kernels[launch.kernel];
      const names = aliased[launch.kernel];
      if (kernel === undefined || names === undefined) {
        throw fail(
          malformedProgram(`${entryLabel(entry)} launches kernel ${launch.kernel} of ${program.kernels.length}`),
        );
      }
      for (const name of overlaps(kernel, launch, entry)) names.add(name);
    }
  }
  return aliased;
}

function overlaps(kernel: Kernel, launch: Launch, entry: PlannedEntry): Set<string> {
  const spans = kernel.buffers.map((buffer, index) => span(kernel, launch, entry, index, buffer.dtype));
  const names = new Set<string>();
  kernel.buffers.forEach((x, i) => {
    kernel.buffers.forEach((y, j) => {
      const [a, b] = [spans[i], spans[j]];
      if (i >= j || a === undefined || b === undefined || (x.access === "read" && y.access === "read")) return;
      if (a.buffer !== b.buffer || a.begin >= b.end || b.begin >= a.end) return;
      names.add(x.name).add(y.name);
    });
  });
  return names;
}

/** The bytes of the entry's buffer that a kernel's buffer covers in a launch. */
function span(kernel: Kernel, launch: Launch, entry: PlannedEntry, index: number, dtype: keyof typeof dtypeBytes) {
  const arg = launch.args[index];
  const where = `${kernel.name} in ${entryLabel(entry)}`;
  if (arg === undefined || launch.args.length !== kernel.buffers.length) {
    throw fail(malformedProgram(`${where} gets ${launch.args.length} buffers for ${kernel.buffers.length}`));
  }
  if (entry.buffers[arg.buffer] === undefined) {
    throw fail(malformedProgram(`${where} names buffer ${arg.buffer} of ${entry.buffers.length}`));
  }
  if (arg.offset < 0 || arg.offset % dtypeBytes[dtype] !== 0) {
    throw fail(malformedProgram(`${where}: offset ${arg.offset} is not aligned to ${dtype}`));
  }
  return {
    buffer: arg.buffer,
    begin: arg.offset,
    end: arg.offset + (kernel.buffers[index]?.size ?? 0) * dtypeBytes[dtype],
  };
}
