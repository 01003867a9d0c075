/**
 * The lock of a run folder: at most one trainer writes to it. A lock is a file made whole under another name and linked
 * into place, so it is never seen half-written; it names process, start time and host. A lock whose process is gone is
 * taken over, by one process at a time.
 */
import { randomBytes } from "node:crypto";
import { linkSync, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import * as path from "node:path";
import * as v from "valibot";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";

const holderSchema = v.object({ pid: v.number(), start: v.string(), host: v.string() });

/** A held lock. */
export class RunLock {
  readonly #file: string;
  readonly #content: string;

  private constructor(file: string, content: string) {
    this.#file = file;
    this.#content = content;
  }

  /** Locks `folder`, which must be writable. Throws a `UserError` (K3207) if another process holds it. */
  static acquire(folder: string): RunLock {
    const file = path.join(folder, "lock");
    const content = JSON.stringify({ pid: process.pid, start: startTime(process.pid), host: hostname() });
    for (let attempt = 0; attempt < 20; attempt++) {
      if (createWhole(file, content)) return new RunLock(file, content);
      const holder = readHolder(file);
      if (holder === undefined) continue;
      if (isAlive(holder)) {
        throw fail(messages.runFolderLocked(folder, `process ${holder.pid} on ${holder.host} (${file})`));
      }
      removeStale(file);
    }
    throw fail(messages.runFolderLocked(folder, `a lock that could not be taken (${file})`));
  }

  /** Gives the folder back, unless somebody else's lock stands there by now. */
  release(): void {
    try {
      if (readFileSync(this.#file, "utf8") === this.#content) unlinkSync(this.#file);
    } catch {
      // The folder or the lock is gone: then there is nothing to give back.
    }
  }
}

type Holder = v.InferOutput<typeof holderSchema>;

function readHolder(file: string): Holder | undefined {
  try {
    return v.parse(holderSchema, JSON.parse(readFileSync(file, "utf8")));
  } catch {
    // Gone in the meantime, or not ours to understand; a file that stays unreadable ends the attempts.
    return undefined;
  }
}

/** Whether the process that wrote a lock still runs; one on another host is taken to. */
function isAlive(holder: Holder): boolean {
  if (holder.host !== hostname()) return true;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // EPERM: it runs, as another user.
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) return false;
  }
  return holder.start === startTime(holder.pid);
}

/** When a process started, in clock ticks since boot, so that a reused number is not taken for it; empty where unknown. */
function startTime(pid: number): string {
  try {
    // Field 22 of /proc/<pid>/stat; the second field may hold spaces and ends with the last parenthesis.
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

/** Removes a stale lock while no other process does; between the look and the removal it may have become a live one. */
function removeStale(file: string): void {
  const guard = `${file}.takeover`;
  if (!createWhole(guard, String(process.pid))) {
    const age = Date.now() - (statSync(guard, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > 10_000) unlinkQuietly(guard);
    return;
  }
  const holder = readHolder(file);
  if (holder !== undefined && !isAlive(holder)) unlinkQuietly(file);
  unlinkQuietly(guard);
}

/** Makes `file` with its whole content at once; whether it was not there. */
function createWhole(file: string, content: string): boolean {
  const temporary = `${file}.${process.pid}-${randomBytes(4).toString("hex")}`;
  writeFileSync(temporary, content, { flag: "wx" });
  try {
    linkSync(temporary, file);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  } finally {
    unlinkQuietly(temporary);
  }
}

function unlinkQuietly(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // Another process was quicker.
  }
}
