/**
 * Random graphs over the whole op table, for comparing anything that runs graphs with anything else: passes with the
 * reference interpreter, kernels with the reference interpreter. Extents are 0 to 5 (mostly more than 1), ranks 0 to 4.
 * A graph depends on the numbers it is given alone, so a seed reproduces it.
 *
 * Every node is evaluated while the graph is made, in float64 and rounded to float32 after each op. A *tame* graph (the
 * default) keeps a node only if the two agree closely and the numbers are neither large nor undefined, and lets ops that
 * jump (comparisons, rounding, sorting) only see numbers on which the two agree to the bit; so every right
 * implementation agrees with the interpreter within a small tolerance. A *wild* graph has NaN, infinities, -0 and
 * denormals among its inputs and keeps whatever comes out.
 */
import * as fc from "fast-check";
import { DiagnosticError } from "../ir/diagnostic/diagnostic.ts";
import { createWriter, opDef, opNames, type Graph, type Node, type OpName } from "../ir/graph.ts";
import { describeDraw, type Environment } from "../ir/interpret.ts";
import type { Draw } from "../ir/loop/loop.ts";
import type { Attrs, Elements } from "../ir/op.ts";
import { at, elementCount, isFloat, sameType, type Shape, type TensorType } from "../ir/type.ts";
import type { Making } from "./random-graph-making.ts";
import { makers } from "./random-graph-ops.ts";
import { randomElements, randomNumbers, roundElements } from "./random-numbers.ts";

/** What random graphs may contain. */
export type RandomGraphOptions = {
  /** Number of nodes aimed at, leaves included; default: random, 3 to 40. */
  readonly size?: number;
  /** Special values in the inputs, and no care about what comes out. Default: no. */
  readonly wild?: boolean;
  /** Draws from the generator. Default: no. */
  readonly draws?: boolean;
  /** The ops to pick from; default: all that a random graph can contain. */
  readonly ops?: readonly OpName[];
};

/** A random graph and what it is to be run on. */
export type RandomGraph = {
  readonly graph: Graph;
  /** Elements of each input, row-major, by name. */
  readonly inputs: ReadonlyMap<string, Elements>;
  /** Elements of each state that is read, by name. */
  readonly states: ReadonlyMap<string, Elements>;
  /** What the interpreter runs it in; one for each run, since draws count. */
  readonly environment: () => Environment;
};

/** Ops whose result jumps where an operand changes a little. */
const jumping: ReadonlySet<OpName> = new Set<OpName>([
  ...(["eq", "ne", "lt", "le", "gt", "ge", "floor", "ceil", "trunc", "round", "sign", "mod"] as const),
  ...(["argmax", "argmin", "argsort", "windowArgmax"] as const),
]);

const elementLimit = 400;
const tameLimit = 1e4;
const wholeLimit = 2 ** 31;

/** A random graph; `next` gives numbers in [0, 1). */
export function randomGraph(next: () => number, options: RandomGraphOptions = {}): RandomGraph {
  const { wild = false, draws = false, ops = opNames } = options;
  const recorder = createRecorder(next, wild);
  const making = createMaking(next, recorder, wild);
  const { nodes, inputs, states } = recorder;
  const size = options.size ?? making.whole(3, 40);
  const names = ops.filter((name) => makers[name] !== null && (draws || !opDef(name).effect));
  making.emit("input", [], { name: "x", dtype: "f32", shape: making.shape(2) });
  for (let attempt = 0; attempt < 6 * size && nodes.length < size; attempt++) makers[making.choose(names)]?.(making);
  const environment = (): Environment => {
    let ordinal = 0;
    return { inputs, states, draw: (draw, count) => drawn(draw, ordinal++, count) };
  };
  return { graph: finishGraph(nodes, making), inputs, states, environment };
}

/** Random graphs as a fast-check arbitrary, which shrinks by size. */
export function randomGraphs(options: RandomGraphOptions = {}): fc.Arbitrary<RandomGraph> {
  return fc
    .tuple(fc.nat(), fc.integer({ min: 3, max: options.size ?? 40 }))
    .map(([seed, size]) => randomGraph(randomNumbers(seed), { ...options, size }));
}

/** Values of a node: in float64 throughout, and rounded to float32 after each op. */
type Values = { readonly exact: Elements; readonly rounded: Elements };

