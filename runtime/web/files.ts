/**
 * The files of a page: from the page itself, where an export put all into one HTML file, else fetched beside it. What is
 * compressed is unpacked, and the artifact's files are checked against their hashes.
 */
import * as v from "valibot";
import { viewTarget, type LoadedManifest, type Manifest } from "../../ir/artifact/manifest.ts";
import { pageSchema, type PageDescription } from "../../ir/artifact/page.ts";
import { DiagnosticError, fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { parseManifest } from "../manifest-check.ts";

/** Is told how many bytes of a file have come, of how many (0 if that is unknown). */
export type OnBytes = (done: number, total: number) => void;

/**
 * The bytes of a file of the page.
 *
 * @param file Path relative to the page.
 * @throws UserError K5515 if it cannot be loaded.
 */
export async function readFile(file: string, onBytes?: OnBytes): Promise<Uint8Array<ArrayBuffer>> {
  const embedded = document.querySelector(`script[data-file="${CSS.escape(file)}"]`);
  if (embedded !== null) return decodeBase64(embedded.textContent);
  try {
    const response = await fetch(file);
    if (!response.ok) throw new Error(`status ${response.status}`);
    if (onBytes === undefined || response.body === null) return new Uint8Array(await response.arrayBuffer());
    const total = Number(response.headers.get("content-length") ?? 0);
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let done = 0;
    for await (const part of response.body) {
      parts.push(part);
      done += part.byteLength;
      onBytes(done, total);
    }
    return new Uint8Array(await new Blob(parts).arrayBuffer());
  } catch (cause) {
    const isFile = location.protocol === "file:";
    const reason = isFile ? "a page opened as a file may not load others" : reasonOf(cause);
    throw fail(messages.pageFileMissing(file, reason), undefined, cause);
  }
}

/** Unpacks gzip. A server that says so may have unpacked it already. @throws UserError K5516 if it is damaged. */
export async function unpack(file: string, bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const [first, second] = bytes;
  if (first !== 0x1f || second !== 0x8b) return bytes;
  try {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (cause) {
    throw fail(messages.pageFileDamaged(file, "gzip", reasonOf(cause)), undefined, cause);
  }
}

/** The manifest of the page's artifact. @throws UserError K3002, K3004, K5515, K5516. */
export async function readManifest(): Promise<LoadedManifest> {
  const manifest: Manifest = parseManifest(await readJson("manifest.json"));
  const target = manifest.targets.find(({ name }) => name === "wgsl");
  if (target === undefined) throw fail(messages.pageNeedsWgsl(manifest.targets.map(({ name }) => name)));
  return viewTarget(manifest, target);
}

/** The description of the page. @throws UserError K5515, K5516. */
export async function readPage(): Promise<PageDescription> {
  const result = v.safeParse(pageSchema, await readJson("page.json"));
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw fail(messages.pageFileDamaged("page.json", issue.expected ?? "a description of a page", issue.received));
}

/** One of the artifact's files. @throws UserError K5515 if it cannot be loaded, K3003 if it is damaged. */
export async function readArtifactFile({ files }: Pick<Manifest, "files">, file: string): Promise<Uint8Array> {
  const bytes = await readFile(file);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const got = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const expected = files[file] ?? "";
  if (got !== expected) throw fail(messages.artifactDamaged(file, expected, got));
  return bytes;
}

/** The bytes that a text in base64 stands for. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(new TextDecoder().decode(await readFile(file)));
  } catch (cause) {
    if (cause instanceof DiagnosticError) throw cause;
    throw fail(messages.pageFileDamaged(file, "JSON", reasonOf(cause)), undefined, cause);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
