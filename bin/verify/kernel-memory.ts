/**
 * Memory for checking one kernel: for each of its buffers what the device gets and, behind the same first contents, what
 * the interpreter gets. Buffers lie where the kernel's launch has them, so that two that share memory on the device share
 * it here too. Contents are random: floats in [-1, 1), integers 0 to 3 (so that they are valid as indices nearly
 * everywhere), bools 0 and 1. What a kernel only writes starts as a mark that no kernel writes.
 */
import { invariant } from "../../ir/diagnostic/diagnostic.ts";
import type { LoopArray } from "../../ir/loop/interpret.ts";
import { unboundedSize, type BufferParam } from "../../ir/loop/loop.ts";
import type { PlannedBuffer } from "../../ir/program.ts";
import { Generator } from "../../ir/random/generator.ts";
import { at, dtypeBytes, elementCount, isFloat, type DType } from "../../ir/type.ts";
import type { RunnableKernel } from "./runner.ts";

/** Rows that a data set's field gets; integers in buffers are smaller. */
const datasetRows = 4;

/** Random numbers repeat after this many elements, a prime so that rows differ. */
const period = 65521;

/** One buffer of a kernel. */
export type KernelBuffer = {
  readonly param: BufferParam;
  readonly role: PlannedBuffer["role"];
  /** What the device is given. */
  readonly native: LoopArray;
  /** What the interpreter is given; the same memory if the kernel writes nowhere near. */
  readonly reference: LoopArray;
  /** What both held first; `undefined` if the kernel writes nowhere near. */
  readonly first: LoopArray | undefined;
};

/** The memory of a kernel. */
export type KernelMemory = {
  readonly buffers: readonly KernelBuffer[];
  /** What the device is given, region by region. */
  readonly regions: readonly ArrayBuffer[];
};

/** Options of `kernelMemory`. */
export type MemoryOptions = {
  /** Gives zeroed memory that the device can be given. */
  readonly allocate: (bytes: number) => ArrayBuffer;
  readonly random: Generator;
  /** Floats in (0, 1) instead, for kernels that take roots or logarithms. */
  readonly positive: boolean;
};

/** Memory with random contents. */
export function kernelMemory({ kernel, places, regions }: RunnableKernel, options: MemoryOptions): KernelMemory {
  const { allocate, random, positive } = options;
  const sizes = kernel.buffers.map((param, i) => elementsOf(param, at(places, i).shape));
  const given = regions.map((least, region) => allocate(regionBytes(least, region, { kernel, places, sizes })));
  const native = kernel.buffers.map(({ dtype }, i) => {
    const { region, offset } = at(places, i);
    return loopArrayOn(at(given, region), offset, dtype, at(sizes, i));
  });
  // What is only written goes first: where it shares memory with what is read, that is what lies there.
  for (const reads of [false, true]) {
    kernel.buffers.forEach(({ dtype, access }, i) => {
      if ((access !== "write") !== reads) return;
      fill(at(native, i), { role: at(places, i).role, dtype, isMarked: access === "write" }, { random, positive });
    });
  }
  const written = new Set(kernel.buffers.flatMap(({ access }, i) => (access === "read" ? [] : [at(places, i).region])));
  const copies = (): readonly ArrayBuffer[] =>
    given.map((bytes, region) => (written.has(region) ? bytes.slice(0) : bytes));
  const [references, firsts] = [copies(), copies()];
  const buffers = kernel.buffers.map((param, i): KernelBuffer => {
    const { role, region, offset } = at(places, i);
    const view = (of: readonly ArrayBuffer[]): LoopArray =>
      loopArrayOn(at(of, region), offset, param.dtype, at(sizes, i));
    const first = written.has(region) ? view(firsts) : undefined;
    return { param, role, native: at(native, i), reference: view(references), first };
  });
  return { buffers, regions: given };
}

function elementsOf({ size }: BufferParam, shape: readonly number[]): number {
  return size === unboundedSize ? datasetRows * elementCount(shape.slice(1)) : size;
}

type Sized = Pick<RunnableKernel, "kernel" | "places"> & { readonly sizes: readonly number[] };

function regionBytes(least: number, region: number, { kernel, places, sizes }: Sized): number {
  const ends = kernel.buffers.map(({ dtype }, i) => {
    const place = at(places, i);
    return place.region === region ? place.offset + at(sizes, i) * dtypeBytes[dtype] : 0;
  });
  return Math.max(least, ...ends);
}

type Filling = { readonly role: PlannedBuffer["role"]; readonly dtype: DType; readonly isMarked: boolean };

/** First contents, as the head of this file says. */
function fill(
  array: LoopArray,
  { role, dtype, isMarked }: Filling,
  { random, positive }: Pick<MemoryOptions, "random" | "positive">,
): void {
  if (role === "generator") seed(array, random);
  else if (role === "key") randomWords(array, random);
  else if (role === "status")
    array.fill(0 as never); // zero of either number type
  else if (isMarked)
    array.fill(mark(array) as never); // likewise
  else fillRandom(array, dtype, random, positive);
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

function randomWords(array: LoopArray, random: Generator): void {
  invariant(array instanceof Int32Array, "a key is words");
  for (let i = 0; i < array.length; i++) array[i] = random.nextU32() | 0;
}

/** `size` elements of a region from a byte on. */
function loopArrayOn(buffer: ArrayBuffer, offset: number, dtype: DType, size: number): LoopArray {
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
