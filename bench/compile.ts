/**
 * `node dist/bench/compile.js [MODEL]`: how long `kiln compile` takes, seen from outside, with an empty cache and with a full
 * one in turn, and where the time goes.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileModel } from "../compiler/compile.ts";
import { packageRoot } from "../runtime/package-root.ts";
import { parseCommandLine, type CommandSpec } from "../runtime/training/option-table.ts";
import { runNode } from "./child.ts";
import { runMain } from "./main.ts";
import { median } from "./measure.ts";
import { printTable } from "./table.ts";

const spec = {
  name: "node dist/bench/compile.js",
  doc: "Times `kiln compile` of a model, cold and warm.",
  arguments: [{ name: "model", doc: "a model file or folder; examples/mnist if left out", required: false }],
  options: { times: { kind: "count", value: "n", doc: "how often; 5 if left out", minimum: 1 } },
} as const satisfies CommandSpec;

await runMain(async (words) => {
  const parsed = parseCommandLine(spec, words);
  if (parsed.kind === "help") return void process.stdout.write(parsed.text);
  const model = parsed.arguments[0] ?? join(packageRoot(), "examples", "mnist");
  const cold: number[] = [];
  const warm: number[] = [];
  const peaks: number[] = [];
  for (let time = 0; time < (parsed.options.times ?? 5); time++) {
    await inFolder(async (folder) => {
      const command = [join(packageRoot(), "dist", "bin", "kiln.js"), "compile", model, "--out", join(folder, "out")];
      const env = { KILN_CACHE: join(folder, "cache") };
      const first = await runNode({ words: command, env });
      const second = await runNode({ words: command, env });
      cold.push(first.seconds);
      warm.push(second.seconds);
      peaks.push((first.peakBytes ?? 0) / 2 ** 20);
    });
  }
  const list = (seconds: readonly number[]): string => seconds.map((each) => each.toFixed(3)).join(" ");
  printTable(
    ["kiln compile", "median s", "all"],
    [
      ["empty cache", median(cold).toFixed(3), list(cold)],
      ["full cache", median(warm).toFixed(3), list(warm)],
    ],
  );
  process.stdout.write(`peak memory of the compiler ${median(peaks).toFixed(0)} MiB\n\n`);
  await inFolder((folder) => showStages(model, folder));
});

/** The stages of a compile with an empty cache, in this process. */
async function showStages(model: string, folder: string): Promise<void> {
  process.env["KILN_CACHE"] = join(folder, "cache");
  const { stages, kernels } = await compileModel(model, { out: join(folder, "out") });
  // Some stages overlap: the C compiler runs in processes of its own.
  const rows = stages.map(({ stage, seconds }) => [stage, (seconds * 1000).toFixed(1)]);
  printTable(["stage (empty cache)", "ms"], rows);
  process.stdout.write(`${kernels} kernels\n`);
}

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "kiln-bench-"));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
