/**
 * The emulated CUDA driver (`emulated-cuda/emulator.hpp` says what it is), built once for each process and put in the place
 * of the real one. Needs g++ or clang++ on x86-64.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Context } from "mocha";
import { packageRoot } from "../../../runtime/package-root.ts";

/** What the driver should be like, from the next opening on. */
export type EmulatedSettings = {
  readonly gpus?: number;
  /** Compute capability, times 10. */
  readonly capability?: number;
  readonly driver?: number;
  readonly memory?: number;
  /** Whether streams run only when somebody waits for them. */
  readonly isDeferred?: boolean;
  readonly order?: "ascending" | "descending" | "shuffled";
};

/** The emulated driver, in use until `close`. */
export class EmulatedDriver {
  /** The library; it is an NVRTC too. */
  readonly library: string;
  private readonly folder: string;
  private readonly before: ReadonlyMap<string, string | undefined>;

  /** Builds it and sets the environment. Throws if it cannot be built. */
  constructor() {
    built ??= build();
    this.folder = built;
    this.library = join(built, "libcuda-emulated.so");
    const names = ["KILN_CUDA_DRIVER", "KILN_EMULATED_CUDA", "NVRTC_PATH", "KILN_NVCC"];
    this.before = new Map(names.map((name) => [name, process.env[name]]));
    process.env["KILN_CUDA_DRIVER"] = this.library;
    process.env["KILN_EMULATED_CUDA"] = built;
    process.env["NVRTC_PATH"] = this.library;
    // What nvcc makes, only a GPU runs.
    process.env["KILN_NVCC"] = "";
    this.reset();
  }

  /** Changes the settings, injects nothing, and forgets the log. */
  reset(settings: EmulatedSettings = {}): void {
    const { gpus = 1, capability = 80, driver = 13_000, memory = 2 ** 30, isDeferred = false } = settings;
    const order = settings.order ?? "ascending";
    const lines = { gpus, capability, driver, memory, deferred: isDeferred ? 1 : 0, order };
    const text = Object.entries(lines).map(([name, value]) => `${name} ${value}\n`);
    writeFileSync(join(this.folder, "settings"), text.join(""));
    writeFileSync(join(this.folder, "fail"), "");
    writeFileSync(join(this.folder, "log"), "");
  }

  /** Has the `nth` call of a function, from now on, fail with a code. */
  fail(name: string, nth: number, code: number): void {
    writeFileSync(join(this.folder, "fail"), `${name} ${nth} ${code} ${++injections}`);
  }

  /** What was logged since `reset`: lines that begin with `word`, without it. */
  log(word: "call" | "misuse" | "leak" | "fault" | "node" | "option"): readonly string[] {
    const lines = readFileSync(join(this.folder, "log"), "utf8").split("\n");
    return lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
  }

  /** What was done wrong since `reset`. */
  complaints(): readonly string[] {
    return [...this.log("misuse"), ...this.log("leak"), ...this.log("fault")];
  }

  /** The library under a path that nobody has opened it by. */
  anotherPath(): string {
    const path = join(this.folder, `another-${++injections}.so`);
    symlinkSync(this.library, path);
    return path;
  }

  /** Puts the environment back. */
  close(): void {
    for (const [name, value] of this.before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

let built: string | undefined;
let injections = 0;

/** Why the driver cannot be emulated here, or `undefined`. */
export function emulatedDriverMissing(): string | undefined {
  if (process.arch !== "x64" || process.platform === "win32") return "the CUDA emulation needs x86-64 and a Unix";
  if (!existsSync(emulation)) return "the CUDA emulation is not part of this tree";
  const found = spawnSync(compiler(), ["--version"], { encoding: "utf8" });
  return found.status === 0 ? undefined : `there is no C++ compiler \`${compiler()}\` (set CXX)`;
}

/** The driver for tests; skips them, loudly, where it cannot be emulated. */
export function emulatedDriverOrSkip(context: Context): EmulatedDriver {
  const missing = emulatedDriverMissing();
  if (missing === undefined) return new EmulatedDriver();
  process.stderr.write(`SKIPPED, no emulated CUDA driver: ${missing}\n`);
  return context.skip();
}

/** What an image for the emulated driver is: a head and CUDA C++. */
export function emulatedImage(text: string, { capability = 80, driver = 12_000 } = {}): Uint8Array {
  return new TextEncoder().encode(`KILN-EMULATED ${capability} ${driver}\n${text}`);
}

const emulation = join(packageRoot(), "test", "codegen", "targets", "cuda", "emulation");

function compiler(): string {
  return process.env["CXX"] ?? "g++";
}

function build(): string {
  const folder = mkdtempSync(join(tmpdir(), "kiln-emulated-cuda-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "emulation"));
  cpSync(emulation, join(folder, "emulation"), { recursive: true });
  const sources = join(packageRoot(), "test", "runtime", "gpu", "emulated-cuda");
  const files = ["emulator", "driver", "graphs", "modules"].map((name) => join(sources, `${name}.cpp`));
  const native = join(packageRoot(), "runtime", "native");
  const flags = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-fvisibility=hidden", "-shared"];
  const args = [...flags, "-I", native, ...files, "-ldl", "-o", join(folder, "libcuda-emulated.so")];
  const { status, stderr } = spawnSync(compiler(), args, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return folder;
}
