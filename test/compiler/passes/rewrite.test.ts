/** The rewriting driver and the run of the pass list: identity, sources, order, effects, limits, speed, and one example. */
import { expect } from "chai";
import { any, constant, once, op } from "../../../compiler/passes/pattern.ts";
import { pipeline } from "../../../compiler/passes/pipeline.ts";
import { rewriteGraph, rule } from "../../../compiler/passes/rewrite.ts";
import { runPasses } from "../../../compiler/passes/run.ts";
import type { SourceLocation } from "../../../ir/diagnostic/diagnostic.ts";
import { createWriter, type Graph, type GraphBuilder, type Node } from "../../../ir/graph.ts";
import { parseGraph } from "../../../ir/parse.ts";
import { printGraph } from "../../../ir/print.ts";

const scalar = { dtype: "f32", shape: [] } as const;

function graphOf(build: (g: GraphBuilder) => Readonly<Record<string, Node>>, source?: () => SourceLocation): Graph {
  const writer = createWriter(source ?? ((): undefined => undefined));
  const results = build(writer.g);
  const outputs = Object.entries(results).map(([name, value]) => ({ name, value }));
  return { name: "test", nodes: writer.nodes, outputs, writes: [] };
}

function opsOf(graph: Graph): string[] {
  return graph.nodes.map((node) => node.op);
}

const x = any("x");
const mulOne = rule({
  name: "mul-one",
  equation: "x * 1 = x",
  pattern: op("mul", x, constant(1)),
  replace: (m) => m.x,
});

