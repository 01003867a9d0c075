/**
 * How much of the processor other processes use while something is measured: the whole machine's busy time less that of
 * this process and of those it measures. Linux only; elsewhere nothing is known.
 */
import { readFileSync } from "node:fs";

/** Ticks of /proc per second; USER_HZ is 100 on every Linux architecture that Node runs on. */
const ticksPerSecond = 100;

/** Measures from its making on. */
export class ForeignLoad {
  readonly #pids: readonly number[];
  readonly #begin: number;
  readonly #foreign: number | undefined;

  constructor(pids: readonly number[]) {
    this.#pids = [...new Set([process.pid, ...pids])];
    this.#begin = performance.now();
    this.#foreign = foreignSeconds(this.#pids);
  }

  /** Cores kept busy by others since the beginning, on average. */
  cores(): number | undefined {
    const now = foreignSeconds(this.#pids);
    if (now === undefined || this.#foreign === undefined) return undefined;
    return Math.max(0, (now - this.#foreign) / ((performance.now() - this.#begin) / 1000));
  }
}

function foreignSeconds(pids: readonly number[]): number | undefined {
  const machine = fieldsOf("/proc/stat", (text) => (text.split("\n")[0] ?? "").split(/\s+/).slice(1));
  if (machine === undefined) return undefined;
  // user, nice, system, then irq, softirq, steal: idle and waiting left out, guest time is part of user.
  const busy = sum(machine.slice(0, 3)) + sum(machine.slice(5, 8));
  const own = pids.map((pid) => {
    // The command in parentheses may hold spaces; user and system time are the 12th and 13th fields behind it.
    const fields = fieldsOf(`/proc/${pid}/stat`, (text) => text.slice(text.lastIndexOf(")") + 2).split(" "));
    return sum((fields ?? []).slice(11, 13));
  });
  return (busy - sum(own)) / ticksPerSecond;
}

function fieldsOf(path: string, split: (text: string) => string[]): number[] | undefined {
  try {
    return split(readFileSync(path, "utf8")).map(Number);
  } catch {
    // Not Linux, or the process has ended.
    return undefined;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
