/** The emulated fused multiply-adds against exact integer arithmetic. */
import { assert } from "chai";
import * as fc from "fast-check";
import { fma32, fma64 } from "../../../ir/random/fma.ts";

const parameters = { seed: 3, numRuns: 20000 };

/** `x` as `integer * 2^-128`; exact for all numbers made below. */
function scaled(x: number): bigint {
  let [integer, exponent] = [x, 0];
  while (!Number.isInteger(integer)) {
    integer *= 2;
    exponent++;
  }
  return BigInt(integer) << BigInt(128 - exponent);
}

/** `a * b + c`, rounded once, half to even, to `bits` bits of significand. */
function exact(a: number, b: number, c: number, bits: number): number {
  const value = scaled(a) * scaled(b) + (scaled(c) << 128n);
  const size = value < 0n ? -value : value;
  const surplus = Math.max(0, size.toString(2).length - bits);
  const unit = 1n << BigInt(surplus);
  let steps = size / unit;
  const rest = (size % unit) * 2n;
  if (rest > unit || (rest === unit && steps % 2n === 1n)) steps++;
  const result = Number(steps) * 2 ** (surplus - 256);
  return value < 0n ? -result : result;
}

describe("fused multiply-add", () => {
  // Few bits set, or close magnitudes, make ties and cancellation likely.
  const significand = (bits: number): fc.Arbitrary<number> =>
    fc.oneof(
      fc.bigInt({ min: -(2n ** BigInt(bits)), max: 2n ** BigInt(bits) }).map(Number),
      fc.tuple(fc.nat(bits - 1), fc.nat(bits - 1)).map(([i, j]) => 2 ** i + 2 ** j),
      fc.tuple(fc.nat(bits - 1), fc.nat(bits - 1)).map(([i, j]) => 2 ** i - 2 ** j),
    );
  const number = (bits: number): fc.Arbitrary<number> =>
    fc.tuple(significand(bits), fc.integer({ min: -60, max: 10 })).map(([m, e]) => m * 2 ** e);

  it("rounds once to float32", () => {
    const x = number(24);
    fc.assert(
      fc.property(x, x, x, (a, b, c) => assert.equal(fma32(a, b, c), exact(a, b, c, 24))),
      parameters,
    );
  });

  it("rounds once to float64", () => {
    const x = number(53);
    fc.assert(
      fc.property(x, x, x, (a, b, c) => assert.equal(fma64(a, b, c), exact(a, b, c, 53))),
      parameters,
    );
  });

  it("decides a tie of the float64 sum by what was lost", () => {
    // 1 + 2^-24 is half way between two float32; 2^-70 more or less is lost in float64.
    const half = 2 ** -24;
    assert.equal(fma32(2 ** -35, 2 ** -35, 1), 1);
    assert.equal(fma32(1 + 2 ** -23, 2 ** -24, 1), 1 + 2 ** -23);
    assert.equal(fma32(1 - half, half, 1), 1);
    assert.equal(fma32(-(1 + 2 ** -23), half, -1), -(1 + 2 ** -23));
  });

  it("agrees with plain arithmetic where that is exact", () => {
    assert.equal(fma32(3, 4, 5), 17);
    assert.equal(fma64(3, 4, 5), 17);
    assert.isNaN(fma32(NaN, 1, 1));
    assert.equal(fma32(Infinity, 1, 1), Infinity);
  });
});
