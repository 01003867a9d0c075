/**
 * Mistakes that a command must report: `kiln` or a trainer run as a process of its own, with `--json`, whose last line tells
 * the error in parts. Every error must say what was expected, what was got and what to do, and end with its exit code.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import type { Diagnostic, SourceLocation } from "../../ir/diagnostic/diagnostic.ts";
import { kiln, runNode, type Outcome } from "../bin/kiln.ts";
import { wrongParts, type Expected } from "./mistake.ts";

/** A mistake on the command line. */
export type CommandMistake = {
  readonly mistake: string;
  /** Words behind `kiln`, or behind `node` where they begin with a file. */
  readonly words: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly exit: number;
  readonly error: Expected;
  /** The file that the error must point into, relative to the folder, and the text that stands there. */
  readonly place?: { readonly file: string; readonly text: string };
  /** Makes the mistake in the folder, right before the command. */
  readonly make?: (folder: string) => void;
};

/** Declares a test for each mistake; `folder` gives the working folder. */
export function commandMistakes(folder: () => string, mistakes: readonly CommandMistake[]): void {
  for (const each of mistakes) {
    it(`${each.error.code}: ${each.mistake}`, () => {
      each.make?.(folder());
      const words = [...each.words, "--json"];
      const isFile = (words[0] ?? "").endsWith(".js");
      const source = checkOutcome((isFile ? runNode : kiln)(words, folder(), each.env), each);
      if (each.place === undefined) return;
      assert.equal(source?.file, join(folder(), each.place.file));
      if (source === null) return;
      const line = readFileSync(source.file, "utf8").split("\n")[source.line - 1];
      assert.isTrue(line?.slice(source.column - 1).startsWith(each.place.text), line);
    });
  }
}

/** Asserts what a command that failed left: its exit code, nothing but the error, its parts; gives the error's place. */
export function checkOutcome(
  outcome: Outcome,
  wanted: { readonly exit: number; readonly error: Expected },
): SourceLocation | null {
  const { code, talk } = outcome;
  const event = outcome.json().at(-1);
  assert.equal(event?.["event"], "error", `${outcome.out}${talk}`);
  // The assertions below tell what is in it.
  const error = event as unknown as Diagnostic & { readonly exitCode: number; readonly source: SourceLocation | null };
  const wrong = wrongParts(error, wanted.error);
  if (error.kind !== (wanted.error.kind ?? "user")) wrong.push(`the kind is ${error.kind}`);
  if (wrong.length > 0) assert.fail(`${wrong.join("; ")}, in: ${JSON.stringify(error, null, 1)}`);
  assert.equal(code, wanted.exit, "exit code");
  assert.equal(error.exitCode, wanted.exit);
  assert.equal(talk, "", "what was written to stderr");
  return error.source;
}
