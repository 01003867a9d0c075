/**
 * Memory for checking one kernel: for each of its buffers what native code gets and, behind the same first contents, what
 * the interpreter gets. Contents are random: floats in [-1, 1), integers 0 to 3 (so that they are valid as indices nearly
 * everywhere), bools 0 and 1. What a kernel only writes starts as a mark that no kernel writes.
 */
import { invariant } from "../../ir/diagnostic/diagnostic.ts";
import type { LoopArray } from "../../ir/loop/interpret.ts";
import { unboundedSize, type BufferParam, type Kernel } from "../../ir/loop/loop.ts";
import type { PlannedBuffer, PlannedProgram } from "../../ir/program.ts";
import { Generator } from "../../ir/random/generator.ts";
import { at, dtypeBytes, elementCount, isFloat, type DType, type Shape } from "../../ir/type.ts";
import { allocateWords } from "../../runtime/memory.ts";
import type { NativeAddon } from "../../runtime/native.ts";

/** Rows that a data set's field gets; integers in buffers are smaller. */
const datasetRows = 4;

/** Random numbers repeat after this many elements, a prime so that rows differ. */
const period = 65521;

/** What a kernel's buffer is at a launch of it. */
export type BufferUse = Pick<PlannedBuffer, "role" | "shape">;

/** One buffer of a kernel. */
export type KernelBuffer = {
  readonly param: BufferParam;
  readonly role: PlannedBuffer["role"];
  /** What native code is given. */
  readonly native: LoopArray;
  /** What the interpreter is given; the same memory if the kernel only reads. */
  readonly reference: LoopArray;
  /** What both held first; `undefined` if nothing writes there. */
  readonly first: LoopArray | undefined;
};

/** For each kernel, what its buffers are at its first launch. */
export function bufferUses(program: PlannedProgram): Map<number, readonly BufferUse[]> {
  const uses = new Map<number, readonly BufferUse[]>();
  for (const { buffers, phases } of program.entries)
    for (const { kernel, args } of phases.flat())
      if (!uses.has(kernel))
        uses.set(
          kernel,
          args.map(({ buffer }) => at(buffers, buffer)),
        );
  return uses;
}

/** Memory with random contents. `positive`: floats in (0, 1) instead, for kernels that take roots or logarithms. */
export function kernelMemory(
  addon: NativeAddon,
  kernel: Kernel,
  uses: readonly BufferUse[],
  { random, positive }: { readonly random: Generator; readonly positive: boolean },
): KernelBuffer[] {
  return kernel.buffers.map((param, i): KernelBuffer => {
    const { role, shape } = at(uses, i);
    const size = sizeOf(param, shape);
    const native = allocated(addon, param.dtype, size);
    fillBuffer(native, { param, role, random, positive });
    if (param.access === "read") return { param, role, native, reference: native, first: undefined };
    return { param, role, native, reference: native.slice(), first: native.slice() };
  });
}

/** Elements of a kernel's buffer; `shape` is that of the buffer of the entry which it is, or is a part of. */
export function sizeOf(param: BufferParam, shape: Shape): number {
  return param.size === unboundedSize ? datasetRows * elementCount(shape.slice(1)) : param.size;
}

/** How a buffer is filled. */
type Filling = {
  readonly param: BufferParam;
  readonly role: PlannedBuffer["role"];
  readonly random: Generator;
  readonly positive: boolean;
};

/** Gives a buffer its first contents. */
export function fillBuffer(array: LoopArray, { param, role, random, positive }: Filling): void {
  if (role === "generator") seed(array, random);
  else if (role === "key") for (let i = 0; i < array.length; i++) array[i] = random.nextU32() | 0;
  else if (role === "status")
    array.fill(0 as never); // zero of either number type
  else if (param.access === "write")
    array.fill(mark(array) as never); // likewise
  else fillRandom(array, param.dtype, random, positive);
}

/** What stands where nothing was written. */
function mark(array: LoopArray): number | bigint {
  if (array instanceof BigInt64Array) return 85n;
  return array instanceof Float32Array || array instanceof Float64Array ? Number.NaN : 85;
}

/** Random contents as `kernelMemory` says. */
function fillRandom(array: LoopArray, dtype: DType, random: Generator, positive: boolean): void {
  const count = Math.min(period, array.length);
  const draw = (): number => {
    const number = random.nextFloat24();
    if (dtype === "bool") return Number(number < 0.5);
    if (!isFloat(dtype)) return Math.floor(number * datasetRows);
    return positive ? number + 2 ** -25 : 2 * number - 1;
  };
  if (array instanceof BigInt64Array) for (let i = 0; i < count; i++) array[i] = BigInt(draw());
  else for (let i = 0; i < count; i++) array[i] = draw();
  for (let done = count; done < array.length; done *= 2) array.copyWithin(done, 0, Math.min(done, array.length - done));
}

function seed(array: LoopArray, random: Generator): void {
  const { state } = Generator.seeded(random.nextU32());
  invariant(array instanceof Int32Array && array.length === state.length, "a generator's state is 630 words");
  array.set(state);
}

/** An array in memory that native code may read a little past. */
function allocated(addon: NativeAddon, dtype: DType, size: number): LoopArray {
  return arrayOn(dtype, allocateWords(addon, size * dtypeBytes[dtype]).buffer, 0, size);
}

/** `size` elements from byte `offset` of a buffer on, as the interpreter takes them. */
export function arrayOn(dtype: DType, buffer: ArrayBufferLike, offset: number, size: number): LoopArray {
  switch (dtype) {
    case "f32":
      return new Float32Array(buffer, offset, size);
    case "f64":
      return new Float64Array(buffer, offset, size);
    case "i8":
      return new Int8Array(buffer, offset, size);
    case "u8":
    case "bool":
      return new Uint8Array(buffer, offset, size);
    case "i16":
      return new Int16Array(buffer, offset, size);
    case "i32":
      return new Int32Array(buffer, offset, size);
    case "i64":
      return new BigInt64Array(buffer, offset, size);
    case "f16":
    case "bf16":
      invariant(false, `no kernel computes with ${dtype}`);
  }
}
