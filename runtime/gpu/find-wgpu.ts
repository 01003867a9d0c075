/**
 * Finds wgpu-native, or obtains it: the library that `WGPU_NATIVE_PATH` names, the one in our cache, the one in an
 * installed `wgpu` package of Python, else the one in that package as pip downloads it. The version is fixed and every
 * file's hash is checked, so whatever pip is configured to ask gives either this library or none. Any number of processes
 * may look at once. Run as a script it prints the library's path.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { argv, exit, stderr, stdout } from "node:process";
import { pathToFileURL } from "node:url";
import { DiagnosticError, fail } from "../../ir/diagnostic/diagnostic.ts";
import { wgpuUnavailable } from "../../ir/diagnostic/messages.ts";
import { writeAtomically } from "../atomic-file.ts";
import { cacheFolder } from "../cache-folder.ts";
import { makeFolder } from "../make-folder.ts";
import { wgpuPins, wgpuVersion, wheelVersion, type WgpuPin } from "./wgpu-pins.ts";
import { zipEntry } from "./zip-entry.ts";

/** Longest time that Python may take, in milliseconds: to look for a package, and to download one. */
const lookTime = 10_000;
const downloadTime = 120_000;

/** Where a library came from. */
export type WgpuSource = "WGPU_NATIVE_PATH" | "cache" | "installed package" | "download";

/** A library that can be opened. */
export type WgpuLibrary = { readonly path: string; readonly source: WgpuSource };

/** How to look. */
export type WgpuSearch = {
  /** What to look for: by default what is pinned for this platform. */
  readonly pin?: WgpuPin | undefined;
  /** Folder of the cache. */
  readonly cache?: string;
  /** Whether nothing may be downloaded. */
  readonly offline?: boolean;
};

/** A way to the library: the library, or why it led to none; `undefined` if there is no point in saying why. */
type Outcome = WgpuLibrary | string | undefined;

/**
 * The library, from the first place that has it. `WGPU_NATIVE_PATH` is the only place where it is set, and
 * `WGPU_NATIVE_UNPINNED=1` accepts another build from there.
 *
 * @throws TargetError K5201 with what was tried.
 */
export async function findWgpu(search: WgpuSearch = {}): Promise<WgpuLibrary> {
  const pin = "pin" in search ? search.pin : wgpuPins[`${process.platform}-${process.arch}`];
  const cache = search.cache ?? join(cacheFolder("wgpu"), wgpuVersion);
  const named = process.env["WGPU_NATIVE_PATH"];
  const ways: readonly (() => Promise<Outcome>)[] =
    named !== undefined && named !== ""
      ? [async () => fromPath(named, pin)]
      : pin === undefined
        ? [async () => `no library is known for ${process.platform} on ${process.arch}`]
        : [
            async () => fromCache(cache, pin),
            async () => fromPackage(pin),
            ...(search.offline === true ? [] : [async () => fromDownload(cache, pin)]),
          ];
  const reasons: string[] = [];
  for (const way of ways) {
    const outcome = await way();
    if (typeof outcome === "object") return outcome;
    if (outcome !== undefined) reasons.push(outcome);
  }
  throw fail(wgpuUnavailable(wgpuVersion, reasons.length === 0 ? ["it has not been set up"] : reasons));
}

async function fromPath(path: string, pin: WgpuPin | undefined): Promise<Outcome> {
  const hash = await hashOf(path);
  if (hash === undefined) return `WGPU_NATIVE_PATH names ${path}, which cannot be read`;
  if (hash === pin?.library || process.env["WGPU_NATIVE_UNPINNED"] === "1") return { path, source: "WGPU_NATIVE_PATH" };
  return `WGPU_NATIVE_PATH names ${path}, which is not wgpu-native ${wgpuVersion} (WGPU_NATIVE_UNPINNED=1 accepts it)`;
}

async function fromCache(cache: string, pin: WgpuPin): Promise<Outcome> {
  const path = join(cache, pin.file);
  const hash = await hashOf(path);
  if (hash === pin.library) return { path, source: "cache" };
  return hash === undefined ? undefined : "the library in the cache is damaged";
}

