/**
 * What a conformance run reports: for each case whether it passed, failed or is not supported, and for each family the
 * counts. Failures are lines with the case's id, the largest error and the tolerance.
 */
import { DiagnosticError, TargetError, UserError } from "../../ir/diagnostic/diagnostic.ts";
import type { Mismatch } from "./tensors.ts";

/** The outcome of one case. `group`: what it is about (an operator, a module), for the list of what is not supported. */
export type CaseResult = {
  readonly id: string;
  readonly group: string;
  readonly status: "passed" | "failed" | "unsupported";
  /** Why it failed or is not supported. */
  readonly detail?: string;
  readonly largest?: number;
  readonly atol?: number;
  readonly rtol?: number;
};

/** The outcome of a family. */
export type FamilyResult = { readonly family: string; readonly cases: readonly CaseResult[] };

/** What a case is known by. */
export type CaseName = { readonly id: string; readonly group: string };

/** Something that a case needs and Kiln has not: the case counts as not supported. */
export class Unsupported extends Error {}

/** A case that passed. */
export function passed({ id, group }: CaseName): CaseResult {
  return { id, group, status: "passed" };
}

/** A case that passed if there are no mismatches, and else failed with the first. */
export function judged({ id, group }: CaseName, mismatches: readonly (Mismatch | undefined)[]): CaseResult {
  const wrong = mismatches.filter((each) => each !== undefined);
  const [first] = wrong;
  if (first === undefined) return { id, group, status: "passed" };
  const more = wrong.length > 1 ? ` (and ${wrong.length - 1} more)` : "";
  const { largest, tolerance } = first;
  return {
    id,
    group,
    status: "failed",
    detail: `${first.what}${more}`,
    largest,
    atol: tolerance.atol,
    rtol: tolerance.rtol,
  };
}

/** Codes of what a target cannot say: element types that it lacks. */
const inexpressible: ReadonlySet<string> = new Set(["K5104", "K5301"]);

/**
 * A case that ended with an error: refused with a `UserError`, or since the target lacks a type, it is not supported; with
 * any other it failed.
 */
export function ended({ id, group }: CaseName, error: unknown): CaseResult {
  const refused =
    error instanceof UserError ||
    error instanceof Unsupported ||
    (error instanceof TargetError && inexpressible.has(error.diagnostic.code));
  return { id, group, status: refused ? "unsupported" : "failed", detail: describe(error) };
}

function describe(error: unknown): string {
  if (error instanceof DiagnosticError) {
    const { what, expected, got } = error.diagnostic;
    const rest = [expected === undefined ? "" : `expected ${expected}`, got === undefined ? "" : `got ${got}`];
    return `${error.code}: ${[what, ...rest.filter((part) => part !== "")].join("; ")}`;
  }
  if (error instanceof Error) return error instanceof Unsupported ? error.message : (error.stack ?? error.message);
  return String(error);
}

/** `ops: 1328 cases, 1300 passed, 8 failed, 20 unsupported` */
export function summary({ family, cases }: FamilyResult): string {
  const count = (status: CaseResult["status"]): number => cases.filter((each) => each.status === status).length;
  const counts = `${count("passed")} passed, ${count("failed")} failed, ${count("unsupported")} unsupported`;
  return `${family}: ${cases.length} cases, ${counts}`;
}

/** The line of a failed case. */
export function failureLine(family: string, { id, detail = "", largest, atol, rtol }: CaseResult): string {
  const numbers =
    largest === undefined ? "" : `  largest error ${largest.toExponential(3)}, atol ${atol}, rtol ${rtol}`;
  return `FAILED ${family} ${id}: ${detail}${numbers}`;
}

/** What is not supported, by group, with a reason of each. */
export function unsupportedLines(family: string, cases: readonly CaseResult[]): string[] {
  const groups = new Map<string, CaseResult[]>();
  for (const each of cases) {
    if (each.status !== "unsupported") continue;
    groups.set(each.group, [...(groups.get(each.group) ?? []), each]);
  }
  return [...groups].map(
    ([group, list]) => `unsupported ${family} ${group} (${list.length}): ${list[0]?.detail ?? ""}`,
  );
}
