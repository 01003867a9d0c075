/** All operators that the runner knows, by PyTorch's name. */
import { elementwiseOperators } from "./elementwise.ts";
import { movementOperators } from "./movement.ts";
import { reductionOperators } from "./reduction.ts";
import type { OperatorTable } from "./operator.ts";

/** Operators by name; what is not here is not supported. */
export const operators: OperatorTable = {
  ...elementwiseOperators,
  ...movementOperators,
  ...reductionOperators,
};