async function fromPackage(pin: WgpuPin): Promise<Outcome> {
  // Found without being imported, which would open the library.
  const code =
    "import importlib.util as u, os; s = u.find_spec('wgpu'); print(os.path.dirname(s.origin) if s and s.origin else '')";
  const found = await python(["-c", code], lookTime);
  const folder = found.kind === "done" ? found.output.trim() : "";
  if (folder === "") return undefined;
  const path = join(folder, "resources", pin.file);
  if ((await hashOf(path)) === pin.library) return { path, source: "installed package" };
  return `the installed package has no wgpu-native ${wgpuVersion}`;
}

async function fromDownload(cache: string, pin: WgpuPin): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), "kiln-wgpu-"));
  try {
    const words = ["-m", "pip", "download", `wgpu==${wheelVersion}`, "--no-deps", "--only-binary=:all:", "--no-input"];
    const more = [
      "--platform",
      pin.platform,
      "--python-version",
      "3.12",
      "--disable-pip-version-check",
      "-q",
      "-d",
      folder,
    ];
    const done = await python([...words, ...more], downloadTime);
    if (done.kind === "absent") return "there is no Python to download it with";
    if (done.kind === "failed") return `pip: ${done.output}`;
    const [name] = await readdir(folder);
    if (name === undefined) return "pip downloaded nothing";
    const wheel = await readFile(join(folder, name));
    if (hashOfBytes(wheel) !== pin.wheel) return `what pip downloaded is not the package wgpu ${wheelVersion}`;
    const library = zipEntry(wheel, `wgpu/resources/${pin.file}`);
    if (library === undefined || hashOfBytes(library) !== pin.library) return "the package holds another library";
    const path = join(cache, pin.file);
    makeFolder(cache);
    writeAtomically(path, [library]);
    return { path, source: "download" };
  } catch (error) {
    return reasonOf(error);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof DiagnosticError) return `${error.diagnostic.what} (${error.diagnostic.got ?? ""})`;
  return error instanceof Error ? error.message : String(error);
}

/** Hash of a file, read in pieces so that the event loop goes on; `undefined` if it cannot be read. */
async function hashOf(path: string): Promise<string | undefined> {
  try {
    if (!(await stat(path)).isFile()) return undefined;
    const hash = createHash("sha256");
    for await (const piece of createReadStream(path)) hash.update(piece as Uint8Array);
    return hash.digest("hex");
  } catch {
    return undefined;
  }
}

function hashOfBytes(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

type PythonOutcome =
  | { readonly kind: "absent" }
  | { readonly kind: "done"; readonly output: string }
  /** `output`: the last line it said. */
  | { readonly kind: "failed"; readonly output: string };

/** Runs the first Python there is. */
async function python(words: readonly string[], time: number): Promise<PythonOutcome> {
  const names = process.platform === "win32" ? [["py", "-3"], ["python"]] : [["python3"], ["python"]];
  for (const [name = "", ...first] of names) {
    const outcome = await run(name, [...first, ...words], time);
    if (outcome.kind !== "absent") return outcome;
  }
  return { kind: "absent" };
}

async function run(file: string, words: readonly string[], time: number): Promise<PythonOutcome> {
  return new Promise((resolve) => {
    const child = spawn(file, words, { stdio: ["ignore", "pipe", "pipe"], timeout: time, killSignal: "SIGKILL" });
    const texts = { out: "", err: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (texts.out = (texts.out + text).slice(-10_000)));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (texts.err = (texts.err + text).slice(-10_000)));
    child.on("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code === "ENOENT" ? { kind: "absent" } : { kind: "failed", output: error.message }),
    );
    child.on("close", (code, signal) => {
      if (code === 0) return resolve({ kind: "done", output: texts.out });
      const said = texts.err.trim().split("\n").at(-1) ?? "";
      return resolve({ kind: "failed", output: said || `ended by ${signal ?? `exit code ${code}`}` });
    });
  });
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) {
  try {
    const { path, source } = await findWgpu();
    stdout.write(`${path} (${source})\n`);
  } catch (error) {
    stderr.write(`${error instanceof DiagnosticError ? error.message : String(error)}\n`);
    exit(error instanceof DiagnosticError ? 3 : 70);
  }
}
