/**
 * A peer: a workload in PyTorch, in a Python process that stays alive and runs blocks of steps when asked. The Python is
 * the one that `KILN_PEER_PYTHON` names; without it there are no peers, which is said loudly.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { packageRoot } from "../runtime/package-root.ts";
import type { Contestant } from "./contestant.ts";

/**
 * How the peer is run. `eager`: as the tutorials write it. `tuned`: fused optimizer, denormals flushed, jemalloc,
 * channels-last convolutions. `unlocked`: the same, with MKL told that the processor is Intel's (no difference on one that
 * is): the strongest bar there is, though no user goes that far.
 */
export type PeerMode = "eager" | "tuned" | "unlocked";

/** All modes. */
export const peerModes: readonly PeerMode[] = ["tuned", "eager", "unlocked"];

/** What a peer is to do. */
export type PeerSpec = {
  /** A module of `bench/peers`, by its name in capitals. */
  readonly workload: string;
  /** One of several cases of the workload. */
  readonly case?: string;
  readonly mode: PeerMode;
  readonly threads: number;
  /** Folder of MNIST's files. */
  readonly data?: string;
};

/** The Python to run peers with; `undefined` if none is named, after saying so. */
export function peerPython(): string | undefined {
  const python = process.env["KILN_PEER_PYTHON"];
  if (python !== undefined && python !== "") return python;
  console.error(
    "PEERS SKIPPED: KILN_PEER_PYTHON is not set. Set it to a Python with torch, such as venv/bin/python after\n" +
      "  python3 -m venv venv && venv/bin/pip install torch==2.13.0 numpy",
  );
  return undefined;
}

/** Starts a peer; resolves when it is ready to run steps. Throws if it ends before. */
export async function startPeer(python: string, spec: PeerSpec): Promise<Contestant> {
  const preload = preloads(spec.mode);
  const script = join(packageRoot(), "bench", "peers", "peer.py");
  const child = spawn(python, [script, JSON.stringify(spec)], {
    stdio: ["pipe", "pipe", "inherit"],
    env: {
      ...process.env,
      ...(preload.length > 0 ? { LD_PRELOAD: preload.join(":") } : {}),
      PYTHONDONTWRITEBYTECODE: "1",
    },
  });
  const peer = new Peer(`torch-${spec.mode}`, child);
  await peer.answer();
  return peer;
}

/** Libraries loaded before PyTorch's own. */
function preloads(mode: PeerMode): string[] {
  if (mode === "eager" || process.platform !== "linux") return [];
  const jemalloc = findJemalloc();
  if (jemalloc === undefined)
    console.error(`torch-${mode} runs WITHOUT jemalloc: install libjemalloc2, or set KILN_PEER_JEMALLOC.`);
  return [...(jemalloc === undefined ? [] : [jemalloc]), ...(mode === "unlocked" ? [intelClaim()] : [])];
}

function findJemalloc(): string | undefined {
  const named = process.env["KILN_PEER_JEMALLOC"];
  if (named !== undefined) return named;
  const folders = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];
  const nested = folders.flatMap((folder) =>
    existsSync(folder)
      ? readdirSync(folder)
          .filter((name) => name.endsWith("-linux-gnu"))
          .map((name) => join(folder, name))
      : [],
  );
  return [...folders, ...nested].map((folder) => join(folder, "libjemalloc.so.2")).find((file) => existsSync(file));
}

let claim: string | undefined;

/** A library that answers MKL's question for the maker of the processor. */
function intelClaim(): string {
  if (claim !== undefined) return claim;
  const folder = mkdtempSync(join(tmpdir(), "kiln-peer-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const source = join(folder, "claim.c");
  const library = join(folder, "claim.so");
  writeFileSync(
    source,
    "int mkl_serv_intel_cpu_true(void) { return 1; }\nint mkl_serv_intel_cpu(void) { return 1; }\n",
  );
  const { status } = spawnSync("cc", ["-shared", "-fPIC", "-o", library, source], { stdio: "inherit" });
  if (status !== 0) throw new Error("torch-unlocked needs a C compiler called cc");
  return (claim = library);
}

/** The process as a contestant. */
class Peer implements Contestant {
  readonly name: string;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string>;
  #loss: number | undefined;

  constructor(name: string, child: ChildProcess) {
    if (child.stdout === null) throw new Error("a peer without stdout");
    this.name = name;
    this.pid = child.pid ?? 0;
    this.#child = child;
    // What cannot be started ends the answers, which is reported there.
    child.on("error", (error) => console.error(`${name}: ${error.message}`));
    child.stdin?.on("error", () => undefined);
    this.#lines = createInterface({ input: child.stdout });
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  /** The next line that is JSON; libraries may print lines of their own between. */
  async answer(): Promise<Record<string, unknown>> {
    for (;;) {
      const { done, value } = await this.#answers.next();
      if (done === true) throw new Error(`${this.name} has ended; what it said stands above`);
      if (value.startsWith("{")) return JSON.parse(value) as Record<string, unknown>; // our own script wrote it
    }
  }

  async run(steps: number): Promise<number> {
    this.#child.stdin?.write(`${steps}\n`);
    const { seconds, loss } = await this.answer();
    if (typeof loss === "number") this.#loss = loss;
    return Number(seconds) * 1000;
  }

  lastLoss(): number | undefined {
    return this.#loss;
  }

  async close(): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    const ended = exitCode !== null || signalCode !== null || this.#child.pid === undefined;
    const end = ended ? Promise.resolve() : new Promise<void>((resolve) => this.#child.once("exit", () => resolve()));
    this.#child.stdin?.end();
    await end;
    this.#lines.close();
  }
}
