/**
 * Runs one outside command: arguments as an array, never through a shell; in a folder of its own; killed with all its
 * children when it takes too long or this process ends.
 */
import { spawn } from "node:child_process";

/** How a command ended. `missing`: it could not be started; `status`: its exit code or signal, in words. */
export type CommandResult =
  | { readonly kind: "missing"; readonly reason: string }
  | { readonly kind: "timeout" }
  | { readonly kind: "failed"; readonly status: string; readonly output: string }
  | { readonly kind: "done"; readonly stdout: string };

/** What to run. `seconds`: time limit; `input`: text for its standard input. */
export type Command = {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly seconds: number;
  readonly input?: string;
  /** Variables that differ from this process's. */
  readonly env?: Readonly<Record<string, string>>;
};

/** Longest output that is kept, in characters; compilers repeat themselves. */
const keptOutput = 4_000_000;

/** Runs a command to its end. Never rejects. */
export function runCommand(command: Command): Promise<CommandResult> {
  return new Promise((resolve) => {
    // A group of its own, so that the compiler's own children can be ended with it. Temporary files go to its folder.
    const child = spawn(command.file, command.args, {
      cwd: command.cwd,
      detached: process.platform !== "win32",
      env: { ...process.env, TMPDIR: command.cwd, LC_ALL: "C", ...command.env },
      stdio: ["pipe", "pipe", "pipe"],
      windowsHide: true,
    });
    let stdout = "";
    let stderr = "";
    let timedOut = false;
    const kill = (): void => killGroup(child.pid);
    const timer = setTimeout(() => {
      timedOut = true;
      kill();
    }, command.seconds * 1000);
    process.once("exit", kill);
    const settle = (result: CommandResult): void => {
      clearTimeout(timer);
      process.removeListener("exit", kill);
      resolve(result);
    };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout = (stdout + text).slice(0, keptOutput)));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr = (stderr + text).slice(0, keptOutput)));
    // A command that ends before it has read its input closes the pipe; how it ended says all there is to say.
    child.stdin.on("error", () => undefined).end(command.input ?? "");
    child.on("error", (error) => settle({ kind: "missing", reason: error.message }));
    child.on("close", (exitCode, signal) => {
      if (timedOut) return settle({ kind: "timeout" });
      if (exitCode === 0) return settle({ kind: "done", stdout });
      const status = signal === null ? `exit code ${String(exitCode)}` : `killed by ${signal}`;
      return settle({ kind: "failed", status, output: stderr === "" ? stdout : stderr });
    });
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === "win32" ? pid : -pid, "SIGKILL");
  } catch (error) {
    // It has ended by itself in the meantime, which is what was wanted.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
