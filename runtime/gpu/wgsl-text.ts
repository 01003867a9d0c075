/**
 * Guards WGSL's compiler: wgpu-native parses by recursion, and a text nested too deeply or an expression too long ends
 * the process with an overflow of the stack. Generated kernels come nowhere near these limits.
 */

/** Brackets within brackets, and operators in a row, that are let through. A stack of 512 KiB takes several times that. */
const mostNesting = 100;
const mostOperators = 1000;

/** Why a text must not be handed to the compiler; `undefined` if it may. */
export function wgslDanger(text: string): string | undefined {
  if (/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd]/u.test(text)) return "a character that no WGSL has";
  // Operators since the last separator, for each open bracket.
  let counts = [0];
  let branches = 0;
  for (const [token] of withoutComments(text).matchAll(/\w+|[^\w\s]/g)) {
    if (token === "else") branches++;
    if ("([{".includes(token)) counts.push(0);
    else if (")]}".includes(token)) counts = counts.length > 1 ? counts.slice(0, -1) : counts;
    else if (token === "," || token === ";") counts[counts.length - 1] = 0;
    else if (!/\w/.test(token)) counts[counts.length - 1] = (counts.at(-1) ?? 0) + 1;
    if (token === ";") branches = 0;
    if (counts.length > mostNesting) return `brackets nested more than ${mostNesting} deep`;
    if ((counts.at(-1) ?? 0) > mostOperators) return `more than ${mostOperators} operators in a row`;
    if (branches > mostNesting) return `more than ${mostNesting} branches in a row`;
  }
  return undefined;
}

function withoutComments(text: string): string {
  return text.replace(/\/\/[^\n]*/g, " ");
}
