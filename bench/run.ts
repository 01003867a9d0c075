/**
 * `npm run bench -- W1 [W1a …] [--peers]`: our time for each workload, and each peer's, measured in turn in one run, and the
 * ratio ours / peer. Below 1 we are quicker. With `--device` our side runs on a GPU, alone: the peers here are on the
 * processor (`bench/gpu` has those on NVIDIA's GPUs).
 */
import { availableParallelism } from "node:os";
import { parseCommandLine, type CommandSpec } from "../runtime/training/option-table.ts";
import type { DeviceName } from "../runtime/select-target.ts";
import { runMain } from "./main.ts";
import { compare, type Measured } from "./measure.ts";
import { chosenPeers, findWorkload, sideOptions, withSides, type Peers } from "./sides.ts";
import { busyNotice, printTable } from "./table.ts";
import { workloads } from "./workloads/all.ts";
import type { Case, Workload } from "./workloads/workload.ts";

const devices = ["cpu", "wgpu", "cuda"] as const satisfies readonly DeviceName[];

const spec = {
  name: "npm run bench --",
  doc: `Times workloads: ${workloads.map(({ name, doc }) => `${name} (${doc})`).join("; ")}.`,
  arguments: [{ name: "workload...", doc: "what to time; W1 if left out", required: false }],
  options: {
    ...sideOptions,
    threads: { kind: "count", value: "n", doc: "threads on either side; all cores if left out", minimum: 1 },
    device: { kind: "choice", choices: devices, doc: "where our side runs; cpu if left out" },
    case: { kind: "text", value: "text", doc: "only cases with this text in their name" },
    json: { kind: "switch", doc: "one JSON object a line" },
  },
} as const satisfies CommandSpec;

/** One line of the result. */
type Row = {
  readonly workload: string;
  readonly case?: string;
  readonly unit: string;
  readonly device: DeviceName;
  readonly threads: number;
  /** Kernels that a step starts on a GPU. */
  readonly dispatches: number | null;
  /** Floating-point operations a second in ours, where their number is known. */
  readonly ours_gflops: number | null;
  readonly ours_ms: number;
  readonly ours_fastest_ms: number;
  readonly peer: string | null;
  readonly peer_ms: number | null;
  readonly peer_fastest_ms: number | null;
  /** Ours / peer, of the medians. */
  readonly ratio: number | null;
  readonly ours_loss: number | null;
  readonly peer_loss: number | null;
  /** Blocks of each side. */
  readonly blocks: number;
  /** Cores that other processes kept busy meanwhile. */
  readonly foreign_cores: number | null;
};

await runMain(async (words) => {
  const parsed = parseCommandLine(spec, words);
  if (parsed.kind === "help") return void process.stdout.write(parsed.text);
  const { threads = availableParallelism(), seconds = 4, json = false, case: filter = "" } = parsed.options;
  const { device = "cpu" } = parsed.options;
  const chosen = (parsed.arguments.length === 0 ? ["W1"] : parsed.arguments).map(findWorkload);
  const isAlone = device !== "cpu" && parsed.options.peers === true;
  if (isAlone) console.error(`Peers run on the processor: none is timed beside ${device}.`);
  const peers = chosenPeers(isAlone ? { ...parsed.options, peers: false } : parsed.options);
  const rows: Row[] = [];
  for (const workload of chosen) {
    for (const each of workload.cases.filter(({ name = "" }) => name.includes(filter))) {
      const found = await measureCase(workload, each, { threads, device, seconds, peers });
      rows.push(...found);
      if (json) for (const row of found) process.stdout.write(`${JSON.stringify(row)}\n`);
    }
  }
  if (!json) show(rows);
});

type How = { readonly threads: number; readonly device: DeviceName; readonly seconds: number; readonly peers: Peers };

async function measureCase(workload: Workload, each: Case, how: How): Promise<Row[]> {
  const { threads, device, seconds } = how;
  const { results, foreignCores } = await withSides(workload, each, how, (sides) => compare(sides, { seconds }));
  const [ours, ...theirs] = results;
  if (ours === undefined) return [];
  const named = each.name === undefined ? {} : { case: each.name };
  const head = { workload: workload.name, ...named, unit: each.unit, device, threads };
  const gflops = each.flops === undefined ? null : rounded(each.flops / ours.median / 1e6, 2);
  const rivals: readonly (Measured | undefined)[] = theirs.length === 0 ? [undefined] : theirs;
  return rivals.map((peer) => ({
    ...head,
    ours_gflops: gflops,
    ...rowOf(ours, peer),
    foreign_cores: rounded(foreignCores, 2),
  }));
}

function rowOf(
  ours: Measured,
  peer: Measured | undefined,
): Omit<Row, "workload" | "case" | "unit" | "device" | "threads" | "ours_gflops" | "foreign_cores"> {
  return {
    dispatches: ours.dispatches ?? null,
    ours_ms: rounded(ours.median) ?? 0,
    ours_fastest_ms: rounded(ours.fastest) ?? 0,
    peer: peer?.name ?? null,
    peer_ms: rounded(peer?.median),
    peer_fastest_ms: rounded(peer?.fastest),
    ratio: peer === undefined ? null : rounded(ours.median / peer.median, 4),
    ours_loss: rounded(ours.loss),
    peer_loss: rounded(peer?.loss),
    blocks: ours.blocks,
  };
}

function rounded(value: number | undefined, digits = 5): number | null {
  return value === undefined ? null : Number(value.toFixed(digits));
}

function show(rows: readonly Row[]): void {
  printTable(
    [
      "workload",
      "on",
      "dispatches",
      "ours ms",
      "GFLOP/s",
      "fastest",
      "peer",
      "peer ms",
      "fastest",
      "ours / peer",
      "blocks",
      "others' cores",
    ],
    rows.map((row) => [
      row.case === undefined ? `${row.workload} ${row.unit}` : `${row.workload} ${row.case}`,
      row.device === "cpu" ? `${row.threads} threads` : row.device,
      row.dispatches ?? "-",
      row.ours_ms.toFixed(4),
      row.ours_gflops?.toFixed(1) ?? "-",
      row.ours_fastest_ms.toFixed(4),
      row.peer ?? "-",
      row.peer_ms?.toFixed(4) ?? "-",
      row.peer_fastest_ms?.toFixed(4) ?? "-",
      row.ratio?.toFixed(3) ?? "-",
      row.blocks,
      row.foreign_cores?.toFixed(2) ?? "?",
    ]),
  );
  busyNotice(Math.max(...rows.map((row) => row.foreign_cores ?? 0)));
}
