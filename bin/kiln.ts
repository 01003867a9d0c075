#!/usr/bin/env node
/**
 * The command `kiln`: finds the command, parses its flags, calls what does the work, and ends with the right exit code:
 * 0 ok, 1 the user's model or data, 2 usage, 3 target not available, 70 our bug. Every command is loaded only when it runs,
 * so that training never loads the compiler.
 */
import * as path from "node:path";
import { Command, CommanderError } from "commander";
import { fail } from "../ir/diagnostic/diagnostic.ts";
import * as messages from "../ir/diagnostic/messages.ts";
import {
  parseCommandLine,
  type CommandSpec,
  type OptionTable,
  type OptionValues,
} from "../runtime/training/option-table.ts";
import { beCommand, describeError, exitCodeOf, showsColors } from "../runtime/training/report-error.ts";
import { commands, type CommandName } from "./options.ts";
import { kilnVersion } from "./version.ts";

/** What a command is given: its arguments in order, and its options. Resolves to the exit code. */
type Runner<T extends OptionTable> = (words: readonly string[], options: OptionValues<T>) => Promise<number>;

/** What runs each command. */
const runners: { readonly [K in CommandName]: () => Promise<Runner<(typeof commands)[K]["options"]>> } = {
  compile: async () => (await import("./compile.ts")).runCompile,
  train: async () => (await import("./train.ts")).runTrain,
  eval: async () => (await import("./evaluate.ts")).runEvaluate,
  predict: async () => (await import("./predict.ts")).runPredict,
  export: async () => (await import("./export.ts")).runExport,
  inspect: async () => (await import("./inspect.ts")).runInspect,
  verify: async () => (await import("./run-verify.ts")).runVerify,
  doctor: async () => (await import("./doctor.ts")).runDoctor,
};

/** Runs the command line `words` (without the program's name); the exit code. */
export async function main(words: readonly string[]): Promise<number> {
  const json = words.includes("--json");
  try {
    const chosen = chooseCommand(words);
    if (typeof chosen === "string") {
      process.stdout.write(chosen);
      return 0;
    }
    return await runCommand(chosen.name, chosen.words);
  } catch (error) {
    // Places in a model file are relative to its folder.
    const roots = words.flatMap((word) => [path.resolve(word), path.dirname(path.resolve(word))]);
    const text = describeError(error, { json, colors: showsColors(process.stderr), roots: [...roots, process.cwd()] });
    if (text !== "") (json ? process.stdout : process.stderr).write(`${text}\n`);
    return exitCodeOf(error);
  }
}

async function runCommand(name: CommandName, words: readonly string[]): Promise<number> {
  switch (name) {
    case "compile":
      return run(commands.compile, runners.compile, words);
    case "train":
      return run(commands.train, runners.train, words);
    case "eval":
      return run(commands.eval, runners.eval, words);
    case "predict":
      return run(commands.predict, runners.predict, words);
    case "export":
      return run(commands.export, runners.export, words);
    case "inspect":
      return run(commands.inspect, runners.inspect, words);
    case "verify":
      return run(commands.verify, runners.verify, words);
    case "doctor":
      return run(commands.doctor, runners.doctor, words);
  }
}

async function run<T extends OptionTable>(
  spec: CommandSpec<T>,
  load: () => Promise<Runner<T>>,
  words: readonly string[],
): Promise<number> {
  const parsed = parseCommandLine(spec, words);
  if (parsed.kind === "help") {
    process.stdout.write(parsed.text);
    return 0;
  }
  const runner = await load();
  return runner(parsed.arguments, parsed.options);
}

/** The command that `words` begin with and the words behind it, or the text of a help or version that was asked for. */
function chooseCommand(words: readonly string[]): { name: CommandName; words: string[] } | string {
  let chosen: { name: CommandName; words: string[] } | undefined;
  let text = "";
  const program = new Command("kiln")
    .description("Compiles PyTorch-style models written in TypeScript into training programs.")
    .version(kilnVersion(), "-v, --version", "print the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand(false)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: (part) => (text += part), writeErr: () => undefined })
    .configureHelp({ helpWidth: 100 })
    .addHelpText("after", "\n`kiln <command> --help` shows a command's options.\nDocumentation: README.md\n");
  for (const [name, { doc }] of Object.entries(commands)) {
    program
      .command(name)
      .description(doc)
      .helpOption(false)
      .passThroughOptions()
      .allowUnknownOption()
      .allowExcessArguments()
      .action((_options: object, command: Command) => {
        // The names are the table's own keys.
        chosen = { name: name as CommandName, words: command.args };
      });
  }
  try {
    program.parse([...words], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Without any word commander shows the help as for a mistake; asking nothing is none.
    if (error.exitCode === 0 || error.code === "commander.help") return text === "" ? program.helpInformation() : text;
    const quoted = /'([^']*)'/.exec(error.message)?.[1] ?? "";
    const nearest = /Did you mean (?:one of )?([^?,]+)/.exec(error.message)?.[1];
    if (error.code === "commander.unknownOption") throw fail(messages.unknownOption(quoted, nearest, "kiln"));
    throw fail(messages.unknownCommand(quoted, nearest));
  }
  return chosen ?? program.helpInformation();
}

beCommand();
process.exitCode = await main(process.argv.slice(2));
