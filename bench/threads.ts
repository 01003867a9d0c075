/**
 * `node dist/bench/threads.js [W1] [--peers]`: a workload on 1, 2, 4 … threads, all of them in turn, and PyTorch's on as
 * many. One thread of ours should never be slower than one of PyTorch's, nor two slower than one.
 */
import { availableParallelism } from "node:os";
import { at } from "../ir/type.ts";
import { parseCommandLine, type CommandSpec } from "../runtime/training/option-table.ts";
import type { Contestant } from "./contestant.ts";
import { runMain } from "./main.ts";
import { compare } from "./measure.ts";
import { chosenPeers, findWorkload, sideOptions, withSides, type Peers } from "./sides.ts";
import { busyNotice, printTable } from "./table.ts";
import type { Case, Workload } from "./workloads/workload.ts";

const spec = {
  name: "node dist/bench/threads.js",
  doc: "Times a workload on 1, 2, 4 … threads, up to the number of cores.",
  arguments: [{ name: "workload", doc: "what to time; W1 if left out", required: false }],
  options: sideOptions,
} as const satisfies CommandSpec;

await runMain(async (words) => {
  const parsed = parseCommandLine(spec, words);
  if (parsed.kind === "help") return void process.stdout.write(parsed.text);
  const { seconds = 4 } = parsed.options;
  const workload = findWorkload(parsed.arguments[0] ?? "W1");
  const peers = chosenPeers(parsed.options, "tuned");
  const counts = [1];
  while (at(counts, counts.length - 1) * 2 <= availableParallelism()) counts.push(at(counts, counts.length - 1) * 2);
  await withThreads(workload, at(workload.cases, 0), { counts, peers }, [], async (sides) => {
    const { results, foreignCores } = await compare(sides, { seconds });
    const perCount = sides.length / counts.length; // ours, then each peer
    printTable(
      ["threads", "side", "ms", "fastest", "over ours", "over one thread"],
      results.map((result, i) => {
        const ours = at(results, i - (i % perCount));
        const single = at(results, i % perCount);
        const count = at(counts, Math.floor(i / perCount));
        const cells = [result.median.toFixed(4), result.fastest.toFixed(4)];
        return [
          count,
          result.name,
          ...cells,
          (result.median / ours.median).toFixed(3),
          (result.median / single.median).toFixed(3),
        ];
      }),
    );
    busyNotice(foreignCores);
  });
});

/** Opens the sides for every number of threads, then calls `use` with all of them. */
async function withThreads(
  workload: Workload,
  each: Case,
  { counts, peers }: { readonly counts: readonly number[]; readonly peers: Peers },
  open: readonly Contestant[],
  use: (sides: readonly Contestant[]) => Promise<void>,
): Promise<void> {
  const [threads, ...rest] = counts;
  if (threads === undefined) return use(open);
  await withSides(workload, each, { threads, peers }, (sides) =>
    withThreads(workload, each, { counts: rest, peers }, [...open, ...sides], use),
  );
}
