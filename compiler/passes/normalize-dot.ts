/**
 * Products of repeated operands. A batched product whose one operand is the same in every batch (a linear layer on
 * [batch, time, features], say) is one larger product without that batch axis, and a product with an operand repeated
 * along a free axis is a smaller product, repeated. Each result is the same sum of the same products, in the same order.
 */
import type { AttrsOf, Node } from "../../ir/graph.ts";
import type { Value } from "../../ir/op.ts";
import { at, sameShape, tensorType } from "../../ir/type.ts";
import { any, attrsOf, op } from "./pattern.ts";
import { rule, type Rule, type RuleBuilder } from "./rewrite.ts";
import { isIdentityOrder } from "./shapes.ts";

type DotAttrs = AttrsOf<"dot">;

/** One operand of a product; names of axes tell those of the result apart wherever they come to stand. */
type Side = {
  readonly value: Value;
  readonly batch: readonly number[];
  readonly contract: readonly number[];
  /** Name of each axis: `b0` for the first batch axis, `l2` or `r2` for a free axis 2, nothing for a contracted axis. */
  readonly names: readonly string[];
};

function sideOf(value: Value, batch: readonly number[], contract: readonly number[], letter: string): Side {
  const names = value.type.shape.map((_, axis) => {
    if (contract.includes(axis)) return "";
    return batch.includes(axis) ? `b${batch.indexOf(axis)}` : `${letter}${axis}`;
  });
  return { value, batch, contract, names };
}

/** Names of the result's axes, in order. */
function resultNames(lhs: Side, rhs: Side): string[] {
  const free = ({ names, batch, contract }: Side): string[] =>
    names.filter((_, axis) => !batch.includes(axis) && !contract.includes(axis));
  return [...lhs.batch.map((axis) => at(lhs.names, axis)), ...free(lhs), ...free(rhs)];
}

/** The axes, other than contracted ones, along which an operand is repeated. */
function repeatedAxes({ contract }: Side, operand: Node): number[] {
  const [inner] = operand.inputs;
  if (operand.op !== "broadcast" || inner === undefined) return [];
  return operand.type.shape.flatMap((extent, axis) =>
    inner.type.shape[axis] === 1 && extent !== 1 && !contract.includes(axis) ? [axis] : [],
  );
}

/** A side without these axes, along which it is repeated. */
function withoutAxes(g: RuleBuilder, side: Side, operand: Node, axes: readonly number[]): Side {
  const inner = at(operand.inputs, 0);
  const single = operand.type.shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent));
  const kept = single.flatMap((_, axis) => (axes.includes(axis) ? [] : [axis]));
  const narrow = sameShape(inner.type.shape, single) ? inner : g.broadcast(inner, { shape: single });
  const moved = (list: readonly number[]): number[] =>
    list.filter((axis) => kept.includes(axis)).map((axis) => kept.indexOf(axis));
  return {
    value: g.reshape(narrow, { shape: kept.map((axis) => at(single, axis)) }),
    batch: moved(side.batch),
    contract: moved(side.contract),
    names: kept.map((axis) => at(side.names, axis)),
  };
}

/** The product without the repetition of one operand (0 or 1); `undefined` if it is not repeated. */
function dotWithoutCopies(g: RuleBuilder, root: Node, which: 0 | 1): Value | undefined {
  const { lhsBatch, rhsBatch, lhsContract, rhsContract } = attrsOf(root, "dot");
  const [x, y] = [at(root.inputs, 0), at(root.inputs, 1)];
  const before = [sideOf(x, lhsBatch, lhsContract, "l"), sideOf(y, rhsBatch, rhsContract, "r")] as const;
  const [self, other] = which === 0 ? before : [before[1], before[0]];
  const operand = which === 0 ? x : y;
  const axes = repeatedAxes(self, operand);
  if (axes.length === 0 || root.type.shape.includes(0)) return undefined;
  const narrow = withoutAxes(g, self, operand, axes);
  // What was a batch axis of both is a free axis of the other.
  const wide: Side = { ...other, batch: other.batch.filter((_, i) => !axes.includes(at(self.batch, i))) };
  const [lhs, rhs] = which === 0 ? [narrow, wide] : [wide, narrow];
  const attrs: DotAttrs = {
    lhsBatch: lhs.batch,
    rhsBatch: rhs.batch,
    lhsContract: lhs.contract,
    rhsContract: rhs.contract,
  };
  return rearranged(g, g.dot(lhs.value, rhs.value, attrs), resultNames(lhs, rhs), resultNames(...before), root);
}

/** `product`, whose axes are called `names`, with the axes `wanted`: in their order, and repeated along those it lacks. */
function rearranged(
  g: RuleBuilder,
  product: Value,
  names: readonly string[],
  wanted: readonly string[],
  root: Node,
): Value {
  const order = wanted.filter((name) => names.includes(name)).map((name) => names.indexOf(name));
  const ordered = isIdentityOrder(order) ? product : g.permute(product, { order });
  if (order.length === wanted.length) return ordered;
  const { shape } = root.type;
  const single = shape.map((extent, axis) => (names.includes(at(wanted, axis)) ? extent : 1));
  return g.broadcast(g.reshape(ordered, { shape: single }), { shape });
}

/** Rules about products of repeated operands. */
export const dotRules: readonly Rule[] = [
  rule({
    name: "dot-broadcast-left",
    equation: "dot(broadcast(x), y) = dot(x, y) without the axes along which x is repeated",
    pattern: op("dot", op("broadcast", any("x")), any("y")),
    replace: (_, g, root) => dotWithoutCopies(g, root, 0),
    samples: [
      {
        inputs: [tensorType("f32", [1, 3, 4]), tensorType("f32", [2, 4, 5])],
        build: (g, a, b) =>
          g.dot(g.broadcast(a, { shape: [2, 3, 4] }), b, {
            lhsBatch: [0],
            rhsBatch: [0],
            lhsContract: [2],
            rhsContract: [1],
          }),
      },
      {
        inputs: [tensorType("f32", [1, 4]), tensorType("f32", [4, 5])],
        build: (g, a, b) =>
          g.dot(g.broadcast(a, { shape: [3, 4] }), b, {
            lhsBatch: [],
            rhsBatch: [],
            lhsContract: [1],
            rhsContract: [0],
          }),
      },
    ],
  }),
  rule({
    name: "dot-broadcast-right",
    equation: "dot(x, broadcast(y)) = dot(x, y) without the axes along which y is repeated",
    pattern: op("dot", any("x"), op("broadcast", any("y"))),
    replace: (_, g, root) => dotWithoutCopies(g, root, 1),
    samples: [
      {
        inputs: [tensorType("f32", [2, 3, 4]), tensorType("f32", [1, 4, 5])],
        build: (g, a, b) =>
          g.dot(a, g.broadcast(b, { shape: [2, 4, 5] }), {
            lhsBatch: [0],
            rhsBatch: [0],
            lhsContract: [2],
            rhsContract: [1],
          }),
      },
      {
        inputs: [tensorType("f32", [2, 3, 2, 4]), tensorType("f32", [1, 2, 4, 1])],
        build: (g, a, b) =>
          g.dot(a, g.broadcast(b, { shape: [3, 2, 4, 6] }), {
            lhsBatch: [0, 1],
            rhsBatch: [1, 0],
            lhsContract: [3],
            rhsContract: [2],
          }),
      },
    ],
  }),
];
