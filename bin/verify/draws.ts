/**
 * The random numbers of an entry's step, for the reference interpreter: from the default generator one after another, or,
 * on machines that compute each from a counter, by what the plan numbers each draw with.
 */
import { drawOf } from "../../compiler/lower/random.ts";
import { opDef, type Graph, type Node } from "../../ir/graph.ts";
import type { Draw } from "../../ir/loop/loop.ts";
import type { Machine } from "../../ir/machine.ts";
import type { Elements } from "../../ir/op.ts";
import { randomBits } from "../../ir/random/counter.ts";
import { fillDraw } from "../../ir/random/draw.ts";
import { Generator } from "../../ir/random/generator.ts";
import { at } from "../../ir/type.ts";

/** Gives the numbers of one draw after another, in the order of the program. */
export type DrawSource = (draw: Draw, count: number) => Elements;

/**
 * Makes sources of a step's numbers, all the same, after the default generator was seeded with `seed`; `undefined` if the
 * plan does not tell which of its draws are which of the traced graph's.
 */
export function drawSources(
  machine: Machine,
  traced: Graph,
  planned: Graph | undefined,
  seed: number,
): (() => DrawSource) | undefined {
  if (machine.random !== "counter") {
    return () => {
      const generator = Generator.seeded(seed);
      return (draw, count) => {
        const numbers = new Float32Array(count);
        fillDraw(generator, numbers, draw);
        return Float64Array.from(numbers);
      };
    };
  }
  const [before, after] = [draws(traced), draws(planned)];
  if (before.length !== after.length || before.some((node, i) => describe(node) !== describe(at(after, i))))
    return undefined;
  const generator = Generator.seeded(seed);
  const key = Array.from({ length: 4 }, () => generator.nextU32());
  return () => {
    let next = 0;
    return (draw, count) => {
      const { id } = at(after, next++);
      return Float64Array.from({ length: count }, (_, element) => counterNumber(draw, key, id, element));
    };
  };
}

function draws(graph: Graph | undefined): readonly Node[] {
  return graph?.nodes.filter(({ op }) => opDef(op).lowering.class === "random") ?? [];
}

function describe(node: Node): string {
  return JSON.stringify([drawOf(node), node.type]);
}

/** The number that a draw gives for an element, by Box and Muller if it is normal. */
function counterNumber(draw: Draw, key: readonly number[], use: number, element: number): number {
  const unit = (index: number): number => randomBits(key, use, index) * 2 ** -24;
  switch (draw.kind) {
    case "uniform":
      return draw.low + (draw.high - draw.low) * unit(element);
    case "bernoulli":
      return Number(unit(element) < Math.fround(draw.p));
    case "normal": {
      const length = Math.sqrt(-2 * Math.log(1 - unit(2 * element)));
      return draw.mean + draw.std * length * Math.cos(2 * Math.PI * unit(2 * element + 1));
    }
  }
}
