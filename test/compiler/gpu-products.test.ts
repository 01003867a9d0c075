/** Products on GPUs, of every shape of tile: what the kernels compute by the loop-IR interpreter is what the graph means. */
import { expect } from "chai";
import { verifyPlan } from "../../compiler/memory/verify-plan.ts";
import { planTraced } from "../../compiler/pipeline.ts";
import { traceFunction } from "../../compiler/trace/function.ts";
import { nn, type Tensor } from "../../compiler/index.ts";
import { interpret } from "../../ir/interpret.ts";
import type { Gpu, Machine } from "../../ir/machine.ts";
import { at, elementCount, type Shape } from "../../ir/type.ts";
import { randomNumbers } from "../random-numbers.ts";
import { runPlan } from "../run-plan.ts";

function machineWith(gpu: Partial<Gpu>): Machine {
  const usual: Gpu = { threads: 256, warp: 32, sharedBytes: 40960, bindings: 64, tiles: "shared", matrix: undefined };
  return { lanes: 4, registers: 64, alignment: 256, random: "counter", gpu: { ...usual, ...gpu } };
}

/** Machines, and the rounding of one product on each, relative to its operands. */
const machines: readonly (readonly [name: string, machine: Machine, rounding: number])[] = [
  ["registers alone", machineWith({ tiles: "direct" }), 2e-7],
  ["shared memory", machineWith({}), 2e-7],
  ["tensor cores in tf32", machineWith({ matrix: "tf32" }), 2 ** -10],
  ["tensor cores in bf16", machineWith({ matrix: "bf16" }), 2 ** -7],
  ["tensor cores in f16", machineWith({ matrix: "f16" }), 2 ** -10],
  ["registers in f16", machineWith({ tiles: "direct", matrix: "f16" }), 2 ** -10],
];

type Case = { readonly name: string; readonly shapes: readonly Shape[]; readonly run: (...x: Tensor[]) => Tensor };

const matmul = (m: number, k: number, n: number): Case => ({
  name: `${m} x ${k} x ${n}`,
  shapes: [[m, k], [k, n], [n]],
  run: (x, y, b) => x?.matmul(y).add(b).relu(),
});

const cases: readonly Case[] = [
  matmul(1, 1, 1),
  matmul(8, 12, 16),
  matmul(7, 5, 3),
  matmul(64, 33, 10),
  matmul(130, 17, 132),
  matmul(20, 1100, 12),
  matmul(257, 8, 260),
  {
    name: "a batch of products, both transposed",
    shapes: [
      [3, 24, 20],
      [3, 28, 24],
    ],
    run: (x, y) => x.transpose(1, 2).matmul(y.transpose(1, 2)),
  },
  {
    name: "a convolution",
    shapes: [
      [2, 3, 9, 8],
      [8, 3, 3, 3],
    ],
    run: (x, w) => nn.functional.conv2d(x, w, { padding: 1 }),
  },
  {
    name: "a strided convolution of groups",
    shapes: [
      [2, 4, 9, 9],
      [6, 2, 3, 3],
    ],
    run: (x, w) => nn.functional.conv2d(x, w, { stride: 2, groups: 2 }),
  },
];

function check({ shapes, run }: Case, machine: Machine, rounding: number): void {
  const traced = traceFunction(
    run,
    shapes.map((shape) => ({ dtype: "f32", shape })),
  );
  const { plan } = planTraced(traced, { machine, name: "product" });
  verifyPlan(plan.program, plan.stateBytes);
  const random = randomNumbers(1);
  const { inputs: declared, graph } = at(traced.entries, 0);
  const inputs = new Map(
    declared.map(({ name, type }): [string, Float64Array] => [
      name,
      Float64Array.from({ length: elementCount(type.shape) }, () => Math.fround(random() * 2 - 1)),
    ]),
  );
  const expected = interpret(graph, { inputs, states: new Map() }).outputs;
  const got = runPlan(plan, at(plan.program.entries, 0), { inputs }).outputs;
  for (const [name, values] of expected)
    values.forEach((value, i) => {
      const limit = 80 * rounding * Math.max(1, Math.abs(value));
      expect(Math.abs(at(got.get(name) ?? [], i) - value), `${name}[${i}] = ${value}`).to.be.at.most(limit);
    });
}

describe("products on GPUs", () => {
  for (const [name, machine, rounding] of machines)
    for (const each of cases)
      it(`through ${name}: ${each.name}`, () => {
        check(each, machine, rounding);
      });
});
