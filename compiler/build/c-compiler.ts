/**
 * Finds the system's C compiler and asks it what it is and for which processor it compiles. `KILN_CC`, then `CC`, then
 * `cc`, `gcc`, `clang`; a compiler named by a variable is used or reported, never passed over. The answer is cached by
 * the compiler's file and the machine's processor.
 */
import { readFile, rm, stat } from "node:fs/promises";
import { arch, cpus } from "node:os";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import { badMarch, compilerFailed, compilerTimedOut, noCompiler } from "../../ir/diagnostic/messages.ts";
import { at } from "../../ir/type.ts";
import { hashTexts, keep, recall, workFolder, writeBuildFile, type Cache } from "./cache.ts";
import { runCommand } from "./run-command.ts";

/** A compiler that works. `version`: the first line of its `--version`; `macros`: predefined for the chosen processor. */
export type CCompiler = {
  readonly file: string;
  /** Arguments that belong to the command itself, as in `CC="ccache gcc"`. */
  readonly leading: readonly string[];
  readonly version: string;
  readonly march: string;
  readonly macros: ReadonlySet<string>;
};

/** Seconds a compiler may take for one file. */
export function compilerSeconds(): number {
  const named = Number(process.env["KILN_CC_TIMEOUT"]);
  return Number.isFinite(named) && named > 0 ? named : 120;
}

/** The option that chooses the processor; arm64 compilers take `native` as a processor, not as an architecture. */
export function marchFlag(march: string): string {
  return march === "native" && arch() === "arm64" ? "-mcpu=native" : `-march=${march}`;
}

/** Finds and probes the compiler. Throws K5110, K5111, K5112 (`TargetError`) or K5114 (`UserError`). */
export async function findCompiler(cache: Cache, march = "native"): Promise<CCompiler> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._+-]*$/.test(march)) throw fail(badMarch(march));
  const tried: string[] = [];
  for (const { label, words } of await candidates()) {
    tried.push(label);
    const file = await locate(at(words, 0));
    if (file !== undefined) return probe(cache, file, words.slice(1), march);
    if (label !== words[0]) break;
  }
  throw fail(noCompiler(tried));
}

type Candidate = { readonly label: string; readonly words: readonly string[] };

async function candidates(): Promise<readonly Candidate[]> {
  for (const variable of ["KILN_CC", "CC"]) {
    const value = process.env[variable]?.trim();
    if (value === undefined || value === "") continue;
    const whole = (await locate(value)) !== undefined;
    return [{ label: `${variable}=${value}`, words: whole ? [value] : value.split(/\s+/) }];
  }
  return ["cc", "gcc", "clang"].map((name) => ({ label: name, words: [name] }));
}

/** The file a command name stands for. */
async function locate(name: string): Promise<string | undefined> {
  const folders = name.includes("/") || isAbsolute(name) ? [""] : (process.env["PATH"] ?? "").split(delimiter);
  const endings = process.platform === "win32" ? ["", ".exe"] : [""];
  for (const folder of folders) {
    for (const ending of endings) {
      // Absolute, since the compiler is run in a folder of its own.
      const path = resolve(folder, name + ending);
      const found = await stat(path).catch(() => undefined);
      if (found?.isFile() === true) return path;
    }
  }
  return undefined;
}

async function probe(cache: Cache, file: string, leading: readonly string[], march: string): Promise<CCompiler> {
  const { mtimeMs, size } = await stat(file);
  const key = hashTexts([file, ...leading, String(mtimeMs), String(size), march, await processor()]);
  const name = `compiler-${key}.json`;
  const known = await recall(cache, name);
  const answer = known === undefined ? undefined : parseAnswer(new TextDecoder().decode(known));
  if (answer !== undefined) return { file, leading, march, ...answer, macros: new Set(answer.macros) };
  const folder = await workFolder(cache);
  try {
    const fresh = await ask(folder, file, leading, march);
    await keep(cache, name, JSON.stringify(fresh));
    return { file, leading, march, version: fresh.version, macros: new Set(fresh.macros) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

type Answer = { readonly version: string; readonly macros: readonly string[] };

function parseAnswer(text: string): Answer | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // Damaged: asked again and written anew.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (typeof value !== "object" || value === null || !("version" in value) || !("macros" in value)) return undefined;
  const { version, macros } = value;
  const sound =
    typeof version === "string" && Array.isArray(macros) && macros.every((name) => typeof name === "string");
  return sound ? { version, macros } : undefined;
}

async function ask(folder: string, file: string, leading: readonly string[], march: string): Promise<Answer> {
  const run = async (args: readonly string[], input?: string): Promise<string> => {
    const all = [...leading, ...args];
    const seconds = Math.min(compilerSeconds(), 30);
    const result = await runCommand({
      file,
      args: all,
      cwd: folder,
      seconds,
      ...(input === undefined ? {} : { input }),
    });
    const shown = [file, ...all].join(" ");
    switch (result.kind) {
      case "done":
        return result.stdout;
      case "timeout":
        throw fail(compilerTimedOut(shown, seconds));
      case "missing":
        throw fail(compilerFailed(shown, result.reason, ""));
      case "failed":
        throw fail(compilerFailed(shown, result.status, result.output));
    }
  };
  const version = (await run(["--version"])).split("\n")[0] ?? "";
  const macros = (await run([marchFlag(march), "-dM", "-E", "-x", "c", "-"])).matchAll(/^#define (\w+)/gm);
  await writeBuildFile(
    join(folder, "probe.c"),
    "#include <math.h>\n#include <stdint.h>\nint64_t probe(void) { return 1; }\n",
  );
  await run([marchFlag(march), "-std=gnu11", "-fPIC", "-shared", "-o", "probe.so", "probe.c"]);
  return { version, macros: Array.from(macros, (match) => match[1] ?? "").filter((name) => name.startsWith("__")) };
}

/** What tells this machine's processor from another that shares the cache folder. */
async function processor(): Promise<string> {
  const model = `${process.platform} ${arch()} ${cpus()[0]?.model ?? ""}`;
  const text = await readFile("/proc/cpuinfo", "utf8").catch(() => "");
  return `${model} ${/^(flags|Features)\s*:.*$/m.exec(text)?.[0] ?? ""}`;
}
