/** Functions that are composed of elementwise ops and need care at their limits: infinities, zeros, NaN. */
import { isFloat } from "../../ir/type.ts";
import type { Tensor } from "../trace/tensor.ts";
import { composed } from "./elementwise.ts";
import { defaultFloat, type Operand } from "./promote.ts";

/** Largest finite number of each float type that is narrower than f64. */
const largestFinite: Readonly<Record<string, number>> = {
  f32: 3.4028234663852886e38,
  f16: 65504,
  bf16: 3.3895313892515355e38,
};

/** Special functions as methods. */
export interface SpecialMethods {
  /** log(e^x + e^y), without overflow */
  logaddexp(this: Tensor, other: Tensor): Tensor;
  /** √(x² + y²) */
  hypot(this: Tensor, other: Tensor): Tensor;
  /** x · log y, and 0 where x is 0 (unless y is NaN) */
  xlogy(this: Tensor, other: Operand): Tensor;
  /** x with NaN and the infinities replaced: by 0 and the largest finite numbers of the dtype by default. */
  nanToNum(
    this: Tensor,
    options?: { readonly nan?: number; readonly posinf?: number; readonly neginf?: number },
  ): Tensor;
  /** log(x / (1 - x)); x limited to [eps, 1 - eps] if `eps` is given */
  logit(this: Tensor, eps?: number): Tensor;
  /** (sin πx) / πx, and 1 at 0 */
  sinc(this: Tensor): Tensor;
  /** x itself (of numbers) */
  positive(this: Tensor): Tensor;
  /** x in radians, from degrees */
  deg2rad(this: Tensor): Tensor;
  /** x in degrees, from radians */
  rad2deg(this: Tensor): Tensor;
  /** Magnitude of x with the sign of `other`. */
  copysign(this: Tensor, other: Operand): Tensor;
}

/** The implementations of `SpecialMethods`. */
export const specialMethods: SpecialMethods = {
  logaddexp(other) {
    return composed("logaddexp", () => {
      const largest = this.maximum(other).detach();
      const finite = largest.maskedFill(largest.isinf(), 0);
      return this.sub(finite).exp().add(other.sub(finite).exp()).log().add(finite);
    });
  },
  hypot(other) {
    return composed("hypot", () => this.square().add(other.square()).sqrt());
  },
  xlogy(other) {
    return composed("xlogy", () => {
      const y = typeof other === "object" ? other : this.fullLike(Number(other));
      const real = isFloat(y.dtype) ? y : y.to(defaultFloat);
      // Where x is 0 the logarithm of a number that has none must not make a NaN.
      return this.mul(real.maskedFill(this.eq(0).logicalAnd(y.le(0)), 1).log());
    });
  },
  nanToNum({ nan = 0, posinf, neginf } = {}) {
    if (!isFloat(this.dtype)) return this;
    return composed("nanToNum", () => {
      const limit = largestFinite[this.dtype] ?? Number.MAX_VALUE;
      const numbers = this.maskedFill(this.isnan(), nan);
      const bounded = numbers.maskedFill(this.eq(Infinity), posinf ?? limit);
      return bounded.maskedFill(this.eq(-Infinity), neginf ?? -limit);
    });
  },
  logit(eps) {
    return composed("logit", () => {
      const x = eps === undefined ? this : this.clamp({ min: eps, max: 1 - eps });
      return x.div(x.rsub(1)).log();
    });
  },
  sinc() {
    return composed("sinc", () => {
      const zero = this.eq(0);
      const angle = this.mul(Math.PI).maskedFill(zero, 1);
      return angle.sin().div(angle).maskedFill(zero, 1);
    });
  },
  positive() {
    return this;
  },
  deg2rad() {
    return this.mul(Math.PI / 180);
  },
  rad2deg() {
    return this.mul(180 / Math.PI);
  },
  copysign(other) {
    return composed("copysign", () => {
      const sign = typeof other === "object" ? other : this.fullLike(Number(other));
      // 1 / -0 tells the sign of a zero.
      const negative = sign.lt(0).logicalOr(sign.eq(0).logicalAnd(sign.reciprocal().lt(0)));
      const size = this.abs();
      return size.neg().where(negative, size);
    });
  },
};
