/**
 * Guards WGSL's compiler: wgpu-native parses by recursion, and a text nested too deeply or an expression too long ends
 * the process with an overflow of the stack. Generated kernels come nowhere near these limits.
 */

/** Brackets within brackets, and operators or branches in a row, that are let through. */
const mostNesting = 100;
const mostOperators = 1000;

/** Why a text must not be handed to the compiler; `undefined` if it may. */
export function wgslDanger(text: string): string | undefined {
  if (/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd]/u.test(text)) return "a character that no WGSL has";
  // Operators since the last separator, and branches since the last statement, for each open bracket.
  const open = [{ operators: 0, branches: 0 }];
  let before = "";
  for (const [token] of withoutComments(text).matchAll(/\w+|[^\w\s]/g)) {
    if (")]}".includes(token) && open.length > 1) open.pop();
    const level = open.at(-1);
    if (level === undefined) break;
    if (token === "else") level.branches++;
    else if (before === "}" && !")]}".includes(token)) level.branches = 0;
    if ("([{".includes(token)) open.push({ operators: 0, branches: 0 });
    else if (token === "," || token === ";" || token === "}") level.operators = 0;
    else if (!/\w/.test(token)) level.operators++;
    before = token;
    if (open.length > mostNesting) return `brackets nested more than ${mostNesting} deep`;
    if (level.operators > mostOperators) return `more than ${mostOperators} operators in a row`;
    if (level.branches > mostOperators) return `more than ${mostOperators} branches in a row`;
  }
  return undefined;
}

function withoutComments(text: string): string {
  return text.replace(/\/\/[^\n]*/g, " ");
}
