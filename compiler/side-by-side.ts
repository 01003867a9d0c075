/**
 * Texts beside each other in columns of one width, for wide terminals. Lines that are too long go on in the next line,
 * indented, so that nothing is lost.
 */

const gap = " | ";

/** What stands before the rest of a line that was broken. */
const continued = "    ";

/** Narrowest column that can be read. */
const narrowest = 24;

/**
 * The texts in columns within `width`, or `undefined` if there is no room for them. Each row of the result has the same
 * line of every text; no line ends with spaces.
 */
export function sideBySide(texts: readonly string[], width: number): string | undefined {
  const column = Math.floor((width - gap.length * (texts.length - 1)) / texts.length);
  if (column < narrowest) return undefined;
  const columns = texts.map((text) => text.split("\n").flatMap((line) => broken(line, column)));
  const rows = Math.max(0, ...columns.map((lines) => lines.length));
  return Array.from({ length: rows }, (_, row) =>
    columns
      .map((lines) => (lines[row] ?? "").padEnd(column))
      .join(gap)
      .trimEnd(),
  ).join("\n");
}

/** A line in pieces of at most `width`, at spaces where that leaves a fair piece. */
function broken(line: string, width: number): string[] {
  const pieces: string[] = [];
  let rest = line;
  while (rest.length > width) {
    const space = rest.lastIndexOf(" ", width);
    const length = space > width / 2 ? space : width;
    pieces.push(rest.slice(0, length));
    rest = continued + rest.slice(length).trimStart();
  }
  return [...pieces, rest];
}
