/** Runs a program of ours as a person would, and measures it from outside: wall time, and the most memory it used. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** What a run from outside looked like. */
export type ChildRun = {
  /** Seconds from the start of the process to its end. */
  readonly seconds: number;
  /** Seconds to the first line for which `until` held; `undefined` if none came. */
  readonly reached: number | undefined;
  /** Peak resident set, bytes; `undefined` if the process was ended early. */
  readonly peakBytes: number | undefined;
};

/** What to run. */
export type ChildSpec = {
  readonly words: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Holds for the line of stdout that is waited for. */
  readonly until?: (line: string) => boolean;
  /** Whether to end the process at that line. */
  readonly stop?: boolean;
};

const mark = "peak resident set in KiB: ";
/** Reports the process's memory when it ends; run in it before anything else, it adds nothing measurable. */
const reporter = `data:text/javascript,process.on("exit",()=>process.stderr.write("\\n${mark}"+process.resourceUsage().maxRSS+"\\n"))`;

/** Runs Node with these words. Throws if the process fails by itself, with what it wrote to stderr. */
export async function runNode({ words, env = {}, until, stop = false }: ChildSpec): Promise<ChildRun> {
  const begin = performance.now();
  const child = spawn(process.execPath, ["--import", reporter, ...words], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let reached: number | undefined;
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (reached !== undefined || until?.(line) !== true) return;
    reached = (performance.now() - begin) / 1000;
    if (stop) child.kill("SIGKILL");
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const stopped = stop && reached !== undefined;
  if (code !== 0 && !stopped) throw new Error(`node ${words.join(" ")} ended with ${String(code)}:\n${errors}`);
  const kibibytes = new RegExp(`${mark}(\\d+)`).exec(errors)?.[1];
  return {
    seconds: (performance.now() - begin) / 1000,
    reached,
    peakBytes: kibibytes === undefined ? undefined : Number(kibibytes) * 1024,
  };
}
