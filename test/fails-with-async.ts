/** The assertion that a promise fails with one of our coded errors. */
import { assert } from "chai";
import { DiagnosticError } from "../ir/diagnostic/diagnostic.ts";

/** Asserts that `run` rejects with an error of this code; resolves to it, so that its text can be looked at. */
export async function failsWithAsync(code: string, run: () => Promise<unknown>): Promise<DiagnosticError> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    assert.equal(error.code, code, error.message);
    return error;
  }
  return assert.fail(`expected an error ${code}, but nothing was thrown`);
}
