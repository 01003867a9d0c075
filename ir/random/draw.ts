/**
 * Random floating-point numbers as PyTorch's CPU kernels draw them: which outputs of the generator each element takes
 * and how they become its value. Each function fills `out` in row-major order and leaves the generator where PyTorch
 * would; float32 results are PyTorch's bits, whatever this machine is. Integers, permutations and categories are in
 * `choose.ts`.
 *
 * Float64 logarithms, sines and cosines are the JavaScript engine's, up to one unit in the last place away from the C
 * library's; float32 results drawn through them (fewer than 16 normals, exponentials) hide that but for about one
 * element in 10^8.
 */
import { fail } from "../diagnostic/diagnostic.ts";
import { badDraw } from "../diagnostic/messages.ts";
import { fma32, fma64 } from "./fma.ts";
import type { Generator } from "./generator.ts";
import { blockSize, transformBlock } from "./normal-block.ts";

const { fround } = Math;

/** What floating-point draws fill; the element type decides how many bits an element takes. */
export type FloatArray = Float32Array | Float64Array;

/** A draw as data. */
export type DrawKind =
  | { readonly kind: "uniform"; readonly low: number; readonly high: number }
  | { readonly kind: "normal"; readonly mean: number; readonly std: number }
  | { readonly kind: "bernoulli"; readonly p: number };

/** Makes a draw; only that of zeros and ones fills bytes. @throws UserError K3103 if there is no such distribution. */
export function fillDraw(generator: Generator, out: Uint8Array | FloatArray, draw: DrawKind): void {
  if (draw.kind === "bernoulli") return fillBernoulli(generator, out, draw.p);
  if (out instanceof Uint8Array) throw fail(badDraw(draw.kind, "floating-point numbers", "bytes"));
  if (draw.kind === "uniform") return fillUniform(generator, out, draw.low, draw.high);
  return fillNormal(generator, out, draw.mean, draw.std);
}

/** Outputs of the generator that wait to become elements; even, so that pairs never straddle its end. */
const pending = new Uint32Array(2048);

/**
 * Uniform in [low, high): `rand` (by default), `uniform_(low, high)`. Float32 takes one output an element, float64 two.
 *
 * @throws UserError K3103 unless low <= high, both finite.
 */
export function fillUniform(generator: Generator, out: FloatArray, low = 0, high = 1): void {
  if (!(low <= high && Number.isFinite(high - low))) throw fail(badDraw("uniform", "low <= high", `${low}, ${high}`));
  if (out instanceof Float32Array) fillUniform32(generator, out, 0, out.length, fround(low), fround(high));
  else for (let i = 0; i < out.length; i++) out[i] = place(fma64(generator.nextFloat53(), high - low, low), low, high);
}

/**
 * Normal of mean `mean` and standard deviation `std`: `randn` (by default), `normal_(mean, std)`. From 16 elements on
 * the elements are transformed in blocks of 16; fewer are drawn in float64, in pairs of which the second is kept for
 * the next such draw.
 *
 * @throws UserError K3103 unless std >= 0 and both are finite.
 */
export function fillNormal(generator: Generator, out: FloatArray, mean = 0, std = 1): void {
  if (!(std >= 0 && Number.isFinite(std) && Number.isFinite(mean)))
    throw fail(badDraw("normal", "a finite mean and a standard deviation of at least 0", `${mean}, ${std}`));
  const count = out.length;
  if (count < blockSize) for (let i = 0; i < count; i++) out[i] = nextNormal(generator) * std + mean;
  else if (out instanceof Float32Array) fillBlocks32(generator, out, fround(mean), fround(std));
  else fillBlocks64(generator, out, mean, std);
}

/** One standard normal in float64, as all draws of fewer than 16 take it: two 53-bit uniforms make two normals. */
export function nextNormal(generator: Generator): number {
  const kept = generator.takeKeptNormal();
  if (kept !== undefined) return kept;
  const angle = 2 * Math.PI * generator.nextFloat53();
  const radius = Math.sqrt(-2 * Math.log1p(-generator.nextFloat53()));
  generator.keepNormal(radius * Math.sin(angle));
  return radius * Math.cos(angle);
}

