/**
 * PyTorch's CPU generator, bit for bit: MT19937 (Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8(1), 1998)
 * seeded from the low 32 bits of a seed, plus the second value of a Box-Muller pair that is kept for the next call.
 * Everything lies in one `Uint32Array`, which native code reads and writes in place; nothing is cached outside it.
 */
import { fail } from "../diagnostic/diagnostic.ts";
import { badGeneratorState, badSeed } from "../diagnostic/messages.ts";

/**
 * Layout of a generator's state, in 32-bit words; part of the contract with emitted programs and checkpoints.
 * Words `0 … 623` are the Mersenne Twister's. Words past `keptHigh` are zero.
 */
export const stateLayout = {
  /** Number of 32-bit words in all. */
  words: 630,
  /** Number of words of the Mersenne Twister. */
  twister: 624,
  /** Index of the word that holds the index of the next output, 0 … 624; at 624 the twister must be refilled first. */
  position: 624,
  /** Index of the word that is 1 while a normal value is kept, else 0. */
  hasKept: 625,
  /** Indices of the words with the low and the high half of the kept float64; both 0 while none is kept. */
  keptLow: 626,
  keptHigh: 627,
} as const;

const { twister: size, position } = stateLayout;
/** Distance of the word that a word is mixed with (m of the paper). */
const shift = 397;
const matrix = 0x9908b0df;

const keptBits = new Uint32Array(2);
const keptValue = new Float64Array(keptBits.buffer);
/** Index of the low half of a float64 on this machine; the state's order does not depend on it. */
const lowHalf = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 0 : 1;

/** A stream of random numbers. A new one is seeded with PyTorch's default seed, 67280421310721. */
export class Generator {
  /** The whole state, laid out as `stateLayout` says; shared with native code, never replaced. */
  readonly state: Uint32Array;

  /** Takes over `state` as it is, if given (630 words, checked), else makes and seeds one. */
  constructor(state?: Uint32Array) {
    this.state = state ?? new Uint32Array(stateLayout.words);
    if (state === undefined) this.manualSeed(67280421310721n);
    else checkState(state);
  }

  /** A generator seeded with `seed`. */
  static seeded(seed: number | bigint): Generator {
    const generator = new Generator();
    generator.manualSeed(seed);
    return generator;
  }

  /**
   * Starts the stream that belongs to `seed` and forgets a kept normal. Any integer that fits in 64 bits, signed or
   * not, is a seed; only its low 32 bits matter.
   *
   * @throws UserError K3101 for anything else.
   */
  manualSeed(seed: number | bigint): void {
    if (typeof seed === "number" && !Number.isSafeInteger(seed)) throw fail(badSeed(String(seed)));
    const whole = BigInt(seed);
    if (whole < -(2n ** 63n) || whole >= 2n ** 64n) throw fail(badSeed(String(seed)));
    const { state } = this;
    state.fill(0);
    let word = Number(BigInt.asUintN(32, whole));
    state[0] = word;
    for (let i = 1; i < size; i++) {
      word = (Math.imul(1812433253, word ^ (word >>> 30)) + i) | 0;
      state[i] = word;
    }
    state[position] = size;
  }

  /** The next output, an unsigned 32-bit integer. */
  nextU32(): number {
    const { state } = this;
    let index = state[position] ?? size;
    if (index >= size) {
      refill(state);
      index = 0;
    }
    state[position] = index + 1;
    return temper(state[index] ?? 0) >>> 0;
  }

  /** The next 64-bit integer as `[high, low]`, unsigned; the high half is drawn first. */
  nextU64(): readonly [high: number, low: number] {
    const high = this.nextU32();
    return [high, this.nextU32()];
  }

  /** Uniform in [0, 1) with 24 bits: PyTorch's float32 `rand`. One 32-bit output. */
  nextFloat24(): number {
    return (this.nextU32() & 0xffffff) * 2 ** -24;
  }

