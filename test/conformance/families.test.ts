/**
 * The conformance runner on the reference data, by the reference interpreter: every case of the families it can run
 * quickly, and wrong numbers told from right ones.
 */
import { join } from "node:path";
import { assert } from "chai";
import { requireGolden } from "../golden.ts";
import { runModules } from "./modules.ts";
import { runOps } from "./ops.ts";
import { runOptim } from "./optim.ts";
import { formula } from "./ports/optimizers.ts";
import { parseText } from "./ports/training-text.ts";
import { failureLine, judged, summary, type FamilyResult } from "./report.ts";
import { runRng } from "./rng.ts";
import { agrees, compare } from "./tensors.ts";

const options = { target: "reference", filter: "", data: new Map<string, string>() } as const;

/** Operators of which some cases ask for results whose shapes depend on values. */
const dynamic: readonly string[] = ["__getitem__", "nn.functional.one_hot"];

function expectPassed({ family, cases }: FamilyResult, excepted: readonly string[] = []): void {
  assert.isNotEmpty(cases);
  for (const each of cases) {
    if (each.status === "unsupported" && excepted.includes(each.group)) continue;
    assert.equal(each.status, "passed", failureLine(family, each));
  }
}

describe("conformance with the reference data", () => {
  it("operators: results, gradients, gradients of gradients", async function () {
    expectPassed(await runOps(join(requireGolden(this), "ops"), options), dynamic);
  });
  it("modules", async function () {
    expectPassed(await runModules(join(requireGolden(this), "modules"), options));
  });
  it("optimizers, schedulers, clipping", async function () {
    expectPassed(await runOptim(join(requireGolden(this), "optim"), options));
  });
  it("random numbers", async function () {
    expectPassed(await runRng(join(requireGolden(this), "rng"), options));
  });
});

describe("the conformance runner", () => {
  it("compares by |a - b| <= atol + rtol |b|, with NaN and infinities equal to themselves only", () => {
    const tolerance = { atol: 1e-6, rtol: 1e-5 };
    assert.isTrue(agrees(1.00001, 1, tolerance));
    assert.isFalse(agrees(1.00002, 1, tolerance));
    assert.isTrue(agrees(Number.NaN, Number.NaN, tolerance));
    assert.isFalse(agrees(1, Infinity, { atol: 1, rtol: 1 }));
    assert.isFalse(agrees(Number.NaN, 1, tolerance));
  });

  it("reports shape, dtype and the largest error", () => {
    const of = (dtype: "f32" | "f64", shape: number[], ...values: number[]) => ({
      type: { dtype, shape },
      values: Float64Array.from(values),
    });
    const exact = { atol: 0, rtol: 0 };
    assert.isUndefined(compare("x", of("f32", [2], 1, 2), of("f32", [2], 1, 2), exact));
    assert.match(compare("x", of("f64", [1], 1), of("f32", [1], 1), exact)?.what ?? "", /f64\[1\], expected f32\[1\]/);
    const wrong = compare("x", of("f32", [3], 1, 2, 5), of("f32", [3], 1, 3, 3), exact);
    assert.equal(wrong?.largest, 2);
    const result = judged({ id: "a/0", group: "a" }, [undefined, wrong]);
    assert.equal(summary({ family: "ops", cases: [result] }), "ops: 1 cases, 0 passed, 1 failed, 0 unsupported");
    assert.match(
      failureLine("ops", result),
      /^FAILED ops a\/0: x: 2 elements differ, .* largest error 2\.000e\+0, atol 0, rtol 0$/,
    );
  });

  it("reads formulas of the step", () => {
    assert.equal(formula("min((e+1)/10, ((e+1)/10)^-0.5)")(39), 0.5);
    assert.equal(formula("1 - max(0, s - 15) / 16")(23), 0.5);
    assert.equal(formula("d^-0.5 (s+1) w^-1.5", { d: 16, w: 4 })(7), 0.25);
    assert.throws(() => formula("1 +"));
    assert.throws(() => formula("(e"));
  });

  it("reads what is said about a training", () => {
    const decoder = parseText(
      "AdamW lr=1e-3 betas=(0.9,0.95), weight_decay 0.1 on tensors of 2+ dimensions, 0 on the others; clip_grad_norm_ 1.0 (x)",
    );
    assert.equal(decoder.optimizer, "AdamW");
    assert.deepEqual(decoder.kwargs, { lr: 1e-3, betas: [0.9, 0.95], weight_decay: 0.1 });
    assert.isTrue(decoder.decaysMatricesOnly);
    assert.equal(decoder.clip, 1);
    const bag = parseText("SGD lr=5, StepLR every 10 steps by 0.5; clip_grad_norm_ 0.1");
    assert.deepEqual(bag.kwargs, { lr: 5 });
    assert.deepEqual(bag.scheduler, { name: "StepLR", kwargs: { step_size: 10, gamma: 0.5 } });
    assert.equal(parseText("Adam lr=1e-2; batch s mod 8").clip, Infinity);
  });
});
