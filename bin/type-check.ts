/**
 * Type-checking a model file with the TypeScript compiler that is installed where it lies. An extra: without one, nothing
 * is checked.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { constants, setPriority } from "node:os";
import * as path from "node:path";

/**
 * What the TypeScript compiler prints about the model; empty if all is well, `undefined` if there is no such compiler or
 * `stop` ended it.
 */
export async function typeCheck(model: string, stop: AbortSignal): Promise<string | undefined> {
  const given = path.resolve(model);
  const file = existsSync(given) && statSync(given).isDirectory() ? path.join(given, "model.ts") : given;
  const compiler = findCompiler(path.dirname(file));
  if (compiler === undefined || !file.endsWith(".ts") || !existsSync(file)) return undefined;
  const flags = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2023", "--module", "nodenext"];
  flags.push("--allowImportingTsExtensions", "--pretty", "false");
  // What the model's data code may import of Node's own.
  if (nearest(path.dirname(file), "@types/node") !== undefined) flags.push("--types", "node");
  // From version 6 on a file beside a tsconfig.json is refused without this.
  if (compiler.major >= 6) flags.push("--ignoreConfig");
  return run([compiler.script, ...flags, file], stop);
}

/** The nearest installed TypeScript, looked for as Node looks for packages. */
function findCompiler(folder: string): { readonly script: string; readonly major: number } | undefined {
  const home = nearest(folder, "typescript");
  const script = path.join(home ?? "", "bin", "tsc");
  if (home === undefined || !existsSync(script)) return undefined;
  const version = /"version"\s*:\s*"(\d+)/.exec(readFileSync(path.join(home, "package.json"), "utf8"))?.[1];
  return { script, major: Number(version ?? 0) };
}

/** Folder of the package `name` that code in `folder` sees. */
function nearest(folder: string, name: string): string | undefined {
  for (let place = folder; ; place = path.dirname(place)) {
    const home = path.join(place, "node_modules", name);
    if (existsSync(path.join(home, "package.json"))) return home;
    if (path.dirname(place) === place) return undefined;
  }
}

function run(words: readonly string[], stop: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"], signal: stop });
    putLast(child.pid);
    const parts: Buffer[] = [];
    child.stdout.on("data", (part: Buffer) => parts.push(part));
    child.stderr.on("data", (part: Buffer) => parts.push(part));
    child.on("error", () => resolve(undefined));
    child.on("close", (code) => resolve(code === null ? undefined : Buffer.concat(parts).toString("utf8").trim()));
  });
}

/** Lets the compilation go first where there are not cores enough for both. */
function putLast(checker: number | undefined): void {
  if (checker === undefined) return;
  try {
    setPriority(checker, constants.priority.PRIORITY_LOW);
  } catch {
    // It has ended already, or the system does not allow it: it runs as any other then.
  }
}