describe("the rewriting driver", () => {
  it("returns the same object where nothing changes, though a rule was asked and declined", () => {
    const graph = graphOf((g) => ({
      y: g.exp(g.add(g.input({ name: "x", ...scalar }), g.full({ ...scalar, value: 1 }))),
    }));
    const declines = rule({ name: "no", equation: "x = x", pattern: op("exp", x), replace: () => undefined });
    const builds = rule({
      name: "builds in vain",
      equation: "x = x",
      pattern: op("exp", x),
      replace: (m, g) => void g.neg(m.x),
    });
    expect(rewriteGraph(graph, [declines, builds, mulOne])).to.equal(graph);
    expect(runPasses(graph).graph).to.equal(graph);
  });

  it("matches commutative ops in both orders, and others in one", () => {
    const swapped = graphOf((g) => ({ y: g.mul(g.full({ ...scalar, value: 1 }), g.input({ name: "x", ...scalar })) }));
    expect(opsOf(rewriteGraph(swapped, [mulOne]))).to.deep.equal(["input"]);
    const divOne = rule({ name: "d", equation: "x / 1 = x", pattern: op("div", x, constant(1)), replace: (m) => m.x });
    const reciprocal = graphOf((g) => ({
      y: g.div(g.full({ ...scalar, value: 1 }), g.input({ name: "x", ...scalar })),
    }));
    expect(rewriteGraph(reciprocal, [divOne])).to.equal(reciprocal);
  });

  it("goes back to another order where a later operand does not fit", () => {
    const y = any("y");
    const factor = rule({
      name: "factor",
      equation: "x y + x = x (y + 1)",
      pattern: op("add", op("mul", x, y), x),
      replace: (m, g) => g.mul(m.x, g.add(m.y, g.full({ ...scalar, value: 1 }))),
    });
    const graph = graphOf((g) => {
      const [a, b] = [g.input({ name: "a", ...scalar }), g.input({ name: "b", ...scalar })];
      return { y: g.add(b, g.mul(a, b)) };
    });
    expect(opsOf(rewriteGraph(graph, [factor]))).to.deep.equal(["input", "input", "full", "add", "mul"]);
  });

  it("makes equal nodes one, -0 and 0 apart, and a + b equal to b + a", () => {
    const graph = graphOf((g) => {
      const [a, b] = [g.input({ name: "a", ...scalar }), g.input({ name: "b", ...scalar })];
      return { p: g.add(a, b), q: g.add(b, a), r: g.sub(a, b), s: g.sub(b, a) };
    });
    expect(opsOf(rewriteGraph(graph, []))).to.deep.equal(["input", "input", "add", "sub", "sub"]);
    const zeros = graphOf((g) => ({ p: g.full({ ...scalar, value: 0 }), q: g.full({ ...scalar, value: -0 }) }));
    expect(rewriteGraph(zeros, [])).to.equal(zeros);
  });

  it("keeps draws that nothing reads, their order, and unused inputs; drops other dead nodes", () => {
    const graph = graphOf((g) => {
      const unused = g.input({ name: "unused", ...scalar });
      g.neg(unused);
      const first = g.drawUniform(g.generator(), { low: 0, high: 1, shape: [2] });
      const second = g.drawUniform(first, { low: 0, high: 1, shape: [2] });
      g.exp(second);
      return { y: g.full({ ...scalar, value: 2 }) };
    });
    const result = runPasses(graph, { verify: true }).graph;
    expect(opsOf(result)).to.deep.equal(["input", "generator", "drawUniform", "drawUniform", "full"]);
  });

  it("gives a node that replaces another the other's place in the source", () => {
    let line = 0;
    const graph = graphOf(
      (g) => {
        const a = g.input({ name: "a", ...scalar });
        return { y: g.pow(a, g.full({ ...scalar, value: 2 })) };
      },
      () => ({ file: "model.ts", line: ++line, column: 1 }),
    );
    const { nodes } = runPasses(graph).graph;
    expect(nodes.map((node) => [node.op, node.source?.line])).to.deep.equal([
      ["input", 1],
      ["mul", 3],
    ]);
  });

  it("leaves a pattern that must be the only use alone where there is another", () => {
    const fuse = rule({
      name: "fuse",
      equation: "exp(-x) = 1 / exp(x)",
      pattern: op("exp", once(op("neg", x))),
      replace: (m, g) => g.div(g.full({ ...scalar, value: 1 }), g.exp(m.x)),
    });
    const single = graphOf((g) => ({ y: g.exp(g.neg(g.input({ name: "x", ...scalar }))) }));
    expect(opsOf(rewriteGraph(single, [fuse]))).to.include("div");
    const shared = graphOf((g) => {
      const negative = g.neg(g.input({ name: "x", ...scalar }));
      return { y: g.exp(negative), z: negative };
    });
    expect(rewriteGraph(shared, [fuse])).to.equal(shared);
  });

  it("stops at rules that never end or change a type, and names them", () => {
    const graph = graphOf((g) => ({ y: g.neg(g.input({ name: "x", ...scalar })) }));
    const forth = rule({
      name: "forth",
      equation: "-x = 0 - x",
      pattern: op("neg", x),
      replace: (m, g) => g.sub(g.full({ ...scalar, value: 0 }), m.x),
    });
    const back = rule({
      name: "back",
      equation: "0 - x = -x",
      pattern: op("sub", constant(0), x),
      replace: (m, g) => g.neg(m.x),
    });
    expect(() => rewriteGraph(graph, [forth, back])).to.throw(/does not come to an end \[K9050\]/);
    const retype = rule({
      name: "retype",
      equation: "-x = x > x",
      pattern: op("neg", x),
      replace: (m, g) => g.gt(m.x, m.x),
    });
    expect(() => rewriteGraph(graph, [retype])).to.throw(/`retype` changes a type \[K9051\][^]*f32\[\][^]*bool\[\]/);
  });

  it("takes a chain of 20,000 nodes in under half a second, the whole pipeline", () => {
    const graph = graphOf((g) => {
      let value = g.input({ name: "x", dtype: "f32", shape: [8] });
      const one = g.full({ dtype: "f32", shape: [8], value: 1 });
      for (let i = 0; i < 10_000; i++) value = g.tanh(g.mul(value, one));
      return { y: value };
    });
    const begin = performance.now();
    const result = rewriteGraph(
      graph,
      pipeline.flatMap((pass) => ("rules" in pass ? pass.rules : [])),
    );
    expect(performance.now() - begin).to.be.lessThan(500);
    expect(result.nodes.length).to.equal(10_001);
  });
});

