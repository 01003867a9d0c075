/** All operators that the runner knows, by PyTorch's name. */
import { elementwiseOperators } from "./elementwise.ts";
import { lossOperators } from "./loss.ts";
import { movementOperators } from "./movement.ts";
import { networkOperators } from "./network.ts";
import { reductionOperators } from "./reduction.ts";
import type { OperatorTable } from "./operator.ts";

/** Operators by name; what is not here is not supported. */
export const operators: OperatorTable = {
  ...elementwiseOperators,
  ...lossOperators,
  ...movementOperators,
  ...networkOperators,
  ...reductionOperators,
};
