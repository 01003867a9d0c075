/**
 * The faults that a check of a manifest finds, and the checks that all its parts share: names, paths, numbers and sizes.
 * Each throws K3002 or K3004 with the path of the faulty field, or returns.
 */
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import type { Shape } from "../ir/type.ts";

/** Names that would change an object they were set on. */
const reserved: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/** The error (K3002) for the field `where`. */
export function bad(where: string, expected: string, got: string): Error {
  return fail(messages.badManifest(where, expected, got));
}

/** Throws unless a number is finite. @throws UserError K3002. */
export function finite(where: string, value: number): void {
  if (!Number.isFinite(value)) throw bad(where, "a finite number", String(value));
}

/** Throws unless a name can be a key. @throws UserError K3002. */
export function checkName(where: string, name: string): void {
  if (name === "" || name.length > 4096 || name.split(".").some((part) => reserved.has(part)))
    throw bad(where, "a name that is neither empty nor reserved", name.slice(0, 100));
}

/** Throws unless all names can be keys and differ. @throws UserError K3002. */
export function unique(where: string, names: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    checkName(where, name);
    if (seen.has(name)) throw bad(where, "names that differ", `\`${name}\` twice`);
    seen.add(name);
  }
}

/** Throws unless a path stays inside the artifact. @throws UserError K3004. */
export function checkPath(file: string): void {
  const parts = file.split("/");
  const plain = parts.every((part) => part !== "" && part !== "." && part !== ".." && !/[\\:\u0000]/.test(part));
  if (!plain) throw fail(messages.unsafeArtifactPath(file, "a path that could lead elsewhere"));
}

/** Number of elements of a shape. @throws UserError K3002 if that is no safe integer. */
export function countOf(where: string, shape: Shape): number {
  let count = 1;
  for (const extent of shape) count *= extent;
  // A product that was rounded on the way is still too large to be safe, unless an extent of 0 makes it 0.
  if (!Number.isSafeInteger(count)) throw bad(where, "a size below 2^53", shape.join(" × "));
  return count;
}
