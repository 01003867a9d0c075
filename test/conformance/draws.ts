/** Draws for the reference interpreter: PyTorch's generator, taken in program order. */
import { fillBernoulli, fillNormal, fillUniform } from "../../ir/random/draw.ts";
import { Generator } from "../../ir/random/generator.ts";
import { unreachable } from "../../ir/diagnostic/diagnostic.ts";
import type { Draw } from "../../ir/loop/loop.ts";

/** The draws of a generator with this seed. */
export function drawer(seed: number): (draw: Draw, count: number) => Float64Array {
  const generator = new Generator();
  generator.manualSeed(seed);
  return (draw, count) => {
    const out = new Float32Array(count);
    switch (draw.kind) {
      case "uniform":
        fillUniform(generator, out, draw.low, draw.high);
        return Float64Array.from(out);
      case "normal":
        fillNormal(generator, out, draw.mean, draw.std);
        return Float64Array.from(out);
      case "bernoulli": {
        const bits = new Uint8Array(count);
        fillBernoulli(generator, bits, draw.p);
        return Float64Array.from(bits);
      }
      default:
        return unreachable(draw);
    }
  };
}
