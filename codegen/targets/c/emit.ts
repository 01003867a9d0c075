/**
 * The C target: a planned program as C11 text. Gives a header, the kernels spread over some files (so that they compile
 * in parallel), `random.c` if a kernel draws, and `program.c` with the entries. The text is a function of the program
 * alone. Promises that a program whose kernels pass `verifyKernel` compiles without errors.
 */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import { malformedProgram } from "../../../ir/diagnostic/messages.ts";
import type { Kernel } from "../../../ir/loop/loop.ts";
import { allStatements } from "../../../ir/loop/walk.ts";
import type { PlannedProgram } from "../../../ir/program.ts";
import { at } from "../../../ir/type.ts";
import { code, comment, Fragment, SourceWriter } from "../../source-writer.ts";
import { aliasedBuffers } from "../c-family/alias.ts";
import { writeEntries } from "./entries.ts";
import { randomFlags, randomHeader, randomSource } from "./random.ts";
import { kernelHead, writeKernel } from "./statement.ts";
import { CSupport } from "./support.ts";

/** A file of an emitted program. `flags`: what it must be compiled with beside the common flags; headers are not compiled. */
export type CFile = {
  readonly name: string;
  readonly kind: "source" | "header";
  readonly text: string;
  readonly flags: readonly string[];
};

/** An emitted program. */
export type CProgram = { readonly files: readonly CFile[] };

/** Options of `emitC`. `files`: over how many files kernels are spread (default 2; the number of cores that will compile). */
export type EmitOptions = { readonly files?: number };

/** Name of the header that all files of a program include. */
const headerName = "kernels.h";

/** The text of a program in C. Throws a `TargetError` K5104 for element types C has not. */
export function emitC(program: PlannedProgram, options: EmitOptions = {}): CProgram {
  checkNames(program.kernels);
  const aliased = aliasedBuffers(program);
  const draws = program.kernels.some(({ body }) => allStatements(body).some(({ kind }) => kind === "draw"));
  const support = new CSupport();
  const texts = program.kernels.map((kernel, index) => {
    const writer = new SourceWriter();
    writeKernel(kernel, at(aliased, index), writer, support);
    return writer.toString();
  });
  const files: CFile[] = [
    { name: headerName, kind: "header", flags: [], text: header(program, aliased, draws, support) },
  ];
  distribute(texts, options.files ?? 2).forEach((part, index) => {
    files.push({ name: `kernels_${index}.c`, kind: "source", flags: [], text: `#include "${headerName}"\n\n${part}` });
  });
  if (draws) files.push({ name: "random.c", kind: "source", text: randomSource, flags: randomFlags });
  files.push({ name: "program.c", kind: "source", flags: [], text: entries(program) });
  return { files };
}

/** Includes, what the kernels need, and their declarations. */
function header(
  program: PlannedProgram,
  aliased: readonly ReadonlySet<string>[],
  draws: boolean,
  support: CSupport,
): string {
  const writer = new SourceWriter();
  writer.line(comment(`Kernels of ${program.name}.`));
  writer.line(code`#ifndef KILN_KERNELS_H\n#define KILN_KERNELS_H\n#include <math.h>\n#include <stdint.h>`).blank();
  for (const definition of support.definitions()) writer.line(definition).blank();
  if (draws) writer.line(new Fragment(randomHeader)).blank();
  program.kernels.forEach((kernel, index) => writer.line(code`${kernelHead(kernel, at(aliased, index))};`));
  writer.line(code`#endif`);
  return writer.toString();
}

function entries(program: PlannedProgram): string {
  const writer = new SourceWriter();
  writer.line(comment(`Entries of ${program.name}: the phases of each, in order.`));
  writer.line(new Fragment(`#include "${headerName}"`)).blank();
  writeEntries(program, writer);
  return writer.toString();
}

/** Spreads texts over at most `count` files of about equal size, each in the texts' order; the longest are placed first. */
function distribute(texts: readonly string[], count: number): string[] {
  const bins = Array.from({ length: Math.max(1, Math.min(count, texts.length)) }, () => ({
    size: 0,
    indices: [] as number[],
  }));
  const order = texts.map((_, index) => index).sort((a, b) => at(texts, b).length - at(texts, a).length || a - b);
  for (const index of order) {
    const bin = bins.reduce((best, other) => (other.size < best.size ? other : best));
    bin.size += at(texts, index).length;
    bin.indices.push(index);
  }
  return bins.map(({ indices }) =>
    indices
      .sort((a, b) => a - b)
      .map((index) => at(texts, index))
      .join("\n"),
  );
}

function checkNames(kernels: readonly Kernel[]): void {
  const seen = new Set<string>();
  for (const { name } of kernels) {
    if (seen.has(name)) throw fail(malformedProgram(`two kernels are called ${name}`));
    seen.add(name);
  }
}
