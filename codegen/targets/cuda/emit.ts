/**
 * The CUDA target: a planned program as one CUDA C++ text with all kernels, and what a device must know to launch them.
 * The text needs no header, so that nvcc and NVRTC both compile it (compute capability 8.0 and newer), and is a function
 * of the program alone. Promises that a program whose kernels pass `verifyKernel` compiles without errors.
 */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import { malformedProgram } from "../../../ir/diagnostic/messages.ts";
import { unboundedSize, type Kernel } from "../../../ir/loop/loop.ts";
import { entryLabel, type PlannedEntry, type PlannedProgram } from "../../../ir/program.ts";
import { at, dtypeBytes } from "../../../ir/type.ts";
import { comment, SourceWriter } from "../../source-writer.ts";
import { aliasedBuffers } from "../c-family/alias.ts";
import { kernelSymbol } from "../c-family/spelling.ts";
import { widestAccess } from "./aligned.ts";
import { deviceHeader } from "./device-header.ts";
import { sharedBytesOf, writeKernel } from "./kernel.ts";
import { CudaSupport } from "./support.ts";

/** A kernel of an emitted program. */
export type CudaKernel = {
  /** The name of its function. */
  readonly name: string;
  /** Threads of a block. */
  readonly threads: number;
  /** Bytes of its `__shared__` arrays, which the text declares: a launch asks for none beside. */
  readonly sharedBytes: number;
  /** How it uses each of its pointers. */
  readonly bindings: readonly ("read" | "readwrite")[];
};

/** A place in the buffers of an entry; `bytes` is 0 for a data set, which is as long as it happens to be. */
export type CudaBinding = { readonly buffer: number; readonly offset: number; readonly bytes: number };

/** One use of a kernel: its number, how many blocks, and the places of its pointers. */
export type CudaLaunch = {
  readonly kernel: number;
  readonly groups: number;
  readonly bindings: readonly CudaBinding[];
};

/** What an entry's step launches, in order. */
export type CudaEntry = { readonly label: string; readonly launches: readonly CudaLaunch[] };

/** An emitted program; kernels and entries are in the planned program's order. */
export type CudaProgram = {
  readonly text: string;
  readonly kernels: readonly CudaKernel[];
  readonly entries: readonly CudaEntry[];
};

/**
 * The text of a program in CUDA C++. Throws a `TargetError` K5401 for element types that kernels cannot compute with, and
 * `InternalError`s K5402 and K5403 for kernels that no block can run.
 */
export function emitCuda(program: PlannedProgram): CudaProgram {
  checkNames(program.kernels);
  const aliased = aliasedBuffers(program);
  const unaligned = unalignedBuffers(program);
  const support = new CudaSupport();
  const kernels = new SourceWriter();
  program.kernels.forEach((kernel, index) => {
    writeKernel(kernel, { aliased: at(aliased, index), unaligned: at(unaligned, index) }, kernels, support);
  });
  const writer = new SourceWriter();
  writer
    .line(comment(`Kernels of ${program.name}.`))
    .line(deviceHeader)
    .blank();
  for (const definition of support.definitions()) writer.line(definition).blank();
  return {
    text: writer.toString() + kernels.toString(),
    kernels: program.kernels.map(kernelOf),
    entries: program.entries.map((entry) => ({ label: entryLabel(entry), launches: launchesOf(entry, program) })),
  };
}

function kernelOf(kernel: Kernel): CudaKernel {
  return {
    name: kernelSymbol(kernel.name).text,
    threads: kernel.threads ?? 1,
    sharedBytes: sharedBytesOf(kernel),
    bindings: kernel.buffers.map(({ access }) => (access === "read" ? "read" : "readwrite")),
  };
}

/** A grid has at least one block, so kernels without tasks are not launched. */
function launchesOf(entry: PlannedEntry, program: PlannedProgram): CudaLaunch[] {
  return entry.phases.flat().flatMap((launch) => {
    const kernel = at(program.kernels, launch.kernel);
    if (kernel.tasks === 0) return [];
    const bindings = kernel.buffers.map(({ dtype, size }, index) => ({
      ...at(launch.args, index),
      bytes: size === unboundedSize ? 0 : size * dtypeBytes[dtype],
    }));
    return [{ kernel: launch.kernel, groups: kernel.tasks, bindings }];
  });
}

/** For each kernel, the names of its buffers that some launch places where the widest access may not be. */
function unalignedBuffers(program: PlannedProgram): readonly ReadonlySet<string>[] {
  const unaligned = program.kernels.map(() => new Set<string>());
  for (const launch of program.entries.flatMap((entry) => entry.phases.flat())) {
    at(program.kernels, launch.kernel).buffers.forEach(({ name }, index) => {
      if (at(launch.args, index).offset % widestAccess !== 0) at(unaligned, launch.kernel).add(name);
    });
  }
  return unaligned;
}

function checkNames(kernels: readonly Kernel[]): void {
  const seen = new Set<string>();
  for (const { name } of kernels) {
    if (seen.has(name)) throw fail(malformedProgram(`two kernels are called ${name}`));
    seen.add(name);
  }
}
