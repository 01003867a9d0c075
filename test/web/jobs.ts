/**
 * Runs kernels in headless Chromium: each job is a program of kernels, buffers with their first contents, and a sequence
 * of launches; its result is what some of the buffers hold afterwards, or the error that the device gave.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { packageRoot } from "../../runtime/package-root.ts";
import type { GpuInfo, GpuKernel } from "../../runtime/gpu/device.ts";
import { Chromium, StaticServer, type Page } from "./chromium.ts";

/** One use of a kernel; `buffer`: a number in the job's buffers. */
export type JobLaunch = {
  readonly kernel: number;
  readonly groups: number;
  readonly bindings: readonly {
    readonly buffer: number;
    readonly offset: number;
    readonly bytes: number;
    readonly stride?: number;
  }[];
};

/** Kernels to run. */
export type Job = {
  readonly kernels: readonly GpuKernel[];
  /** Contents of the buffers before. */
  readonly buffers: readonly Uint8Array[];
  readonly launches: readonly JobLaunch[];
  /** How many times the launches run; 1 if left out. */
  readonly steps?: number;
  /** Numbers of the buffers to read afterwards. */
  readonly results: readonly number[];
};

/** The buffers that were asked for, or why there are none: the code and the text of the device's error. */
export type JobResult =
  | { readonly steps: number; readonly buffers: readonly Uint8Array[] }
  | { readonly code: string; readonly message: string };

/** A job with its bytes in base64. */
export type EncodedJob = Omit<Job, "buffers"> & { readonly buffers: readonly string[] };

/** A result with its bytes in base64. */
export type EncodedResult =
  { readonly steps: number; readonly buffers: readonly string[] } | { readonly code: string; readonly message: string };

/** A page in a Chromium of its own that runs jobs. */
export class JobRunner {
  readonly #folder: string;
  readonly #server: StaticServer;
  readonly #chromium: Chromium;
  readonly #page: Page;

  private constructor(folder: string, server: StaticServer, chromium: Chromium, page: Page) {
    this.#folder = folder;
    this.#server = server;
    this.#chromium = chromium;
    this.#page = page;
  }

  /** Starts the Chromium at `path` (`findChromium`). */
  static async start(path: string): Promise<JobRunner> {
    const folder = mkdtempSync(join(tmpdir(), "kiln-jobs-"));
    await build({
      entryPoints: [join(packageRoot(), "test", "web", "jobs-page.ts")],
      bundle: true,
      format: "iife",
      target: "es2023",
      outfile: join(folder, "page.js"),
      logLevel: "error",
    });
    writeFileSync(
      join(folder, "index.html"),
      '<!doctype html><title>jobs</title><link rel="icon" href="data:,"><script src="page.js"></script>',
    );
    const server = await StaticServer.start(folder);
    const chromium = await Chromium.start(path);
    return new JobRunner(folder, server, chromium, await chromium.open(server.url));
  }

  /** What the page complained about. */
  get complaints(): readonly string[] {
    return this.#page.complaints;
  }

  /** What the device is and allows. */
  async info(): Promise<GpuInfo> {
    return this.#page.evaluate("kilnJobs.info()");
  }

  /** Runs a job. */
  async run(job: Job): Promise<JobResult> {
    const encoded: EncodedJob = { ...job, buffers: job.buffers.map(encode) };
    const argument = JSON.stringify(JSON.stringify(encoded));
    const result = await this.#page.evaluate<EncodedResult>(`kilnJobs.runJob(${argument})`);
    return "code" in result ? result : { ...result, buffers: result.buffers.map(decode) };
  }

  /** Ends Chromium. */
  async close(): Promise<void> {
    await this.#chromium.close();
    await this.#server.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Runs jobs one after the other in a Chromium of their own. */
export async function runJobs(path: string, jobs: readonly Job[]): Promise<JobResult[]> {
  const runner = await JobRunner.start(path);
  try {
    const results: JobResult[] = [];
    for (const job of jobs) results.push(await runner.run(job));
    return results;
  } finally {
    await runner.close();
  }
}

function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

function decode(text: string): Uint8Array {
  // A copy of its own: its address is aligned.
  return new Uint8Array(Buffer.from(text, "base64"));
}
