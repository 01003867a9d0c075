/** The printed form of graphs: `parse(print(g))` equals `g`, errors have a place, and `verify` finds broken graphs. */
import { expect } from "chai";
import * as fc from "fast-check";
import { InternalError, UserError, type SourceLocation } from "../../ir/diagnostic/diagnostic.ts";
import { createWriter, type Graph, type GraphWriter, type Node } from "../../ir/graph.ts";
import { interpret } from "../../ir/interpret.ts";
import { parseGraph } from "../../ir/parse.ts";
import { printGraph, printNode } from "../../ir/print.ts";
import { elementCount, sameType } from "../../ir/type.ts";
import { verifyGraph } from "../../ir/verify.ts";
import type { Attrs } from "../../ir/op.ts";
import type { OpCase } from "./ops/case.ts";
import { opCases } from "./ops/cases.ts";
import { opNames } from "../../ir/graph.ts";

const names = fc.oneof(
  fc.string({ unit: "binary", maxLength: 6 }),
  fc.constantFrom("fc1.weight", "a b", '"', "\n*/", "\u2028"),
);
const sources: fc.Arbitrary<SourceLocation | undefined> = fc.option(
  fc.record(
    { file: names, line: fc.nat(), column: fc.nat(), module: names },
    { requiredKeys: ["file", "line", "column"] },
  ),
  { nil: undefined },
);
const numbers = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(-0, Number.NaN, Number.POSITIVE_INFINITY));

/** A random well-formed graph: leaves, elementwise ops, movement, reductions, draws, outputs and writes. */
const graphs: fc.Arbitrary<Graph> = fc
  .record({
    name: names,
    labels: fc.array(names, { minLength: 4, maxLength: 4 }),
    sources: fc.array(sources, { minLength: 1, maxLength: 5 }),
    values: fc.array(numbers, { minLength: 3, maxLength: 3 }),
    steps: fc.array(fc.tuple(fc.nat(11), fc.nat(), fc.nat()), { maxLength: 12 }),
  })
  .map(({ name, labels, sources: places, values, steps }) => {
    let count = 0;
    const writer = createWriter(() => places[count++ % places.length]);
    const { g } = writer;
    const [x = "", state = "", label = "", other = ""] = labels;
    g.input({ name: x, dtype: "f32", shape: [2, 3] });
    const old = g.read({ state, dtype: "f32", shape: [2, 3] });
    g.full({ value: values[0] ?? 0, dtype: "f32", shape: [2, 3] });
    g.literal({ dtype: "f64", shape: [3], values });
    g.hostScalar({ expr: ["pow", ["hyper", label], values[1] ?? 0] });
    let token = g.generator();
    for (const [kind, i, j] of steps) token = randomNode(writer, kind, [i, j], token);
    const written = writer.nodes.findLast(({ type }) => sameType(type, old.type)) ?? old;
    const last = writer.nodes.at(-1) ?? old;
    const outputs = label === other ? [] : [{ name: label, value: last }];
    return {
      name,
      nodes: writer.nodes,
      outputs: [...outputs, { name: other, value: old }],
      writes: [{ state, value: written }],
    };
  });

/** Appends one node to a random graph; returns the token of the next draw. */
function randomNode(writer: GraphWriter, kind: number, [i, j]: [number, number], token: Node): Node {
  const { g, nodes } = writer;
  const x = nodes[i % nodes.length] ?? token;
  const { shape, dtype } = x.type;
  const alike = nodes.filter(({ type }) => sameType(type, x.type));
  const y = alike[j % alike.length] ?? x;
  if (kind === 0) return g.drawUniform(token, { low: -0, high: i / 7, shape });
  if (kind === 1) return g.drawBernoulli(token, { p: 1 / (1 + j), shape: [j % 4] });
  if (kind === 2) g.cast(x, { dtype: "bool" });
  else if (kind === 3) g.eq(x, y);
  else if (kind === 4) g.reshape(x, { shape: [elementCount(shape), 1] });
  else if (kind === 5 && shape.length > 0) g.concat(x, y, x, { axis: 0 });
  else if (kind === 6) g.select(g.ne(x, y), x, y);
  else if (dtype === "f32" || dtype === "f64") {
    if (kind === 7) g.add(x, y);
    else if (kind === 8) g.tanh(x);
    else if (kind === 9) g.sum(x, { axes: shape.map((_, axis) => axis) });
    else if (kind === 10 && shape.length > 0)
      g.pad(x, { low: shape.map(() => 1), high: shape.map(() => 0), interior: shape.map(() => 0), value: Number.NaN });
    else g.maxReduce(x, { axes: [] });
  }
  return token;
}

