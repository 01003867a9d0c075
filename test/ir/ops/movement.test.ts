/** Movement: `origin` against `evaluate`, element by element, for single ops and for random chains of them. */
import { expect } from "chai";
import * as fc from "fast-check";
import { createWriter, opDef, opNames, type GraphWriter, type Node } from "../../../ir/graph.ts";
import { interpret } from "../../../ir/interpret.ts";
import { int, variable } from "../../../ir/loop/loop.ts";
import type { Attrs } from "../../../ir/op.ts";
import { over, plus, remainder, reshapeIndex, times } from "../../../ir/ops/index-arithmetic.ts";
import { stridedOffsets } from "../../../ir/ops/strided.ts";
import { elementCount, rowMajorStrides, type Shape } from "../../../ir/type.ts";
import type { OpCase } from "./case.ts";
import { opCases } from "./cases.ts";
import { evaluateIndex, locate, operationCount } from "./origin.ts";

/** Compares every element of a node with the leaf element that its origin names. */
function checkOrigins(writer: GraphWriter, node: Node): void {
  const leaves = writer.nodes.filter(({ op }) => op === "input");
  const inputs = new Map(
    leaves.map(({ attrs, type, id }) => [
      String(attrs["name"]),
      Float64Array.from({ length: elementCount(type.shape) }, (_, i) => 1000 * (id + 1) + i),
    ]),
  );
  const graph = { name: "test", nodes: writer.nodes, outputs: [{ name: "y", value: node }], writes: [] };
  const expected = interpret(graph, { inputs }).outputs.get("y") ?? new Float64Array();
  const { shape } = node.type;
  const names = shape.map((_, axis) => variable(`i${axis}`));
  const strides = rowMajorStrides(shape);
  for (const [position, value] of expected.entries()) {
    const indices = shape.map((extent, axis) => Math.floor(position / (strides[axis] ?? 1)) % extent);
    const found = locate(node, names, new Map(indices.map((i, axis) => [`i${axis}`, i])));
    const element = "value" in found ? found.value : inputs.get(String(found.node.attrs["name"]))?.[found.offset];
    expect(element, `element [${indices.join(", ")}] of ${node.op}`).to.equal(value);
    const folded = locate(node, indices.map(int), new Map());
    expect(folded, "with constant indices").to.deep.equal(found);
  }
}

/** A random movement of a value, chosen by `pick(n)`, a number below n. */
function randomMovement(writer: GraphWriter, x: Node, pick: (n: number) => number): Node {
  const { g } = writer;
  const { shape } = x.type;
  const perAxis = (choose: (extent: number) => number): number[] => shape.map(choose);
  switch (pick(7)) {
    case 0:
      return g.reshape(x, { shape: randomShape(elementCount(shape), pick) });
    case 1: {
      const order = shape.map((_, axis) => axis);
      for (let i = order.length - 1; i > 0; i--) {
        const j = pick(i + 1);
        [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
      }
      return g.permute(x, { order });
    }
    case 2:
      return g.broadcast(x, { shape: perAxis((extent) => (extent === 1 ? 1 + pick(3) : extent)) });
    case 3: {
      const start = perAxis((extent) => pick(extent));
      const stop = shape.map((extent, axis) => (start[axis] ?? 0) + 1 + pick(extent - (start[axis] ?? 0)));
      return g.slice(x, { start, stop, step: perAxis(() => 1 + pick(2)) });
    }
    case 4: {
      const few = (): number => Math.max(0, pick(4) - 2);
      return g.pad(x, { low: perAxis(few), high: perAxis(few), interior: perAxis(few), value: -pick(9) });
    }
    case 5:
      return g.flip(x, { axes: shape.flatMap((_, axis) => (pick(2) === 0 ? [axis] : [])) });
    default:
      return shape.length === 0 ? x : g.concat(x, x, { axis: pick(shape.length) });
  }
}

/** A random shape with a number of elements. */
function randomShape(count: number, pick: (n: number) => number): Shape {
  const shape: number[] = [];
  let rest = count;
  while (rest > 1) {
    const divisors = Array.from({ length: rest }, (_, i) => i + 1).filter((d) => rest % d === 0);
    const extent = divisors[pick(divisors.length)] ?? 1;
    if (shape.length === 4) break;
    shape.push(extent);
    rest /= extent;
  }
  return rest > 1 ? [...shape, rest] : shape;
}

describe("movement", () => {
  for (const op of opNames) {
    if (opDef(op).lowering.class !== "movement") continue;
    it(`${op}: its origin names the element that its evaluation puts there`, () => {
      for (const { types, attrs } of opCases[op].valid as readonly OpCase<Attrs>[]) {
        const writer = createWriter(() => undefined);
        const operands = types.map(({ shape }, i) => writer.g.input({ name: `x${i}`, dtype: "f64", shape }));
        checkOrigins(writer, writer.append(op, operands, attrs));
      }
    });
  }
  it("keeps origins right through chains", () => {
    const numbers = fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }));
    fc.assert(
      fc.property(numbers, fc.integer({ min: 1, max: 6 }), (stream, length) => {
        const pick = (n: number): number => Math.floor((stream.next().value ?? 0) * n);
        const writer = createWriter(() => undefined);
        let node = writer.g.input({
          name: "x",
          dtype: "f64",
          shape: randomShape([1, 6, 8, 12, 24][pick(5)] ?? 1, pick),
        });
        for (let i = 0; i < length && elementCount(node.type.shape) <= 300; i++)
          node = randomMovement(writer, node, pick);
        if (elementCount(node.type.shape) <= 3000) checkOrigins(writer, node);
      }),
      { seed: 11, numRuns: 400 },
    );
  });
});

