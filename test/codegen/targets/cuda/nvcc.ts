/**
 * nvcc as a test: compiles an emitted program for real GPUs, needs none, and tells what each kernel takes of one.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CudaProgram } from "../../../../codegen/targets/cuda/emit.ts";

/** What a thread of a kernel takes, as ptxas tells: registers, and bytes of stack and of registers spilled to memory. */
export type KernelCost = {
  readonly registers: number;
  readonly stack: number;
  readonly spilled: number;
  readonly sharedBytes: number;
};

/** Architectures that a program is compiled for: the oldest that has what kernels use, and the newest tried. */
export const architectures = ["sm_80", "sm_90a"] as const;

/** Why nothing can be compiled here, or `undefined`. */
export function nvccMissing(): string | undefined {
  return spawnSync("nvcc", ["--version"]).status === 0 ? undefined : "there is no nvcc on the PATH";
}

/** Compiles a program; gives the cost of each kernel by its name. Throws with the compiler's words if it fails. */
export function compileCost(program: CudaProgram, architecture: string): ReadonlyMap<string, KernelCost> {
  const folder = mkdtempSync(join(tmpdir(), "kiln-nvcc-"));
  try {
    writeFileSync(join(folder, "program.cu"), program.text);
    // Not every kernel needs the number of its block, and integer functions ask of unsigned numbers whether they are below 0.
    const quiet = "-diag-suppress=177,186";
    const flags = [
      quiet,
      `-arch=${architecture}`,
      "-cubin",
      "-Xptxas",
      "-v,--warn-on-spills",
      "-o",
      "program.cubin",
      "program.cu",
    ];
    const ran = spawnSync("nvcc", flags, { cwd: folder, encoding: "utf8", maxBuffer: 2 ** 26 });
    if (ran.status !== 0) throw new Error(`nvcc ${flags.join(" ")}\n${ran.stderr}`);
    const warnings = ran.stderr.split("\n").filter((line) => /warning|error/i.test(line));
    if (warnings.length > 0) throw new Error(`nvcc warns:\n${warnings.join("\n")}`);
    return costs(ran.stderr);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function costs(report: string): ReadonlyMap<string, KernelCost> {
  const found = new Map<string, KernelCost>();
  for (const part of report.split("Compiling entry function").slice(1)) {
    const number = (pattern: RegExp): number => Number(pattern.exec(part)?.[1] ?? 0);
    const name = /'(\w+)'/.exec(part)?.[1];
    if (name === undefined || !/Used \d+ registers/.test(part)) throw new Error(`ptxas reports otherwise now: ${part}`);
    found.set(name, {
      registers: number(/Used (\d+) registers/),
      stack: number(/(\d+) bytes stack frame/),
      spilled: number(/(\d+) bytes spill stores/) + number(/(\d+) bytes spill loads/),
      sharedBytes: number(/(\d+) bytes smem/),
    });
  }
  return found;
}
