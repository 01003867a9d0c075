/**
 * Runs steps on this machine's processor: binds an entry's buffers to memory that the native addon may touch and calls
 * the program's library through it. State lies in one region that host and kernels share, so it is always up to date.
 */
import type { LoadedManifest, ManifestBuffer, ManifestEntry } from "../ir/artifact/manifest.ts";
import { fail, invariant, unreachable } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { at, byteLength } from "../ir/type.ts";
import type { Executor, Work } from "./executor.ts";
import { aligned, allocateWords, Staging } from "./memory.ts";
import { nativeError, type NativeAddon, type NativeBuffers, type NativeProgram, type NativeView } from "./native.ts";
import { entryLabel } from "./target-check.ts";
import { bytesOf, type TypedArray } from "./typed-array.ts";

/** A program on the processor. */
export class CpuExecutor implements Executor {
  readonly stretchTime = 50;
  readonly device = "cpu";
  readonly threads: number;
  readonly region: ArrayBuffer;
  readonly #native: NativeProgram;
  /** Index of each entry in the library, by label. */
  readonly #places: ReadonlyMap<string, number>;
  readonly #state: Float64Array;
  readonly #arena: Float64Array;
  readonly #staging: Staging;
  #last: ManifestEntry | undefined;

  /** Takes over an opened library. @throws TargetError K5008 if it does not belong to the manifest. */
  constructor(manifest: LoadedManifest, addon: NativeAddon, native: NativeProgram, threads: number) {
    this.threads = threads;
    this.#native = native;
    this.#places = matchEntries(manifest, native);
    this.#state = allocateWords(addon, manifest.state.bytes);
    this.#arena = allocateWords(addon, Math.max(0, ...manifest.entries.map((entry) => entry.arenaBytes)));
    this.#staging = new Staging(addon);
    this.region = this.#state.buffer as ArrayBuffer; // allocated as one just above
  }

  get description(): string {
    return `${process.arch}, ${this.threads} ${this.threads === 1 ? "thread" : "threads"}`;
  }

  /** As many as a run likes. */
  mostSteps(): number {
    return Infinity;
  }

  /** Runs a stretch off the JavaScript thread. @throws TargetError K5003. */
  async run(work: Work): Promise<number> {
    const { views, strides, bytes } = this.#bind(work);
    try {
      return await this.#native.run(this.#placeOf(work.entry), work.steps, this.threads, views, strides, bytes);
    } catch (error) {
      throw nativeError(error);
    }
  }

  /** Runs a stretch on the JavaScript thread. @throws TargetError K5003. */
  runSync(work: Work): number {
    const { views, strides, bytes } = this.#bind(work);
    try {
      return this.#native.runSync(this.#placeOf(work.entry), work.steps, this.threads, views, strides, bytes);
    } catch (error) {
      throw nativeError(error);
    }
  }

  /** Ends the stretch that runs after the step under way. */
  stop(): void {
    this.#native.stop();
  }

  /** The words of the last stretch's status buffer. */
  status(): Int32Array {
    return new Int32Array(this.#staging.place("status", 16).buffer, 0, 4);
  }

  /** Copies results, closing the gaps that align each step's. */
  collect(place: number, into: TypedArray): void {
    invariant(this.#last !== undefined, "results before anything ran");
    const buffer = at(this.#last.buffers, place);
    const size = byteLength(buffer);
    const stride = aligned(size);
    const to = bytesOf(into);
    const from = bytesOf(this.#staging.place(`output ${buffer.name}`, 0));
    for (let step = 0; step * size < to.length; step++)
      to.set(from.subarray(step * stride, step * stride + size), step * size);
  }

  /** The region is what the kernels work on. */
  async fetch(): Promise<void> {
    return undefined;
  }

  /** The region is what the kernels work on. */
  fetchSync(): void {
    return undefined;
  }

  /** The region is what the kernels work on. */
  changed(): void {
    return undefined;
  }

  /** Gives the library back. */
  async close(): Promise<void> {
    this.#native.close();
  }

  #placeOf(entry: ManifestEntry): number {
    return this.#places.get(entryLabel(entry)) ?? 0;
  }

  #bind({ entry, steps, given }: Work): NativeBuffers {
    this.#last = entry;
    const views: NativeView[] = [];
    const strides: number[] = [];
    const bytes: number[] = [];
    for (const [place, buffer] of entry.buffers.entries()) {
      const { view, stride, size } = this.#bindOne(entry, buffer, steps, given[place]);
      views.push(view);
      strides.push(stride);
      bytes.push(size);
    }
    return { views, strides, bytes };
  }

  /** What the addon is given for a buffer in a stretch. */
  #bindOne(
    entry: ManifestEntry,
    buffer: ManifestBuffer,
    steps: number,
    given: Work["given"][number],
  ): { readonly view: NativeView; readonly stride: number; readonly size: number } {
    const staging = this.#staging;
    const size = byteLength(buffer);
    switch (buffer.role) {
      case "state":
        return { view: this.#state, stride: 0, size: this.#state.byteLength };
      case "arena":
        return { view: this.#arena, stride: 0, size: entry.arenaBytes };
      case "status":
        return { view: staging.place("status", size).fill(0), stride: 0, size };
      case "output":
        return { view: staging.place(`output ${buffer.name}`, aligned(size) * steps), stride: aligned(size), size };
      case "generator":
        return { view: mustBe(given), stride: 0, size };
      case "dataset": {
        const view = mustBe(given);
        return { view: staging.lasting(view), stride: 0, size: view.byteLength };
      }
      case "input":
      case "indices":
      case "scalars":
      case "draws":
      case "key":
        return { view: staging.passing(`${buffer.role} ${buffer.name}`, mustBe(given)), stride: size, size };
      default:
        return unreachable(buffer.role);
    }
  }
}

function mustBe(given: Work["given"][number]): NativeView {
  invariant(given !== undefined, "a buffer that the host gives is missing");
  return given;
}

/** The place of each of the manifest's entries in the library. @throws TargetError K5008 if they do not belong together. */
function matchEntries(manifest: LoadedManifest, native: NativeProgram): Map<string, number> {
  const found = native.entries;
  return new Map(
    manifest.entries.map((entry) => {
      const label = entryLabel(entry);
      const place = found.findIndex((each) => each.name === label);
      const declared = found[place];
      const expected = `${entry.buffers.length} buffers, ${entry.phases} phases`;
      if (declared === undefined) throw fail(messages.libraryMismatch(label, expected, "no such entry"));
      if (declared.buffers !== entry.buffers.length || declared.phases !== entry.phases)
        throw fail(messages.libraryMismatch(label, expected, `${declared.buffers} buffers, ${declared.phases} phases`));
      return [label, place];
    }),
  );
}
