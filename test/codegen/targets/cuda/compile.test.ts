/**
 * The gate before a GPU: emitted programs compile with nvcc, and each kernel stays within a budget of registers, spills
 * nothing, and has no stack but for its local arrays.
 */
import { expect } from "chai";
import { emitCuda } from "../../../../codegen/targets/cuda/emit.ts";
import { cast, int, load, scalar, store, variable, type Expr, type Kernel } from "../../../../ir/loop/loop.ts";
import { scalarOps, type ScalarOp } from "../../../../ir/loop/scalar.ts";
import { accepts } from "../../../../ir/loop/verify-expr.ts";
import type { DType } from "../../../../ir/type.ts";
import {
  blockSoftmax,
  dropout,
  sharedMatmul,
  tensorMatmul,
  vectorChain,
  wideTypes,
} from "../../../ir/loop/gpu-kernels.ts";
import { checkedGather, columnSum, param, tasksLoop, vectorLanes } from "../../../ir/loop/sample-kernels.ts";
import { architectures, compileCost, nvccMissing } from "./nvcc.ts";

/** Registers a thread may take, by kernel; with margin over what nvcc 13.0 gives, so that a new template shows. */
const budgets: readonly (readonly [kernel: Kernel, registers: number])[] = [
  [vectorChain(1000, 256), 32],
  [blockSoftmax(5, 150, 256), 48],
  [sharedMatmul(), 128],
  [tensorMatmul("tf32"), 96],
  [tensorMatmul("bf16"), 96],
  [tensorMatmul("f16"), 96],
  [dropout(4096, 256), 64],
  [wideTypes(), 40],
  [checkedGather(), 40],
  [vectorLanes(), 64],
  [columnSum(), 48],
];

/** All operations of a type that has them, on single elements and on vectors: what must compile, whatever it costs. */
function everything(dtype: DType): Kernel {
  const outputs: ReturnType<typeof param>[] = [];
  const body = [1, 4].flatMap((lanes) =>
    Object.keys(scalarOps)
      .filter((op): op is ScalarOp => op in scalarOps)
      .filter((op) => accepts(op, dtype))
      .map((op) => {
        const at = scalar("mul", variable("task"), int(lanes));
        const [x, y, z] = ["x", "y", "z"].map((name): Expr => load(name, dtype, at, lanes));
        if (x === undefined || y === undefined || z === undefined) throw new Error("there are three operands");
        const args = op === "select" ? [cast(x, "bool"), y, z] : [x, y, z].slice(0, scalarOps[op].arity);
        const value = scalar(op, ...args);
        outputs.push(param(`${op}_${lanes}`, value.type.dtype, 64, "write"));
        return store(`${op}_${lanes}`, at, value);
      }),
  );
  const inputs = ["x", "y", "z"].map((name) => param(name, dtype, 64));
  return {
    name: `all_of_${dtype}`,
    doc: "",
    tasks: 16,
    flops: 0,
    buffers: [...inputs, ...outputs],
    body: [tasksLoop(body)],
  };
}

describe("CUDA programs, compiled by nvcc", function () {
  this.timeout(300_000);

  before(function () {
    const missing = nvccMissing();
    if (missing === undefined) return;
    console.log(`    skipped: ${missing}`);
    this.skip();
  });

  for (const architecture of architectures) {
    it(`stay within their budgets on ${architecture}`, () => {
      const kernels = budgets.map(([kernel]) => kernel);
      const program = emitCuda({ name: "budgets", kernels, entries: [] });
      const costs = compileCost(program, architecture);
      budgets.forEach(([kernel, registers], index) => {
        const listed = program.kernels[index];
        const cost = costs.get(`kiln_k_${kernel.name}`);
        expect(cost?.registers, `registers of ${kernel.name}`).to.be.at.most(registers);
        expect(registers * (listed?.threads ?? 1), kernel.name).to.be.at.most(65_536);
        expect(cost?.spilled, `spills of ${kernel.name}`).to.equal(0);
        expect(cost?.sharedBytes, `shared arrays of ${kernel.name}`).to.equal(listed?.sharedBytes);
        // The only one with an array of its own that is indexed by what is not known.
        if (kernel.name !== "column_sum") expect(cost?.stack, `stack of ${kernel.name}`).to.equal(0);
      });
    });
  }

  it("take every operation on every type", () => {
    const dtypes = ["f32", "f64", "i8", "u8", "i16", "i32", "i64", "bool"] as const;
    const costs = compileCost(emitCuda({ name: "all", kernels: dtypes.map(everything), entries: [] }), "sm_80");
    expect([...costs.keys()]).to.have.members(dtypes.map((dtype) => `kiln_k_all_of_${dtype}`));
  });
});
