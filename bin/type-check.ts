/**
 * Type-checking a model file with the TypeScript compiler that is installed where it lies. An extra: without one, nothing
 * is checked.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import * as path from "node:path";

/** What the TypeScript compiler prints about the model; empty if all is well, `undefined` if there is no such compiler. */
export async function typeCheck(model: string): Promise<string | undefined> {
  const given = path.resolve(model);
  const file = statSync(given, { throwIfNoEntry: false })?.isDirectory() === true ? path.join(given, "model.ts") : given;
  const compiler = findCompiler(path.dirname(file));
  if (compiler === undefined || !file.endsWith(".ts") || !existsSync(file)) return undefined;
  const flags = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2023", "--module", "nodenext"];
  flags.push("--allowImportingTsExtensions", "--pretty", "false");
  // From version 6 on a file beside a tsconfig.json is refused without this.
  if (compiler.major >= 6) flags.push("--ignoreConfig");
  return run([compiler.script, ...flags, file]);
}

/** The nearest installed TypeScript, looked for as Node looks for packages. */
function findCompiler(folder: string): { readonly script: string; readonly major: number } | undefined {
  for (let place = folder; ; place = path.dirname(place)) {
    const home = path.join(place, "node_modules", "typescript");
    const script = path.join(home, "bin", "tsc");
    if (existsSync(script)) {
      const version = /"version"\s*:\s*"(\d+)/.exec(readFileSync(path.join(home, "package.json"), "utf8"))?.[1];
      return { script, major: Number(version ?? 0) };
    }
    if (path.dirname(place) === place) return undefined;
  }
}

function run(words: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] });
    const parts: Buffer[] = [];
    child.stdout.on("data", (part: Buffer) => parts.push(part));
    child.stderr.on("data", (part: Buffer) => parts.push(part));
    child.on("error", () => resolve(""));
    child.on("close", () => resolve(Buffer.concat(parts).toString("utf8").trim()));
  });
}
