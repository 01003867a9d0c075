/** Names of a function's arguments, read from its text: they name the inputs of entries. Nothing depends on them but names. */

/** Top-level parts of `text` between commas, up to the bracket that closes what came before it. */
function parts(text: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let begin = 0;
  let i = 0;
  for (; i < text.length && depth >= 0; i++) {
    const character = text.charAt(i);
    if (character === '"' || character === "'" || character === "`") {
      const end = text.indexOf(character, i + 1);
      i = end < 0 ? text.length : end;
    } else if (text.startsWith("/*", i)) i = text.indexOf("*/", i) < 0 ? text.length : text.indexOf("*/", i) + 1;
    else if (text.startsWith("//", i)) i = text.indexOf("\n", i) < 0 ? text.length : text.indexOf("\n", i);
    else if ("([{".includes(character)) depth += 1;
    else if (")]}".includes(character)) depth -= 1;
    else if (character === "," && depth === 0) {
      found.push(text.slice(begin, i));
      begin = i + 1;
    }
  }
  found.push(text.slice(begin, depth < 0 ? i - 1 : i));
  return found.map((part) => part.replaceAll(/\/\*.*?\*\/|\/\/[^\n]*/gs, "").trim()).filter((part) => part !== "");
}

function nameOf(pattern: string): string | undefined {
  return /^([A-Za-z_$][\w$]*)\s*(?:=.*)?$/s.exec(pattern)?.[1];
}

/** Names of the arguments; `undefined` for those that are patterns. */
export function argumentNames(callee: Function): (string | undefined)[] {
  const text = Function.prototype.toString.call(callee);
  const single = /^(?:async\s+)?([A-Za-z_$][\w$]*)\s*=>/.exec(text)?.[1];
  if (single !== undefined) return [single];
  return parts(text.slice(text.indexOf("(") + 1)).map(nameOf);
}

/** Names in the array pattern of argument `index`; empty if it is none. */
export function elementNames(callee: Function, index: number): (string | undefined)[] {
  const text = Function.prototype.toString.call(callee);
  const pattern = parts(text.slice(text.indexOf("(") + 1))[index];
  return pattern?.startsWith("[") === true ? parts(pattern.slice(1)).map(nameOf) : [];
}

/** Each name once; those that lack one or repeat one become `prefix0`, `prefix1`, … by position. */
export function completeNames(names: readonly (string | undefined)[], count: number, prefix: string): string[] {
  const used = new Set<string>();
  return Array.from({ length: count }, (_, i) => {
    const given = names[i];
    const name = given === undefined || used.has(given) ? `${prefix}${i}` : given;
    used.add(name);
    return name;
  });
}