/** A graph with operands as numbers, so that comparing two does not walk shared nodes again and again. */
function flat({ name, nodes, outputs, writes }: Graph): unknown {
  return {
    name,
    nodes: nodes.map((node) => ({ ...node, inputs: node.inputs.map(({ id }) => id) })),
    outputs: outputs.map((output) => [output.name, output.value.id]),
    writes: writes.map((write) => [write.state, write.value.id]),
  };
}

/** The text of a small graph. */
function sample(): string {
  const { g, nodes } = createWriter(() => ({ file: "model.ts", line: 9, column: 5, module: "fc1" }));
  const x = g.input({ name: "images", dtype: "u8", shape: [64, 784] });
  const y = g.cast(x, { dtype: "f32" });
  const w = g.read({ state: "fc1.weight", dtype: "f32", shape: [10, 784] });
  const z = g.dot(y, w, { lhsBatch: [], rhsBatch: [], lhsContract: [1], rhsContract: [1] });
  const loss = g.sum(z, { axes: [0, 1] });
  return printGraph({
    name: "train",
    nodes,
    outputs: [{ name: "loss", value: loss }],
    writes: [{ state: "fc1.weight", value: w }],
  });
}

describe("printed graphs", () => {
  it("read as the design shows", () => {
    expect(sample()).to.equal(
      [
        "entry train(images: u8[64,784]) state(fc1.weight: f32[10,784]) {",
        '  %0 = input {dtype, name="images", shape} : u8[64,784]  # fc1 model.ts:9:5',
        "  %1 = cast %0 {dtype} : f32[64,784]  # fc1 model.ts:9:5",
        '  %2 = read {dtype, shape, state="fc1.weight"} : f32[10,784]  # fc1 model.ts:9:5',
        "  %3 = dot %1, %2 {lhsBatch=[], lhsContract=[1], rhsBatch=[], rhsContract=[1]} : f32[64,10]  # fc1 model.ts:9:5",
        "  %4 = sum %3 {axes=[0, 1]} : f32[]  # fc1 model.ts:9:5",
        "  write fc1.weight = %2",
        "  return loss = %4 : f32[]",
        "}",
        "",
      ].join("\n"),
    );
  });
  it("parse back to equal graphs, which verify", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        verifyGraph(graph);
        const text = printGraph(graph);
        expect(text).to.not.match(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/);
        const parsed = parseGraph(text);
        expect(flat(parsed)).to.deep.equal(flat(graph));
        expect(printGraph(parsed)).to.equal(text);
      }),
      { seed: 2, numRuns: 400 },
    );
  });
  it("parse back for every op and attribute there is", () => {
    for (const op of opNames)
      for (const { types, attrs } of opCases[op].valid as readonly OpCase<Attrs>[]) {
        const writer = createWriter(() => undefined);
        const operands = types.map((type, i) => writer.g.input({ name: `x${i}`, ...type }));
        const node = writer.append(op, operands, attrs);
        const graph = { name: op, nodes: writer.nodes, outputs: [{ name: "y", value: node }], writes: [] };
        expect(flat(parseGraph(printGraph(graph))), printNode(node)).to.deep.equal(flat(graph));
      }
  });
  it("are refused with line and column where they are damaged", () => {
    const text = sample();
    // What is replaced by what, and the text at which the error must stand.
    const damage: readonly [from: string, to: string, mark: string][] = [
      ["entry train", "entri train", "entri"],
      ["u8[64,784]) state", "u8[64,785]) state", "entry"],
      ["%1 = cast", "%2 = cast", "%2 = cast"],
      ["cast %0", "cats %0", "cats"],
      ["cast %0", "cast %7", "%7"],
      ["cast %0 {dtype}", "cast %0 {dtype", ": f32[64,784]  #"],
      [": f32[64,10]", ": f32[64,11]", "f32[64,11]"],
      [": f32[64,10]", ": q32[64,10]", "q32[64,10]"],
      ["lhsContract=[1]", "lhsContract=[0]", "dot"],
      ["lhsContract=[1]", "lhsContract=[1", "rhsBatch"],
      ["axes=[0, 1]", "axes=[0, 1], axes=[]", "axes=[]"],
      ['"fc1.weight"', '"fc1.\\qweight"', '"fc1.\\qweight"'],
      ["return loss = %4", "return loss = %5", "%5"],
      ["return loss = %4 : f32[]", "return loss = %4 : f32[1]", "f32[1]"],
      ["model.ts:9:5", "model.ts:9", ":9\n"],
    ];
    for (const [from, to, mark] of damage) {
      expect(text.includes(from), from).to.equal(true);
      const damaged = text.replace(from, () => to);
      const before = damaged.slice(0, damaged.indexOf(mark)).split("\n");
      const where = `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1} `;
      expect(() => parseGraph(damaged), to)
        .to.throw(UserError, where)
        .that.includes({ code: "K1004" });
    }
    expect(() => parseGraph(text.slice(0, text.lastIndexOf("}")))).to.throw(UserError, "line 9, column 1");
    expect(() => parseGraph(`${text}more`)).to.throw(UserError, "line 10, column 1");
    expect(() => parseGraph("")).to.throw(UserError, "line 1, column 1");
  });
});

