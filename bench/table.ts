/** Tables on a terminal. */

/** Prints rows under a head, columns as wide as they need; numbers to the right, as text that holds only a number is. */
export function printTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const lines = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  for (const line of lines) {
    const cells = line.map((cell, column) => {
      const width = widths[column] ?? 0;
      return /^[-\d.?]/.test(cell) ? cell.padStart(width) : cell.padEnd(width);
    });
    process.stdout.write(`${cells.join("  ").trimEnd()}\n`);
  }
}

/** Says that figures do not count, where other processes kept more than a tenth of a core busy. */
export function busyNotice(foreignCores: number | undefined): void {
  if ((foreignCores ?? 0) <= 0.1) return;
  process.stdout.write(
    `Other processes kept ${foreignCores?.toFixed(2)} cores busy meanwhile: these figures do not count.\n`,
  );
}
