/**
 * Running a trainer as a program: parses the command line, loads the artifact that the trainer lies in, opens a session
 * and reports what happened with the right exit code. The generated `trainer.js` and `kiln train` both end here.
 */
import { realpathSync } from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { Program } from "../program.ts";
import { Display } from "./display.ts";
import { parseCommandLine, type CommandSpec } from "./option-table.ts";
import { trainerOptions, type TrainerOptions } from "./options.ts";
import { beCommand, describeError, exitCodeOf, exitCodes, showsColors } from "./report-error.ts";
import { Session, type ProgramTypes } from "./session.ts";

/** The loop of a trainer. */
export type TrainerMain<P = ProgramTypes> = (session: Session<P>) => Promise<void>;

/** Runs `main` if the module at `url` is the program that Node was started with; does nothing if it was only imported. */
export async function runTrainer<P>(url: string, main: TrainerMain<P>): Promise<void> {
  const file = fileURLToPath(url);
  const [, started] = process.argv;
  if (started === undefined || realpathSync(started) !== realpathSync(file)) return;
  beCommand();
  const name = `node ${path.relative(process.cwd(), file) || file}`;
  process.exitCode = await trainWith(path.dirname(file), main, { name, words: process.argv.slice(2) });
}

/** The command line of a trainer. */
export function trainerCommand(
  name: string,
  words: readonly string[],
): ReturnType<typeof parseCommandLine<typeof trainerOptions>> {
  const spec: CommandSpec<typeof trainerOptions> = {
    name,
    doc: "Trains the compiled network.",
    arguments: [],
    options: trainerOptions,
  };
  return parseCommandLine(spec, words);
}

/** Trains the artifact in `folder` with the loop `main`; the exit code. Whatever goes wrong is reported on stderr. */
export async function trainWith<P>(
  folder: string,
  main: TrainerMain<P>,
  command: { readonly name: string; readonly words: readonly string[] },
): Promise<number> {
  const json = command.words.includes("--json");
  try {
    const parsed = trainerCommand(command.name, command.words);
    if (parsed.kind === "help") {
      process.stdout.write(parsed.text);
      return exitCodes.ok;
    }
    await trainArtifact(folder, main, parsed.options);
    return exitCodes.ok;
  } catch (error) {
    const text = describeError(error, { json, colors: showsColors(process.stderr) });
    if (text !== "") (json ? process.stdout : process.stderr).write(`${text}\n`);
    return exitCodeOf(error);
  }
}

/** Trains the artifact in `folder` with the loop `main`. Throws what goes wrong, and `Interrupted` after a clean stop. */
export async function trainArtifact<P>(folder: string, main: TrainerMain<P>, options: TrainerOptions): Promise<void> {
  const { threads, device } = options;
  const program = await Program.load(folder, {
    ...(threads === undefined ? {} : { threads }),
    ...(device === undefined ? {} : { device }),
  });
  let session: Session<P> | undefined;
  try {
    session = new Session<P>({ program, folder, options, display: new Display(options.json ?? false) });
    await main(session);
    await session.finish();
  } finally {
    if (session === undefined) await program.dispose();
    else await session.close();
  }
}
