/**
 * Memory for programs. A kernel may read a vector past the end of what it is given, so every buffer must have readable
 * bytes behind it: regions come with them, and arrays from outside are copied where they lack them.
 */
import { callNative, slackBytes, type NativeAddon, type NativeView } from "./native.ts";
import { bytesOf } from "./typed-array.ts";

/** Bytes that the start of every step's part of a buffer is aligned to. */
export const alignment = 64;

/** `bytes`, rounded up to the alignment. */
export function aligned(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

/** Memory of `bytes`, zeroed and aligned, in words, so that its views reach past the longest array of bytes. */
export function allocateWords(native: NativeAddon, bytes: number): Float64Array {
  return new Float64Array(callNative(() => native.allocate(Math.max(aligned(bytes), alignment))));
}

/** Whether enough memory lies behind `view` in its own buffer. */
function hasSlack(view: ArrayBufferView): boolean {
  return view.buffer.byteLength - view.byteOffset - view.byteLength >= slackBytes;
}

/** Arrays from outside, made fit for kernels. */
export class Staging {
  readonly #native: NativeAddon;
  readonly #places: Map<string, Float64Array> = new Map();
  /** Copies by the memory they were made of, then by the part of it. */
  readonly #copies: WeakMap<ArrayBufferLike, Map<string, Uint8Array>> = new WeakMap();

  constructor(native: NativeAddon) {
    this.#native = native;
  }

  /** `view` itself if it has slack, else a copy that lasts until the next one for the same `key`. */
  passing(key: string, view: NativeView): NativeView {
    if (hasSlack(view)) return view;
    const copy = new Uint8Array(this.place(key, view.byteLength).buffer, 0, view.byteLength);
    copy.set(bytesOf(view));
    return copy;
  }

  /** The same for an array that does not change while it is in use (a data set): copied once. */
  lasting(view: NativeView): NativeView {
    if (hasSlack(view)) return view;
    const copies = this.#copies.get(view.buffer) ?? new Map<string, Uint8Array>();
    this.#copies.set(view.buffer, copies);
    const part = `${view.byteOffset}+${view.byteLength}`;
    let copy = copies.get(part);
    if (copy === undefined) {
      copy = new Uint8Array(callNative(() => this.#native.allocate(view.byteLength)));
      copy.set(bytesOf(view));
      copies.set(part, copy);
    }
    return copy;
  }

  /** Memory of at least `bytes` under a key, with whatever was last in it; lasts until a larger one is asked for. */
  place(key: string, bytes: number): Float64Array {
    const known = this.#places.get(key);
    if (known !== undefined && known.byteLength >= bytes) return known;
    const place = allocateWords(this.#native, bytes);
    this.#places.set(key, place);
    return place;
  }
}