describe("index arithmetic", () => {
  const [a, b] = [variable("a"), variable("b")];
  it("leaves unchanged axes alone and merges others without division", () => {
    expect(reshapeIndex([a, b], [6, 5], [6, 5])).to.deep.equal([a, b]);
    expect(reshapeIndex([a, int(0), b], [6, 5], [6, 1, 5])).to.deep.equal([a, b]);
    const [merged] = reshapeIndex([a, b], [24], [4, 6]);
    expect(merged).to.deep.equal(plus(times(a, 6), b));
    expect(operationCount(merged ?? a)).to.equal(2);
  });
  it("undoes a split by the merge that follows", () => {
    const split = reshapeIndex([a], [4, 2, 3], [24]);
    expect(reshapeIndex(split, [24], [4, 2, 3])).to.deep.equal([a]);
    const resplit = reshapeIndex(reshapeIndex([a, b], [24], [4, 6]), [4, 6], [24]);
    expect(reshapeIndex(resplit, [24], [4, 6])).to.deep.equal([plus(times(a, 6), b)]);
  });
  it("divides what is divisible, whatever its sign", () => {
    expect(over(plus(times(a, 12), int(-4)), 4)).to.deep.equal(plus(times(a, 3), int(-1)));
    expect(over(over(a, 3), 4)).to.deep.equal(over(a, 12));
    expect(remainder(remainder(a, 12), 4)).to.deep.equal(remainder(a, 4));
    expect(remainder(plus(times(a, 8), int(3)), 4)).to.deep.equal(int(3));
    expect(over(remainder(a, 4), 4)).to.deep.equal(int(0));
  });
  it("agrees with plain integer arithmetic", () => {
    const small = fc.integer({ min: 0, max: 12 });
    const factor = fc.integer({ min: 1, max: 12 });
    fc.assert(
      fc.property(
        small,
        small,
        factor,
        factor,
        factor,
        factor,
        fc.integer({ min: -9, max: 9 }),
        (x, y, k, l, c, d, e) => {
          const indices = new Map([
            ["a", x],
            ["b", y],
          ]);
          const value = k * x + l * (y % d) + e;
          fc.pre(value >= 0);
          const sum = plus(plus(times(a, k), times(remainder(b, d), l)), int(e));
          expect(evaluateIndex(sum, indices)).to.equal(value);
          expect(evaluateIndex(over(sum, c), indices)).to.equal(Math.floor(value / c));
          expect(evaluateIndex(remainder(sum, c), indices)).to.equal(value % c);
          expect(evaluateIndex(plus(times(over(sum, c), c), remainder(sum, c)), indices)).to.equal(value);
          expect(evaluateIndex(remainder(over(sum, c), d), indices)).to.equal(Math.floor(value / c) % d);
        },
      ),
      { seed: 5, numRuns: 3000 },
    );
  });
});

describe("strided views", () => {
  it("visit elements in row-major order, backwards and repeatedly too", () => {
    expect([...stridedOffsets([2, 3], [0, -1], 2)]).to.deep.equal([2, 1, 0, 2, 1, 0]);
    expect([...stridedOffsets([], [], 5)]).to.deep.equal([5]);
    expect([...stridedOffsets([2, 0], [1, 1])]).to.deep.equal([]);
  });
});
