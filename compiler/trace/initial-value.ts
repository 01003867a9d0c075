/**
 * First values of states from what `setup` computes. A tensor made in `setup` is a graph of constants; it is evaluated
 * here and becomes a `constant` or `values` step, or a `copy` where it is another state. Draws are steps of their own.
 */
import { fail } from "../../ir/diagnostic/diagnostic.ts";
import * as messages from "../../ir/diagnostic/messages.ts";
import { opDef, type Node } from "../../ir/graph.ts";
import type { Elements } from "../../ir/op.ts";
import { dtypeBytes, type DType } from "../../ir/type.ts";
import { toBfloat16, toFloat16 } from "../../ir/random/half.ts";
import type { State } from "./program-trace.ts";
import type { Trace } from "./trace.ts";

/** Records how `state` gets its first value: the value that `node` of the `setup` trace has. */
export function initialise(trace: Trace, state: State, node: Node): void {
  const from = trace.setupRead(node);
  if (from !== undefined) {
    trace.program.addStep({
      state,
      draws: false,
      from,
      step: (nameOf) => ({ kind: "copy", state: nameOf(state), from: nameOf(from) }),
    });
    return;
  }
  initialiseWith(trace, state, evaluateConstant(node));
}

/** Records that `state` starts with the given elements, row-major. */
export function initialiseWith(trace: Trace, state: State, values: Elements): void {
  const [first = 0] = values;
  const uniform = Number.isFinite(first) && values.every((value) => Object.is(value, first));
  const base64 = uniform ? "" : encode(values, state.type.dtype).toString("base64");
  trace.program.addStep({
    state,
    draws: false,
    from: undefined,
    step: (nameOf) =>
      uniform
        ? { kind: "constant", state: nameOf(state), value: first }
        : { kind: "values", state: nameOf(state), base64 },
  });
}

/** Elements of a node that depends on constants only, each op rounded to its own dtype. */
function evaluateConstant(node: Node): Elements {
  return valueOf(node, new Map());
}

function valueOf(node: Node, known: Map<Node, Elements>): Elements {
  const value = known.get(node);
  if (value !== undefined) return value;
  const { evaluate } = opDef(node.op);
  if (evaluate === null) throw fail(messages.computedInSetup(), node.source);
  const inputs = node.inputs.map((input) => valueOf(input, known));
  const result = rounded(
    evaluate(inputs, { types: node.inputs.map((input) => input.type), attrs: node.attrs, type: node.type }),
    node.type.dtype,
  );
  known.set(node, result);
  return result;
}

function rounded(values: Elements, dtype: DType): Elements {
  return dtype === "f32" ? Float64Array.from(new Float32Array(values)) : values;
}

const writers: Readonly<Record<DType, (view: DataView, offset: number, value: number) => void>> = {
  f32: (view, offset, value) => view.setFloat32(offset, value, true),
  f64: (view, offset, value) => view.setFloat64(offset, value, true),
  f16: (view, offset, value) => view.setUint16(offset, toFloat16(value), true),
  bf16: (view, offset, value) => view.setUint16(offset, toBfloat16(value), true),
  i8: (view, offset, value) => view.setInt8(offset, value),
  u8: (view, offset, value) => view.setUint8(offset, value),
  i16: (view, offset, value) => view.setInt16(offset, value, true),
  i32: (view, offset, value) => view.setInt32(offset, value, true),
  i64: (view, offset, value) => view.setBigInt64(offset, BigInt(Math.trunc(value)), true),
  bool: (view, offset, value) => view.setUint8(offset, value === 0 ? 0 : 1),
};

/** Little-endian elements. */
function encode(values: Elements, dtype: DType): Buffer {
  const size = dtypeBytes[dtype];
  const bytes = Buffer.alloc(values.length * size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  values.forEach((value, i) => writers[dtype](view, i * size, value));
  return bytes;
}
