/**
 * Option tables: a command's arguments and flags as plain data, from which the parser, the help text and the type of the
 * parsed values all derive. Takes a table and the words of a command line; gives typed values, the help text, or a
 * `UserError` (K600x) that names the nearest flag. Used by the generated trainers and by `kiln` alike.
 */
import { Command, CommanderError, Option } from "commander";
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";

/** One flag. Its name in the table is camelCase (`saveEvery`), on the command line `--save-every`. */
export type OptionSpec =
  /** On or off. */
  | { readonly kind: "switch"; readonly doc: string }
  /** An integer, at least `minimum` (0 if not given). */
  | { readonly kind: "count"; readonly value: string; readonly doc: string; readonly minimum?: number }
  /** Any text. */
  | { readonly kind: "text"; readonly value: string; readonly doc: string }
  /** Text that may be left out: `true` then. */
  | { readonly kind: "optionalText"; readonly value: string; readonly doc: string }
  /** One of a few words. */
  | { readonly kind: "choice"; readonly choices: readonly string[]; readonly doc: string }
  /** Some of a few words, separated by commas. */
  | { readonly kind: "choices"; readonly choices: readonly string[]; readonly doc: string };

/** Flags by name. */
export type OptionTable = Readonly<Record<string, OptionSpec>>;

type OptionValue<S extends OptionSpec> = S extends {
  readonly kind: "choice" | "choices";
  readonly choices: readonly (infer Word)[];
}
  ? S["kind"] extends "choice"
    ? Word
    : readonly Word[]
  : PlainValue<S>;

type PlainValue<S extends OptionSpec> = S["kind"] extends "switch"
  ? boolean
  : S["kind"] extends "count"
    ? number
    : S["kind"] extends "optionalText"
      ? string | true
      : string;

/** The parsed values of a table: what was not given is absent. */
export type OptionValues<T extends OptionTable> = { readonly [K in keyof T]?: OptionValue<T[K]> };

/** A command: its usage as data. */
export type CommandSpec<T extends OptionTable = OptionTable> = {
  /** As typed: `kiln compile`. */
  readonly name: string;
  readonly doc: string;
  readonly arguments: readonly { readonly name: string; readonly doc: string; readonly required: boolean }[];
  readonly options: T;
};

/** What a command line said. */
export type Parsed<T extends OptionTable> =
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "values"; readonly arguments: readonly string[]; readonly options: OptionValues<T> };

/** `--save-every` for `saveEvery`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** The help text of a command. */
export function helpOf(spec: CommandSpec): string {
  return commandOf(spec).helpInformation();
}

/** The values that `words` (without the program's name) give to the command `spec`. Throws a `UserError` (K600x). */
export function parseCommandLine<T extends OptionTable>(spec: CommandSpec<T>, words: readonly string[]): Parsed<T> {
  const command = commandOf(spec);
  try {
    command.parse([...words], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === "commander.helpDisplayed") return { kind: "help", text: command.helpInformation() };
    throw usageError(error, spec.name);
  }
  const given = command.opts<Record<string, unknown>>();
  const values: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(spec.options)) {
    // commander stores `--no-check` as `check: false`.
    const value = name.startsWith("no") && option.kind === "switch" ? negated(name, given) : given[name];
    if (value !== undefined) values[name] = value;
  }
  // The parser of each option's kind made a value of that kind's type.
  return { kind: "values", arguments: command.args, options: values as OptionValues<T> };
}

function negated(name: string, given: Record<string, unknown>): true | undefined {
  const positive = name.charAt(2).toLowerCase() + name.slice(3);
  return given[positive] === false ? true : undefined;
}

function commandOf(spec: CommandSpec): Command {
  const command = new Command(spec.name)
    .description(spec.doc)
    .exitOverride()
    .configureOutput({ writeOut: () => undefined, writeErr: () => undefined })
    .helpOption("-h, --help", "show this help")
    .configureHelp({ helpWidth: 100 })
    .allowExcessArguments(false);
  for (const argument of spec.arguments) {
    command.argument(argument.required ? `<${argument.name}>` : `[${argument.name}]`, argument.doc);
  }
  for (const [name, option] of Object.entries(spec.options)) command.addOption(optionOf(flagOf(name), option));
  return command;
}

function optionOf(flag: string, spec: OptionSpec): Option {
  switch (spec.kind) {
    case "switch":
      return new Option(flag, spec.doc);
    case "count":
      return new Option(`${flag} <${spec.value}>`, spec.doc).argParser((text: string) =>
        parseCount(flag, text, spec.minimum ?? 0),
      );
    case "text":
      return new Option(`${flag} <${spec.value}>`, spec.doc).argParser((text: string) => {
        // What looks like a flag is one: the value was forgotten.
        if (/^--[a-z]/.test(text)) throw fail(messages.badOptionValue(flag, spec.value, `nothing, before ${text}`));
        return text;
      });
    case "optionalText":
      return new Option(`${flag} [${spec.value}]`, spec.doc);
    case "choice":
      return new Option(`${flag} <${spec.choices.join("|")}>`, spec.doc).argParser((text: string) => {
        if (spec.choices.includes(text)) return text;
        throw fail(messages.badOptionValue(flag, spec.choices.join(", "), text));
      });
    case "choices":
      return new Option(`${flag} <${spec.choices.join(",")}>`, spec.doc).argParser((text: string) =>
        parseChoices(flag, text, spec.choices),
      );
  }
}

function parseChoices(flag: string, text: string, choices: readonly string[]): readonly string[] {
  const words = text.split(",").map((word) => word.trim());
  const wrong = words.find((word) => !choices.includes(word));
  if (wrong === undefined) return words;
  throw fail(messages.badOptionValue(flag, `some of ${choices.join(", ")}`, text));
}

function parseCount(flag: string, text: string, minimum: number): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isSafeInteger(value) && value >= minimum) return value;
  throw fail(messages.badOptionValue(flag, `an integer, at least ${minimum}`, text));
}

function usageError(error: CommanderError, command: string): Error {
  const quoted = /'([^']*)'/.exec(error.message)?.[1] ?? "";
  switch (error.code) {
    case "commander.unknownOption": {
      const nearest = /Did you mean (?:one of )?([^?,]+)/.exec(error.message)?.[1];
      return fail(messages.unknownOption(quoted.replace(/=.*/s, ""), nearest, command));
    }
    case "commander.optionMissingArgument":
      return fail(messages.badOptionValue(quoted.split(" ")[0] ?? quoted, "a value", "nothing"));
    default: {
      const text = error.message.replace(/^error: /, "");
      return fail(messages.badUsage(text, command));
    }
  }
}
