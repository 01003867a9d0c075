/**
 * Every op's VJP against central differences of its own evaluation in float64 along random directions, then the VJP's
 * own derivative the same way, and gradients at kinks against values stated by hand.
 */
import { expect } from "chai";
import { createWriter, opDef, opNames, type GraphWriter, type Node, type OpName } from "../../../ir/graph.ts";
import { interpret } from "../../../ir/interpret.ts";
import type { Attrs, Value } from "../../../ir/op.ts";
import { isFloat, sameType, type TensorType } from "../../../ir/type.ts";
import { verifyGraph } from "../../../ir/verify.ts";
import { operandData, randomNumbers, type OpCase } from "./case.ts";
import { opCases } from "./cases.ts";
import { reverseSweep } from "./reverse.ts";

/** Step of the difference quotient; its error is of the order of the square of it times the third derivative. */
const step = 1e-4;
/** Relative to 1 plus the size of the derivative; a wrong rule is off by far more. */
const tolerance = 2e-6;

type Leaves = ReadonlyMap<Node, Float64Array>;

/** Value of a scalar node for given values of the `input` leaves. */
function valueOf(writer: GraphWriter, node: Node, leaves: Leaves): Float64Array {
  const graph = { name: "test", nodes: writer.nodes, outputs: [{ name: "value", value: node }], writes: [] };
  const inputs = new Map(Array.from(leaves, ([leaf, data]) => [String(leaf.attrs["name"]), data]));
  return interpret(graph, { inputs }).outputs.get("value") ?? new Float64Array();
}

function inputLeaf(writer: GraphWriter, { dtype, shape }: TensorType): Node {
  return writer.g.input({ name: `x${writer.nodes.length}`, dtype, shape });
}

/** Sum of x * y over all elements. */
function inner(writer: GraphWriter, x: Value, y: Value): Node {
  const product = writer.g.mul(x, y);
  return writer.g.sum(product, { axes: product.type.shape.map((_, axis) => axis) });
}

/** Compares a scalar's gradient with its difference quotient along one random direction. */
function checkGradient(writer: GraphWriter, scalar: Node, leaves: Leaves, random: () => number): void {
  const seed = writer.g.full({ value: 1, dtype: scalar.type.dtype, shape: [] });
  const cotangents = reverseSweep(writer, scalar, seed);
  const moved = new Map(leaves);
  const back = new Map(leaves);
  let predicted = 0;
  for (const [leaf, data] of leaves) {
    if (!isFloat(leaf.type.dtype)) continue;
    const direction = data.map(() => random() * 2 - 1);
    moved.set(
      leaf,
      data.map((x, i) => x + step * (direction[i] ?? 0)),
    );
    back.set(
      leaf,
      data.map((x, i) => x - step * (direction[i] ?? 0)),
    );
    const gradient = cotangents.get(leaf);
    if (gradient === undefined) continue;
    expect(sameType(gradient.type, leaf.type), "type of the gradient").to.equal(true);
    const values = valueOf(writer, writer.nodes[gradient.id] ?? leaf, leaves);
    predicted += values.reduce((sum, g, i) => sum + g * (direction[i] ?? 0), 0);
  }
  const difference = ((valueOf(writer, scalar, moved)[0] ?? 0) - (valueOf(writer, scalar, back)[0] ?? 0)) / (2 * step);
  expect(predicted).to.be.closeTo(difference, tolerance * (1 + Math.abs(difference)));
}

/** The graph of one call: its leaves and the result. */
function call(op: OpName, test: OpCase<Attrs>): { writer: GraphWriter; operands: Node[]; output: Node } {
  const writer = createWriter(() => undefined);
  const operands = test.types.map((type) => inputLeaf(writer, type));
  return { writer, operands, output: writer.append(op, operands, test.attrs) };
}

/** The elements of a case's leaves. */
function leafData(operands: readonly Node[], test: OpCase<Attrs>, random: () => number): Map<Node, Float64Array> {
  const data = operandData(test, random);
  return new Map(operands.map((leaf, i) => [leaf, data[i] ?? new Float64Array()]));
}

describe("VJPs", () => {
  for (const op of opNames) {
    const valid: readonly OpCase<Attrs>[] = opCases[op].valid;
    if (opDef(op).vjp === null) continue;
    it(`${op}: gradient and its gradient agree with difference quotients`, () => {
      const random = randomNumbers(7);
      let checks = 0;
      for (const test of valid) {
        const { writer, operands, output } = call(op, test);
        if (!isFloat(output.type.dtype) || test.gradients !== undefined) continue;
        const leaves = leafData(operands, test, random);
        if ([...leaves.values()].some((data) => data.some((x) => Number.isNaN(x)))) continue;
        const weights = inputLeaf(writer, output.type);
        leaves.set(weights, operandData({ types: [output.type] }, random)[0] ?? new Float64Array());
        const first = inner(writer, output, weights);
        checkGradient(writer, first, leaves, random);
        const cotangents = reverseSweep(writer, output, weights);
        for (const operand of operands) {
          const gradient = cotangents.get(operand);
          if (gradient === undefined) continue;
          const direction = inputLeaf(writer, operand.type);
          leaves.set(direction, operandData({ types: [operand.type] }, random)[0] ?? new Float64Array());
          checkGradient(writer, inner(writer, gradient, direction), leaves, random);
        }
        verifyGraph({ name: op, nodes: writer.nodes, outputs: [], writes: [] });
        checks++;
      }
      if (valid.some(({ gradients }) => gradients === undefined)) expect(checks).to.be.greaterThan(0);
    });
    it(`${op}: takes gradients exactly where operands are floating-point numbers`, () => {
      for (const test of valid) {
        const { writer, operands, output } = call(op, test);
        if (!isFloat(output.type.dtype)) continue;
        const cotangents = reverseSweep(writer, output, writer.g.full({ value: 1, ...output.type }));
        for (const operand of operands) expect(cotangents.has(operand)).to.equal(isFloat(operand.type.dtype));
      }
    });
  }
  it("give PyTorch's gradients at kinks and poles", () => {
    for (const op of opNames)
      for (const test of opCases[op].valid as readonly OpCase<Attrs>[]) {
        if (test.gradients === undefined) continue;
        const { writer, operands, output } = call(op, test);
        const leaves = leafData(operands, test, randomNumbers(1));
        const cotangents = reverseSweep(writer, output, writer.g.full({ value: 1, ...output.type }));
        const gradients = operands.map((operand) => {
          const gradient = cotangents.get(operand);
          return gradient === undefined ? null : [...valueOf(writer, writer.nodes[gradient.id] ?? operand, leaves)];
        });
        for (const [i, expected] of test.gradients.entries())
          expect(
            gradients[i]?.map((x) => x + 0),
            `${op}, operand ${i}`,
          ).to.deep.equal(expected?.map((x) => x + 0));
      }
  });
});