/** Nodes so far with their values, and what the leaves among them stand for. */
type Recorder = {
  readonly emit: Making["emit"];
  readonly nodes: readonly Node[];
  readonly valuesOf: (node: Node) => Values;
  readonly inputs: ReadonlyMap<string, Elements>;
  readonly states: ReadonlyMap<string, Elements>;
};

function createRecorder(next: () => number, wild: boolean): Recorder {
  const { append, nodes } = createWriter(() => undefined);
  const values: Values[] = [];
  const [inputs, states] = [new Map<string, Elements>(), new Map<string, Elements>()];
  let draws = 0;
  const valuesOf = ({ id }: Node): Values => at(values, id);

  const leafValues = (op: OpName, attrs: Attrs, type: TensorType): Elements => {
    const count = elementCount(type.shape);
    if (opDef(op).effect) return drawn(describedDraw(op, attrs), draws, count);
    if (op === "hostScalar") return Float64Array.of(Number(attrs["expr"]));
    const fresh = randomElements(type.dtype, count, next, wild);
    if (op === "input") inputs.set(String(attrs["name"]), fresh);
    if (op === "read") states.set(String(attrs["state"]), fresh);
    return fresh;
  };
  const evaluated = (op: OpName, operands: readonly Node[], attrs: Attrs, type: TensorType): Values => {
    const { evaluate } = opDef(op);
    const types = operands.map((operand) => operand.type);
    if (evaluate === null) {
      const leaf = leafValues(op, attrs, type);
      return { exact: leaf, rounded: leaf };
    }
    const run = (which: keyof Values): Elements =>
      evaluate(
        operands.map((operand) => valuesOf(operand)[which]),
        { types, attrs, type },
      );
    return { exact: run("exact"), rounded: roundElements(type.dtype, run("rounded")) };
  };
  const accepts = (op: OpName, operands: readonly Node[], type: TensorType, result: Values): boolean => {
    // Long before 2^53, from where the reference itself is not exact.
    if (!isFloat(type.dtype) && !result.exact.every((value) => Math.abs(value) <= wholeLimit)) return false;
    if (wild) return true;
    const jumps = jumping.has(op) || (op === "cast" && !isFloat(type.dtype));
    return isTame(result) && (!jumps || operands.every((operand) => agree(valuesOf(operand))));
  };
  const emit: Making["emit"] = (op, operands, attrs) => {
    const type = typeOf(op, operands, attrs);
    if (type === undefined) return undefined;
    const isLarge = elementCount(type.shape) > elementLimit || type.shape.length > 5;
    if (operands.length > 0 && isLarge) return undefined;
    const result = evaluated(op, operands, attrs, type);
    if (!accepts(op, operands, type, result)) return undefined;
    values.push(result);
    if (opDef(op).effect) draws++;
    return append(op, operands, attrs);
  };
  return { emit, nodes, valuesOf, inputs, states };
}

/** The type an op gives; `undefined` if the operands or attributes do not fit it. */
function typeOf(op: OpName, operands: readonly Node[], attrs: Attrs): TensorType | undefined {
  try {
    return opDef(op).type(
      operands.map((operand) => operand.type),
      attrs,
    );
  } catch (error) {
    if (error instanceof DiagnosticError) return undefined;
    throw error;
  }
}

/** Whether float32 and float64 agree closely, on moderate numbers. */
function isTame({ exact, rounded }: Values): boolean {
  return exact.every((value, i) => {
    const difference = Math.abs(value - at(rounded, i));
    return difference <= 1e-5 * (1 + Math.abs(value)) && Math.abs(value) <= tameLimit;
  });
}

