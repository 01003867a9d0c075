/**
 * Passes keep what programs compute: random graphs over the whole op table, before and after each pass alone and the
 * whole pipeline. Tame graphs must agree closely; wild ones, full of NaN, infinities and signed zeros, bit for bit under
 * all rules that promise it.
 */
import { expect } from "chai";
import * as fc from "fast-check";
import type { Pass } from "../../../compiler/passes/pass.ts";
import { pipeline, rules } from "../../../compiler/passes/pipeline.ts";
import { rewriteGraph } from "../../../compiler/passes/rewrite.ts";
import { runPasses } from "../../../compiler/passes/run.ts";
import { opDef, opNames, type Graph, type OpName } from "../../../ir/graph.ts";
import { interpret } from "../../../ir/interpret.ts";
import { parseGraph } from "../../../ir/parse.ts";
import { printGraph } from "../../../ir/print.ts";
import { at } from "../../../ir/type.ts";
import { verifyGraph } from "../../../ir/verify.ts";
import { randomGraph, randomGraphs, type RandomGraph, type RandomGraphOptions } from "../../random-graph.ts";
import { randomNumbers } from "../../random-numbers.ts";
import { evaluateRounded, sameElement, type Equality } from "./evaluate.ts";

const runs = { numRuns: 300, seed: 20 };
const close: Equality = { relative: 1e-4, absolute: 1e-4, looseZero: true };
/** Rules that promise the same bits. */
const exactRules = rules.filter(({ tolerance, looseZero, except }) => !tolerance && !looseZero && !except);

/** Ops that rules are about, by themselves, so that they meet often. */
const families: readonly (readonly OpName[])[] = [
  opNames,
  ["reshape", "permute", "broadcast", "slice", "pad", "concat", "flip", "add", "neg", "iota"],
  ["sum", "maxReduce", "minReduce", "dot", "permute", "reshape", "broadcast", "mul"],
  ["neg", "abs", "add", "sub", "mul", "div", "max", "min", "pow", "full"],
  ["not", "and", "or", "eq", "ne", "lt", "le", "gt", "ge", "select", "cast", "full"],
];

/** Random programs of all ops, and of each family. */
function programs(options: RandomGraphOptions = {}): fc.Arbitrary<RandomGraph> {
  return fc.oneof(...families.map((ops) => randomGraphs({ draws: true, ...options, ops })));
}

/** Compares all outputs and writes of two graphs on the same values. */
function expectEqual(program: RandomGraph, changed: Graph, how: Equality): void {
  const expected = evaluateRounded(program.graph, program.environment());
  const got = evaluateRounded(changed, program.environment());
  expect(got.length).to.equal(expected.length);
  for (const [result, elements] of expected.entries())
    for (const [i, element] of elements.entries())
      if (!sameElement(at(at(got, result), i), element, how))
        expect.fail(
          `result ${result}, element ${i}: ${at(got, result)[i]}, not ${element}\n` +
            `before:\n${printGraph(program.graph)}after:\n${printGraph(changed)}`,
        );
}

describe("passes over random programs", () => {
  const passes: readonly (readonly [string, readonly Pass[]])[] = [
    ...pipeline.map((pass): readonly [string, readonly Pass[]] => [pass.name, [pass]]),
    ["the pipeline", pipeline],
  ];
  for (const [name, list] of passes)
    it(`${name} keeps the results`, () => {
      fc.assert(
        fc.property(programs(), (program) => {
          const { graph } = runPasses(program.graph, { passes: list, verify: true });
          expectEqual(program, graph, close);
        }),
        runs,
      );
    });

  it("exact rules keep every bit of wild programs", () => {
    fc.assert(
      fc.property(programs({ wild: true }), (program) => {
        expectEqual(program, rewriteGraph(program.graph, exactRules), {});
      }),
      runs,
    );
  });

  it("the pipeline has nothing to do on its own result", () => {
    fc.assert(
      fc.property(programs(), (program) => {
        const { graph } = runPasses(program.graph);
        expect(runPasses(graph).graph).to.equal(graph);
      }),
      runs,
    );
  });
});

describe("random graphs", () => {
  it("verify, print and parse back", () => {
    fc.assert(
      fc.property(randomGraphs({ draws: true }), ({ graph }) => {
        verifyGraph(graph);
        expect(printGraph(parseGraph(printGraph(graph)))).to.equal(printGraph(graph));
      }),
      runs,
    );
  });

  it("agree with the float64 interpreter where they are tame", () => {
    fc.assert(
      fc.property(randomGraphs({ draws: true }), (program) => {
        const { outputs } = interpret(program.graph, program.environment());
        const rounded = evaluateRounded(program.graph, program.environment());
        for (const [result, elements] of [...outputs.values()].entries())
          for (const [i, element] of elements.entries())
            expect(sameElement(at(at(rounded, result), i), element, close)).to.equal(true);
      }),
      runs,
    );
  });

  it("depend on the seed alone, and hold every op of the table but what comes from a data set", () => {
    const seen = new Set<OpName>();
    for (let seed = 0; seed < 250; seed++) {
      const { graph } = randomGraph(randomNumbers(seed), { draws: true });
      for (const node of graph.nodes) seen.add(node.op);
      if (seed < 20)
        expect(printGraph(randomGraph(randomNumbers(seed), { draws: true }).graph)).to.equal(printGraph(graph));
    }
    expect(opNames.filter((name) => !seen.has(name))).to.deep.equal(["feed"]);
    expect(opNames.some((name) => opDef(name).effect)).to.equal(true);
  });
});
