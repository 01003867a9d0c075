/** Learning-rate schedulers against PyTorch's rates, and their states. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import type { ManifestScheduler } from "../../ir/artifact/manifest.ts";
import { NamedNumbers } from "../../runtime/named-numbers.ts";
import { packageRoot } from "../../runtime/package-root.ts";
import { createSchedulers, type Scheduler } from "../../runtime/schedulers.ts";

const file = join(
  process.env["KILN_GOLDEN"] ?? join(packageRoot(), "..", "shared", "golden"),
  "optim",
  "manifest.json",
);

type Options = ManifestScheduler["options"];
type Golden = {
  readonly scheduler: string;
  readonly base_lr: number;
  readonly kwargs: Readonly<Record<string, number | boolean | string | readonly (number | string)[]>>;
  readonly lrs: readonly number[];
  readonly momentum?: readonly number[];
  readonly metric?: readonly number[];
};

const camelCase = (name: string): string =>
  name.replace(/_([a-zA-Z0-9])/g, (_, c: string) => c.toUpperCase()).replace(/^T/, "t");

/** The two functions the golden file gives as text. */
const factors: Readonly<Record<string, (t: number) => number>> = {
  "min((e+1)/10, ((e+1)/10)^-0.5)": (e) => Math.min((e + 1) / 10, ((e + 1) / 10) ** -0.5),
  "0.95": () => 0.95,
};

function optionsOf(golden: Golden): Options {
  const options: Record<string, Options[string]> = {};
  for (const [name, value] of Object.entries(golden.kwargs)) {
    if (name === "lr_lambda") {
      const first = golden.scheduler === "LambdaLR" ? 0 : 1;
      options["factors"] = Array.from({ length: 50 }, (_, i) => factors[String(value)]?.(i + first) ?? Number.NaN);
    } else if (name === "schedulers") {
      const parts = value as readonly string[];
      options["count"] = parts.length;
      for (const [i, part] of parts.entries()) {
        const [kind = "", ...rest] = part.split(" ");
        options[`${i}.kind`] = kind;
        for (const pair of rest) {
          const [key = "", number = ""] = pair.split("=");
          options[`${i}.${camelCase(key)}`] = Number(number);
        }
      }
    } else options[camelCase(name)] = value as Options[string];
  }
  return options;
}

function start(golden: Golden): { readonly hyper: NamedNumbers; readonly scheduler: Scheduler } {
  const hyper = new NamedNumbers([
    ["optimizer.0.lr", golden.base_lr],
    ["optimizer.0.momentum", 0.9],
  ]);
  const description = {
    optimizer: "optimizer",
    kind: golden.scheduler,
    per: "epoch" as const,
    options: optionsOf(golden),
  };
  const [scheduler] = createSchedulers([description], hyper);
  if (scheduler === undefined) throw new Error("no scheduler");
  return { hyper, scheduler };
}

function expectClose(got: number, expected: number, what: string): void {
  // Near 0 a cosine has lost its digits on both sides.
  expect(Math.abs(got - expected), `${what}: ${got} for ${expected}`).to.be.at.most(1e-12 * Math.abs(expected) + 1e-18);
}

describe("learning-rate schedulers", () => {
  if (!existsSync(file)) {
    it(`SKIPPED: no golden file at ${file}`, function () {
      this.skip();
    });
    return;
  }
  const { schedulers } = JSON.parse(readFileSync(file, "utf8")) as { readonly schedulers: readonly Golden[] };
  for (const [i, golden] of schedulers.entries()) {
    it(`${golden.scheduler} ${i} has PyTorch's rates`, () => {
      const { hyper, scheduler } = start(golden);
      for (const [step, lr] of golden.lrs.entries()) {
        expectClose(hyper.get("optimizer.0.lr") ?? Number.NaN, lr, `step ${step}`);
        const momentum = golden.momentum?.[step];
        if (momentum !== undefined)
          expectClose(hyper.get("optimizer.0.momentum") ?? Number.NaN, momentum, `momentum ${step}`);
        scheduler.step(golden.metric?.[step]);
      }
    });

    it(`${golden.scheduler} ${i} continues from its state`, () => {
      const whole = start(golden);
      for (let step = 0; step < 17; step++) whole.scheduler.step(golden.metric?.[step]);
      const saved: unknown = JSON.parse(JSON.stringify(whole.scheduler.state()));
      const resumed = start(golden);
      resumed.scheduler.restore(saved);
      for (let step = 17; step < 39; step++) {
        for (const { scheduler } of [whole, resumed]) scheduler.step(golden.metric?.[step]);
        expect([...resumed.hyper]).to.deep.equal([...whole.hyper]);
      }
    });
  }

  it("drives every group from its own first rate", () => {
    const hyper = new NamedNumbers([
      ["sgd.0.lr", 0.1],
      ["sgd.1.lr", 0.3],
      ["other.0.lr", 1],
    ]);
    const description = { optimizer: "sgd", kind: "ExponentialLR", per: "epoch" as const, options: { gamma: 0.5 } };
    createSchedulers([description], hyper)[0]?.step();
    expect([...hyper.values()]).to.deep.equal([0.05, 0.15, 1]);
  });

  const refused: readonly [string, string, Options][] = [
    ["an unknown kind", "constructor", {}],
    ["a missing option", "ExponentialLR", {}],
    ["a bad option", "StepLR", { stepSize: 0 }],
    ["an unbounded list of parts", "SequentialLR", { count: 1e9, milestones: [] }],
    ["a momentum that is not there", "OneCycleLR", { maxLr: 1, totalSteps: 10 }],
  ];
  for (const [what, kind, options] of refused)
    it(`refuses ${what}`, () => {
      const hyper = new NamedNumbers([["optimizer.0.lr", 0.1]]);
      expect(() => createSchedulers([{ optimizer: "optimizer", kind, per: "epoch", options }], hyper)).to.throw(
        /K3014/,
      );
    });

  it("refuses a state that is not its own", () => {
    const hyper = new NamedNumbers([["optimizer.0.lr", 0.1]]);
    const description = { optimizer: "optimizer", kind: "StepLR", per: "epoch" as const, options: { stepSize: 2 } };
    const [scheduler] = createSchedulers([description], hyper);
    for (const state of [null, {}, { ...scheduler?.state(), rates: [1, 2] }, { ...scheduler?.state(), step: 0.5 }])
      expect(() => scheduler?.restore(state)).to.throw(/K3014/);
  });
});
