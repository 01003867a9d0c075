/**
 * `npm run bench -- W1 [W1a …] [--peers]`: our time for each workload, and each peer's, measured in turn in one run, and the
 * ratio ours / peer. Below 1 we are quicker.
 */
import { availableParallelism } from "node:os";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { parseCommandLine, type CommandSpec } from "../runtime/training/option-table.ts";
import { runMain } from "./main.ts";
import { compare, type Measured } from "./measure.ts";
import { mnistFolder } from "./ours.ts";
import { peerModes, peerPython, startPeer, type PeerMode } from "./peer.ts";
import { printTable } from "./table.ts";
import { workloads } from "./workloads/all.ts";
import type { Case, Workload } from "./workloads/workload.ts";
import type { Contestant } from "./contestant.ts";

const spec = {
  name: "npm run bench --",
  doc: `Times workloads: ${workloads.map(({ name, doc }) => `${name} (${doc})`).join("; ")}.`,
  arguments: [{ name: "workload...", doc: "what to time; W1 if left out", required: false }],
  options: {
    peers: { kind: "switch", doc: "time PyTorch too (KILN_PEER_PYTHON names a Python that has it)" },
    mode: { kind: "text", value: "list", doc: `peers to time, of ${peerModes.join(", ")}; tuned,eager if left out` },
    threads: { kind: "count", value: "n", doc: "threads on either side; all cores if left out", minimum: 1 },
    seconds: { kind: "count", value: "s", doc: "seconds for each side of each workload; 4 if left out", minimum: 1 },
    case: { kind: "text", value: "text", doc: "only cases with this text in their name" },
    json: { kind: "switch", doc: "one JSON object a line" },
  },
} as const satisfies CommandSpec;

/** One line of the result. */
type Row = {
  readonly workload: string;
  readonly case?: string;
  readonly unit: string;
  readonly threads: number;
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
  const { peers, mode, threads = availableParallelism(), seconds = 4, json = false, case: filter = "" } = parsed.options;
  const chosen = (parsed.arguments.length === 0 ? ["W1"] : parsed.arguments).map(findWorkload);
  const python = peers === true ? peerPython() : undefined;
  const modes = python === undefined ? [] : parseModes(mode ?? "tuned,eager");
  const rows: Row[] = [];
  for (const workload of chosen) {
    for (const each of workload.cases.filter(({ name = "" }) => name.includes(filter))) {
      const found = await measureCase(workload, each, { threads, seconds, python, modes });
      rows.push(...found);
      if (json) for (const row of found) process.stdout.write(`${JSON.stringify(row)}\n`);
    }
  }
  if (!json) show(rows);
});

function findWorkload(name: string): Workload {
  const found = workloads.find((workload) => workload.name.toLowerCase() === name.toLowerCase());
  if (found === undefined) throw fail(messages.badOptionValue("workload", workloads.map(({ name }) => name).join(", "), name));
  return found;
}

function parseModes(list: string): PeerMode[] {
  return list.split(",").map((name) => {
    const mode = peerModes.find((mode) => mode === name);
    if (mode === undefined) throw fail(messages.badOptionValue("--mode", peerModes.join(", "), name));
    return mode;
  });
}

type Side = {
  readonly threads: number;
  readonly seconds: number;
  readonly python: string | undefined;
  readonly modes: readonly PeerMode[];
};

async function measureCase(workload: Workload, each: Case, { threads, seconds, python, modes }: Side): Promise<Row[]> {
  const contestants: Contestant[] = [];
  try {
    contestants.push(await each.open({ threads }));
    for (const mode of python === undefined ? [] : modes) {
      const spec = { workload: workload.name, mode, threads, data: mnistFolder(), ...(each.name === undefined ? {} : { case: each.name }) };
      contestants.push(await startPeer(python ?? "", spec));
    }
    const { results, foreignCores } = await compare(contestants, { seconds });
    const [ours, ...theirs] = results;
    if (ours === undefined) return [];
    const head = { workload: workload.name, ...(each.name === undefined ? {} : { case: each.name }), unit: each.unit, threads };
    const sides: readonly (Measured | undefined)[] = theirs.length === 0 ? [undefined] : theirs;
    return sides.map((peer) => ({ ...head, ...rowOf(ours, peer), foreign_cores: rounded(foreignCores, 2) }));
  } finally {
    for (const contestant of contestants) await contestant.close();
  }
}

function rowOf(ours: Measured, peer: Measured | undefined): Omit<Row, "workload" | "case" | "unit" | "threads" | "foreign_cores"> {
  return {
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
    ["workload", "threads", "ours ms", "fastest", "peer", "peer ms", "fastest", "ours / peer", "blocks", "others' cores"],
    rows.map((row) => [
      row.case === undefined ? `${row.workload} ${row.unit}` : `${row.workload} ${row.case}`,
      row.threads,
      row.ours_ms.toFixed(4),
      row.ours_fastest_ms.toFixed(4),
      row.peer ?? "-",
      row.peer_ms?.toFixed(4) ?? "-",
      row.peer_fastest_ms?.toFixed(4) ?? "-",
      row.ratio?.toFixed(3) ?? "-",
      row.blocks,
      row.foreign_cores?.toFixed(2) ?? "?",
    ]),
  );
  const busy = rows.some((row) => (row.foreign_cores ?? 0) > 0.1);
  if (busy) process.stdout.write("Other processes were busy meanwhile: figures on two threads do not count.\n");
}
