/**
 * CUDA kernels from kernels of loop IR. A block does one task, whose number is the block's; the threads of a block are
 * those of the task. Takes a kernel that passes `verifyKernel`, gives one `extern "C" __global__` function of its buffers.
 */
import { fail, invariant, unreachable } from "../../../ir/diagnostic/diagnostic.ts";
import { cudaLimit, notOnCuda } from "../../../ir/diagnostic/messages.ts";
import type { BufferParam, Kernel } from "../../../ir/loop/loop.ts";
import { lowerDots } from "../../../ir/loop/lower-dots.ts";
import { lowerShuffles, sharedBytes } from "../../../ir/loop/lower-shuffles.ts";
import { at } from "../../../ir/type.ts";
import { code, comment, type Fragment, type SourceWriter } from "../../source-writer.ts";
import { expressionText } from "../c-family/expression.ts";
import { kernelSymbol } from "../c-family/spelling.ts";
import { unrollFactor, writeBody, type Loop, type Scope, type SpecialStmt } from "../c-family/statement.ts";
import { widestAccess } from "./aligned.ts";
import { narrowIndices } from "./indices.ts";
import { sharedLimit, threadLimit, warp } from "./limits.ts";
import type { CudaSupport } from "./support.ts";

/** What is known of a kernel's buffers over all launches. */
export type BufferFacts = {
  /** Names of buffers that overlap another one of which either is written. */
  readonly aliased: ReadonlySet<string>;
  /** Names of buffers that do not start at a multiple of 16 bytes in every launch. */
  readonly unaligned: ReadonlySet<string>;
};

/** Writes a kernel. */
export function writeKernel(kernel: Kernel, buffers: BufferFacts, writer: SourceWriter, support: CudaSupport): void {
  checkLimits(kernel);
  const { kernel: narrowed, facts } = narrowIndices(
    lowerDots(lowerShuffles(kernel, () => reachOf(kernel))),
    buffers.unaligned,
  );
  support.facts = facts;
  const { threads = 1 } = kernel;
  writer.line(comment(kernel.doc));
  writer.line(comment(`${kernel.tasks} blocks of ${threads} threads, ${kernel.flops} floating-point operations`));
  const arrays = new Map(kernel.buffers.map((buffer) => [buffer.name, buffer.dtype]));
  const alone = kernel.body.filter((stmt) => stmt.kind === "for" && stmt.mode === "tasks").length < 2;
  const statements = { loopHint, special: specialOf(kernel.name, support), tasks: tasksOf(alone) };
  const scope: Scope = { arrays, variables: new Map(), writer, support, statements };
  const params = kernel.buffers.map((buffer) => parameter(buffer, buffers.aliased.has(buffer.name), support));
  // One block a multiprocessor is the least: it lets a thread have as many registers as there are.
  const bounds = code`__launch_bounds__(${threads}, 1)`;
  writer.block(code`extern "C" __global__ void ${bounds} ${kernelSymbol(kernel.name)}(${params}) {`, () => {
    if (threads > 1) writer.line(code`const int thread = (int)threadIdx.x;`);
    writeBody(narrowed.body, scope);
  });
  writer.blank();
}

/** Threads of a whole warp read each other's registers. */
function reachOf({ threads = 1 }: Kernel): number {
  return threads % warp === 0 ? warp : 0;
}

/** Bytes of a kernel's shared arrays. */
export function sharedBytesOf(kernel: Kernel): number {
  return sharedBytes(kernel.body, kernel.threads ?? 1, () => reachOf(kernel), widestAccess);
}

function checkLimits(kernel: Kernel): void {
  const limits: readonly (readonly [what: string, got: number, limit: number])[] = [
    ["threads", kernel.threads ?? 1, threadLimit],
    ["bytes of shared arrays", sharedBytesOf(kernel), sharedLimit],
    ["blocks of a grid", kernel.tasks, 2 ** 31 - 1],
  ];
  for (const [what, got, limit] of limits) if (got > limit) throw fail(cudaLimit(kernel.name, what, got, limit));
}

/** `__restrict__` promises that nothing else touches what the pointer reaches. */
function parameter(buffer: BufferParam, aliased: boolean, support: CudaSupport): Fragment {
  const constant = buffer.access === "read" ? code`const ` : code``;
  const restrict = aliased ? code`` : code`__restrict__ `;
  const { spelling } = support;
  return code`${constant}${spelling.element(buffer.dtype)} *${restrict}${spelling.name(buffer.name)}`;
}

function loopHint(loop: Loop): Fragment | undefined {
  return loop.mode === "unroll" ? code`#pragma unroll ${unrollFactor(loop)}` : undefined;
}

/** The number of the task is the block's; where tasks are looped over more than once, each body is a scope of its own. */
function tasksOf(alone: boolean) {
  return (loop: Loop, { writer, support }: Scope, body: () => void): void => {
    const type = support.type(loop.begin.type);
    const number = code`const ${type} ${support.spelling.name(loop.name)} = (${type})blockIdx.x;`;
    const inside = (): void => {
      writer.line(number);
      body();
    };
    if (alone) inside();
    else writer.block(code`{`, inside);
  };
}

function specialOf(kernel: string, support: CudaSupport) {
  const { spelling } = support;
  return (stmt: SpecialStmt): readonly Fragment[] => {
    switch (stmt.kind) {
      case "local":
        return [
          code`__align__(${widestAccess}) ${spelling.element(stmt.dtype)} ${spelling.name(stmt.name)}[${stmt.size}];`,
        ];
      case "shared":
        return [code`KILN_SHARED(${[spelling.element(stmt.dtype), spelling.name(stmt.name), code`${stmt.size}`]});`];
      case "barrier":
        return [code`__syncthreads();`];
      case "shuffle":
        return stmt.values.map((value, i) => {
          const name = spelling.name(at(stmt.names, i));
          const text = expressionText(value, support);
          return code`const ${support.type(value.type)} ${name} = __shfl_xor_sync(0xffffffffu, ${text}, ${stmt.distance});`;
        });
      case "mma": {
        const operands = [...stmt.a, ...stmt.b].map((expr) => expressionText(expr, support));
        return [code`${support.mma(stmt.format)}(${[...stmt.sums.map((name) => spelling.name(name)), ...operands]});`];
      }
      case "dot":
        invariant(false, "a kernel for CUDA holds a dot");
        break;
      case "draw":
        throw fail(notOnCuda(kernel, "it draws from a sequential generator"));
      default:
        return unreachable(stmt);
    }
  };
}
