/**
 * Text for C-like targets. Takes typed pieces and gives lines. A piece is a `Fragment`, made by the tagged template
 * `code`, which accepts other fragments, checked identifiers and integers that print exactly, so that neither a raw
 * string, nor `undefined`, nor a rounded number can end up in a program. `SourceWriter` adds lines and indentation.
 */
import { fail } from "../ir/diagnostic/diagnostic.ts";
import { badFragment } from "../ir/diagnostic/messages.ts";

/** A piece of program text that is known to be well-formed. */
export class Fragment {
  readonly text: string;
  /** For `code` and the named makers below; text from outside must pass one of them. */
  constructor(text: string) {
    this.text = text;
  }
}

/** What a template may hold between its literal parts; a list is joined with commas. */
export type Piece = Fragment | number | readonly Fragment[];

/** A fragment from a template: `` code`${name} = ${value};` ``. */
export function code(literals: TemplateStringsArray, ...pieces: readonly Piece[]): Fragment {
  let text = literals[0] ?? "";
  pieces.forEach((piece, index) => {
    text += pieceText(piece) + (literals[index + 1] ?? "");
  });
  return new Fragment(text);
}

/** An identifier of C, WGSL and CUDA alike: letters, digits and underscores, not starting with a digit. */
export function identifier(name: string): Fragment {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw fail(badFragment(name, "an identifier"));
  return new Fragment(name);
}

/** A C string literal of printable ASCII; everything else is escaped in octal. */
export function stringLiteral(value: string): Fragment {
  const bytes = new TextEncoder().encode(value);
  const text = Array.from(bytes, (byte) => {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c && byte !== 0x3f;
    return plain ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`;
  });
  return new Fragment(`"${text.join("")}"`);
}

/** A `//` comment on one line. Control characters and backslashes, which could continue it, are replaced. */
export function comment(text: string): Fragment {
  return new Fragment(`// ${text.replace(/[^\x20-\x7e]/g, "?").replaceAll("\\", "/")}`.trimEnd());
}

/** An integer literal: exactly the number, or an internal error. */
function pieceText(piece: Piece): string {
  if (piece instanceof Fragment) return piece.text;
  if (typeof piece === "number") {
    if (!Number.isSafeInteger(piece) || Object.is(piece, -0))
      throw fail(badFragment(String(piece), "an exact integer"));
    return String(piece);
  }
  // The types allow nothing else; a wrong cast or untyped caller must not slip a string in all the same.
  if (!Array.isArray(piece)) throw fail(badFragment(`a ${typeof piece}`, "a fragment"));
  return piece.map(pieceText).join(", ");
}

/** Collects lines with indentation. */
export class SourceWriter {
  readonly #lines: string[] = [];
  #depth = 0;

  /** Adds a line, or several if the fragment holds line breaks, at the current depth. */
  line(fragment: Fragment): this {
    for (const text of fragment.text.split("\n")) {
      this.#lines.push(text === "" ? "" : "  ".repeat(this.#depth) + text);
    }
    return this;
  }

  /** Adds an empty line. */
  blank(): this {
    this.#lines.push("");
    return this;
  }

  /** Adds `head`, what `body` writes one level deeper, and `tail`. */
  block(head: Fragment, body: () => void, tail: Fragment = new Fragment("}")): this {
    return this.line(head).indented(body).line(tail);
  }

  /** Adds what `body` writes, one level deeper. */
  indented(body: () => void): this {
    this.#depth++;
    body();
    this.#depth--;
    return this;
  }

  /** Adds a line that stands at the margin, as the preprocessor's do. */
  directive(fragment: Fragment): this {
    this.#lines.push(fragment.text);
    return this;
  }

  /** All lines, each ended by a line break. */
  toString(): string {
    return this.#lines.map((line) => `${line}\n`).join("");
  }
}
