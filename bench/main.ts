/** What every measuring program does around its work: words in, errors to stderr, an exit code out. */
import { DiagnosticError, UserError } from "../ir/diagnostic/diagnostic.ts";

/** Runs `main` with the command line's words. Exit code 1 after a `UserError`, 70 after anything unforeseen. */
export async function runMain(main: (words: readonly string[]) => Promise<unknown>): Promise<void> {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof DiagnosticError ? error.message : error);
    process.exitCode = error instanceof UserError ? 1 : 70;
  }
}
