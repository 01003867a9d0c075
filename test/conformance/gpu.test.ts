/**
 * The reference data on GPUs: WGSL on the adapter that wgpu-native finds (Mesa's lavapipe will do), CUDA under emulation.
 * Whatever the C target passes must pass there; what WGSL cannot say stands in one table, with the reason.
 */
import { join } from "node:path";
import { assert } from "chai";
import type { Context } from "mocha";
import { describeWgpu } from "../../runtime/gpu/wgpu.ts";
import { emulationMissing } from "../codegen/targets/cuda/emulated-program.ts";
import { findChromium } from "../web/chromium.ts";
import { expectGolden } from "../golden-text.ts";
import { requireGolden } from "../golden.ts";
import type { MachineName } from "./machines.ts";
import { runModules } from "./modules.ts";
import { runOps } from "./ops.ts";
import { runOptim } from "./optim.ts";
import { failureLine, type CaseResult, type FamilyResult } from "./report.ts";

/** Operators of which some cases ask for results whose shapes depend on values, on every target. */
const dynamic: readonly string[] = ["__getitem__", "nn.functional.one_hot"];

/** Why a target's programs cannot run here, or `undefined`. */
const missing: Readonly<Record<Exclude<MachineName, "c">, () => Promise<string | undefined>>> = {
  wgsl: async () => {
    const { library, adapters } = await describeWgpu();
    return adapters.length > 0 ? undefined : `no adapter for WebGPU (${library})`;
  },
  cuda: () => Promise.resolve(emulationMissing()),
  browser: () => Promise.resolve(findChromium() === undefined ? "there is no Chromium" : undefined),
};

async function requireMachine(context: Context, target: Exclude<MachineName, "c">): Promise<void> {
  const why = await missing[target]();
  if (why === undefined) return;
  process.stderr.write(`SKIPPED: ${context.test?.fullTitle() ?? "a test"}: ${why}\n`);
  context.skip();
}

function expectPassed({ family, cases }: FamilyResult): CaseResult[] {
  assert.isNotEmpty(cases);
  for (const each of cases) assert.notEqual(each.status, "failed", failureLine(family, each));
  return cases.filter(({ status, group }) => status === "unsupported" && !dynamic.includes(group));
}

/** The table of what a target cannot say: cases by reason. */
function tableOf(cases: readonly CaseResult[]): string {
  const reasons = new Map<string, string[]>();
  for (const { id, detail } of cases) {
    // The place in the program tells nothing about the language.
    const reason = (detail ?? "").replace(/;? got .*$/, "");
    reasons.set(reason, [...(reasons.get(reason) ?? []), id]);
  }
  const rows = [...reasons].map(([reason, ids]) => `| ${reason} | ${ids.length} | ${ids.join(", ")} |`);
  return [
    "# What WGSL cannot say",
    "",
    `Cases of the reference data that pass on the C target and are refused by the WGSL target: ${cases.length}.`,
    "Made by `test/conformance/gpu.test.ts`.",
    "",
    "| reason | cases | which |",
    "| --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}

for (const target of ["wgsl", "cuda"] as const) {
  const options = { target, filter: "", data: new Map<string, string>() };
  describe(`conformance on ${target === "wgsl" ? "WebGPU" : "emulated CUDA"}`, function () {
    // Thousands of kernels are compiled.
    this.timeout(900_000);

    it("operators: results, gradients, gradients of gradients", async function () {
      await requireMachine(this, target);
      const unsupported = expectPassed(await runOps(join(requireGolden(this), "ops"), options));
      if (target === "wgsl") expectGolden("test/golden/wgsl/inexpressible.md", tableOf(unsupported));
      else assert.isEmpty(unsupported);
    });

    it("modules", async function () {
      await requireMachine(this, target);
      assert.isEmpty(expectPassed(await runModules(join(requireGolden(this), "modules"), options)));
    });

    it("optimizers, schedulers, clipping", async function () {
      await requireMachine(this, target);
      assert.isEmpty(expectPassed(await runOptim(join(requireGolden(this), "optim"), options)));
    });
  });
}

describe("conformance in a browser", function () {
  this.timeout(900_000);

  it("operators: the first case of each", async function () {
    await requireMachine(this, "browser");
    const options = { target: "browser", filter: "/0", data: new Map<string, string>() } as const;
    const result = await runOps(join(requireGolden(this), "ops"), options);
    assert.isAtLeast(result.cases.length, 200);
    assert.isEmpty(expectPassed(result));
  });
});
