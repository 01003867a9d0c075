/**
 * What `runJobs` puts into a page of Chromium: runs a job, given as JSON, through `runtime/gpu/webgpu.ts`, and gives the
 * results as JSON. One device serves all jobs of a page.
 */
import type { GpuDevice } from "../../runtime/gpu/device.ts";
import { openWebGpu } from "../../runtime/gpu/webgpu.ts";
import type { EncodedJob, EncodedResult } from "./jobs.ts";

let opened: Promise<GpuDevice> | undefined;

const decode = (text: string): Uint8Array => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
/** A call takes only so many arguments. */
const piece = 2 ** 14;

function encode(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let i = 0; i < bytes.length; i += piece) parts.push(String.fromCharCode(...bytes.subarray(i, i + piece)));
  return btoa(parts.join(""));
}

async function run(device: GpuDevice, job: EncodedJob): Promise<EncodedResult> {
  const module = await device.load({ kernels: job.kernels });
  const contents = job.buffers.map(decode);
  const memories = contents.map((bytes) => device.allocate(bytes.byteLength));
  const memory = (i: number): (typeof memories)[number] => {
    const found = memories[i];
    if (found === undefined) throw new RangeError(`buffer ${i} of ${memories.length}`);
    return found;
  };
  try {
    contents.forEach((bytes, i) => device.write(memory(i), 0, bytes));
    const launches = job.launches.map(({ kernel, groups, bindings }) => ({
      kernel,
      groups,
      bindings: bindings.map(({ buffer, offset, bytes, stride = 0 }) => ({
        memory: memory(buffer),
        offset,
        bytes,
        stride,
      })),
    }));
    const sequence = device.sequence(module, launches);
    const steps = await sequence.run(job.steps ?? 1);
    const results = job.results.map((i) => new Uint8Array(memory(i).bytes));
    await Promise.all(results.map((into, i) => device.read(memory(job.results[i] ?? 0), 0, into)));
    sequence.free();
    return { steps, buffers: results.map(encode) };
  } finally {
    for (const each of memories) each.free();
    module.free();
  }
}

async function runJob(text: string): Promise<EncodedResult> {
  try {
    return await run(await (opened ??= openWebGpu()), JSON.parse(text) as EncodedJob); // `runJobs` wrote it
  } catch (error) {
    const code = typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
    return { code, message: error instanceof Error ? error.message : String(error) };
  }
}

async function info(): Promise<GpuDevice["info"]> {
  return (await (opened ??= openWebGpu())).info;
}

Object.assign(globalThis, { kilnJobs: { runJob, info } });
