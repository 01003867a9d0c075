/**
 * Compiles an emitted CUDA program into a fat binary with `nvcc`, where that is installed: machine code for compute
 * capability 8.0 and 9.0a, and PTX 8.0 for all others, which their driver compiles. Takes the text of `emitCuda`, gives
 * the binary's bytes, cached by all that went into them; the same input gives the same bytes. Without `nvcc` there is no
 * binary, which is no error: the device then compiles the text by NVRTC.
 */
import { readFile, rm, stat } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import { buildFolderUnusable, nvccFailed, nvccMissing, nvccTimedOut } from "../../ir/diagnostic/messages.ts";
import { compilerSeconds } from "./c-compiler.ts";
import { closeCache, hashTexts, keep, openCache, recall, workFolder, writeBuildFile, type Cache } from "./cache.ts";
import { runCommand } from "./run-command.ts";

/** A compiled program. */
export type CudaImage = {
  /** The fat binary. */
  readonly image: Uint8Array;
  /** The line of `nvcc --version` that names the release. */
  readonly compiler: string;
  readonly seconds: number;
  /** Whether the binary was found in the cache. */
  readonly cached: boolean;
};

const source = "program.cu";
const output = "program.fatbin";

/**
 * Flags of every program. No `--use_fast_math`: NaN, infinities, denormals and divisions keep their meaning; products and
 * sums are fused, as on the other targets.
 */
export const nvccFlags: readonly string[] = [
  "-fatbin",
  "-std=c++17",
  "-gencode",
  "arch=compute_80,code=[sm_80,compute_80]",
  "-gencode",
  "arch=compute_90a,code=sm_90a",
  "--threads",
  "2",
];

/**
 * Compiles a program's text, or gives `undefined` if there is no `nvcc`. `KILN_NVCC` names one; set to nothing, it says
 * that there is none. Throws a `TargetError`: K5430 if `nvcc` fails, K5431 if it takes too long (`KILN_CC_TIMEOUT`), K5432
 * if the one that `KILN_NVCC` names is missing, K5113 if no folder can be written.
 */
export async function buildCuda(text: string): Promise<CudaImage | undefined> {
  const started = performance.now();
  const file = await findNvcc();
  if (file === undefined) return undefined;
  const cache = await openCache();
  try {
    const compiler = await versionOf(cache, file);
    const name = `library-${hashTexts([file, compiler, ...nvccFlags, text])}.fatbin`;
    const known = await recall(cache, name);
    const image = known ?? (await compile(cache, file, text));
    if (known === undefined) await keep(cache, name, image);
    return { image, compiler, cached: known !== undefined, seconds: (performance.now() - started) / 1000 };
  } finally {
    await closeCache(cache);
  }
}

/** The file of `nvcc`, or `undefined` if there is none. @throws TargetError K5432. */
export async function findNvcc(): Promise<string | undefined> {
  const named = process.env["KILN_NVCC"];
  if (named === "") return undefined;
  if (named !== undefined) {
    if (await isFile(named)) return resolve(named);
    throw fail(nvccMissing(named));
  }
  const toolkits = [process.env["CUDA_HOME"], process.env["CUDA_PATH"], "/usr/local/cuda", "/opt/cuda"];
  const folders = [
    ...(process.env["PATH"] ?? "").split(delimiter),
    ...toolkits.flatMap((folder) => (folder === undefined || folder === "" ? [] : [join(folder, "bin")])),
  ];
  for (const folder of folders) {
    const path = resolve(folder, process.platform === "win32" ? "nvcc.exe" : "nvcc");
    if (await isFile(path)) return path;
  }
  return undefined;
}

async function isFile(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true;
}

async function versionOf(cache: Cache, file: string): Promise<string> {
  const { mtimeMs, size } = await stat(file);
  const name = `compiler-${hashTexts([file, String(mtimeMs), String(size)])}.txt`;
  const known = await recall(cache, name);
  if (known !== undefined) return new TextDecoder().decode(known);
  const folder = await workFolder(cache);
  try {
    const said = await run(folder, file, ["--version"]);
    const line = said.split("\n").find((each) => each.includes("release")) ?? said.split("\n")[0] ?? "";
    await keep(cache, name, line.trim());
    return line.trim();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function compile(cache: Cache, file: string, text: string): Promise<Uint8Array> {
  const folder = await workFolder(cache);
  try {
    // Names are relative, so that no path gets into the binary.
    await writeBuildFile(join(folder, source), text);
    await run(folder, file, [...nvccFlags, "-o", output, source]);
    try {
      return await readFile(join(folder, output));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw fail(nvccFailed(file, "success, but its output cannot be read", reason), undefined, error);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs `nvcc`; what it wrote to its standard output. */
async function run(folder: string, file: string, args: readonly string[]): Promise<string> {
  const seconds = compilerSeconds();
  // Of a folder by its path, its name must not have a space in it.
  const result = await runCommand({ file, args, cwd: folder, seconds, env: { TMPDIR: "." } });
  const shown = [file, ...args].join(" ");
  switch (result.kind) {
    case "done":
      return result.stdout;
    case "timeout":
      throw fail(nvccTimedOut(shown, seconds));
    case "missing":
      throw fail(nvccFailed(shown, result.reason, ""));
    case "failed":
      if (/No space left on device|Read-only file system|Disk quota exceeded/.test(result.output))
        throw fail(buildFolderUnusable(folder, result.output));
      throw fail(nvccFailed(shown, result.status, result.output));
  }
}
