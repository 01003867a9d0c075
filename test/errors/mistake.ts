/**
 * Mistakes as a table: what a user wrote, and what the error must say. Every error must name a place (where the mistake
 * stands in a file of the user's), what was expected, what was got and what to do.
 */
import { join } from "node:path";
import { assert } from "chai";
import { compileModel } from "../../compiler/compile.ts";
import { DiagnosticError, TargetError, UserError, type Diagnostic } from "../../ir/diagnostic/diagnostic.ts";
import { freshFolder, markedPlace, writeProject, type Files, type Place } from "./project.ts";

/** What an error must be. Texts must occur in the part of the error; patterns must match it. */
export type Expected = {
  readonly code: string;
  readonly kind?: "user" | "target";
  readonly what?: string | RegExp;
  readonly expected: string | RegExp;
  readonly got: string | RegExp;
  readonly hint: string | RegExp;
  /** Path of the module in which the mistake happened. */
  readonly module?: string;
};

/** A mistake in a project; `mark` in one of its files, or `place`, says where the error must point. */
export type Mistake = {
  readonly mistake: string;
  readonly files: Files;
  readonly error: Expected;
  readonly place?: Place;
  /** Whether this machine cannot show it. */
  readonly isSkipped?: boolean;
};

/** Declares a test for each mistake that `kiln compile` must report. */
export function compileMistakes(mistakes: readonly Mistake[]): void {
  for (const { mistake, files, error, place, isSkipped = false } of mistakes) {
    (isSkipped ? it.skip : it)(`${error.code}: ${mistake}`, async () => {
      const folder = writeProject(files);
      const thrown = await failure(() => compileModel(join(folder, "model.ts"), { out: freshFolder("out") }));
      check(thrown, error);
      checkPlace(thrown, place ?? markedPlace(files), error.module);
    });
  }
}

/** The error that `run` ends in, which must be one of ours. */
export async function failure(run: () => unknown): Promise<DiagnosticError> {
  try {
    await run();
  } catch (error) {
    if (error instanceof DiagnosticError) return error;
    throw error;
  }
  return assert.fail("nothing was reported");
}

/** Asserts class, code and all parts of an error. */
export function check(error: DiagnosticError, wanted: Expected): void {
  const wrong = wrongParts(error.diagnostic, wanted);
  if (!(error instanceof (wanted.kind === "target" ? TargetError : UserError)))
    wrong.push(`the class is ${error.name}`);
  if (wrong.length > 0) assert.fail(`${wrong.join("; ")}, in: ${error.message}`);
}

/** What of an error is not as wanted. */
export function wrongParts(diagnostic: Diagnostic, wanted: Expected): string[] {
  const wrong: string[] = [];
  if (diagnostic.code !== wanted.code) wrong.push(`the code is not ${wanted.code}`);
  for (const part of ["what", "expected", "got", "hint"] as const) {
    const pattern = wanted[part];
    const text = diagnostic[part];
    if (pattern === undefined) continue;
    const fits = typeof pattern === "string" ? text?.includes(pattern) : text !== undefined && pattern.test(text);
    if (fits !== true || text === "") wrong.push(`\`${part}\` does not hold ${String(pattern)}`);
  }
  return wrong;
}

/** Asserts that an error points at `place`. */
export function checkPlace(error: DiagnosticError, place: Place | undefined, module?: string): void {
  assert.isDefined(place, "the case marks no place");
  assert.isDefined(error.source, `no place in: ${error.message}`);
  const { file, line, column } = error.source ?? {};
  assert.deepEqual({ file, line, column }, { ...place }, error.message);
  if (module !== undefined) assert.equal(error.source?.module, module);
}
