/**
 * Products as loops: `dot` and `conv` are both sums of lhs times rhs over some loops, and differ only in how the operands
 * are indexed. This file gives that common form, finds where an operand's elements lie (movement followed down to a value
 * with a place), and chooses the vector axis: the loop that runs along neighbouring elements of one operand, whose other
 * operand is then read one element at a time. An operand that has no such axis is copied into an order that has.
 */
import { opDef, type Node } from "../../ir/graph.ts";
import { int, scalar, variable, type Expr } from "../../ir/loop/loop.ts";
import type { Machine } from "../../ir/machine.ts";
import { at, elementCount, isFloat } from "../../ir/type.ts";
import { affine, offsetOf, simplify, type Affine, type Range, type Ranges } from "../lower/index-math.ts";
import { isInlinable, originOf } from "./reach.ts";

/** A loop of a contraction. */
export type Loop = { readonly name: string; readonly extent: number };

/** `result[outIndex] = sum over reduced of lhs[lhsIndex] * rhs[rhsIndex]`, for all `out` loops. */
export type Contraction = {
  readonly node: Node;
  readonly out: readonly Loop[];
  readonly reduced: readonly Loop[];
  readonly outIndex: readonly Expr[];
  readonly lhsIndex: readonly Expr[];
  readonly rhsIndex: readonly Expr[];
  readonly ranges: Ranges;
};

/** A side of a contraction. */
export type Side = "lhs" | "rhs";

/** A value with a place, and the index at which an operand's element lies in it. */
export type Placed = { readonly place: Node; readonly index: readonly Expr[] };

/** What the choice of a vector axis depends on. */
export type Vectors = Pick<Machine, "lanes" | "registers">;

/** The loops of a `dot` or `conv` node. A `conv` must have neither padding nor lhs dilation (see the padding pass). */
export function contractionOf(node: Node): Contraction {
  return opDef(node.op).lowering.class === "conv" ? convLoops(node) : dotLoops(node);
}

function loopsOver(prefix: string, extents: readonly number[]): Loop[] {
  return extents.map((extent, i) => ({ name: `${prefix}${i}`, extent }));
}

function rangesOf(loops: readonly Loop[]): Ranges {
  return new Map(loops.map(({ name, extent }): [string, Range] => [name, { min: 0, max: extent - 1 }]));
}

function numbers(node: Node, name: string): readonly number[] {
  const attr = node.attrs[name];
  return Array.isArray(attr) ? attr.map(Number) : [];
}

function dotLoops(node: Node): Contraction {
  const lhs = at(node.inputs, 0).type.shape;
  const rhs = at(node.inputs, 1).type.shape;
  const batch = numbers(node, "lhsBatch");
  const contract = numbers(node, "lhsContract");
  const out = loopsOver("i", node.type.shape);
  const reduced = loopsOver(
    "k",
    contract.map((axis) => at(lhs, axis)),
  );
  let next = batch.length;
  const indexOf = (rank: number, batchAxes: readonly number[], contractAxes: readonly number[]): Expr[] =>
    Array.from({ length: rank }, (_, axis) => {
      if (batchAxes.includes(axis)) return variable(`i${batchAxes.indexOf(axis)}`);
      if (contractAxes.includes(axis)) return variable(`k${contractAxes.indexOf(axis)}`);
      return variable(`i${next++}`);
    });
  const lhsIndex = indexOf(lhs.length, batch, contract);
  const rhsIndex = indexOf(rhs.length, numbers(node, "rhsBatch"), numbers(node, "rhsContract"));
  const outIndex = out.map(({ name }) => variable(name));
  return { node, out, reduced, outIndex, lhsIndex, rhsIndex, ranges: rangesOf([...out, ...reduced]) };
}

/** x [n, groups * c, spatial], w [groups * o, c, window]: the channel axis of the result splits into group and channel. */
function convLoops(node: Node): Contraction {
  const [n, channels, ...spatial] = node.type.shape;
  const [, perGroup, ...window] = at(node.inputs, 1).type.shape;
  const groups = Number(node.attrs["groups"]);
  const strides = numbers(node, "strides");
  const dilation = numbers(node, "rhsDilation");
  const channelsPerGroup = (channels ?? 1) / groups;
  const out = loopsOver("i", [n ?? 1, ...(groups === 1 ? [] : [groups]), channelsPerGroup, ...spatial]);
  const reduced = loopsOver("k", [perGroup ?? 1, ...window]);
  const first = groups === 1 ? 2 : 3;
  const group = groups === 1 ? int(0) : variable("i1");
  const pixel = (axis: number): Expr => variable(`i${first + axis}`);
  const lhsIndex = [
    variable("i0"),
    scalar("add", scalar("mul", group, int(perGroup ?? 1)), variable("k0")),
    ...spatial.map((_, axis) =>
      scalar(
        "add",
        scalar("mul", pixel(axis), int(at(strides, axis))),
        scalar("mul", variable(`k${axis + 1}`), int(at(dilation, axis))),
      ),
    ),
  ];
  const channel = scalar("add", scalar("mul", group, int(channelsPerGroup)), variable(`i${first - 1}`));
  const rhsIndex = [channel, variable("k0"), ...window.map((_, axis) => variable(`k${axis + 1}`))];
  const outIndex = [variable("i0"), channel, ...spatial.map((_, axis) => pixel(axis))];
  return { node, out, reduced, outIndex, lhsIndex, rhsIndex, ranges: rangesOf([...out, ...reduced]) };
}

