/**
 * `node dist/bench/startup.js [MODEL] [--peers]`: how long `node trainer.js` takes from the start of the process to its first
 * finished step, and the most memory that an epoch of training uses. PyTorch's first step is measured in the same way, the
 * start of Python and the import of torch included.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { availableParallelism } from "node:os";
import { compileModel } from "../compiler/compile.ts";
import { packageRoot } from "../runtime/package-root.ts";
import { parseCommandLine, type CommandSpec } from "../runtime/training/option-table.ts";
import { runNode } from "./child.ts";
import { runMain } from "./main.ts";
import { median } from "./measure.ts";
import { mnistFolder } from "./ours.ts";
import { startPeer } from "./peer.ts";
import { chosenPeers, sideOptions } from "./sides.ts";
import { printTable } from "./table.ts";

const spec = {
  name: "node dist/bench/startup.js",
  doc: "Times a compiled trainer from its start to its first step.",
  arguments: [{ name: "model", doc: "a model file or folder; examples/mnist if left out", required: false }],
  options: {
    peers: sideOptions.peers,
    mode: sideOptions.mode,
    times: { kind: "count", value: "n", doc: "how often; 5 if left out", minimum: 1 },
  },
} as const satisfies CommandSpec;

await runMain(async (words) => {
  const parsed = parseCommandLine(spec, words);
  if (parsed.kind === "help") return void process.stdout.write(parsed.text);
  const model = parsed.arguments[0] ?? join(packageRoot(), "examples", "mnist");
  const peers = chosenPeers(parsed.options, "eager");
  // Inside the package, since the artifact's trainer imports `kilnjs` by name.
  const build = join(packageRoot(), "build");
  await mkdir(build, { recursive: true });
  const folder = await mkdtemp(join(build, "bench-"));
  try {
    const artifact = join(folder, "artifact");
    await compileModel(model, { out: artifact });
    const trainer = [join(artifact, "trainer.js"), "--out", join(folder, "run"), "--json", "--epochs", "1"];
    const first: number[] = [];
    const theirs = new Map<string, number[]>(peers.modes.map((mode) => [mode, []]));
    for (let time = 0; time < (parsed.options.times ?? 5); time++) {
      // Saving after every step makes the first one known as soon as it is done; writing the file is part of the time.
      const run = await runNode({ words: [...trainer, "--save-every", "1"], until: isFirstStep, stop: true });
      first.push(run.reached ?? Number.NaN);
      for (const mode of peers.modes) theirs.get(mode)?.push(await firstPeerStep(peers.python, mode));
    }
    const whole = await runNode({ words: trainer });
    const row = (name: string, seconds: readonly number[]): string[] => [
      name,
      median(seconds).toFixed(3),
      seconds.map((each) => each.toFixed(3)).join(" "),
    ];
    printTable(
      ["start to first step", "median s", "all"],
      [row("kiln", first), ...[...theirs].map(([mode, seconds]) => row(`torch-${mode} (W1)`, seconds))],
    );
    const peak = whole.peakBytes === undefined ? "?" : (whole.peakBytes / 2 ** 20).toFixed(0);
    process.stdout.write(`an epoch: ${whole.seconds.toFixed(2)} s with start and end, peak memory ${peak} MiB\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

/** The trainer reports each checkpoint; the one before any step has step 0. */
function isFirstStep(line: string): boolean {
  if (!line.startsWith("{")) return false;
  const event: unknown = JSON.parse(line);
  return (
    typeof event === "object" && event !== null && "step" in event && typeof event.step === "number" && event.step > 0
  );
}

async function firstPeerStep(python: string, mode: "eager" | "tuned" | "unlocked"): Promise<number> {
  const begin = performance.now();
  const peer = await startPeer(python, { workload: "W1", mode, threads: availableParallelism(), data: mnistFolder() });
  try {
    await peer.run(1);
    return (performance.now() - begin) / 1000;
  } finally {
    await peer.close();
  }
}
