/**
 * The WGSL target: a planned program as WGSL modules, one a kernel, and the launches of its entries. A kernel has as many
 * modules as its launches lay out its bindings differently; equal ones share one. The text is a function of the program
 * alone, is core WGSL without extensions, and keeps to WebGPU's default limits; where a device that offers more can do
 * better, a kernel has variants beside it. Promises that a program whose kernels pass
 * `verifyKernel` gives modules that WebGPU's validation accepts.
 */
import { fail } from "../../../ir/diagnostic/diagnostic.ts";
import { malformedProgram, workgroupTooLarge } from "../../../ir/diagnostic/messages.ts";
import type { Kernel, Stmt } from "../../../ir/loop/loop.ts";
import { lowerDots } from "../../../ir/loop/lower-dots.ts";
import { lowerShuffles } from "../../../ir/loop/lower-shuffles.ts";
import { allStatements } from "../../../ir/loop/walk.ts";
import type { Launch, PlannedEntry, PlannedProgram } from "../../../ir/program.ts";
import type { GpuFeatures } from "../../../ir/artifact/manifest.ts";
import type { DType } from "../../../ir/type.ts";
import { code, comment, identifier, SourceWriter } from "../../source-writer.ts";
import { accessesOf } from "./access.ts";
import { elementOf, type ArrayView } from "./array.ts";
import { bindLaunch, type BoundLaunch, type WgslAccess, type WgslBinding } from "./bindings.ts";
import { foldBody } from "./fold.ts";
import { wgslLimits } from "./limits.ts";
import { orderingBarriers } from "./barrier.ts";
import { declareBindings } from "./declare.ts";
import { wgslName } from "./spelling.ts";
import { arrayType, writeBody } from "./statement.ts";
import { Support } from "./support.ts";

/** A kernel as a module: the name of its function, and its shape. */
export type WgslKernel = {
  readonly name: string;
  readonly text: string;
  /** Threads of a work-group. */
  readonly threads: number;
  /** Bytes of a work-group's shared arrays. */
  readonly sharedBytes: number;
  readonly bindings: readonly WgslAccess[];
  /** The same kernel for devices that offer more, from the least demanding on. */
  readonly variants: readonly WgslVariant[];
};

/** A kernel as a module that needs features of the device, which whoever loads it enables. */
export type WgslVariant = { readonly text: string; readonly sharedBytes: number; readonly needs: GpuFeatures };

/** One use of a kernel: its number among the program's modules, work-groups, and its bindings in order. */
export type WgslLaunch = {
  readonly kernel: number;
  readonly groups: number;
  readonly bindings: readonly WgslBinding[];
};

/** An emitted program. `launches`: those of each entry, in the entries' order. */
export type WgslProgram = {
  readonly kernels: readonly WgslKernel[];
  readonly launches: readonly (readonly WgslLaunch[])[];
};

/**
 * The modules and launches of a program. Throws a `TargetError`: K5301 and K5305 for types and numbers that WGSL has not,
 * K5302 for kernels that bind too much; an `InternalError` K5304 for work-groups beyond WebGPU's limits.
 */
export function emitWgsl(program: PlannedProgram): WgslProgram {
  const kernels: WgslKernel[] = [];
  const known = new Map<string, number>();
  const names = new Set<string>();
  const emitLaunch = (launch: Launch, entry: PlannedEntry): WgslLaunch => {
    const kernel = program.kernels[launch.kernel];
    if (kernel === undefined) {
      throw fail(malformedProgram(`${entry.name} launches kernel ${launch.kernel} of ${program.kernels.length}`));
    }
    const bound = bindLaunch(kernel, launch, entry);
    const key = JSON.stringify([launch.kernel, bound.accesses, bound.places]);
    let index = known.get(key);
    if (index === undefined) {
      index = kernels.push(emitKernel(kernel, bound, freshName(kernel.name, names))) - 1;
      known.set(key, index);
    }
    return { kernel: index, groups: kernel.tasks, bindings: bound.bindings };
  };
  const launches = program.entries.map((entry) =>
    entry.phases
      .flat()
      .filter(({ kernel }) => program.kernels[kernel]?.tasks !== 0)
      .map((launch) => emitLaunch(launch, entry)),
  );
  return { kernels, launches };
}

function freshName(kernel: string, names: Set<string>): string {
  let name = `kiln_k_${kernel}`;
  for (let number = 2; names.has(name); number++) name = `kiln_k_${kernel}_${number}`;
  names.add(name);
  return name;
}

/** What kernels have variants for, from the least demanding on. Subgroups: software drivers have 4 and 8, GPUs 8, 32 or more. */
const variantNeeds: readonly GpuFeatures[] = [false, true].flatMap((f16) =>
  [1, 4, 8, 32].flatMap((subgroup) => (f16 || subgroup > 1 ? [{ f16, subgroup }] : [])),
);

