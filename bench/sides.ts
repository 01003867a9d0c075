/** The sides of a comparison: ours, and each peer that is asked for, opened together and closed together. */
import type { CommandSpec, OptionValues } from "../runtime/training/option-table.ts";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import type { Contestant } from "./contestant.ts";
import { mnistFolder } from "./ours.ts";
import { peerModes, peerPython, startPeer, type PeerMode } from "./peer.ts";
import { workloads } from "./workloads/all.ts";
import type { Case, Setting, Workload } from "./workloads/workload.ts";

/** Options that every comparison takes. */
export const sideOptions = {
  peers: { kind: "switch", doc: "time PyTorch too (KILN_PEER_PYTHON names a Python that has it)" },
  mode: { kind: "text", value: "list", doc: `peers to time, of ${peerModes.join(", ")}; tuned,eager if left out` },
  seconds: { kind: "count", value: "s", doc: "seconds for each side; 4 if left out", minimum: 1 },
} as const satisfies CommandSpec["options"];

/** The peers that are asked for. */
export type Peers = { readonly python: string; readonly modes: readonly PeerMode[] };

/** The peers that the options ask for; none where there is no Python. Throws a `UserError` (K6003) for an unknown mode. */
export function chosenPeers({ peers, mode }: OptionValues<typeof sideOptions>, usual = "tuned,eager"): Peers {
  const modes = (mode ?? usual).split(",").map((name) => {
    const found = peerModes.find((known) => known === name);
    if (found === undefined) throw fail(messages.badOptionValue("--mode", peerModes.join(", "), name));
    return found;
  });
  const python = peers === true ? peerPython() : undefined;
  return python === undefined ? { python: "", modes: [] } : { python, modes };
}

/** The workload of a name, in any case of letters. Throws a `UserError` (K6003) if there is none. */
export function findWorkload(name: string): Workload {
  const found = workloads.find((workload) => workload.name.toLowerCase() === name.toLowerCase());
  if (found === undefined)
    throw fail(messages.badOptionValue("workload", workloads.map(({ name }) => name).join(", "), name));
  return found;
}

/** Opens our side and the peers for a case of a workload, hands them to `use`, ours first, and closes them. */
export async function withSides<T>(
  workload: Workload,
  each: Case,
  { peers, ...setting }: Setting & { readonly peers: Peers },
  use: (sides: readonly Contestant[]) => Promise<T>,
): Promise<T> {
  const sides: Contestant[] = [];
  try {
    sides.push(await each.open(setting));
    for (const mode of peers.modes) {
      const named = each.name === undefined ? {} : { case: each.name };
      sides.push(
        await startPeer(peers.python, {
          workload: workload.name,
          mode,
          threads: setting.threads,
          data: mnistFolder(),
          ...named,
        }),
      );
    }
    return await use(sides);
  } finally {
    for (const side of sides) await side.close();
  }
}
