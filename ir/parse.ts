/**
 * Reads the printed form of a graph (`print.ts` shows it) back to an equal graph. Every node goes through the type rule
 * of its op again. Throws a `UserError` with line and column where the text is not such a form or contradicts itself.
 */
import { DiagnosticError, fail, type SourceLocation } from "./diagnostic/diagnostic.ts";
import * as messages from "./diagnostic/messages.ts";
import { createWriter, isOpName, type Graph, type GraphWriter, type Node, type Output, type Write } from "./graph.ts";
import type { Attr, Attrs } from "./op.ts";
import { printHeader } from "./print.ts";
import { formatType, parseType, sameType, type TensorType } from "./type.ts";

/** The graph that `text` prints. */
export function parseGraph(text: string): Graph {
  const lines = text.split("\n");
  const header = new Line(lines[0] ?? "", 1);
  header.word("entry");
  const name = header.name("the entry's name");
  let source: SourceLocation | undefined;
  const writer = createWriter(() => source);
  const outputs: Output[] = [];
  const writes: Write[] = [];
  let number = 1;
  for (; number < lines.length && lines[number] !== "}"; number++) {
    const line = new Line(lines[number] ?? "", number + 1);
    line.skipSpace();
    if (line.takes("write ")) writes.push({ state: line.name("a state's name"), value: line.end(writer) });
    else if (line.takes("return ")) outputs.push(parseOutput(line, writer));
    else source = parseNode(line, writer, (place) => (source = place));
    line.finish();
  }
  if (lines[number] !== "}") throw new Line(lines[number] ?? "", number + 1).expected("a closing brace");
  const rest = lines.findIndex((line, i) => i > number && line.trim() !== "");
  if (rest >= 0) throw new Line(lines[rest] ?? "", rest + 1).expected("nothing after the closing brace");
  const graph: Graph = { name, nodes: writer.nodes, outputs, writes };
  if (printHeader(graph) !== lines[0]) throw new Line(lines[0] ?? "", 1).expected(printHeader(graph));
  return graph;
}

function parseOutput(line: Line, writer: GraphWriter): Output {
  const name = line.name("a result's name");
  const value = line.end(writer);
  line.word(":");
  const at = line.mark();
  if (!sameType(line.type(), value.type)) throw line.expected(formatType(value.type), at);
  return { name, value };
}

/** Appends the node of one line; `locate` is told its source place first. */
function parseNode(
  line: Line,
  writer: GraphWriter,
  locate: (place: SourceLocation | undefined) => void,
): SourceLocation | undefined {
  const begin = line.mark();
  if (line.reference() !== writer.nodes.length) throw line.expected(`%${writer.nodes.length} = …`, begin);
  line.word("=");
  const opAt = line.mark();
  const op = line.plain("an op's name");
  if (!isOpName(op)) throw line.expected("the name of an op", opAt);
  const inputs = line.operands(writer);
  const written = line.attrs();
  line.word(":");
  const typeAt = line.mark();
  const type = line.type();
  const place = line.source();
  locate(place);
  const attrs = tell(written, type);
  let node: Node;
  try {
    node = writer.append(op, inputs, attrs);
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    throw line.expected(error.diagnostic.expected ?? error.diagnostic.what, opAt, error);
  }
  if (!sameType(node.type, type)) throw line.expected(formatType(node.type), typeAt);
  return place;
}

/** Attributes written as a bare name take their value from the node's type. */
function tell(written: readonly (readonly [string, Attr | undefined])[], type: TensorType): Attrs {
  return Object.fromEntries(
    written.map(([name, value]) => [name, value ?? (name === "dtype" ? type.dtype : type.shape)]),
  );
}

/** A cursor in one line of the text. */
class Line {
  readonly #text: string;
  readonly #number: number;
  #position = 0;

  constructor(text: string, number: number) {
    this.#text = text;
    this.#number = number;
  }