function createMaking(next: () => number, { emit, nodes, valuesOf }: Recorder, wild: boolean): Making {
  const whole = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  const choose = <T>(list: readonly T[]): T => at(list, whole(0, list.length - 1));
  const chance = (probability: number): boolean => next() < probability;
  const pick: Making["pick"] = (fits = () => true) => {
    const fitting = nodes.filter((node) => node.op !== "generator" && fits(node));
    if (fitting.length === 0) return undefined;
    // The latest are the likeliest, so that graphs grow deep and ops meet in chains.
    if (chance(0.4)) return at(fitting, whole(Math.max(0, fitting.length - 3), fitting.length - 1));
    return at(fitting, Math.floor(fitting.length * Math.sqrt(next())));
  };
  const shape = (leastRank = 0): Shape =>
    Array.from({ length: whole(leastRank, 4) }, () => (chance(0.02) ? 0 : whole(1, chance(0.3) ? 5 : 3)));
  const leaf = (op: OpName, attrs: Attrs): Node => {
    const node = emit(op, [], attrs);
    if (node === undefined) throw new Error(`a leaf was refused: ${op} ${JSON.stringify(attrs)}`);
    return node;
  };
  /** A value with fewer elements, repeated. */
  const repeated = (type: TensorType): Node | undefined => {
    const fits = (extent: number, axis: number): boolean => extent === 1 || extent === type.shape[axis];
    const narrow = pick(
      ({ type: { dtype, shape: from } }) =>
        dtype === type.dtype && from.length === type.shape.length && from.every(fits),
    );
    if (narrow !== undefined && chance(0.5)) return emit("broadcast", [narrow], { shape: type.shape });
    const scalar = pick((node) => node.type.dtype === type.dtype && elementCount(node.type.shape) === 1);
    const unit = scalar && emit("reshape", [scalar], { shape: type.shape.map(() => 1) });
    return unit && emit("broadcast", [unit], { shape: type.shape });
  };
  const like = (type: TensorType): Node => {
    const same = pick((node) => sameType(node.type, type));
    if (same !== undefined && chance(0.7)) return same;
    const wide = chance(0.5) ? repeated(type) : undefined;
    if (wide !== undefined) return wide;
    const { dtype } = type;
    if (chance(0.5)) return leaf("input", { ...type, name: `x${nodes.length}` });
    const value = dtype === "bool" ? whole(0, 1) : choose(isFloat(dtype) ? [0, 1, -1, 0.5, 2, 3] : [0, 1, 2, 3]);
    return leaf("full", { ...type, value });
  };
  const indices = (extents: Shape, extent: number): Node => {
    const type: TensorType = { dtype: "i64", shape: extents };
    const isBelow = (value: number): boolean => value >= 0 && value < extent;
    const found = pick((node) => sameType(node.type, type) && valuesOf(node).exact.every(isBelow));
    if (found !== undefined && chance(0.5)) return found;
    const values = Array.from({ length: elementCount(extents) }, () => whole(0, extent - 1));
    return leaf("literal", { ...type, values });
  };
  const token = (): Node => nodes.findLast((node) => opDef(node.op).effect) ?? leaf("generator", {});
  return { wild, whole, choose, chance, pick, like, indices, shape, emit, token };
}

/** Whether rounding has made no difference so far. */
function agree({ exact, rounded }: Values): boolean {
  return exact.every((value, i) => Object.is(value, rounded[i]));
}

/** Outputs are the last value and some others; a state that was read may be written. */
function finishGraph(nodes: readonly Node[], { pick, chance, whole }: Making): Graph {
  const results = new Set<Node>([at(nodes, nodes.length - 1)]);
  for (let i = whole(0, 2); i > 0; i--) results.add(pick() ?? at(nodes, 0));
  const writes = nodes.flatMap((node) => {
    const value = node.op === "read" && chance(0.7) ? pick(({ type }) => sameType(type, node.type)) : undefined;
    return value === undefined ? [] : [{ state: String(node.attrs["state"]), value }];
  });
  const outputs = [...results].filter((node) => node.op !== "generator");
  return { name: "random", nodes, outputs: outputs.map((value, i) => ({ name: `out${i}`, value })), writes };
}

/** What a draw of this op asks the generator for. */
function describedDraw(op: OpName, attrs: Attrs): Draw {
  const { lowering } = opDef(op);
  if (lowering.class !== "random") throw new Error(`\`${op}\` is no draw`);
  const node: Node = { id: 0, op, inputs: [], attrs, type: { dtype: "f32", shape: [] }, source: undefined };
  return describeDraw(node, lowering.distribution);
}

/** Numbers for a draw that depend on its place in the order of draws: any program that keeps the order gets the same. */
export function drawn(draw: Draw, ordinal: number, count: number): Elements {
  const next = randomNumbers(ordinal + 1);
  return Float64Array.from({ length: count }, () => {
    const u = next();
    if (draw.kind === "bernoulli") return u < draw.p ? 1 : 0;
    if (draw.kind === "uniform") return Math.fround(draw.low + u * (draw.high - draw.low));
    return Math.fround(draw.mean + draw.std * (u - 0.5));
  });
}
