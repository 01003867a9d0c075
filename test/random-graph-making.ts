/**
 * Families of ops, for random graphs: how to find operands among what there is, and attributes that fit them.
 */
import type { Node, OpName } from "../ir/graph.ts";
import type { Attrs } from "../ir/op.ts";
import { at, elementCount, isFloat, type DType, type Shape, type TensorType } from "../ir/type.ts";

/** What makers of nodes work with. */
export type Making = {
  readonly wild: boolean;
  /** A whole number from `low` to `high`. */
  readonly whole: (low: number, high: number) => number;
  readonly choose: <T>(list: readonly T[]) => T;
  readonly chance: (probability: number) => boolean;
  /** One of the values so far that fulfil a condition. */
  readonly pick: (fits?: (node: Node) => boolean) => Node | undefined;
  /** A value of exactly this type: one there is, a broadcast, a constant or a new input. */
  readonly like: (type: TensorType) => Node;
  /** i32 or i64 indices of this shape, below `extent`. */
  readonly indices: (shape: Shape, extent: number) => Node;
  /** A small random shape. */
  readonly shape: (leastRank?: number) => Shape;
  /** Adds a node; `undefined` if its operands do not fit or its values are not to be had. */
  readonly emit: (op: OpName, inputs: readonly Node[], attrs: Attrs) => Node | undefined;
  /** The token for the next draw. */
  readonly token: () => Node;
};

/** Tries to add a node; may fail, and may add operands as well. */
export type MakeNode = (making: Making) => void;

const dtypesUsed: readonly DType[] = ["f32", "f32", "f32", "i64", "bool"];

/** A dtype to try, floats most often. */
export function randomDType({ choose }: Pick<Making, "choose">): DType {
  return choose(dtypesUsed);
}

export const unary =
  (op: OpName, fits?: (node: Node) => boolean): MakeNode =>
  (making) => {
    const x = making.pick(fits);
    if (x !== undefined) making.emit(op, [x], {});
  };

/** A unary op that has values near 0 only, or grows fast: in tame graphs it gets x / (1 + |x|). */
export const bounded =
  (op: OpName): MakeNode =>
  (making) => {
    const x = making.pick(({ type }) => isFloat(type.dtype));
    if (x === undefined) return;
    const operand = making.wild || making.chance(0.2) ? x : squash(making, x);
    if (operand !== undefined) making.emit(op, [operand], {});
  };

/** A unary op for positive numbers: in tame graphs it gets 1 + |x|. */
export const positive =
  (op: OpName): MakeNode =>
  (making) => {
    const x = making.pick(({ type }) => isFloat(type.dtype));
    if (x === undefined) return;
    const operand = making.wild || making.chance(0.2) ? x : onePlusAbs(making, x);
    if (operand !== undefined) making.emit(op, [operand], {});
  };

export const binary =
  (op: OpName): MakeNode =>
  (making) => {
    const x = making.pick();
    if (x === undefined) return;
    const y = making.chance(0.1) ? x : making.like(x.type);
    making.emit(op, making.chance(0.5) ? [x, y] : [y, x], {});
  };

/** A division: in tame graphs by 1 + |y| or a constant. */
export const division =
  (op: OpName): MakeNode =>
  (making) => {
    const x = making.pick(({ type }) => type.dtype !== "bool");
    if (x === undefined) return;
    const y = making.like(x.type);
    const divisor = making.wild && isFloat(x.type.dtype) ? y : y.op === "full" ? y : onePlusAbs(making, y);
    if (divisor !== undefined && !(divisor.op === "full" && divisor.attrs["value"] === 0))
      making.emit(op, [x, divisor], {});
  };

function onePlusAbs(making: Making, x: Node): Node | undefined {
  const magnitude = making.emit("abs", [x], {});
  const one = making.emit("full", [], { ...x.type, value: 1 });
  return magnitude && one && making.emit("add", [magnitude, one], {});
}

function squash(making: Making, x: Node): Node | undefined {
  const divisor = onePlusAbs(making, x);
  return divisor && making.emit("div", [x, divisor], {});
}

export const reduction =
  (op: OpName): MakeNode =>
  (making) => {
    const x = making.pick(({ type }) => type.shape.length > 0 || making.chance(0.1));
    if (x === undefined) return;
    const axes = x.type.shape.flatMap((_, axis) => (making.chance(0.5) ? [axis] : []));
    making.emit(op, [x], { axes: making.chance(0.2) ? axes.toReversed() : axes });
  };

export const alongAxis =
  (op: OpName, attrs: (making: Making) => Readonly<Record<string, boolean>> = () => ({})): MakeNode =>
  (making) => {
    const x = making.pick(({ type }) => type.shape.length > 0);
    if (x !== undefined) making.emit(op, [x], { axis: making.whole(0, x.type.shape.length - 1), ...attrs(making) });
  };

