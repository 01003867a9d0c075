/**
 * Every rule, tested without a test of its own: on graphs made from its pattern or its samples, with elements that
 * include all special values, both sides must give the same bits.
 */
import { expect } from "chai";
import { rules } from "../../../compiler/passes/pipeline.ts";
import { rewriteGraph, type Rule, type Sample } from "../../../compiler/passes/rewrite.ts";
import { createWriter, type Graph } from "../../../ir/graph.ts";
import type { Elements } from "../../../ir/op.ts";
import { at, elementCount } from "../../../ir/type.ts";
import { randomElements, randomNumbers } from "../../random-numbers.ts";
import { evaluateRounded, sameElement } from "./evaluate.ts";
import { graphsOfPattern } from "./pattern-graphs.ts";

const rounds = 4;

function graphOfSample(sample: Sample): Graph {
  const writer = createWriter(() => undefined);
  const inputs = sample.inputs.map(({ dtype, shape }, i) => writer.g.input({ name: `x${i}`, dtype, shape }));
  const root = at(writer.nodes, sample.build(writer.g, ...inputs).id);
  return { name: "sample", nodes: writer.nodes, outputs: [{ name: "root", value: root }], writes: [] };
}

function specialInputs(graph: Graph, next: () => number): ReadonlyMap<string, Elements> {
  const inputs = graph.nodes.filter((node) => node.op === "input");
  return new Map(
    inputs.map(({ attrs, type: { dtype, shape } }) => [
      String(attrs["name"]),
      randomElements(dtype, elementCount(shape), next, true),
    ]),
  );
}

/** Whether some input element is one for which the rule takes an exception. */
function isExcepted(rule: Rule, inputs: ReadonlyMap<string, Elements>, i: number): boolean {
  return [...inputs.values()].some((elements) => rule.except?.some((value) => Object.is(value, elements[i])) ?? false);
}

function expectSame(rule: Rule, inputs: ReadonlyMap<string, Elements>, got: Elements, expected: Elements): void {
  expect(got.length).to.equal(expected.length);
  for (let i = 0; i < got.length; i++) {
    if (isExcepted(rule, inputs, i)) continue;
    const how = { relative: rule.tolerance ?? 0, looseZero: rule.looseZero ?? false };
    if (!sameElement(at(got, i), at(expected, i), how)) {
      const operands = [...inputs].map(([name, elements]) => `${name} = ${elements[i]}`).join(", ");
      expect.fail(`${rule.name}: element ${i} is ${got[i]}, not ${expected[i]}, where ${operands}`);
    }
  }
}

/** Whether the rule fired; if so, both sides were compared. */
function checkRule(rule: Rule, graph: Graph, next: () => number): boolean {
  const merged = rewriteGraph(graph, []);
  const rewritten = rewriteGraph(merged, [rule]);
  if (rewritten === merged) return false;
  for (let round = 0; round < rounds; round++) {
    const inputs = specialInputs(graph, next);
    const [expected = new Float64Array()] = evaluateRounded(graph, { inputs });
    const [got = new Float64Array()] = evaluateRounded(rewritten, { inputs });
    expectSame(rule, inputs, got, expected);
  }
  return true;
}

describe("rewrite rules", () => {
  it("have different names", () => {
    const names = rules.map((rule) => rule.name);
    expect(new Set(names).size).to.equal(names.length);
  });

  for (const rule of rules)
    it(`${rule.name}: ${rule.equation}`, () => {
      const next = randomNumbers(7);
      if (rule.samples !== undefined) {
        rule.samples.forEach((sample, i) => {
          expect(checkRule(rule, graphOfSample(sample), next), `fires on its sample ${i}`).to.equal(true);
        });
        return;
      }
      let fired = 0;
      for (const graph of graphsOfPattern(rule.pattern)) if (checkRule(rule, graph, next)) fired++;
      expect(fired, "graphs of its pattern on which it fires").to.be.greaterThan(0);
    });
});
