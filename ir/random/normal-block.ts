/**
 * The float32 normals of PyTorch's vectorised CPU kernel: blocks of 16 uniforms become 16 normals by the Box-Muller
 * transform, with the logarithm, sine and cosine of Cephes (S. L. Moshier, single precision, `logf.c` and `sinf.c`)
 * evaluated by fused multiply-adds. Each operation rounds to float32 once, so the bits are PyTorch's.
 */
import { fma32 } from "./fma.ts";

const { fround, sqrt, trunc } = Math;

/** Number of values that are transformed together; smaller requests are drawn one by one in float64. */
export const blockSize = 16;

const half = blockSize / 2;
const twoPi = fround(2 * Math.PI);

/**
 * Turns `x[start … start + 16)`, uniform in [0, 1), into normals of mean `mean` and standard deviation `std` (both
 * float32). Values 0 … 7 give the radii, values 8 … 15 the angles.
 */
export function transformBlock(x: Float32Array, start: number, mean: number, std: number): void {
  for (let j = start; j < start + half; j++) {
    const radius = fround(sqrt(-2 * log32(fround(1 - (x[j] ?? 0)))));
    const angle = fround(twoPi * (x[j + half] ?? 0));
    sinCos32(angle);
    x[j] = fma32(fround(radius * cosine), std, mean);
    x[j + half] = fma32(fround(radius * sine), std, mean);
  }
}

const floatView = new Float32Array(1);
const intView = new Int32Array(floatView.buffer);

const sqrtHalf = fround(Math.SQRT1_2);
const ln2High = fround(0.693359375);
const ln2Low = fround(-2.1219444e-4);
const log0 = fround(7.0376836292e-2);
const log1 = fround(-1.151461031e-1);
const log2 = fround(1.167699874e-1);
const log3 = fround(-1.2420140846e-1);
const log4 = fround(1.4249322787e-1);
const log5 = fround(-1.6668057665e-1);
const log6 = fround(2.0000714765e-1);
const log7 = fround(-2.4999993993e-1);
const log8 = fround(3.3333331174e-1);

/** Natural logarithm of a normal float32 in (0, 1]. */
function log32(value: number): number {
  floatView[0] = value;
  const pattern = intView[0] ?? 0;
  let exponent = (pattern >>> 23) - 126;
  intView[0] = (pattern & 0x007fffff) | 0x3f000000;
  let x = floatView[0];
  // Both branches are exact.
  if (x < sqrtHalf) {
    exponent -= 1;
    x = 2 * x - 1;
  } else {
    x -= 1;
  }
  const z = fround(x * x);
  let y = fma32(log0, x, log1);
  y = fma32(y, x, log2);
  y = fma32(y, x, log3);
  y = fma32(y, x, log4);
  y = fma32(y, x, log5);
  y = fma32(y, x, log6);
  y = fma32(y, x, log7);
  y = fma32(y, x, log8);
  y = fround(y * x);
  y = fma32(y, z, fround(exponent * ln2Low));
  y = fma32(-z, 0.5, y);
  return fma32(exponent, ln2High, fround(x + y));
}

const fourOverPi = fround(1.27323954473516);
// -pi/4 in three parts, so that the reduced angle keeps its bits (Cody and Waite).
const quarterPi1 = fround(-0.78515625);
const quarterPi2 = fround(-2.4187564849853516e-4);
const quarterPi3 = fround(-3.774894977445941e-8);
const cos0 = fround(2.443315711809948e-5);
const cos1 = fround(-1.388731625493765e-3);
const cos2 = fround(4.166664568298827e-2);
const sin0 = fround(-1.9515295891e-4);
const sin1 = fround(8.3321608736e-3);
const sin2 = fround(-1.6666654611e-1);

/** Results of `sinCos32`: module variables, since a pair would be allocated for every two normals. */
let sine = 0;
let cosine = 0;

/** Sine and cosine of an angle in [0, 2 pi], left in `sine` and `cosine`. */
function sinCos32(angle: number): void {
  const octant = (trunc(fround(angle * fourOverPi)) + 1) & ~1;
  let x = fma32(octant, quarterPi1, angle);
  x = fma32(octant, quarterPi2, x);
  x = fma32(octant, quarterPi3, x);
  const z = fround(x * x);
  let c = fround(fma32(fma32(cos0, z, cos1), z, cos2) * z);
  c = fround(fma32(c, z, -0.5 * z) + 1);
  let s = fround(fma32(fma32(sin0, z, sin1), z, sin2) * z);
  s = fma32(s, x, x);
  const swap = (octant & 2) !== 0;
  const sinMagnitude = swap ? c : s;
  const cosMagnitude = swap ? s : c;
  sine = (octant & 4) === 0 ? sinMagnitude : -sinMagnitude;
  cosine = (~(octant - 2) & 4) === 0 ? cosMagnitude : -cosMagnitude;
}
