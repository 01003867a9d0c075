/**
 * What this processor is and can do, to be compared with what an artifact was compiled for before its library is opened:
 * an error instead of an illegal instruction.
 */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";

/** Other names of processors, by Node's. */
const aliases: Readonly<Record<string, string>> = { x86_64: "x64", amd64: "x64", aarch64: "arm64" };

/** Throws unless code compiled for `arch` with `features` runs here. @throws TargetError K5001, K5002. */
export function checkProcessor(arch: string, features: readonly string[]): void {
  const wanted = Object.hasOwn(aliases, arch) ? aliases[arch] : arch;
  if (wanted !== process.arch) throw fail(messages.wrongArchitecture(arch, process.arch));
  const present = cpuFeatures();
  if (present === undefined) return;
  const missing = features.filter((feature) => !present.has(feature));
  if (missing.length > 0) throw fail(messages.missingCpuFeatures(missing));
}

/** The processor's features as Linux names them; `undefined` where no one tells. */
export function cpuFeatures(): ReadonlySet<string> | undefined {
  const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuInfo());
  return line?.[1] === undefined ? undefined : new Set(line[1].split(/\s+/));
}

/** Threads that are worth running kernels on: cores, not their hardware threads, as far as the process may use them. */
export function usefulThreads(): number {
  const text = cpuInfo();
  const packages = [...text.matchAll(/^physical id\s*:\s*(\d+)$/gm)].map((match) => match[1]);
  const cores = [...text.matchAll(/^core id\s*:\s*(\d+)$/gm)].map((match) => match[1]);
  const distinct = new Set(cores.map((core, i) => `${packages[i]}.${core}`)).size;
  const available = availableParallelism();
  return distinct > 0 && packages.length === cores.length ? Math.min(distinct, available) : available;
}

function cpuInfo(): string {
  try {
    return readFileSync("/proc/cpuinfo", "utf8");
  } catch {
    // Not Linux.
    return "";
  }
}
