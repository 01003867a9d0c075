/**
 * The conformance runner: `npm run conformance -- DIR [--target reference|c|wgsl|cuda|browser] [--filter TEXT] [--json FILE]
 * [--data NAME=DIR]`. `DIR` is a folder of reference data or one family of it. Prints a line of counts for each family
 * and one for each failure; ends with exit code 1 if there was a failure, 2 for a wrong call.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Target } from "./execute.ts";
import { machineNames } from "./machines.ts";
import type { FamilyOptions } from "./ops.ts";
import { failureLine, summary, unsupportedLines, type FamilyResult } from "./report.ts";

type Runner = (folder: string, options: FamilyOptions) => Promise<FamilyResult>;

/** Every family, and how its module is loaded: only those that are asked for are. */
const families: Readonly<Record<string, () => Promise<Runner>>> = {
  ops: async () => (await import("./ops.ts")).runOps,
  modules: async () => (await import("./modules.ts")).runModules,
  models: async () => (await import("./models.ts")).runModels,
  flagship: async () => (await import("./flagship.ts")).runFlagship,
  optim: async () => (await import("./optim.ts")).runOptim,
  rng: async () => (await import("./rng.ts")).runRng,
};

function isTarget(name: string): name is Target {
  return name === "reference" || machineNames.some((each) => each === name);
}

/** Which family a folder holds: told by its name, or by what its files say. */
function familyOf(folder: string): string | undefined {
  const name = basename(folder);
  if (Object.hasOwn(families, name)) return name;
  const manifest = join(folder, "manifest.json");
  if (!existsSync(manifest)) return programFamily(folder);
  const { cases, optimizers, quad, problems } = JSON.parse(readFileSync(manifest, "utf8")) as Record<string, unknown>; // by format
  if (optimizers !== undefined || quad !== undefined || problems !== undefined) return "optim";
  const [first] = Array.isArray(cases) ? (cases as readonly Record<string, unknown>[]) : [];
  if (first === undefined) return undefined;
  if ("op" in first) return "ops";
  if ("module" in first) return "modules";
  return "seed" in first ? "rng" : undefined;
}

/** Families without a manifest have one JSON file for each case. */
function programFamily(folder: string): string | undefined {
  const file = readdirSync(folder).find((each) => each.endsWith(".json"));
  if (file === undefined) return undefined;
  const content = JSON.parse(readFileSync(join(folder, file), "utf8")) as Record<string, unknown>; // by format
  return "step_source" in content ? "models" : "data" in content || "runs" in content ? "flagship" : undefined;
}

function usage(problem: string): never {
  process.stderr.write(
    `${problem}\nusage: conformance DIR [--target reference|c|wgsl|cuda|browser] [--filter TEXT] [--json FILE] [--data NAME=DIR]\n`,
  );
  process.exit(2);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      target: { type: "string", default: "c" },
      filter: { type: "string", default: "" },
      json: { type: "string" },
      data: { type: "string", multiple: true, default: [] },
    },
  });
  const [given] = positionals;
  if (given === undefined) usage("which folder?");
  const { target } = values;
  if (!isTarget(target)) usage(`unknown target ${target}`);
  const folder = resolve(given);
  if (!existsSync(folder)) usage(`no folder ${given}`);
  const own = familyOf(folder);
  const chosen =
    own === undefined
      ? Object.keys(families)
          .filter((family) => existsSync(join(folder, family)))
          .map((family) => [family, join(folder, family)] as const)
      : [[own, folder] as const];
  if (chosen.length === 0) usage(`no family of reference data in ${given}`);
  const data = new Map(
    values.data.map((pair) => {
      const split = pair.indexOf("=");
      if (split < 1) usage(`--data takes NAME=DIR, not ${pair}`);
      return [pair.slice(0, split), resolve(pair.slice(split + 1))] as const;
    }),
  );
  const results: FamilyResult[] = [];
  for (const [family, path] of chosen) {
    const load = families[family];
    if (load === undefined) continue;
    const run = await load();
    const result = await run(path, { target, filter: values.filter, data });
    results.push(result);
    for (const each of result.cases)
      if (each.status === "failed") process.stdout.write(`${failureLine(family, each)}\n`);
    for (const { status, id, detail } of result.cases)
      if (status === "passed" && detail !== undefined) process.stdout.write(`passed ${family} ${id} (${detail})\n`);
    for (const line of unsupportedLines(family, result.cases)) process.stdout.write(`${line}\n`);
    process.stdout.write(`${summary(result)}\n`);
  }
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ target, families: results }, null, 1)}\n`);
  process.exitCode = results.some(({ cases }) => cases.some(({ status }) => status === "failed")) ? 1 : 0;
}

await main();
