/** The cases of every op; a new op without cases does not compile. */
import type { OpName } from "../../../ir/graph.ts";
import type { CasesOf } from "./case.ts";
import { arithmeticCases } from "./arithmetic-cases.ts";
import { leafCases } from "./leaf-cases.ts";
import { logicCases } from "./logic-cases.ts";
import { mathCases } from "./math-cases.ts";
import { movementCases } from "./movement-cases.ts";
import { productCases, windowCases } from "./product-cases.ts";
import { orderCases, reduceCases, selectionCases } from "./tensor-cases.ts";

/** Valid and invalid calls, by op. */
export const opCases: CasesOf<OpName> = {
  ...leafCases,
  ...arithmeticCases,
  ...mathCases,
  ...logicCases,
  ...movementCases,
  ...reduceCases,
  ...productCases,
  ...windowCases,
  ...selectionCases,
  ...orderCases,
};