export const window =
  (op: OpName): MakeNode =>
  (making) => {
    const x = making.pick(({ type }) => type.shape.length > 0);
    if (x === undefined) return;
    const { shape } = x.type;
    const count = making.whole(1, Math.min(2, shape.length));
    const sizes = shape.slice(-count).map((extent) => making.whole(1, Math.max(1, Math.min(3, extent))));
    making.emit(op, [x], {
      window: sizes,
      strides: sizes.map(() => making.whole(1, 2)),
      padding: sizes.map((size) => [making.whole(0, size >> 1), making.whole(0, size >> 1)]),
      dilation: sizes.map(() => (making.chance(0.2) ? 2 : 1)),
    });
  };

/** Another shape with as many elements. */
export function sameCount({ chance, whole, choose }: Making, shape: Shape): Shape {
  if (chance(0.4)) {
    const kept = shape.filter((extent) => extent !== 1 || chance(0.5));
    const place = whole(0, kept.length);
    return chance(0.6) && kept.length < 4 ? [...kept.slice(0, place), 1, ...kept.slice(place)] : kept;
  }
  const extents: number[] = [];
  let rest = elementCount(shape);
  while (rest > 1 && extents.length < 3) {
    const count = rest;
    const divisors = Array.from({ length: Math.min(rest, 6) }, (_, i) => i + 1).filter((by) => count % by === 0);
    const extent = choose(divisors);
    extents.push(extent);
    rest /= extent;
  }
  return [...extents, rest];
}

export function shuffled({ whole }: Making, count: number): number[] {
  const order: number[] = [];
  for (let i = 0; i < count; i++) order.splice(whole(0, i), 0, i);
  return order;
}

export function makeBroadcast(making: Making): void {
  const x = making.pick(({ type }) => type.shape.includes(1) || making.chance(0.3));
  if (x === undefined) return;
  const place = making.whole(0, x.type.shape.length);
  const unit = [...x.type.shape.slice(0, place), 1, ...x.type.shape.slice(place)];
  const operand = x.type.shape.includes(1) ? x : making.emit("reshape", [x], { shape: unit });
  const shape = operand?.type.shape.map((extent) => (extent === 1 && making.chance(0.7) ? making.whole(1, 4) : extent));
  if (operand !== undefined && shape !== undefined) making.emit("broadcast", [operand], { shape });
}

export function makeSlice(making: Making): void {
  const x = making.pick(({ type }) => type.shape.length > 0);
  if (x === undefined) return;
  const start = x.type.shape.map((extent) => (making.chance(0.5) ? 0 : making.whole(0, Math.max(0, extent - 1))));
  const stop = x.type.shape.map((extent, axis) => {
    const first = at(start, axis);
    return making.chance(0.5) ? extent : making.whole(Math.min(extent, first + (making.chance(0.1) ? 0 : 1)), extent);
  });
  making.emit("slice", [x], { start, stop, step: start.map(() => (making.chance(0.3) ? making.whole(2, 3) : 1)) });
}

export function makePad(making: Making): void {
  const x = making.pick(({ type }) => type.shape.length > 0);
  if (x === undefined) return;
  const counts = (most: number): number[] => x.type.shape.map(() => (making.chance(0.4) ? making.whole(0, most) : 0));
  const value = x.type.dtype === "bool" ? making.whole(0, 1) : making.choose([0, 0, 1, -1]);
  making.emit("pad", [x], { low: counts(2), high: counts(2), interior: counts(1), value });
}

export function makeConcat(making: Making): void {
  const x = making.pick(({ type }) => type.shape.length > 0);
  if (x === undefined) return;
  const axis = making.whole(0, x.type.shape.length - 1);
  const others = Array.from({ length: making.whole(0, 2) }, () => {
    const extent = making.whole(1, 3);
    return making.like({ dtype: x.type.dtype, shape: x.type.shape.map((old, i) => (i === axis ? extent : old)) });
  });
  making.emit("concat", [x, ...others], { axis });
}

export function makeDot(making: Making): void {
  const x = making.pick(({ type }) => type.dtype !== "bool" && type.shape.length > 0);
  const y = making.pick(({ type }) => type.dtype === x?.type.dtype);
  if (x === undefined || y === undefined) return;
  type AxisList = "lhsBatch" | "rhsBatch" | "lhsContract" | "rhsContract";
  const attrs: Record<AxisList, number[]> = { lhsBatch: [], rhsBatch: [], lhsContract: [], rhsContract: [] };
  const taken = new Set<number>();
  for (const axis of shuffled(making, x.type.shape.length)) {
    const partner = y.type.shape.findIndex((extent, i) => !taken.has(i) && extent === x.type.shape[axis]);
    if (partner < 0 || making.chance(0.3)) continue;
    taken.add(partner);
    const kind = making.chance(0.7) ? "Contract" : "Batch";
    attrs[`lhs${kind}`].push(axis);
    attrs[`rhs${kind}`].push(partner);
  }
  making.emit("dot", [x, y], attrs);
}