/**
 * 1 with probability `p`, else 0: `bernoulli_(p)`. Two outputs an element.
 *
 * @throws UserError K3103 unless 0 <= p <= 1.
 */
export function fillBernoulli(generator: Generator, out: Uint8Array | FloatArray, p: number): void {
  if (!(p >= 0 && p <= 1)) throw fail(badDraw("bernoulli", "a probability from 0 to 1", String(p)));
  // The draw is an integer of 53 bits times 2^-53; scaling `p` instead is exact.
  const limit = p * 2 ** 53;
  for (let done = 0; done < out.length;) {
    const some = Math.min(pending.length / 2, out.length - done);
    generator.fillU32(pending, 0, 2 * some);
    for (let i = 0; i < some; i++) {
      const draw = ((pending[2 * i] ?? 0) & 0x1fffff) * 2 ** 32 + (pending[2 * i + 1] ?? 0);
      out[done++] = draw < limit ? 1 : 0;
    }
  }
}

/**
 * 1 with the probability that stands at the same index of `probabilities`: `bernoulli(tensor)`. Float32 probabilities
 * take one output each, float64 two.
 *
 * @throws UserError K3103 if a probability is not from 0 to 1.
 */
export function fillBernoulliFrom(generator: Generator, out: Uint8Array | FloatArray, probabilities: FloatArray): void {
  const bad = probabilities.find((p) => !(p >= 0 && p <= 1));
  if (bad !== undefined) throw fail(badDraw("bernoulli", "probabilities from 0 to 1", String(bad)));
  if (probabilities instanceof Float32Array)
    for (let i = 0; i < out.length; i++) out[i] = generator.nextFloat24() < (probabilities[i] ?? 0) ? 1 : 0;
  else for (let i = 0; i < out.length; i++) out[i] = generator.nextFloat53() < (probabilities[i] ?? 0) ? 1 : 0;
}

/**
 * The mask of `dropout(x, p)` in training: 1 where an element is kept. Kept elements are multiplied by
 * `dropoutScale(p)`. At p = 0 and p = 1 nothing is drawn, as in PyTorch.
 *
 * @throws UserError K3103 unless 0 <= p <= 1.
 */
export function fillDropoutMask(generator: Generator, out: Uint8Array | FloatArray, p: number): void {
  if (!(p >= 0 && p <= 1)) throw fail(badDraw("dropout", "a probability from 0 to 1", String(p)));
  if (p === 0 || p === 1) out.fill(1 - p);
  else fillBernoulli(generator, out, 1 - p);
}

/** What dropout multiplies kept elements by, float32: 1 / (1 - p), and 0 at p = 1. */
export function dropoutScale(p: number): number {
  return p === 1 ? 0 : fround(1 / fround(1 - p));
}

/**
 * The mask of `dropout1d`, `2d` and `3d`: one draw for each sample and channel, repeated over the positions of it.
 * `out` has shape `shape`, [n, c, …].
 *
 * @throws UserError K3103 unless 0 <= p <= 1 and the shape has two axes.
 */
export function fillFeatureDropoutMask(
  generator: Generator,
  out: Uint8Array | FloatArray,
  shape: readonly number[],
  p: number,
): void {
  const [samples, channels, ...rest] = shape;
  if (samples === undefined || channels === undefined)
    throw fail(badDraw("dropout2d", "a shape [n, c, …]", `[${shape.join(", ")}]`));
  const maps = new Uint8Array(samples * channels);
  fillDropoutMask(generator, maps, p);
  const positions = rest.reduce((count, extent) => count * extent, 1);
  for (let map = 0; map < maps.length; map++) out.fill(maps[map] ?? 0, map * positions, (map + 1) * positions);
}

/**
 * Exponential with rate `rate`: `exponential_(rate)`, computed in float64. Two outputs an element.
 *
 * @throws UserError K3103 unless rate > 0.
 */
