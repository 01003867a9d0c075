/**
 * Where in the user's source an op was called. Takes the JavaScript stack at the moment of the call, skips the frames
 * that lie in this package's own folders, and gives file, line and column of the first one left. Costs about 5
 * microseconds a capture: call sites are read as objects and never formatted.
 */
import { dirname, isAbsolute, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { SourceLocation } from "../../ir/diagnostic/diagnostic.ts";

const packageRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Names of the folders whose code is ours. */
export const ownFolderNames: readonly string[] = ["compiler", "ir", "codegen", "runtime", "bin"];

/** Folders whose frames are ours: a test or an example in the same package counts as a user. */
const ownFolders = ownFolderNames.map((name) => `${packageRoot}${sep}${name}${sep}`);

/** Frames that usually suffice to reach the user's; a deeper stack is captured a second time. */
const shallow = 12;
const deep = 200;

/**
 * The place of the first frame outside this package, or `undefined` if there is none. `root`: folder that file names
 * are made relative to, where they lie below it; without it they stay absolute.
 */
export function captureSource(root: string | undefined): SourceLocation | undefined {
  return firstForeignFrame(callSites(shallow), root) ?? firstForeignFrame(callSites(deep), root);
}

function callSites(limit: number): readonly NodeJS.CallSite[] {
  const prepareStackTrace: unknown = Reflect.get(Error, "prepareStackTrace");
  const { stackTraceLimit } = Error;
  const holder: { stack?: unknown } = {};
  Error.stackTraceLimit = limit;
  Error.prepareStackTrace = (_, sites) => sites;
  Error.captureStackTrace(holder, captureSource);
  const { stack } = holder;
  Reflect.set(Error, "prepareStackTrace", prepareStackTrace);
  Error.stackTraceLimit = stackTraceLimit;
  return Array.isArray(stack) ? stack : [];
}

function firstForeignFrame(sites: readonly NodeJS.CallSite[], root: string | undefined): SourceLocation | undefined {
  for (const site of sites) {
    const name = site.getFileName();
    if (name === null || name === undefined || name.startsWith("node:")) continue;
    const file = name.startsWith("file:") ? fileURLToPath(name) : name;
    if (!isAbsolute(file) || ownFolders.some((folder) => file.startsWith(folder))) continue;
    return { file: relativeFile(file, root), line: site.getLineNumber() ?? 0, column: site.getColumnNumber() ?? 0 };
  }
  return undefined;
}

/** `file` relative to `root` with forward slashes if it lies below, else unchanged. */
export function relativeFile(file: string, root: string | undefined): string {
  if (root === undefined) return file;
  const path = relative(root, file);
  return path.startsWith("..") || isAbsolute(path) ? file : path.split(sep).join("/");
}
