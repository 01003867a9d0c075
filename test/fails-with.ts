/** The assertion that a call fails with one of our coded errors. */
import { assert } from "chai";
import { DiagnosticError } from "../ir/diagnostic/diagnostic.ts";

/** Asserts that `run` throws an error with this code; returns it, so that its text can be looked at. */
export function failsWith(code: string, run: () => unknown): DiagnosticError {
  try {
    run();
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    assert.equal(error.code, code, error.message);
    return error;
  }
  return assert.fail(`expected an error ${code}, but nothing was thrown`);
}