describe("verify", () => {
  const { g, nodes } = createWriter(() => undefined);
  const x = g.input({ name: "x", dtype: "f32", shape: [2] });
  const y = g.add(x, x);
  const token = g.generator();
  const first = g.drawUniform(token, { low: 0, high: 1, shape: [2] });
  const second = g.drawUniform(first, { low: 0, high: 1, shape: [2] });
  const good: Graph = { name: "e", nodes, outputs: [{ name: "y", value: y }], writes: [] };
  const changed = (index: number, change: Partial<Node>): Graph => ({
    ...good,
    nodes: nodes.map((node, i) => (i === index ? { ...node, ...change } : node)),
    outputs: [],
  });

  it("accepts a good graph", () => {
    verifyGraph(good);
  });
  const scalar = { dtype: "f32", shape: [] } as const;
  const stranger: Node = { ...x };
  const broken: readonly [what: string, graph: Graph][] = [
    ["ids out of order", { ...good, nodes: nodes.toReversed(), outputs: [] }],
    ["an operand from elsewhere", changed(1, { inputs: [stranger, x] })],
    ["an operand that comes later", changed(1, { inputs: [second, second] })],
    ["a missing operand", changed(1, { inputs: [x] })],
    ["a wrong type", changed(1, { type: scalar })],
    ["attributes the op refuses", changed(4, { attrs: { low: 0, high: 1, shape: [-1] } })],
    ["a draw that skips the one before", changed(4, { inputs: [token] })],
    ["a first draw without the generator", changed(3, { inputs: [x] })],
    ["an output from elsewhere", { ...good, outputs: [{ name: "y", value: stranger }] }],
    ["two outputs of one name", { ...good, outputs: [...good.outputs, ...good.outputs] }],
    [
      "two writes of one state",
      {
        ...good,
        writes: [
          { state: "s", value: y },
          { state: "s", value: x },
        ],
      },
    ],
    ["writes of another type than reads", withReads("s", [2], [{ state: "s", shape: [3] }])],
    ["reads of two types", withReads("s", [2], [], [3])],
  ];
  for (const [what, graph] of broken)
    it(`refuses ${what}`, () => {
      expect(() => verifyGraph(graph))
        .to.throw(InternalError)
        .that.includes({ code: "K9010" });
    });
});