export function fillExponential(generator: Generator, out: FloatArray, rate = 1): void {
  if (!(rate > 0)) throw fail(badDraw("exponential", "a rate above 0", String(rate)));
  for (let i = 0; i < out.length; i++) out[i] = -Math.log1p(-generator.nextFloat53()) / rate;
}

/**
 * Normal, restricted to [low, high]: `nn.init.trunc_normal_`. All elements are drawn again as long as one is outside,
 * and those outside take the new values.
 *
 * @throws UserError K3103 unless std > 0 and [low, high] covers a twentieth of a standard deviation within 2.5 of them
 *   from the mean: elsewhere redrawing would not end in reasonable time.
 */
export function fillTruncatedNormal(
  generator: Generator,
  out: FloatArray,
  options: { readonly mean: number; readonly std: number; readonly low: number; readonly high: number },
): void {
  const { mean, std, low, high } = options;
  const reach = Math.min(high, mean + 2.5 * std) - Math.max(low, mean - 2.5 * std);
  if (!(std > 0 && reach >= 0.05 * std))
    throw fail(
      badDraw(
        "truncNormal",
        "bounds that cover a twentieth of a standard deviation or more, within 2.5 of them from the mean",
        `mean ${mean}, std ${std}, bounds ${low}, ${high}`,
      ),
    );
  const round = out instanceof Float32Array ? fround : (x: number): number => x;
  const [first, last] = [round(low), round(high)];
  fillNormal(generator, out, mean, std);
  let again: FloatArray | undefined;
  while (out.some((x) => x < first || x > last)) {
    again ??= out.slice();
    fillNormal(generator, again, mean, std);
    for (let i = 0; i < out.length; i++) {
      const x = out[i] ?? 0;
      if (x < first || x > last) out[i] = again[i] ?? 0;
    }
  }
}

/** `low` in place of `high`, which rounding may reach. */
function place(x: number, low: number, high: number): number {
  return x === high ? low : x;
}

/** Fills `out[start … end)`; the bounds are float32. */
function fillUniform32(
  generator: Generator,
  out: Float32Array,
  start: number,
  end: number,
  low: number,
  high: number,
): void {
  const range = fround(high - low);
  for (let done = start; done < end;) {
    const some = Math.min(pending.length, end - done);
    generator.fillU32(pending, 0, some);
    for (let i = 0; i < some; i++) {
      const x = ((pending[i] ?? 0) & 0xffffff) * 2 ** -24;
      out[done++] = place(fma32(x, range, low), low, high);
    }
  }
}

/** Whole blocks first; a last block that is not whole is made of the last 16 elements, drawn once more. */
function fillBlocks32(generator: Generator, out: Float32Array, mean: number, std: number): void {
  const count = out.length;
  fillUniform32(generator, out, 0, count, 0, 1);
  for (let start = 0; start + blockSize <= count; start += blockSize) transformBlock(out, start, mean, std);
  if (count % blockSize === 0) return;
  fillUniform32(generator, out, count - blockSize, count, 0, 1);
  transformBlock(out, count - blockSize, mean, std);
}

function fillBlocks64(generator: Generator, out: Float64Array, mean: number, std: number): void {
  const count = out.length;
  for (let i = 0; i < count; i++) out[i] = generator.nextFloat53();
  for (let start = 0; start + blockSize <= count; start += blockSize) transformBlock64(out, start, mean, std);
  if (count % blockSize === 0) return;
  for (let i = count - blockSize; i < count; i++) out[i] = generator.nextFloat53();
  transformBlock64(out, count - blockSize, mean, std);
}

function transformBlock64(x: Float64Array, start: number, mean: number, std: number): void {
  const half = blockSize / 2;
  for (let j = start; j < start + half; j++) {
    const radius = Math.sqrt(-2 * Math.log(1 - (x[j] ?? 0)));
    const angle = 2 * Math.PI * (x[j + half] ?? 0);
    x[j] = fma64(radius * Math.cos(angle), std, mean);
    x[j + half] = fma64(radius * Math.sin(angle), std, mean);
  }
}
