/**
 * Builds the native addon: one call of the C++ compiler on all sources, no build system, no headers but those of two npm
 * packages. The file is named by a hash of all that went into it and moved into place when it is whole, so any number of
 * processes may build at once and none loads a stale or half-written one. Run as a script it builds into the package;
 * otherwise the first use builds into the package if that can be written, else into the user's cache folder.
 */
import { spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { access, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { argv, exit, stderr, stdout } from "node:process";
import { pathToFileURL } from "node:url";
import { DiagnosticError, fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import { cacheFolder } from "./cache-folder.ts";
import { packageRoot } from "./package-root.ts";

/** How long a compiler may take, in milliseconds. */
const timeLimit = 180_000;

/** How much of a compiler's output an error shows, in characters and in lines. */
const shownOutput = 2_000;
const shownLines = 20;

const flags: readonly string[] = [
  "-std=c++20",
  "-O2",
  "-Wall",
  "-Wextra",
  "-fPIC",
  "-fvisibility=hidden",
  "-shared",
  "-pthread",
  "-DNAPI_VERSION=8",
  "-DNAPI_DISABLE_CPP_EXCEPTIONS",
  ...(process.platform === "darwin" ? ["-undefined", "dynamic_lookup"] : []),
];

/** Options of a build. */
export type BuildOptions = {
  /** Folders to look for the addon in and to build it into, best first; the package's and the user's cache by default. */
  readonly folders?: readonly string[];
  /** Further compiler flags, such as `-Werror` or `-fsanitize=address`; by default those in `KILN_CXXFLAGS`. */
  readonly flags?: readonly string[];
};

/**
 * Path of the addon for this version of Node and these sources, built if need be.
 *
 * @throws TargetError K5004 without a compiler, K5005 if compiling fails, K5006 if no folder can be written.
 */
export async function buildAddon(options: BuildOptions = {}): Promise<string> {
  const source = join(packageRoot(), "runtime", "native");
  const more = options.flags ?? (process.env["KILN_CXXFLAGS"] ?? "").split(/\s+/).filter((flag) => flag !== "");
  const all = [...flags, ...more, ...includeFlags(source)];
  // Without the folders of the headers, so that a package which is moved takes its addon along.
  const file = `kiln-${await keyOf(source, [...flags, ...more, ...headerVersions()])}.node`;
  const folders = options.folders ?? [join(source, "build"), cacheFolder("addon")];
  for (const folder of folders) {
    const path = join(folder, file);
    if (await isReadable(path)) return path;
  }
  let refusal: { readonly folder: string; readonly error: unknown } | undefined;
  for (const folder of folders) {
    try {
      await mkdir(folder, { recursive: true });
      await access(folder, constants.W_OK | constants.X_OK);
    } catch (error) {
      refusal = { folder, error };
      continue;
    }
    return compileInto(folder, file, await unityOf(source), all);
  }
  throw fail(
    messages.addonFolderUnusable(refusal?.folder ?? "(none)", reasonOf(refusal?.error)),
    undefined,
    refusal?.error,
  );
}

/** The C++ compilers that are tried, in order: the one that `KILN_CXX` or `CXX` names, else the usual ones. */
export function addonCompilers(): readonly string[] {
  const named = process.env["KILN_CXX"] || process.env["CXX"];
  return named === undefined || named === "" ? ["c++", "g++", "clang++"] : [named];
}

function includeFlags(source: string): string[] {
  const require = createRequire(import.meta.url);
  const folderOf = (name: string): string => {
    const found: unknown = require(name);
    const folder =
      typeof found === "object" && found !== null && "include_dir" in found ? found.include_dir : undefined;
    if (typeof folder !== "string")
      throw fail(messages.addonBuildFailed(`the package ${name} names no include folder`));
    return folder;
  };
  return ["-I", source, "-isystem", folderOf("node-api-headers"), "-isystem", folderOf("node-addon-api")];
}

/** Name and version of the packages that the headers come from. */
function headerVersions(): string[] {
  const require = createRequire(import.meta.url);
  return ["node-api-headers", "node-addon-api"].map((name) => {
    const description: unknown = require(`${name}/package.json`);
    const isNamed = typeof description === "object" && description !== null && "version" in description;
    return `${name}@${isNamed ? String(description.version) : "unknown"}`;
  });
}

async function sourcesOf(folder: string): Promise<string[]> {
  return (await readdir(folder, { recursive: true })).filter((name) => /\.(cc|h)$/.test(name)).toSorted();
}

/** All sources as one translation unit: a third of the time, since the headers are read once. */
async function unityOf(folder: string): Promise<string> {
  const names = (await sourcesOf(folder)).filter((name) => name.endsWith(".cc"));
  return names.map((name) => `#include "${name}"\n`).join("");
}

/** A hash of the sources, what else decides and the Node version's interface, short enough for a file name. */
async function keyOf(folder: string, others: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([process.versions.modules, process.platform, process.arch, others]));
  for (const name of await sourcesOf(folder)) hash.update(name).update(await readFile(join(folder, name)));
  return hash.digest("hex").slice(0, 24);
}

async function compileInto(folder: string, file: string, unity: string, all: readonly string[]): Promise<string> {
  const made = join(folder, `${file}.${process.pid}-${randomUUID()}.tmp`);
  const tail = ["-x", "c++", "-", "-o", made, ...(process.platform === "linux" ? ["-ldl"] : [])];
  const candidates = addonCompilers();
  const outputs: string[] = [];
  try {
    for (const candidate of candidates) {
      const outcome = await compile(candidate, [...all, ...tail], unity);
      if (outcome.kind === "absent") continue;
      if (outcome.kind === "failed") {
        outputs.push(`${candidate}: ${outcome.output}`);
        if (/No space left|Disk quota/i.test(outcome.output)) break;
        continue;
      }
      const path = join(folder, file);
      await rename(made, path);
      return path;
    }
  } catch (error) {
    throw fail(messages.addonFolderUnusable(folder, reasonOf(error)), undefined, error);
  } finally {
    await rm(made, { force: true }).catch(() => undefined);
  }
  const output = outputs.join("\n").slice(0, shownOutput).split("\n").slice(0, shownLines).join("\n");
  if (outputs.length === 0) throw fail(messages.noAddonCompiler(candidates));
  if (/No space left|Disk quota/i.test(output)) throw fail(messages.addonFolderUnusable(folder, output));
  throw fail(messages.addonBuildFailed(output));
}

type Outcome = { readonly kind: "done" | "absent" } | { readonly kind: "failed"; readonly output: string };

/** Runs a compiler on `unity`. A command such as `ccache g++` is split where no program has the whole name. */
async function compile(command: string, args: readonly string[], unity: string): Promise<Outcome> {
  const whole = await run(command, args, unity);
  const [first = "", ...rest] = command.trim().split(/\s+/);
  if (whole.kind !== "absent" || rest.length === 0) return whole;
  return run(first, [...rest, ...args], unity);
}

async function run(command: string, args: readonly string[], unity: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: ["pipe", "ignore", "pipe"],
      signal: AbortSignal.timeout(timeLimit),
      killSignal: "SIGKILL",
    });
    let output = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text.slice(0, shownOutput)));
    child.on("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code === "ENOENT" ? { kind: "absent" } : { kind: "failed", output: error.message }),
    );
    child.on("close", (code, signal) => {
      if (code === 0) resolve({ kind: "done" });
      else resolve({ kind: "failed", output: output.trim() || `ended by ${signal ?? `exit code ${code}`}` });
    });
    // A compiler that ends without reading is reported by its exit code.
    child.stdin.on("error", () => undefined);
    child.stdin.end(unity);
  });
}

async function isReadable(path: string): Promise<boolean> {
  try {
    await access(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) {
  try {
    stdout.write(`${await buildAddon()}\n`);
  } catch (error) {
    stderr.write(`${error instanceof DiagnosticError ? error.message : String(error)}\n`);
    exit(error instanceof DiagnosticError ? 3 : 70);
  }
}
