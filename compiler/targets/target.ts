/**
 * What a target is to the compiler: the machine that schedules see, and how a plan becomes files of an artifact. Each
 * target is one object in a file of this folder, listed in `index.ts`; its spellings and limits stand in
 * `codegen/targets/<name>/`.
 */
import type { ManifestTarget } from "../../ir/artifact/manifest.ts";
import type { Machine } from "../../ir/machine.ts";
import type { ArtifactFiles } from "../artifact.ts";
import type { Plan } from "../memory/plan.ts";
import type { TracedProgram } from "../trace/traced.ts";

/** The kinds of randomness of a step's draws, such as dropout's. */
export const randomSources = ["torch", "counter"] as const;

/**
 * One of them. `torch`: the numbers that PyTorch draws, one after another (GPUs are given them by the host); `counter`: a
 * function of the generator's state, the use and the element, which every thread computes for itself. Initial weights and
 * the order of samples are PyTorch's either way.
 */
export type RandomSource = (typeof randomSources)[number];

/** How precisely products of float32 are computed. */
export const precisions = ["f32", "tf32", "bf16", "f16"] as const;

/**
 * One of them. `f32`: as float32, PyTorch's default; `tf32`, `bf16` and `f16`: operands rounded to 10, 7 or 10 bits behind
 * the point, sums in float32, on tensor cores (CUDA). `f16` on WebGPU: in half precision where the device has it, sums of a
 * few products included. Halves reach from 6e-8 to 65504: what is smaller, as gradients may be, becomes 0, so that a loss
 * may have to be scaled. Weights and everything else stay float32; targets without a precision compute in float32.
 */
export type Precision = (typeof precisions)[number];

/** Options of a compilation that targets look at. */
export type TargetOptions = {
  /** CPU level to compile for: `native` (this machine), or what the C compiler's `-march` takes. Default: `native`. */
  readonly march?: string;
  /** Where random numbers of a step come from; what suits each target if left out. */
  readonly random?: RandomSource;
  /** How precisely products are computed; `f32` if left out. */
  readonly precision?: Precision;
};

/** A plan for a target's machine, and the program it was made from. */
export type TargetInput = { readonly traced: TracedProgram; readonly plan: Plan };

/** What a target made of a plan. */
export type BuiltTarget = {
  /** Its part of the manifest. */
  readonly target: ManifestTarget;
  /** Its files, by path relative to the artifact. */
  readonly files: ArtifactFiles;
  /** Whether everything compiled was found in the cache. */
  readonly cached: boolean;
};

/** Measures a stage of a build under a name. */
export type Timed = <T>(stage: string, run: () => T | Promise<T>) => Promise<T>;

/** The machine of a GPU that draws as it is told to; by `counter` if it is told nothing. */
export function drawingGpu(machine: Machine, { random = "counter" }: TargetOptions): Machine {
  return { ...machine, random: random === "torch" ? "host" : "counter" };
}

/** A target. */
export type Target = {
  readonly name: ManifestTarget["name"];
  /** One line for people. */
  readonly doc: string;
  /** How precisely it can be told to compute products. */
  readonly precisions: readonly Precision[];
  /** The machine that schedules are made for. Throws `TargetError`s where it must be asked and does not answer. */
  machine(options: TargetOptions): Promise<Machine>;
  /** Emits and compiles a plan. Throws `TargetError`s of what the target cannot say, and of its compiler. */
  build(input: TargetInput, options: TargetOptions, time: Timed): Promise<BuiltTarget>;
};
