/**
 * Builds an emitted C program into one shared object. Takes the files of `emitC`, gives the bytes of the library; files
 * are compiled in parallel, objects and library are cached by all that went into them, and the same input gives the same
 * bytes. Every way a compiler can fail is a `TargetError` that names the remedy.
 */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { CFile, CProgram } from "../../codegen/targets/c/emit.ts";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import { buildFolderUnusable, compilerFailed, compilerTimedOut } from "../../ir/diagnostic/messages.ts";
import { closeCache, hashTexts, keep, openCache, recall, workFolder, writeBuildFile, type Cache } from "./cache.ts";
import { compilerSeconds, findCompiler, marchFlag, type CCompiler } from "./c-compiler.ts";
import { featuresOf } from "./features.ts";
import { runCommand } from "./run-command.ts";

/** A compiled program. */
export type CLibrary = {
  /** The shared object. */
  readonly library: Uint8Array;
  /** Processor features its code needs, by their names in /proc/cpuinfo. */
  readonly features: readonly string[];
  /** First line of the compiler's `--version`. */
  readonly compiler: string;
  readonly seconds: number;
  /** Whether the library was found in the cache. */
  readonly cached: boolean;
};

/**
 * Options of `buildC`. `march`: the CPU level to compile for, `native` (this machine) by default. `level`: how hard the
 * compiler optimises (2 by default; 1 compiles faster, for programs that run once).
 */
export type BuildOptions = { readonly march?: string; readonly level?: OptimisationLevel };

/** How hard the C compiler optimises. */
export type OptimisationLevel = 1 | 2;

/** Compiles an emitted program. Throws a `TargetError` (K5110 to K5113), or K5114 for a bad `march`. */
export async function buildC(program: CProgram, options: BuildOptions = {}): Promise<CLibrary> {
  const started = performance.now();
  const cache = await openCache();
  try {
    const compiler = await findCompiler(cache, options.march);
    const { library, cached } = await link(cache, compiler, program.files, options.level ?? 2);
    const seconds = (performance.now() - started) / 1000;
    return { library, cached, seconds, compiler: compiler.version, features: featuresOf(compiler.macros) };
  } finally {
    await closeCache(cache);
  }
}

/**
 * Flags of every file. No `-ffast-math`: NaN, infinities and signed zeros keep their meaning. `-fwrapv`: integers wrap
 * around as loop IR says. The rest makes output depend on the text alone.
 */
export function commonFlags(compiler: CCompiler, level: OptimisationLevel = 2): readonly string[] {
  const wide = compiler.macros.has("__AVX512F__") ? ["-mprefer-vector-width=512"] : [];
  // What -O3 gains on row kernels comes from these two of its parts; the rest of it only costs time.
  const loops = compiler.macros.has("__clang__") ? [] : ["-fvect-cost-model=dynamic", "-fpeel-loops"];
  return [
    "-std=gnu11",
    `-O${level}`,
    ...(level === 2 ? loops : []),
    marchFlag(compiler.march),
    ...wide,
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-fwrapv",
    "-fopenmp-simd",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-ident",
    "-fno-asynchronous-unwind-tables",
    "-w",
    "-pipe",
  ];
}

async function link(cache: Cache, compiler: CCompiler, files: readonly CFile[], level: OptimisationLevel) {
  const common = commonFlags(compiler, level);
  const identity = [compiler.file, ...compiler.leading, compiler.version, [...compiler.macros].sort().join(" ")];
  const headers = files.filter((file) => file.kind === "header");
  const shared = [...identity, ...common, ...headers.flatMap(({ name, text }) => [name, text])];
  const sources = files
    .filter((file) => file.kind === "source")
    .map((file) => ({ file, object: `object-${hashTexts([...shared, file.name, file.text, ...file.flags])}.o` }));
  const name = `library-${hashTexts([...shared, ...linkFlags(), ...sources.map(({ object }) => object)])}.so`;
  const known = await recall(cache, name);
  if (known !== undefined) return { library: known, cached: true };
  const folder = await workFolder(cache);
  try {
    for (const { name, text } of files) await writeBuildFile(join(folder, name), text);
    await Promise.all(
      sources.map(({ file, object }) => compileObject({ cache, compiler, folder, common }, file, object)),
    );
    const objects = sources.map(({ file }) => objectName(file));
    await runCompiler(compiler, folder, ["-shared", "-o", "program.so", ...objects, ...linkFlags()]);
    const library = await readOutput(compiler, join(folder, "program.so"));
    await keep(cache, name, library);
    return { library, cached: false };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function objectName(file: CFile): string {
  return file.name.replace(/\.c$/, ".o");
}

function linkFlags(): readonly string[] {
  return process.platform === "linux" ? ["-lm", "-Wl,--build-id=none"] : ["-lm"];
}

/** Compiles one file to an object in `folder`, by way of the cache. File names are relative, so that no path gets in. */
async function compileObject(
  {
    cache,
    compiler,
    folder,
    common,
  }: {
    readonly cache: Cache;
    readonly compiler: CCompiler;
    readonly folder: string;
    readonly common: readonly string[];
  },
  file: CFile,
  key: string,
): Promise<void> {
  const object = objectName(file);
  const known = await recall(cache, key);
  if (known !== undefined) return writeBuildFile(join(folder, object), known);
  const flags = [...common, `-frandom-seed=${file.name}`, ...file.flags];
  await runCompiler(compiler, folder, [...flags, "-c", "-o", object, file.name]);
  await keep(cache, key, await readOutput(compiler, join(folder, object)));
}

/** What a compiler that reported success has written. */
async function readOutput(compiler: CCompiler, path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw fail(compilerFailed(compiler.file, "success, but its output cannot be read", reason), undefined, error);
  }
}

async function runCompiler(compiler: CCompiler, folder: string, args: readonly string[]): Promise<void> {
  const seconds = compilerSeconds();
  const all = [...compiler.leading, ...args];
  const result = await runCommand({ file: compiler.file, args: all, cwd: folder, seconds });
  const shown = [compiler.file, ...all].join(" ");
  switch (result.kind) {
    case "done":
      return;
    case "timeout":
      throw fail(compilerTimedOut(shown, seconds));
    case "missing":
      throw fail(compilerFailed(shown, result.reason, ""));
    case "failed":
      if (/No space left on device|Read-only file system|Disk quota exceeded/.test(result.output)) {
        throw fail(buildFolderUnusable(folder, result.output));
      }
      throw fail(compilerFailed(shown, result.status, result.output));
  }
}
