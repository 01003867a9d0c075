/** PyTorch on the same GPU, in a Python process that says one JSON object a line. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { packageRoot } from "../../runtime/package-root.ts";

/** A line of the peer: a workload in a mode, or why it could not be run. */
export type PeerLine = {
  readonly workload: string;
  readonly mode: string;
  readonly seconds?: number;
  readonly loss?: number;
  readonly flops?: number;
  readonly reason?: string;
};

/** Options of `runPeers`. `device`: `cuda`, or `cpu` to try the script. */
export type PeerOptions = {
  readonly python: string;
  readonly device: string;
  readonly data: string;
  readonly seconds: number;
};

/** Runs all peers; what they said. Rejects if the process fails. */
export async function runPeers({ python, device, data, seconds }: PeerOptions): Promise<readonly PeerLine[]> {
  const script = join(packageRoot(), "bench", "peers", "gpu.py");
  const child = spawn(python, [script, JSON.stringify({ device, data, seconds })], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
  });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors = (errors + text).slice(-4000)));
  const lines: PeerLine[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    // The script is ours; a line that is none of its own is not JSON.
    if (line.startsWith("{")) lines.push(JSON.parse(line) as PeerLine);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code !== 0) throw new Error(`the peer ended with ${String(code)}: ${errors}`);
  return lines;
}
