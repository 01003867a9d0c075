/**
 * The arena: temporaries share bytes when their lives do not overlap. A life runs from the first to the last phase that
 * touches the buffer, whole phases at a time, so no barrier is needed for the sharing itself. Largest first, each at the
 * lowest free offset.
 */
import { bufferBytes, slackElements, type Buffer } from "./buffer.ts";

/** Alignment of every buffer, in bytes, where a machine does not ask for more: a cache line, and the widest vector. */
const leastAlignment = 64;

/** First and last phase that touch a buffer. */
export type Life = { readonly buffer: Buffer; readonly first: number; readonly last: number };

/** A size rounded up, with the slack that vector reads may run over. */
export function paddedBytes(buffer: Buffer, alignment = leastAlignment): number {
  return Math.ceil((bufferBytes(buffer) + slackElements * 4) / alignment) * alignment;
}

/** Offsets in bytes, and the size of the arena. */
export function placeBuffers(
  lives: readonly Life[],
  alignment?: number,
): {
  readonly offsets: ReadonlyMap<Buffer, number>;
  readonly bytes: number;
} {
  const offsets = new Map<Buffer, number>();
  const placed: (Life & { readonly begin: number; readonly end: number })[] = [];
  const bySize = lives.toSorted(
    (a, b) => paddedBytes(b.buffer, alignment) - paddedBytes(a.buffer, alignment) || a.first - b.first,
  );
  for (const life of bySize) {
    const size = paddedBytes(life.buffer, alignment);
    const meeting = placed
      .filter(({ first, last }) => first <= life.last && life.first <= last)
      .toSorted((a, b) => a.begin - b.begin);
    let begin = 0;
    for (const other of meeting) {
      if (other.begin >= begin + size) break;
      begin = Math.max(begin, other.end);
    }
    offsets.set(life.buffer, begin);
    placed.push({ ...life, begin, end: begin + size });
  }
  return { offsets, bytes: placed.reduce((most, { end }) => Math.max(most, end), 0) };
}