export function makeConv(making: Making): void {
  const spatial = making.whole(1, 2);
  const groups = making.chance(0.2) ? 2 : 1;
  const perGroup = making.whole(1, 2);
  const extents = Array.from({ length: spatial }, () => making.whole(2, 5));
  const known = making.pick(({ type: { dtype, shape } }) => dtype === "f32" && shape.length === spatial + 2);
  const x = known ?? making.like({ dtype: "f32", shape: [making.whole(1, 2), groups * perGroup, ...extents] });
  const channels = at(x.type.shape, 1);
  const fitting = channels % groups === 0 ? groups : 1;
  const kernel = extents.map(() => making.whole(1, 3));
  const w = making.like({ dtype: "f32", shape: [fitting * making.whole(1, 2), channels / fitting, ...kernel] });
  const small = (): number[] => extents.map(() => (making.chance(0.3) ? 2 : 1));
  making.emit("conv", [x, w], {
    strides: small(),
    padding: extents.map(() => [making.whole(0, 2), making.whole(0, 2)]),
    lhsDilation: making.chance(0.3) ? small() : extents.map(() => 1),
    rhsDilation: making.chance(0.3) ? small() : extents.map(() => 1),
    groups: fitting,
  });
}

/** An operand to select from, an axis of it that is not empty, and that axis' extent. */
function selectable(making: Making, fits: (node: Node) => boolean = () => true): { x: Node; axis: number } | undefined {
  const x = making.pick((node) => elementCount(node.type.shape) > 0 && node.type.shape.length > 0 && fits(node));
  return x === undefined ? undefined : { x, axis: making.whole(0, x.type.shape.length - 1) };
}

const isNumber = ({ type }: Node): boolean => type.dtype !== "bool";

export function makeGather(making: Making): void {
  const found = selectable(making);
  if (found === undefined) return;
  const { x, axis } = found;
  const shape = Array.from({ length: making.whole(0, 2) }, () => making.whole(1, 3));
  making.emit("gather", [x, making.indices(shape, at(x.type.shape, axis))], { axis });
}

export function makeScatterAdd(making: Making): void {
  const found = selectable(making, isNumber);
  if (found === undefined) return;
  const { x, axis } = found;
  const index = making.indices([making.whole(1, 4)], at(x.type.shape, axis));
  const shape = x.type.shape.flatMap((extent, i) => (i === axis ? index.type.shape : [extent]));
  making.emit("scatterAdd", [x, index, making.like({ dtype: x.type.dtype, shape })], { axis });
}

/** Indices for `takeAlong` and its adjoint: no larger than x along the other axes. */
function indicesAlong(making: Making, x: Node, axis: number): Node {
  const shape = x.type.shape.map((extent, i) => making.whole(1, i === axis ? 4 : extent));
  return making.indices(shape, at(x.type.shape, axis));
}

export function makeTakeAlong(making: Making): void {
  const found = selectable(making);
  if (found !== undefined)
    making.emit("takeAlong", [found.x, indicesAlong(making, found.x, found.axis)], { axis: found.axis });
}

export function makeScatterAddAlong(making: Making): void {
  const found = selectable(making, isNumber);
  if (found === undefined) return;
  const { x, axis } = found;
  const index = indicesAlong(making, x, axis);
  const updates = making.like({ dtype: x.type.dtype, shape: index.type.shape });
  making.emit("scatterAddAlong", [x, index, updates], { axis });
}

export function makeSelect(making: Making): void {
  const x = making.pick();
  if (x === undefined) return;
  const condition = making.like({ dtype: "bool", shape: x.type.shape });
  making.emit("select", [condition, x, making.like(x.type)], {});
}

export function makePow(making: Making): void {
  const x = making.pick(isNumber);
  if (x === undefined) return;
  const value = making.choose([0, 1, 2, 2, 3, ...(isFloat(x.type.dtype) ? [0.5, -1] : [])]);
  const base = making.wild || Number.isInteger(value) ? x : onePlusAbs(making, x);
  const exponent = making.emit("full", [], { ...x.type, value });
  if (base !== undefined && exponent !== undefined) making.emit("pow", [base, exponent], {});
}

export function makeIota(making: Making): void {
  const shape = making.shape(1);
  making.emit("iota", [], {
    axis: making.whole(0, shape.length - 1),
    dtype: making.choose(["f32", "i64"] as const),
    shape,
  });
}

export function makeLiteral(making: Making): void {
  const shape = making.shape();
  const same = making.chance(0.3);
  const values = Array.from({ length: elementCount(shape) }, () => (same ? 1 : making.whole(0, 3)));
  making.emit("literal", [], { dtype: making.choose(["f32", "i64"] as const), shape, values });
}

export function leaf(op: "input" | "read", key: string): MakeNode {
  return (making) => {
    const name = `${op}${making.whole(0, 1e9)}`;
    making.emit(op, [], { [key]: name, dtype: randomDType(making), shape: making.shape() });
  };
}

export function makeFull(making: Making): void {
  const dtype = randomDType(making);
  const value = dtype === "bool" ? making.whole(0, 1) : making.choose([0, 1, -1, 2, 3]);
  making.emit("full", [], { dtype, shape: making.shape(), value });
}
