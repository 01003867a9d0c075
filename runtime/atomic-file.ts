/**
 * Files that are either the old or the new one, whenever the process or the machine dies: contents go to a temporary
 * file beside the target, reach the disk, and take the target's name in one step. Temporary files that a killed process
 * left behind can be told from those of living ones and removed.
 */
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import { fileFailed } from "../ir/diagnostic/messages.ts";

/** Longest piece of one write call, in bytes: systems cut longer ones short. */
const writeLimit = 2 ** 30;

/** A temporary file of another machine, in a shared folder, is taken for dead after this many milliseconds. */
const foreignAge = 24 * 60 * 60 * 1000;

/**
 * Writes `chunks` to `path`, replacing what is there only when all of it is on disk. A symbolic link at `path` is
 * replaced, not followed. If anything fails, an error of `chunks` included, the old file is untouched and no temporary
 * file stays.
 *
 * @throws UserError K3112 with the path and the system's reason: no space, no permission, no such folder, ….
 */
export function writeAtomically(path: string, chunks: Iterable<Uint8Array>): void {
  const temporary = join(dirname(path), `${basename(path)}.tmp-${owner()}-${randomBytes(4).toString("hex")}`);
  // `wx`: never a file or link that is there already.
  const handle = attempt("create", path, () => openSync(temporary, "wx"));
  try {
    try {
      for (const chunk of chunks) attempt("write", path, () => writeAll(handle, chunk));
      attempt("write", path, () => fsyncSync(handle));
    } finally {
      closeSync(handle);
    }
    attempt("replace", path, () => renameSync(temporary, path));
  } catch (error) {
    remove(temporary);
    throw error;
  }
  attempt("write", path, () => syncFolder(dirname(path)));
}

/**
 * Removes the temporary files in `folder` whose processes are gone; returns their names. Files of living processes and
 * recent ones of other machines stay. A folder that does not exist has none.
 */
export function removeStaleTemporaries(folder: string): string[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (cause) {
    if (errorCode(cause) === "ENOENT") return [];
    throw fail(fileFailed("list", folder, cause), undefined, cause);
  }
  return names.filter((name) => {
    const [, host, pid, started] = /\.tmp-([0-9a-f]{8})-(\d{1,10})-(\d{1,20})-[0-9a-f]{8}$/.exec(name) ?? [];
    if (host === undefined || pid === undefined || started === undefined) return false;
    const path = join(folder, name);
    const stale = host === hostTag() ? !isAlive(Number(pid), started) : isOld(path);
    return stale && remove(path);
  });
}

/** What marks a temporary file as ours: machine, process, and when the process started. */
function owner(): string {
  return `${hostTag()}-${process.pid}-${startTime(process.pid) ?? "0"}`;
}

/** Tells machines apart that share a folder. */
function hostTag(): string {
  return createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
}

/** When a process started, in clock ticks since boot (field 22 of `/proc/<pid>/stat`); `undefined` where that is not known. */
function startTime(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field is a name in parentheses, which may hold anything; fields are counted from behind it.
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

/** Whether process `pid` lives and is the one that started then: numbers of dead processes are given away again. */
function isAlive(pid: number, started: string): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, but belongs to somebody else.
    if (errorCode(error) !== "EPERM") return false;
  }
  const now = startTime(pid);
  return now === undefined || started === "0" || now === started;
}

function isOld(path: string): boolean {
  try {
    return Date.now() - lstatSync(path).mtimeMs > foreignAge;
  } catch {
    return false;
  }
}

/** Removes a file if that can be done; whether it was. What cannot be removed does no harm but take space. */
function remove(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch {
    return false;
  }
}

function writeAll(handle: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;)
    done += writeSync(handle, bytes, done, Math.min(writeLimit, bytes.length - done));
}

/** Makes a rename durable. Windows has no such call, and does not need it. */
function syncFolder(folder: string): void {
  if (process.platform === "win32") return;
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function attempt<T>(action: string, path: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw fail(fileFailed(action, path, cause), undefined, cause);
  }
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
