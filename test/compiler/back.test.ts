/** The back of the compiler on random graphs: what its kernels compute is what the graph means. */
import { expect } from "chai";
import { verifyPlan } from "../../compiler/memory/verify-plan.ts";
import { planTraced } from "../../compiler/pipeline.ts";
import type { Machine } from "../../ir/machine.ts";
import { interpret } from "../../ir/interpret.ts";
import { printGraph } from "../../ir/print.ts";
import { at } from "../../ir/type.ts";
import { programOf } from "../graph-program.ts";
import { randomGraph, type RandomGraph } from "../random-graph.ts";
import { randomNumbers } from "../random-numbers.ts";
import { runPlan } from "../run-plan.ts";

function expectClose(what: string, dtype: string, got: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(got.length, what).to.equal(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const [x, y] = [at(got, i), at(expected, i)];
    if (Object.is(x, y) || (x === 0 && y === 0)) continue;
    const tolerance =
      dtype === "f32" ? 2e-3 * Math.max(1, Math.abs(y)) : dtype === "f64" ? 1e-6 * Math.max(1, Math.abs(y)) : 0;
    if (!(Math.abs(x - y) <= tolerance)) expect.fail(`${what}[${i}]: got ${x}, expected ${y}`);
  }
}

function checkGraph({ graph, inputs, states, environment }: RandomGraph, machine: Machine): void {
  const traced = programOf(graph);
  const { plan } = planTraced(traced, { machine, name: "random" });
  verifyPlan(plan.program, plan.stateBytes);
  const expected = interpret(graph, environment());
  const entry = at(plan.program.entries, 0);
  const got = runPlan(plan, entry, { inputs, states });
  for (const { name, value } of graph.outputs)
    expectClose(`output ${name}`, value.type.dtype, got.outputs.get(name) ?? [], expected.outputs.get(name) ?? []);
  for (const { state, value } of graph.writes)
    expectClose(`state ${state}`, value.type.dtype, got.states.get(state) ?? [], expected.writes.get(state) ?? []);
}

describe("the back of the compiler", () => {
  const processors: readonly Machine[] = [
    { lanes: 16, registers: 32 },
    { lanes: 8, registers: 16 },
    { lanes: 4, registers: 32 },
    {
      lanes: 4,
      registers: 32,
      alignment: 256,
      stored: { bool: "i32", u8: "i32", i8: "i32", i16: "i32", i64: "i32" },
      random: "counter",
      gpu: { threads: 256, warp: 0, sharedBytes: 16384, bindings: 8, tiles: "direct", matrix: undefined },
    },
    {
      lanes: 4,
      registers: 64,
      alignment: 256,
      random: "counter",
      gpu: { threads: 256, warp: 32, sharedBytes: 40960, bindings: 64, tiles: "shared", matrix: undefined },
    },
  ];
  const first = Number(process.env["KILN_SEED"] ?? 0);
  const count = Number(process.env["KILN_PROGRAMS"] ?? 150);
  it(`computes what ${count} random graphs mean`, () => {
    const failures: string[] = [];
    for (let seed = first; seed < first + count; seed++) {
      const random = randomGraph(randomNumbers(seed));
      try {
        checkGraph(random, at(processors, seed % processors.length));
      } catch (error) {
        failures.push(`seed ${seed}: ${String(error)}\n${printGraph(random.graph)}`);
      }
    }
    if (failures.length > 0) expect.fail(`${failures.length} of ${count} graphs\n${failures.join("\n")}`);
  });
});
