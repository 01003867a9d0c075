/**
 * W6: single operations. Operands and result are memory that stays where it is (ours: state; PyTorch's: tensors kept over
 * the calls, `out=` where an operation takes it), so that only the operation is timed.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileTraced } from "../../compiler/compile.ts";
import { nn, uniform, zeros, type Shape, type Tensor } from "../../compiler/index.ts";
import { traceFunctionWith } from "../../compiler/trace/function.ts";
import type { TracedProgram } from "../../compiler/trace/traced.ts";
import { Program } from "../../runtime/program.ts";
import { deviceTargets } from "../../runtime/select-target.ts";
import type { Contestant } from "../contestant.ts";
import { timed } from "../ours.ts";
import type { Case, Setting, Workload } from "./workload.ts";

/** An operation on operands of given shapes. */
export type Operation = {
  readonly name: string;
  readonly operands: readonly Shape[];
  readonly result: Shape;
  readonly compute: (...operands: Tensor[]) => Tensor;
  /** Floating-point operations, where rates of them are usually given. */
  readonly flops?: number;
};

/** All of them. */
export const operations: readonly Operation[] = [
  ...[512, 1024, 2048].map((n) => matmul(n, n, n)),
  matmul(64, 784, 128),
  matmul(128, 64, 784),
  rows("softmax", [4096, 4096], (x) => nn.functional.softmax(x, -1)),
  rows("layerNorm", [4096, 1024], (x) => nn.functional.layerNorm(x, [1024])),
  chain("gelu", (x) => nn.functional.gelu(x)),
  chain("geluTanh", (x) => nn.functional.gelu(x, { approximate: "tanh" })),
];

/** Single operations. */
export const w6: Workload = {
  name: "W6",
  doc: "single operations: matmul, softmax, layerNorm, gelu(x*a+b)",
  cases: operations.map((operation): Case => ({
    name: operation.name,
    unit: "call",
    ...(operation.flops === undefined ? {} : { flops: operation.flops }),
    open: (setting) => open(operation, setting),
  })),
};

/** The product of `[m, k]` and `[k, n]`. */
export function matmul(m: number, k: number, n: number): Operation {
  const operands = [
    [m, k],
    [k, n],
  ];
  const compute = (a?: Tensor, b?: Tensor): Tensor => defined(a).matmul(defined(b));
  return { name: `matmul ${m}x${k}x${n}`, operands, result: [m, n], compute, flops: 2 * m * k * n };
}

/** An operation along the last axis. */
function rows(name: string, shape: readonly [number, number], compute: (x: Tensor) => Tensor): Operation {
  return { name: `${name} ${shape.join("x")}`, operands: [shape], result: shape, compute: (x) => compute(defined(x)) };
}

/** `activation(x * a + b)`, 16 M elements each. */
function chain(name: string, activation: (x: Tensor) => Tensor): Operation {
  const shape = [2 ** 24];
  return {
    name: `${name}(x*a+b) ${shape[0]}`,
    operands: [shape, shape, shape],
    result: shape,
    compute: (x, a, b) => activation(defined(x).mul(defined(a)).add(defined(b))),
  };
}

function defined(tensor: Tensor | undefined): Tensor {
  if (tensor === undefined) throw new RangeError("an operation with fewer operands than it uses");
  return tensor;
}

/** Holds the operands and the result. */
class Holder extends nn.Module {
  readonly operands: readonly string[];
  declare result: Tensor;

  constructor({ operands, result }: Operation) {
    super();
    this.operands = operands.map((_, i) => `operand${i}`);
    for (const [i, shape] of operands.entries()) this.registerBuffer(`operand${i}`, uniform(shape, -1, 1));
    this.registerBuffer("result", zeros(result));
  }

  /** The operands as tensors. */
  tensors(): Tensor[] {
    const buffers = new Map(this.namedBuffers());
    return this.operands.map((name) => defined(buffers.get(name)));
  }
}

/** A program whose entry `call` does the operation on its own state. */
export function traceOperation(operation: Operation): TracedProgram {
  return traceFunctionWith(
    () => ({ holder: new Holder(operation) }),
    ({ holder }) => {
      holder.result.copy_(operation.compute(...holder.tensors()));
      return {};
    },
    [],
    { name: "call" },
  );
}

async function open(operation: Operation, { threads, device = "cpu" }: Setting): Promise<Contestant> {
  const traced = traceOperation(operation);
  const folder = await mkdtemp(join(tmpdir(), "kiln-bench-"));
  await compileTraced(traced, { out: folder, name: "operation", targets: [deviceTargets[device]] });
  const program = await Program.load(folder, { threads, device, seed: 0 });
  return timed(
    program.manifest.entries[0],
    async (steps) => {
      await program.run({ entry: "call", steps });
    },
    () => undefined,
    async () => {
      await program.dispose();
      await rm(folder, { recursive: true, force: true });
    },
  );
}
