/**
 * `node dist/bench/phases.js [MODEL] [--threads N] [--seconds S]`: where a training step's time goes. Every launch of the
 * step is timed by itself, in the step's own order on real data, so that caches are as warm as they are in training; what
 * a call costs is taken off. The sum is set beside the time of whole steps, which adds barriers and what threads wait for
 * each other.
 */
import { join } from "node:path";
import { at } from "../ir/type.ts";
import { loadNative } from "../runtime/native.ts";
import { packageRoot } from "../runtime/package-root.ts";
import { parseCommandLine, type CommandSpec } from "../runtime/training/option-table.ts";
import { Steps, warmSteps } from "./bare-steps.ts";
import { takeApart, type TakenApart } from "./launches.ts";
import { runMain } from "./main.ts";
import { median } from "./measure.ts";
import { printTable } from "./table.ts";

const spec = {
  name: "node dist/bench/phases.js",
  doc: "Times every launch of a model's training step.",
  arguments: [{ name: "model", doc: "a model file or folder; the seed MLP if left out", required: false }],
  options: {
    threads: { kind: "count", value: "n", doc: "threads; 1 if left out", minimum: 1 },
    seconds: { kind: "count", value: "s", doc: "seconds to measure; 2 if left out", minimum: 1 },
  },
} as const satisfies CommandSpec;

await runMain(async (words) => {
  const parsed = parseCommandLine(spec, words);
  if (parsed.kind === "help") return void process.stdout.write(parsed.text);
  const { threads = 1, seconds = 2 } = parsed.options;
  const path = parsed.arguments[0] ?? join(packageRoot(), "bench", "models", "mlp.ts");
  const parts = await takeApart(path);
  const steps = new Steps(parts, await loadNative(), threads);
  steps.runWhole(warmSteps);
  const whole: number[] = [];
  const calls: number[] = [];
  const launches: number[][] = parts.launches.map(() => []);
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    whole.push(steps.runWhole(20) / 20);
    for (let i = 0; i < 20; i++) {
      steps.nextBatch();
      calls.push(steps.runEntry(parts.empty));
      for (const [i, { label }] of parts.launches.entries()) at(launches, i).push(steps.runEntry(label));
    }
  }
  show(parts, launches.map(median), median(calls), median(whole));
});

function show(parts: TakenApart, launches: readonly number[], call: number, whole: number): void {
  const times = launches.map((time) => Math.max(0, time - call));
  const sum = times.reduce((total, time) => total + time, 0);
  printTable(
    ["phase", "launch", "tasks", "us", "share", "GFLOP/s", "GB/s", "computes"],
    parts.launches.map(({ report }, i) => [
      report.phase,
      report.kernel,
      report.tasks,
      at(times, i).toFixed(2),
      `${((100 * at(times, i)) / sum).toFixed(1)} %`,
      (report.flops / at(times, i) / 1e3).toFixed(1),
      (report.bytes / at(times, i) / 1e3).toFixed(1),
      [...new Set(report.computes)].join(" "),
    ]),
  );
  process.stdout.write(
    `launches ${sum.toFixed(1)} us; whole steps ${whole.toFixed(1)} us each; a call costs ${call.toFixed(2)} us, taken off\n`,
  );
}
