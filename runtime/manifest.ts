/**
 * Reads the manifest of an artifact. The file is taken as hostile: whatever it holds, the result is either a manifest
 * whose every offset, name, path and formula can be used without a further look, or a coded error.
 */
import { constants } from "node:fs";
import { open, realpath } from "node:fs/promises";
import { createHash } from "node:crypto";
import { isAbsolute, join, relative, sep } from "node:path";
import type { Manifest } from "../ir/artifact/manifest.ts";
import { DiagnosticError, fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { parseManifest } from "./manifest-check.ts";

/** Longest manifest that is read, in bytes; initial values make up most of a long one. */
const manifestLimit = 2 ** 28;

/** Longest other file that is read, in bytes. */
const fileLimit = 2 ** 30;

/**
 * The manifest in `folder`, checked.
 *
 * @throws UserError K3001 if it cannot be read, K3002 if it is malformed, K3004 if it names a file outside the folder.
 */
export async function readManifest(folder: string): Promise<Manifest> {
  const bytes = await readWhole(folder, "manifest.json", manifestLimit);
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw fail(messages.badManifest("manifest.json", "JSON in UTF-8", reasonOf(error)), undefined, error);
  }
  return parseManifest(parsed);
}

/**
 * One of the artifact's files as bytes, its hash verified.
 *
 * @throws UserError K3001 if it cannot be read, K3003 if it is damaged, K3004 if it lies outside the folder.
 */
export async function readArtifactFile(
  folder: string,
  { files }: Pick<Manifest, "files">,
  file: string,
): Promise<Uint8Array> {
  const expected = files[file] ?? "";
  const bytes = await readWhole(folder, file, fileLimit);
  const got = createHash("sha256").update(bytes).digest("hex");
  if (got !== expected) throw fail(messages.artifactDamaged(file, expected, got));
  return bytes;
}

/** All of a plain file inside the folder. */
async function readWhole(folder: string, file: string, limit: number): Promise<Uint8Array> {
  try {
    const root = await realpath(folder);
    const path = await realpath(join(root, file));
    const inside = relative(root, path);
    if (inside === ".." || inside.startsWith(`..${sep}`) || isAbsolute(inside))
      throw fail(messages.unsafeArtifactPath(file, "a link out of the folder"));
    // Without O_NONBLOCK a FIFO would keep us waiting before we can see what it is.
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stats = await handle.stat();
      if (!stats.isFile()) throw fail(messages.unsafeArtifactPath(file, "no plain file"));
      if (stats.size > limit) throw fail(messages.badManifest(file, `at most ${limit} bytes`, `${stats.size} bytes`));
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof DiagnosticError) throw error;
    throw fail(messages.artifactMissing(folder, reasonOf(error)), undefined, error);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
