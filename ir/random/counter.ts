/**
 * Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2,
 * 3", SC 2011). A number is a function of the seed, the step, the use in the program and the element alone, so that it
 * does not depend on who computes it, or when. Counter: [element / 4, use, step low, step high]; key: [seed low, seed
 * high]; word `element % 4` of the block, its upper 24 bits. Every target spells the same function.
 */

const multipliers = [0xd2511f53, 0xcd9e8d57] as const;
const weyl = [0x9e3779b9, 0xbb67ae85] as const;

/** Rounds of the block function. */
const rounds = 10;

/** High and low word of a product of unsigned 32-bit words. */
function multiply(x: number, y: number): readonly [number, number] {
  const product = BigInt(x >>> 0) * BigInt(y >>> 0);
  return [Number(product >> 32n), Number(product & 0xffffffffn)];
}

/** A block of four 32-bit words. */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < rounds; round++) {
    const [high0, low0] = multiply(multipliers[0], c0);
    const [high1, low1] = multiply(multipliers[1], c2);
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + weyl[0]) >>> 0;
    k1 = (k1 + weyl[1]) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** 24 random bits for an element. `key`: seed low, seed high, step low, step high, as signed or unsigned words. */
export function randomBits(key: ArrayLike<number>, use: number, element: number): number {
  const [seedLow = 0, seedHigh = 0, stepLow = 0, stepHigh = 0] = Array.from(key, (word) => word >>> 0);
  const block = philox([Math.floor(element / 4) >>> 0, use >>> 0, stepLow, stepHigh], [seedLow, seedHigh]);
  return (block[element & 3] ?? 0) >>> 8;
}
