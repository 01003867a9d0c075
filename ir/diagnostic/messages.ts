/**
 * Every message Kiln can fail with, one function each. Codes are stable and grouped: K1xxx tracing and the model,
 * K2xxx data, K3xxx artifact and checkpoint, K4xxx training, K5xxx targets and devices, K6xxx command line, K9xxx our bugs.
 * A function takes what the caller knows and says what was expected, what was got and what to do.
 */
import { formatType, type TensorType } from "../type.ts";
import { internalHint, printable, type Diagnostic } from "./diagnostic.ts";

function user(code: string, what: string, rest: Omit<Diagnostic, "code" | "kind" | "what"> = {}): Diagnostic {
  return { code, kind: "user", what, ...rest };
}

function internal(code: string, what: string, rest: Omit<Diagnostic, "code" | "kind" | "what"> = {}): Diagnostic {
  return { code, kind: "internal", what, hint: internalHint, ...rest };
}

// ---- K1xxx: tracing and the model ----

/** An op got a wrong number of operands. */
export function wrongArity(op: string, expected: number, got: number): Diagnostic {
  return internal("K9002", `\`${op}\` takes ${expected} operands`, { got: String(got) });
}

/** Operands of an op do not fit together, or an attribute does not fit its operand. */
export function opTypeMismatch(
  op: string,
  operands: readonly TensorType[],
  expected: string,
  hint?: string,
): Diagnostic {
  return user("K1001", `\`${op}\`: the operands do not fit`, {
    expected,
    got: operands.map(formatType).join(", "),
    ...(hint === undefined ? {} : { hint }),
  });
}

/** An attribute of an op is out of its range. */
export function badAttribute(op: string, attribute: string, expected: string, got: string): Diagnostic {
  return user("K1002", `\`${op}\`: bad \`${printable(attribute)}\``, { expected, got: printable(got) });
}

/** A value of one graph was used in another. */
export function foreignValue(id: number): Diagnostic {
  return internal("K9003", `value %${id} belongs to another graph`);
}