/** A graph that reads a state once or twice and writes values of given shapes. */
function withReads(
  state: string,
  shape: readonly number[],
  writes: readonly { readonly state: string; readonly shape: readonly number[] }[],
  again?: readonly number[],
): Graph {
  const { g, nodes } = createWriter(() => undefined);
  g.read({ state, dtype: "f32", shape });
  if (again !== undefined) g.read({ state, dtype: "f32", shape: again });
  const values = writes.map((write) => ({
    state: write.state,
    value: g.full({ value: 0, dtype: "f32", shape: write.shape }),
  }));
  return { name: "e", nodes, outputs: [], writes: values };
}

describe("interpreter", () => {
  const { g, nodes } = createWriter(() => ({ file: "m.ts", line: 1, column: 2 }));
  const x = g.input({ name: "x", dtype: "f32", shape: [2] });
  const w = g.read({ state: "w", dtype: "f32", shape: [2] });
  const images = g.feed({ field: "images", dtype: "u8", shape: [2] });
  const lr = g.broadcast(g.reshape(g.hostScalar({ expr: ["hyper", "lr"] }), { shape: [1] }), { shape: [2] });
  const noise = g.drawNormal(g.generator(), { mean: 1, std: 2, shape: [2] });
  const mask = g.drawBernoulli(noise, { p: 0.25, shape: [2] });
  const step = g.sub(w, g.mul(lr, x));
  const sum = g.add(g.cast(images, { dtype: "f32" }), g.select(mask, noise, x));
  const graph: Graph = {
    name: "e",
    nodes,
    outputs: [{ name: "sum", value: sum }],
    writes: [{ state: "w", value: step }],
  };
  const draws: unknown[] = [];
  const environment = {
    inputs: new Map([["x", Float64Array.of(1, 2)]]),
    states: new Map([["w", Float64Array.of(10, 20)]]),
    feeds: new Map([["images", Float64Array.of(100, 200)]]),
    hostScalar: (): number => 0.5,
    draw: (draw: { readonly kind: string }, count: number): Float64Array => {
      draws.push([draw, count]);
      return draw.kind === "normal" ? Float64Array.of(7, 8) : Float64Array.of(1, 0);
    },
  };

  it("computes outputs and writes from what it is given", () => {
    const { outputs, writes } = interpret(graph, environment);
    expect(outputs.get("sum")).to.deep.equal(Float64Array.of(107, 202));
    expect(writes.get("w")).to.deep.equal(Float64Array.of(9.5, 19));
    expect(draws).to.deep.equal([
      [{ kind: "normal", mean: 1, std: 2 }, 2],
      [{ kind: "bernoulli", p: 0.25 }, 2],
    ]);
  });
  for (const [kind, missing] of Object.entries({
    "an input": { ...environment, inputs: new Map() },
    "a state": { ...environment, states: new Map() },
    "a field": { ...environment, feeds: new Map() },
    "a host scalar": { inputs: environment.inputs, states: environment.states, feeds: environment.feeds },
  }))
    it(`says which value is missing: ${kind}`, () => {
      expect(() => interpret(graph, missing))
        .to.throw(UserError)
        .that.includes({ code: "K1005" });
    });
  it("refuses a value of the wrong size", () => {
    const inputs = new Map([["x", new Float64Array(3)]]);
    expect(() => interpret(graph, { ...environment, inputs }))
      .to.throw(UserError)
      .that.includes({ code: "K1006" });
  });
  it("names the place of an index out of range", () => {
    const writer = createWriter(() => ({ file: "m.ts", line: 4, column: 2 }));
    const table = writer.g.full({ value: 1, dtype: "f32", shape: [3] });
    const value = writer.g.gather(table, writer.g.literal({ dtype: "i64", shape: [1], values: [3] }), { axis: 0 });
    const bad = { name: "e", nodes: writer.nodes, outputs: [{ name: "y", value }], writes: [] };
    expect(() => interpret(bad, {})).to.throw(UserError, "m.ts:4:2");
  });
});
