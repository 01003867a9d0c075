/**
 * The printed form of a planned program: each entry's buffers, phases and launches. For people and golden files; the
 * kernels' bodies are printed by `loop/print.ts`.
 */
import { invariant } from "./diagnostic/diagnostic.ts";
import { printKernel } from "./loop/print.ts";
import type { Kernel } from "./loop/loop.ts";
import { entryLabel, type Launch, type PlannedEntry, type PlannedProgram } from "./program.ts";
import { formatType } from "./type.ts";

/** The whole program: kernels first, then entries. */
export function printProgram(program: PlannedProgram): string {
  const kernels = program.kernels.map(printKernel);
  const entries = program.entries.map((entry) => printEntry(entry, program.kernels));
  return [`program ${program.name}`, ...kernels, ...entries].join("\n\n") + "\n";
}

/** One entry: `buffer` lines, then a line for each launch under its phase. */
export function printEntry(entry: PlannedEntry, kernels: readonly Kernel[]): string {
  const lines = [`entry ${entryLabel(entry)} (arena ${entry.arenaBytes} bytes) {`];
  entry.buffers.forEach((buffer, index) => {
    lines.push(`  buffer ${index} ${buffer.role} ${JSON.stringify(buffer.name)}: ${formatType(buffer)}`);
  });
  entry.scalars.forEach((formula, index) => lines.push(`  scalar ${index} = ${JSON.stringify(formula)}`));
  for (const [counter, by] of Object.entries(entry.increments)) {
    lines.push(`  increment ${JSON.stringify(counter)} by ${by}`);
  }
  entry.phases.forEach((phase, index) => {
    lines.push(`  phase ${index}:`);
    for (const launch of phase) lines.push(`    ${printLaunch(launch, kernels)}`);
  });
  lines.push("}");
  return lines.join("\n");
}

/** `add_1(a: write 1+0, x: read 0+256)`: each buffer of the kernel with its access, entry buffer and byte offset. */
function printLaunch(launch: Launch, kernels: readonly Kernel[]): string {
  const kernel = kernels[launch.kernel];
  invariant(kernel !== undefined, `a launch names kernel ${launch.kernel} of ${kernels.length}`);
  const args = kernel.buffers.map((buffer, index) => {
    const arg = launch.args[index];
    return `${buffer.name}: ${buffer.access} ${arg === undefined ? "nothing" : `${arg.buffer}+${arg.offset}`}`;
  });
  return `${kernel.name}(${args.join(", ")})`;
}
