/**
 * Errors. Whoever finds a fault throws one of three classes: `UserError` (the model, its shapes, data or options),
 * `TargetError` (this device or tool chain cannot), `InternalError` (our bug). Each carries a stable code, the user's
 * source position where there is one, what was expected, what was got and what to do. All messages stand in
 * `messages.ts`; nothing else makes these errors.
 */

/** A place in the user's source: the frame that called the op, and the module path it ran in (`layers.3.attn`). */
export type SourceLocation = {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based. */
  readonly column: number;
  readonly module?: string;
};

/** What a message function in `messages.ts` returns. */
export type Diagnostic = {
  readonly code: string;
  readonly kind: "user" | "target" | "internal";
  /** One sentence: what went wrong. */
  readonly what: string;
  readonly expected?: string;
  readonly got?: string;
  /** What to do about it. */
  readonly hint?: string;
};

/** Base of all errors Kiln throws on purpose. */
export class DiagnosticError extends Error {
  readonly code: string;
  readonly diagnostic: Diagnostic;
  readonly source: SourceLocation | undefined;
  constructor(diagnostic: Diagnostic, source?: SourceLocation, cause?: unknown) {
    super(formatDiagnostic(diagnostic, source), cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = diagnostic.code;
    this.diagnostic = diagnostic;
    this.source = source;
  }
}

/** The user's model, shapes, data or options are at fault. Exit code 1. */
export class UserError extends DiagnosticError {}

/** A device, compiler or driver is missing or cannot do what was asked. Exit code 3. */
export class TargetError extends DiagnosticError {}

/** A bug in Kiln. Exit code 70. */
export class InternalError extends DiagnosticError {}

/** The error for a diagnostic, to be thrown: `throw fail(messages.shapeMismatch(…), source)`. */
export function fail(diagnostic: Diagnostic, source?: SourceLocation, cause?: unknown): DiagnosticError {
  switch (diagnostic.kind) {
    case "user":
      return new UserError(diagnostic, source, cause);
    case "target":
      return new TargetError(diagnostic, source, cause);
    case "internal":
      return new InternalError(diagnostic, source, cause);
    default:
      return unreachable(diagnostic.kind);
  }
}

/** `file:line:column`, with the module path behind it. */
export function formatLocation(source: SourceLocation): string {
  const module = source.module === undefined || source.module === "" ? "" : ` (module \`${printable(source.module)}\`)`;
  return `${printable(source.file)}:${source.line}:${source.column}${module}`;
}

/** The text of an error: place, what, expected, got, hint, code. */
export function formatDiagnostic(diagnostic: Diagnostic, source?: SourceLocation): string {
  const place = source === undefined ? "" : `${formatLocation(source)}: `;
  const lines = [`${place}${diagnostic.what} [${diagnostic.code}]`];
  if (diagnostic.expected !== undefined) lines.push(`  expected: ${diagnostic.expected}`);
  if (diagnostic.got !== undefined) lines.push(`  got:      ${diagnostic.got}`);
  if (diagnostic.hint !== undefined) lines.push(`  hint:     ${diagnostic.hint}`);
  return lines.join("\n");
}

/** Text that came from a file, a name or an option, with control characters escaped so that a terminal cannot act on them. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (character) =>
    JSON.stringify(character).length > 3
      ? JSON.stringify(character).slice(1, -1)
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Marks a `default` branch that types say cannot be reached. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}

/** Throws an `InternalError` unless `condition` holds: for states that only a bug of ours can bring about. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InternalError({ code: "K9001", kind: "internal", what: message, hint: internalHint });
}

/** What every internal error tells the user to do. */
export const internalHint =
  "This is a bug in Kiln: please report it with the output of the same command under --dump DIR.";

/** The result of `action`. An error of ours that it throws without a place is thrown again with `source` as its place. */
export function locating<T>(source: SourceLocation | undefined, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (source === undefined || !(error instanceof DiagnosticError) || error.source !== undefined) throw error;
    throw fail(error.diagnostic, source, error);
  }
}