/**
 * Follows movement from an operand down to the value whose elements it names. `stop` tells which values have a place. The
 * value returned may lack a place still; then it must get one. An element that is not always there (padding, concat)
 * ends the walk: that movement is the value to store.
 */
export function placeOperand(
  operand: Node,
  index: readonly Expr[],
  ranges: Ranges,
  stop: (node: Node) => boolean,
): Placed {
  let best: Placed = { place: operand, index: index.map((i) => simplify(i, ranges)) };
  for (let here = best; ;) {
    if (here.index.every((i) => affine(i, ranges) !== undefined)) best = here;
    if (stop(here.place) || !isInlinable(here.place)) return best;
    const origin = originOf(here.place, here.index);
    if (origin?.kind !== "operand") return best;
    here = {
      place: at(here.place.inputs, origin.operand),
      index: origin.index.map((i) => simplify(i, ranges)),
    };
  }
}

/** The distance in elements that each loop steps in a place with these strides; `undefined` if it is not affine. */
export function accessOf(placed: Placed, strides: readonly number[], ranges: Ranges): Affine | undefined {
  return affine(offsetOf(placed.index, strides, ranges), ranges);
}

/** Choice of a vector axis. */
type VectorChoice = {
  readonly side: Side;
  readonly loop: Loop;
  /** Axis of the operand's place that must become the innermost, if it is not; the place is then copied. */
  readonly copyAxis: number | undefined;
  /** Predicted cycles of one core, copy included. */
  readonly cycles: number;
};

/** What a choice is made from: the operands' places and strides, and the strides of the result. */
export type Operands = {
  readonly lhs: Placed;
  readonly rhs: Placed;
  readonly lhsStrides: readonly number[];
  readonly rhsStrides: readonly number[];
  readonly outStrides: readonly number[];
};

/** The cheapest vector axis; `undefined` if there is none, and the product must be computed element by element. */
export function chooseVector(c: Contraction, operands: Operands, vectors: Vectors): VectorChoice | undefined {
  if (!isFloat(c.node.type.dtype)) return undefined;
  const lhs = accessOf(operands.lhs, operands.lhsStrides, c.ranges);
  const rhs = accessOf(operands.rhs, operands.rhsStrides, c.ranges);
  const out = affine(offsetOf(c.outIndex, operands.outStrides, c.ranges), c.ranges);
  if (lhs === undefined || rhs === undefined || out === undefined) return undefined;
  const choices: VectorChoice[] = [];
  for (const side of ["lhs", "rhs"] as const) {
    const [mine, other] = side === "lhs" ? [lhs, rhs] : [rhs, lhs];
    const placed = side === "lhs" ? operands.lhs : operands.rhs;
    for (const loop of c.out) {
      if (loop.extent === 1 || !mine.coefficients.has(loop.name) || other.coefficients.has(loop.name)) continue;
      const direct = mine.coefficients.get(loop.name) === 1;
      const copyAxis = direct ? undefined : soleAxis(placed, loop, c.ranges);
      if (!direct && copyAxis === undefined) continue;
      const copy = direct ? 0 : 1.5 * elementCount(placed.place.type.shape);
      const scattered = out.coefficients.get(loop.name) === 1 ? 0 : 2 * elementCount(c.node.type.shape);
      const cycles = multiplyCycles(c, loop, other, vectors) + copy + scattered;
      choices.push({ side, loop, copyAxis, cycles });
    }
  }
  return choices.toSorted((a, b) => a.cycles - b.cycles)[0];
}

/** The axis of a place along which a loop steps one element at a time, alone. */
function soleAxis(placed: Placed, loop: Loop, ranges: Ranges): number | undefined {
  const axes = placed.index.flatMap((i, axis) => {
    const coefficient = affine(i, ranges)?.coefficients.get(loop.name);
    return coefficient === undefined ? [] : [{ axis, coefficient }];
  });
  const [only] = axes;
  return axes.length === 1 && only?.coefficient === 1 ? only.axis : undefined;
}

/** Cycles of the multiply-adds: two vectors a cycle, less where lanes idle or too few sums run side by side to hide latency. */
function multiplyCycles(c: Contraction, loop: Loop, other: Affine, vectors: Vectors): number {
  const vectorsPerRow = Math.ceil(loop.extent / vectors.lanes);
  const all = [...c.out, ...c.reduced].reduce((product, { extent }) => product * extent, 1);
  const rows = c.out.reduce((product, { name, extent }) => product * (other.coefficients.has(name) ? extent : 1), 1);
  const sideBySide = Math.min(rows, 8) * Math.min(vectorsPerRow, 3);
  return ((all / loop.extent) * vectorsPerRow * Math.max(1, 8 / sideBySide)) / 2;
}