  /** The error that something else was expected, at the cursor or an earlier mark. */
  expected(what: string, position = this.#position, cause?: unknown): DiagnosticError {
    const rest = this.#text.slice(position);
    const got = rest === "" ? "the end of the line" : rest;
    return fail(messages.badGraphText(this.#number, position + 1, what, got), undefined, cause);
  }

  /** The cursor's position, for errors about what comes next. */
  mark(): number {
    this.skipSpace();
    return this.#position;
  }

  skipSpace(): void {
    this.#match(/ */y);
  }

  /** Moves over `text` if it comes next. */
  takes(text: string): boolean {
    if (!this.#text.startsWith(text, this.#position)) return false;
    this.#position += text.length;
    return true;
  }

  /** Moves over `text`, with spaces around it. */
  word(text: string): void {
    this.skipSpace();
    if (!this.takes(text)) throw this.expected(`\`${text}\``);
    this.skipSpace();
  }

  /** A word of letters, digits and underscores. */
  plain(what: string): string {
    const word = this.#match(/[A-Za-z_]\w*/y);
    if (word === undefined) throw this.expected(what);
    return word;
  }

  /** A name, bare or as a JSON string. */
  name(what: string): string {
    const word = this.#match(/[A-Za-z_][\w.]*/y) ?? this.#string();
    if (word === undefined) throw this.expected(what);
    return word;
  }

  /** `= %n`, the value at the end of a `write` or `return`. */
  end(writer: GraphWriter): Node {
    this.word("=");
    return this.#value(writer);
  }

  /** The number behind a percent sign. */
  reference(): number {
    const digits = this.#match(/%(?:0|[1-9]\d*)/y);
    if (digits === undefined) throw this.expected("a value, such as %0");
    return Number(digits.slice(1));
  }

  /** ` %1, %2`, possibly none. */
  operands(writer: GraphWriter): Node[] {
    const operands: Node[] = [];
    while (this.takes(operands.length === 0 ? " %" : ", %")) {
      this.#position--;
      operands.push(this.#value(writer));
    }
    return operands;
  }

  /** ` {axis=1, shape}`, possibly none; a bare name has no value. */
  attrs(): [string, Attr | undefined][] {
    const attrs: [string, Attr | undefined][] = [];
    if (!this.takes(" {")) return attrs;
    do {
      this.skipSpace();
      const at = this.#position;
      const name = this.plain("an attribute's name");
      if (attrs.some(([known]) => known === name)) throw this.expected("attributes of different names", at);
      if (this.takes("=")) attrs.push([name, this.#attr()]);
      else if (name === "dtype" || name === "shape") attrs.push([name, undefined]);
      else throw this.expected("`=` and a value");
    } while (this.takes(","));
    this.word("}");
    return attrs;
  }

  type(): TensorType {
    const at = this.#position;
    const type = parseType(this.#match(/[a-z0-9]+\[[0-9,]*\]/y) ?? "");
    if (type === undefined) throw this.expected("a type, such as f32[2,3]", at);
    return type;
  }

  /** `  # module file:line:column`, if there is one. */
  source(): SourceLocation | undefined {
    this.skipSpace();
    if (!this.takes("# ")) return undefined;
    const first = this.#sourceWord();
    const module = this.takes(" ") ? first : undefined;
    const file = module === undefined ? first : this.#sourceWord();
    const position = this.#match(/:\d+:\d+/y);
    if (position === undefined) throw this.expected("`:line:column`");
    const [, line, column] = position.split(":").map(Number);
    return { file, line: line ?? 0, column: column ?? 0, ...(module === undefined ? {} : { module }) };
  }

  /** Checks that nothing is left. */
  finish(): void {
    this.skipSpace();
    if (this.#position < this.#text.length) throw this.expected("the end of the line");
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#position;
    const text = pattern.exec(this.#text)?.[0];
    this.#position += text?.length ?? 0;
    return text;
  }

  #value(writer: GraphWriter): Node {
    const at = this.#position;
    const node = writer.nodes[this.reference()];
    if (node === undefined) throw this.expected("an earlier value", at);
    return node;
  }

  #sourceWord(): string {
    const word = this.#match(/[\w./@+-]+/y) ?? this.#string();
    if (word === undefined) throw this.expected("a file or module");
    return word;
  }

  #string(): string | undefined {
    const at = this.#position;
    const literal = this.#match(/"(?:[^"\\]|\\.)*"/y);
    if (literal === undefined) return undefined;
    try {
      return String(JSON.parse(literal));
    } catch (error) {
      throw this.expected("a JSON string", at, error);
    }
  }

  #attr(): Attr {
    const text = this.#string();
    if (text !== undefined) return text;
    if (this.takes("[")) {
      const list: Attr[] = [];
      if (this.takes("]")) return list;
      do {
        this.skipSpace();
        list.push(this.#attr());
      } while (this.takes(","));
      if (!this.takes("]")) throw this.expected("`,` or `]`");
      return list;
    }
    const word = this.#match(/-?Infinity|NaN|true|false|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/y);
    if (word === undefined) throw this.expected("a number, string, truth value or list");
    return word === "true" || word === "false" ? word === "true" : Number(word);
  }
}
