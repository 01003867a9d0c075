/** The plan verifier: accepts what the planner makes, and refuses plans with a barrier taken away. */
import { expect } from "chai";
import { verifyPlan } from "../../compiler/memory/verify-plan.ts";
import { planTraced } from "../../compiler/pipeline.ts";
import { traceFunction } from "../../compiler/trace/function.ts";
import type { Tensor } from "../../compiler/index.ts";
import type { PlannedProgram } from "../../ir/program.ts";
import { at } from "../../ir/type.ts";
import { failsWith } from "../fails-with.ts";

const vectors = { lanes: 8, registers: 16 };

/** A product whose transposed operand is copied first: the copy and the product need a barrier between them. */
function transposed(x: Tensor, y: Tensor): Tensor {
  return x.matmul(y.transpose(0, 1)).relu();
}

describe("verifyPlan", () => {
  const traced = traceFunction(transposed, [
    { dtype: "f32", shape: [32, 16] },
    { dtype: "f32", shape: [24, 16] },
  ]);
  const { plan } = planTraced(traced, { machine: vectors, name: "transposed" });
  const entry = at(plan.program.entries, 0);

  it("accepts the plan, which has a barrier behind the copy", () => {
    expect(entry.phases.length).to.equal(2);
    verifyPlan(plan.program, plan.stateBytes);
  });

  it("refuses the plan without the barrier", () => {
    const merged: PlannedProgram = { ...plan.program, entries: [{ ...entry, phases: [entry.phases.flat()] }] };
    failsWith("K9021", () => verifyPlan(merged, plan.stateBytes));
  });

  it("refuses an argument that reaches beyond its buffer", () => {
    const phases = entry.phases.map((phase) =>
      phase.map((launch) => ({ ...launch, args: launch.args.map((arg) => ({ ...arg, offset: arg.offset + 65536 })) })),
    );
    const moved: PlannedProgram = { ...plan.program, entries: [{ ...entry, phases }] };
    failsWith("K9021", () => verifyPlan(moved, plan.stateBytes));
  });

  it("keeps rows of one thread together: a row-wise chain needs no barrier", () => {
    const chain = traceFunction((x: Tensor) => x.exp().softmax(1).sum(1), [{ dtype: "f32", shape: [64, 32] }]);
    const planned = planTraced(chain, { machine: vectors, name: "chain" }).plan;
    expect(at(planned.program.entries, 0).phases.length).to.equal(1);
  });
});
