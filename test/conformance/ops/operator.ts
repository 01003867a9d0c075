/** What the table of operators says of each: PyTorch's signature, and the call of ours it stands for. */
import type { Tensor } from "../../../compiler/trace/tensor.ts";
import type { Call } from "../call.ts";

/** An operator of PyTorch in our words. */
export type Operator = {
  /** Names of the parameters in PyTorch's order; one with a star in front takes all arguments that are left. */
  readonly signature: readonly string[];
  readonly run: (call: Call) => Tensor | readonly Tensor[];
  /** Parameters that the call may write to. */
  readonly writes: readonly string[];
};

/** Operators by PyTorch's name. */
export type OperatorTable = Readonly<Record<string, Operator>>;

/** An operator with this signature, written as one text: `"input, dim, keepdim"`. */
export function operator(signature: string, run: Operator["run"], writes: readonly string[] = []): Operator {
  return { signature: signature.split(",").map((name) => name.trim()), run, writes };
}