describe("running the passes", () => {
  it("times and dumps each pass in order, and names the pass that breaks a graph", () => {
    const graph = graphOf((g) => ({ y: g.neg(g.neg(g.input({ name: "x", ...scalar }))) }));
    const dumped: string[] = [];
    const { timings } = runPasses(graph, { dump: (name, { nodes }) => dumped.push(`${name} ${nodes.length}`) });
    expect(dumped.at(0)).to.equal("dce 3");
    expect(dumped.at(-1)).to.equal("settle 1");
    expect(timings.map(({ pass }) => pass)).to.deep.equal(pipeline.map(({ name }) => name));
    expect(timings.filter(({ changed }) => changed).map(({ pass }) => pass)).to.deep.equal(["simplify"]);
    const breaking = {
      name: "breaking",
      doc: "",
      run: ({ nodes, ...rest }: Graph) => ({ ...rest, nodes: nodes.slice(1) }),
    };
    expect(() => runPasses(graph, { passes: [breaking], verify: true })).to.throw(/`breaking` broke the graph.*K9052/);
  });

  it("turns the tail of a mean squared error into few nodes", () => {
    const text = `entry loss(x: f32[4,3]) state(w: f32[3,2], lr: f32[]) {
  %0 = input {dtype, name="x", shape} : f32[4,3]
  %1 = read {dtype, shape, state="w"} : f32[3,2]
  %2 = permute %1 {order=[1,0]} : f32[2,3]
  %3 = dot %0, %2 {lhsBatch=[], lhsContract=[1], rhsBatch=[], rhsContract=[1]} : f32[4,2]
  %4 = full {dtype, shape, value=2} : f32[4,2]
  %5 = pow %3, %4 : f32[4,2]
  %6 = sum %5 {axes=[0,1]} : f32[]
  %7 = full {dtype, shape, value=8} : f32[]
  %8 = div %6, %7 : f32[]
  %9 = read {dtype, shape, state="lr"} : f32[]
  %10 = reshape %9 {shape} : f32[1,1]
  %11 = broadcast %10 {shape} : f32[3,2]
  %12 = full {dtype, shape, value=1} : f32[]
  %13 = reshape %12 {shape} : f32[1,1]
  %14 = broadcast %13 {shape} : f32[3,2]
  %15 = sub %14, %11 : f32[3,2]
  %16 = mul %1, %15 : f32[3,2]
  write w = %16
  return loss = %8 : f32[]
}
`;
    const { graph } = runPasses(parseGraph(text), { verify: true });
    expect(printGraph(graph)).to.equal(`entry loss(x: f32[4,3]) state(w: f32[3,2], lr: f32[]) {
  %0 = input {dtype, name="x", shape} : f32[4,3]
  %1 = read {dtype, shape, state="w"} : f32[3,2]
  %2 = dot %0, %1 {lhsBatch=[], lhsContract=[1], rhsBatch=[], rhsContract=[0]} : f32[4,2]
  %3 = mul %2, %2 : f32[4,2]
  %4 = sum %3 {axes=[0, 1]} : f32[]
  %5 = full {dtype, shape, value=0.125} : f32[]
  %6 = mul %4, %5 : f32[]
  %7 = read {dtype, shape, state="lr"} : f32[]
  %8 = full {dtype, shape, value=1} : f32[]
  %9 = sub %8, %7 : f32[]
  %10 = reshape %9 {shape} : f32[1,1]
  %11 = broadcast %10 {shape} : f32[3,2]
  %12 = mul %1, %11 : f32[3,2]
  write w = %12
  return loss = %6 : f32[]
}
`);
  });
});
