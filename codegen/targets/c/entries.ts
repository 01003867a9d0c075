/**
 * `program.c`: the entries of a planned program. Each phase is a function that does one thread's share of every launch
 * in it; tables of them are what the runtime finds under `kiln_program` (`runtime/native/program.h` is the contract, and
 * a test compares the declarations below with it).
 */
import type { Kernel } from "../../../ir/loop/loop.ts";
import { entryLabel, type Launch, type PlannedEntry, type PlannedProgram } from "../../../ir/program.ts";
import { at } from "../../../ir/type.ts";
import { code, comment, Fragment, identifier, stringLiteral, type SourceWriter } from "../../source-writer.ts";
import { elementType, kernelSymbol } from "./spelling.ts";

/** The declarations of `runtime/native/program.h` that a program must match. */
export const programInterface = `#define KILN_PROGRAM_ABI 1u

typedef void kiln_phase(void *const *buffers, long thread, long threads);

struct kiln_entry {
  const char *name;
  unsigned buffer_count;
  unsigned phase_count;
  kiln_phase *const *phases;
};

struct kiln_program {
  unsigned abi;
  unsigned entry_count;
  const struct kiln_entry *entries;
};`;

/** Where the share of a thread begins. Equal numbers of tasks are always cut alike, and few tasks go to the first threads. */
const shareFunction = `static inline int64_t kiln_share(int64_t tasks, long thread, long threads) {
  return (tasks * thread + threads - 1) / threads;
}`;

/** Writes the phases of all entries and the tables that lead to them. */
export function writeEntries(program: PlannedProgram, writer: SourceWriter): void {
  writer.line(new Fragment(programInterface)).blank();
  writer.line(new Fragment(shareFunction)).blank();
  program.entries.forEach((entry, index) => writeEntry(entry, index, program.kernels, writer));
  const rows = program.entries.map(entryRow);
  writer.block(
    code`static const struct kiln_entry kiln_entries[] = {`,
    () => {
      for (const row of rows) writer.line(code`${row},`);
      // C has no empty arrays.
      if (rows.length === 0) writer.line(code`{0, 0, 0, 0},`);
    },
    code`};`,
  );
  writer.blank();
  writer.line(code`extern const struct kiln_program kiln_program;`);
  writer.line(
    code`__attribute__((visibility("default"))) const struct kiln_program kiln_program = {KILN_PROGRAM_ABI, ${rows.length}, kiln_entries};`,
  );
}

function entryRow(entry: PlannedEntry, index: number): Fragment {
  const phases = entry.phases.length === 0 ? code`0` : identifier(`kiln_phases_${index}`);
  return code`{${[stringLiteral(entryLabel(entry)), code`${entry.buffers.length}`, code`${entry.phases.length}`, phases]}}`;
}

function writeEntry(entry: PlannedEntry, index: number, kernels: readonly Kernel[], writer: SourceWriter): void {
  writer.line(comment(entryLabel(entry)));
  entry.buffers.forEach((buffer, position) => writer.line(comment(`  ${position} ${buffer.role} ${buffer.name}`)));
  const names = entry.phases.map((_, phase) => identifier(`kiln_phase_${index}_${phase}`));
  entry.phases.forEach((phase, number) => {
    const head = code`static void ${at(names, number)}(void *const *buffers, long thread, long threads) {`;
    writer.block(head, () => {
      writer.line(code`(void)buffers, (void)thread, (void)threads;`);
      for (const launch of phase) writeLaunch(launch, kernels, writer);
    });
    writer.blank();
  });
  if (names.length > 0) writer.line(code`static kiln_phase *const kiln_phases_${index}[] = {${names}};`).blank();
}

function writeLaunch(launch: Launch, kernels: readonly Kernel[], writer: SourceWriter): void {
  const kernel = at(kernels, launch.kernel);
  const args = kernel.buffers.map((buffer, index) => {
    const arg = at(launch.args, index);
    const constant = buffer.access === "read" ? code`const ` : code``;
    const base = code`((char *)buffers[${arg.buffer}] + ${arg.offset})`;
    return code`(${constant}${elementType(buffer.dtype)} *)${base}`;
  });
  const begin = code`kiln_share(${kernel.tasks}, thread, threads)`;
  const end = code`kiln_share(${kernel.tasks}, thread + 1, threads)`;
  const call = code`${kernelSymbol(kernel.name)}(${[...args, code`begin`, code`end`]});`;
  writer.block(code`{`, () => {
    writer.line(code`const int64_t begin = ${begin}, end = ${end};`);
    writer.line(code`if (begin < end) ${call}`);
  });
}
