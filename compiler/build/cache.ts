/**
 * The cache of compiled objects: files named by a hash of all that went into them, written aside and moved into place, so
 * that a reader sees a whole file or none. Lies in `KILN_CACHE`, else in the user's cache folder; where that cannot be
 * written and nobody asked for it by name, a temporary folder serves for one build.
 */
import { createHash, randomUUID } from "node:crypto";
import {
  access,
  constants,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import { buildFolderUnusable } from "../../ir/diagnostic/messages.ts";

/** An open cache. `lasting`: whether what is stored will be found again. */
export type Cache = { readonly folder: string; readonly lasting: boolean };

/** Files not used for so many days are removed when something new is stored. */
const keptDays = 30;

/** Opens the cache folder, making it if need be. Throws a `TargetError` K5113 if no folder can be written. */
export async function openCache(): Promise<Cache> {
  const named = process.env["KILN_CACHE"];
  const folder = named ?? join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "kiln");
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK | constants.X_OK);
    return { folder, lasting: true };
  } catch (error) {
    if (named !== undefined) throw fail(buildFolderUnusable(folder, reason(error)), undefined, error);
  }
  try {
    return { folder: await mkdtemp(join(tmpdir(), "kiln-")), lasting: false };
  } catch (error) {
    throw fail(buildFolderUnusable(tmpdir(), reason(error)), undefined, error);
  }
}

/** Gives up a cache; one that was only for this build is removed. */
export async function closeCache(cache: Cache): Promise<void> {
  if (!cache.lasting) await rm(cache.folder, { recursive: true, force: true });
}

/** A fresh folder within the cache, to be removed by the caller. */
export async function workFolder(cache: Cache): Promise<string> {
  try {
    const folder = join(cache.folder, `work-${randomUUID()}`);
    await mkdir(folder);
    return folder;
  } catch (error) {
    throw fail(buildFolderUnusable(cache.folder, reason(error)), undefined, error);
  }
}

/** The contents stored under a name, or `undefined`. */
export async function recall(cache: Cache, name: string): Promise<Uint8Array | undefined> {
  const path = join(cache.folder, name);
  try {
    const bytes = await readFile(path);
    const now = new Date();
    // Marks it as used; a cache that is not ours to change is still good to read.
    await utimes(path, now, now).catch(() => undefined);
    return bytes.length === 0 ? undefined : bytes;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw fail(buildFolderUnusable(cache.folder, reason(error)), undefined, error);
  }
}

/** Stores contents under a name, atomically, and removes what has not been used for long. */
export async function keep(cache: Cache, name: string, contents: Uint8Array | string): Promise<void> {
  const aside = join(cache.folder, `new-${randomUUID()}`);
  try {
    await writeFile(aside, contents);
    await rename(aside, join(cache.folder, name));
  } catch (error) {
    await rm(aside, { force: true });
    throw fail(buildFolderUnusable(cache.folder, reason(error)), undefined, error);
  }
  await removeOld(cache);
}

/** Writes a file of a build, or throws K5113. */
export async function writeBuildFile(path: string, contents: Uint8Array | string): Promise<void> {
  try {
    await writeFile(path, contents);
  } catch (error) {
    throw fail(buildFolderUnusable(path, reason(error)), undefined, error);
  }
}

/** A hash of texts that no two different lists of texts share. */
export function hashTexts(texts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(`${text.length}:`).update(text);
  return hash.digest("hex").slice(0, 40);
}

async function removeOld(cache: Cache): Promise<void> {
  const limit = Date.now() - keptDays * 24 * 3600 * 1000;
  for (const name of await readdir(cache.folder)) {
    if (!/^(new|work|object|library|compiler)-/.test(name)) continue;
    const path = join(cache.folder, name);
    try {
      if ((await stat(path)).mtimeMs < limit) await rm(path, { recursive: true, force: true });
    } catch (error) {
      // Another build removed it first.
      if (!isMissing(error)) throw error;
    }
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
