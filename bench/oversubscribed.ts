/**
 * `node dist/bench/oversubscribed.js [W1] [--peers]`: a workload on all cores while nothing else runs, and while another
 * process keeps one core busy, block by block in turn. Threads that wait for each other by spinning lose far more than
 * their share then.
 */
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { at } from "../ir/type.ts";
import { parseCommandLine, type CommandSpec } from "../runtime/training/option-table.ts";
import { runMain } from "./main.ts";
import { median, stepsFor, timeBlock } from "./measure.ts";
import { chosenPeers, findWorkload, sideOptions, withSides } from "./sides.ts";
import { printTable } from "./table.ts";

const spec = {
  name: "node dist/bench/oversubscribed.js",
  doc: "Times a workload with and without a busy process beside it.",
  arguments: [{ name: "workload", doc: "what to time; W1 if left out", required: false }],
  options: {
    ...sideOptions,
    threads: { kind: "count", value: "n", doc: "threads; all cores if left out", minimum: 1 },
  },
} as const satisfies CommandSpec;

/** Milliseconds of a block. */
const block = 150;
/** Milliseconds after which the scheduler has settled on what runs where. */
const settling = 50;
/** Longest block under load, in quiet blocks: a side that loses more than this is measured on fewer steps. */
const worst = 10;

/** A process that computes without end when it is let go. */
class BusyProcess {
  readonly #child = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });

  constructor() {
    this.halt();
  }

  go(): void {
    this.#child.kill("SIGCONT");
  }

  halt(): void {
    this.#child.kill("SIGSTOP");
  }

  end(): void {
    this.#child.kill("SIGKILL");
  }
}

await runMain(async (words) => {
  const parsed = parseCommandLine(spec, words);
  if (parsed.kind === "help") return void process.stdout.write(parsed.text);
  const { seconds = 4, threads = availableParallelism() } = parsed.options;
  const workload = findWorkload(parsed.arguments[0] ?? "W1");
  const peers = chosenPeers(parsed.options, "tuned");
  const busy = new BusyProcess();
  try {
    await withSides(workload, at(workload.cases, 0), { threads, peers }, async (sides) => {
      const steps: { readonly quiet: number; readonly loaded: number }[] = [];
      for (const side of sides) {
        const quiet = await stepsFor(side, block);
        busy.go();
        await sleep(settling);
        const loaded = await stepsFor(side, block * worst);
        busy.halt();
        steps.push({ quiet, loaded: Math.min(loaded, quiet) });
      }
      const times = sides.map((): { readonly quiet: number[]; readonly loaded: number[] } => ({
        quiet: [],
        loaded: [],
      }));
      const end = performance.now() + seconds * 1000 * sides.length;
      while (performance.now() < end || at(times, 0).quiet.length < 3) {
        for (const [i, side] of sides.entries()) {
          const count = at(steps, i);
          at(times, i).quiet.push((await timeBlock(side, count.quiet)) / count.quiet);
          busy.go();
          await sleep(settling);
          at(times, i).loaded.push((await timeBlock(side, count.loaded)) / count.loaded);
          busy.halt();
        }
      }
      printTable(
        ["workload", "threads", "side", "quiet ms", "loaded ms", "loaded / quiet", "slowest loaded", "blocks"],
        sides.map(({ name }, i) => {
          const { quiet, loaded } = at(times, i);
          const [still, under] = [median(quiet), median(loaded)];
          const cells = [
            still.toFixed(4),
            under.toFixed(4),
            (under / still).toFixed(2),
            Math.max(...loaded).toFixed(4),
          ];
          return [workload.name, threads, name, ...cells, quiet.length];
        }),
      );
    });
  } finally {
    busy.end();
  }
});
