/** Options objects: what is not known is an error that names the nearest option there is, as a mistyped one would be lost. */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { nameOf } from "./tensorlike.ts";

/** Throws unless `options` is an object with no other properties than `known`. @throws UserError K2001. */
export function checkKeys(owner: string, options: object, known: readonly string[]): void {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw fail(messages.badDataOption(owner, "options", `an object with ${known.join(", ")}`, nameOf(options)));
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    const plain = (name: string): string => name.toLowerCase().replaceAll("_", "");
    const near = known.find((name) => plain(name) === plain(key)) ?? known.find((name) => distance(name, key) <= 2);
    throw fail(
      messages.badDataOption(
        owner,
        key,
        `one of ${known.join(", ")}`,
        "an unknown option",
        near === undefined ? undefined : `Did you mean \`${near}\`?`,
      ),
    );
  }
}

/** Edit distance of two short words (Wagner and Fischer, J. ACM 21(1), 1974). */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(change, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}
