/**
 * The passes over the graph of an entry, in order. Each keeps what the graph computes: the same numbers, the same
 * draws in the same order, the same writes. The list is the documentation; the last step applies all rules together,
 * since what one enables may be another's.
 */
import { removeDeadNodes } from "./liveness.ts";
import { composeRules } from "./movement-compose.ts";
import { narrowRules } from "./movement-narrow.ts";
import { foldRules } from "./fold.ts";
import { dotRules } from "./normalize-dot.ts";
import type { Pass } from "./pass.ts";
import { reductionRules } from "./reductions.ts";
import type { Rule } from "./rewrite.ts";
import { arithmeticRules } from "./simplify-arithmetic.ts";
import { logicRules } from "./simplify-logic.ts";

/** All rewrite rules. */
export const rules: readonly Rule[] = [
  ...foldRules,
  ...arithmeticRules,
  ...logicRules,
  ...composeRules,
  ...narrowRules,
  ...reductionRules,
  ...dotRules,
];

/** The passes, in order. */
export const pipeline: readonly Pass[] = [
  { name: "dce", doc: "drops what no output, write or draw needs", run: removeDeadNodes },
  { name: "cse", doc: "makes equal nodes one", rules: [] },
  { name: "fold", doc: "computes what is known now", rules: foldRules },
  {
    name: "movement",
    doc: "shortens chains of movement, works before broadcasts instead of after, and moves permutes into axes",
    rules: [...composeRules, ...narrowRules, ...reductionRules, ...dotRules],
  },
  {
    name: "simplify",
    doc: "algebra of arithmetic, comparison, choice and conversion",
    rules: [...arithmeticRules, ...logicRules],
  },
  { name: "settle", doc: "applies all rules together until none applies", rules },
];