function emitKernel(kernel: Kernel, bound: BoundLaunch, name: string): WgslKernel {
  const { threads = 1 } = kernel;
  checkLimit(kernel, "threads", threads, wgslLimits.threads);
  const core = emitModule(kernel, { f16: false, subgroup: 1 }, bound, name);
  checkLimit(kernel, "bytes of shared arrays", core.sharedBytes, wgslLimits.sharedBytes);
  const variants: WgslVariant[] = [];
  const known = new Set([core.text]);
  const hasVariants = allStatements(kernel.body).some(({ kind }) => kind === "shuffle" || kind === "dot");
  for (const needs of hasVariants ? variantNeeds : []) {
    const module = emitModule(kernel, needs, bound, name);
    // What a kernel makes no use of does not change its text.
    if (!known.has(module.text)) variants.push({ ...module, needs });
    known.add(module.text);
  }
  return { name, ...core, threads, bindings: bound.accesses, variants };
}

/** Types that subgroups shuffle. */
const shuffled: ReadonlySet<DType> = new Set(["f32", "i32", "i64"]);

/** A kernel's module for a device with these features. */
function emitModule(
  planned: Kernel,
  { f16, subgroup }: GpuFeatures,
  bound: BoundLaunch,
  name: string,
): { readonly text: string; readonly sharedBytes: number } {
  const { threads = 1 } = planned;
  const reach = threads % subgroup === 0 ? subgroup : 0;
  const shuffling = lowerShuffles(planned, (dtype) => (shuffled.has(dtype) ? reach : 0));
  const kernel = f16 ? shuffling : lowerDots(shuffling);
  const body = foldBody(kernel.body);
  const { vectors, whole } = accessesOf(kernel, body);
  const { lines, arrays } = declareBindings(kernel, body, bound, vectors);
  const shared = sharedArrays(body, vectors);
  const sharedBytes = [...shared.keys()].reduce((sum, stmt) => sum + stmt.size * 4, 0);
  const support = new Support();
  const inner = new SourceWriter();
  const wide = kernel.tasks > wgslLimits.groups;
  const task = wide ? code`kiln_task` : code`i32(kiln_group.x)`;
  const ordering = orderingBarriers(kernel, body, bound);
  inner.indented(() =>
    writeBody(body, { arrays, vectors, whole, shared, ordering, task, writer: inner, support, names: { next: 0 } }),
  );
  const writer = new SourceWriter();
  writer.line(comment(kernel.doc));
  writer.line(comment(`tasks ${kernel.tasks}, threads ${threads}, floating-point operations ${kernel.flops}`)).blank();
  for (const line of lines) writer.line(line);
  for (const [stmt, view] of shared) {
    writer.line(code`var<workgroup> ${view.name}: ${arrayType(view.element, stmt.size)};`);
  }
  writer.blank();
  for (const definition of support.definitions()) writer.line(definition).blank();
  const usesGroups = support.usesZero() || wide;
  const params = [code`@builtin(workgroup_id) kiln_group: vec3<u32>`];
  if (threads > 1) params.push(code`@builtin(local_invocation_index) kiln_thread: u32`);
  if (usesGroups) params.push(code`@builtin(num_workgroups) kiln_groups: vec3<u32>`);
  writer.line(code`@compute @workgroup_size(${threads})`);
  writer.line(code`fn ${identifier(name)}(${params}) {`);
  writer.indented(() => {
    if (support.usesZero()) writer.line(code`kiln_zero = u32(kiln_groups.x == 0u);`);
    if (wide) {
      writer.line(code`let kiln_task = i32(kiln_group.x + kiln_group.y * kiln_groups.x);`);
      writer.block(code`if (kiln_task >= ${kernel.tasks}) {`, () => writer.line(code`return;`));
    }
    if (threads > 1) writer.line(code`let thread: i32 = i32(kiln_thread);`);
  });
  const text = `${writer.toString()}${inner.toString()}}\n`;
  return { text, sharedBytes };
}

function checkLimit(kernel: Kernel, what: string, got: number, limit: number): void {
  if (got > limit) throw fail(workgroupTooLarge(kernel.name, what, got, limit));
}

type SharedStmt = Extract<Stmt, { kind: "shared" }>;

/** The shared arrays of a kernel; those of a name that another one has already are numbered. */
function sharedArrays(body: readonly Stmt[], vectors: ReadonlySet<string>): ReadonlyMap<SharedStmt, ArrayView> {
  const found = new Map<SharedStmt, ArrayView>();
  for (const stmt of allStatements(body)) {
    if (stmt.kind !== "shared") continue;
    const before = [...found.keys()].filter(({ name }) => name === stmt.name).length;
    const name = before === 0 ? wgslName(stmt.name) : identifier(`kiln_${stmt.name}_${before}`);
    const element = elementOf(stmt.dtype, vectors.has(stmt.name), `the array ${stmt.name}`);
    found.set(stmt, { name, dtype: stmt.dtype, element, offset: 0 });
  }
  return found;
}