  /** Uniform in [0, 1) with 53 bits: PyTorch's float64 `rand`. Two 32-bit outputs. */
  nextFloat53(): number {
    const high = this.nextU32() & 0x1fffff;
    return (high * 2 ** 32 + this.nextU32()) * 2 ** -53;
  }

  /** Fills `out[start … start + count)` with outputs; the same as `count` calls of `nextU32`, several times faster. */
  fillU32(out: Uint32Array, start = 0, count: number = out.length - start): void {
    const { state } = this;
    let index = state[position] ?? size;
    const end = start + count;
    for (let done = start; done < end;) {
      if (index >= size) {
        refill(state);
        index = 0;
      }
      const stop = Math.min(end, done + size - index);
      while (done < stop) out[done++] = temper(state[index++] ?? 0);
    }
    state[position] = index;
  }

  /** The kept normal, which is then no longer kept; `undefined` if there is none. */
  takeKeptNormal(): number | undefined {
    const { state } = this;
    if (state[stateLayout.hasKept] !== 1) return undefined;
    keptBits[lowHalf] = state[stateLayout.keptLow] ?? 0;
    keptBits[1 - lowHalf] = state[stateLayout.keptHigh] ?? 0;
    state.fill(0, stateLayout.hasKept, stateLayout.keptHigh + 1);
    return keptValue[0];
  }

  /** Keeps `value` for the next single normal draw. */
  keepNormal(value: number): void {
    keptValue[0] = value;
    this.state[stateLayout.hasKept] = 1;
    this.state[stateLayout.keptLow] = keptBits[lowHalf] ?? 0;
    this.state[stateLayout.keptHigh] = keptBits[1 - lowHalf] ?? 0;
  }

  /** Another generator that continues the same stream on its own. */
  clone(): Generator {
    return new Generator(this.save());
  }

  /** A copy of the state, 630 words, for a checkpoint. */
  save(): Uint32Array {
    return this.state.slice();
  }

  /**
   * Continues where `saved`, a result of `save`, was taken.
   *
   * @throws UserError K3102 if it is no generator state.
   */
  restore(saved: Uint32Array): void {
    checkState(saved);
    this.state.set(saved);
  }
}

/** Whether `state` can be used without reading outside the twister; a stream of zeros is refused as well. */
function checkState(state: Uint32Array): void {
  if (state.length !== stateLayout.words) throw fail(badGeneratorState(`${state.length} words`));
  const next = state[position] ?? 0;
  if (next > size) throw fail(badGeneratorState(`position ${next}`));
  if ((state[stateLayout.hasKept] ?? 0) > 1) throw fail(badGeneratorState("a bad mark for the kept value"));
  if (state.subarray(stateLayout.keptHigh + 1).some((word) => word !== 0))
    throw fail(badGeneratorState("words set past its end"));
  if (state.subarray(0, size).every((word) => word === 0)) throw fail(badGeneratorState("zeros only"));
}

function temper(word: number): number {
  let y = word ^ (word >>> 11);
  y ^= (y << 7) & 0x9d2c5680;
  y ^= (y << 15) & 0xefc60000;
  return y ^ (y >>> 18);
}

/** The recurrence for one word; `-(low & 1)` is a mask of ones when the lowest bit is set. */
function twist(high: number, low: number, other: number): number {
  const joined = (high & 0x80000000) | (low & 0x7fffffff);
  return other ^ (joined >>> 1) ^ (-(low & 1) & matrix);
}

/** Replaces all words by the next ones. Three loops, so that no index needs a remainder. */
function refill(state: Uint32Array): void {
  let i = 0;
  for (; i < size - shift; i++) state[i] = twist(state[i] ?? 0, state[i + 1] ?? 0, state[i + shift] ?? 0);
  for (; i < size - 1; i++) state[i] = twist(state[i] ?? 0, state[i + 1] ?? 0, state[i + shift - size] ?? 0);
  state[size - 1] = twist(state[size - 1] ?? 0, state[0] ?? 0, state[shift - 1] ?? 0);
}
