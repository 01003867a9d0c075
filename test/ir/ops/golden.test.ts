/** Ops with a PyTorch operator of the same meaning, against its stored results and gradients. */
import { expect } from "chai";
import { createWriter, opDef, opNames, type GraphWriter, type Node, type OpName } from "../../../ir/graph.ts";
import { interpret } from "../../../ir/interpret.ts";
import type { Value } from "../../../ir/op.ts";
import { at, sameShape } from "../../../ir/type.ts";
import { loadManifest, openTensors, requireGolden, type GoldenTensor } from "../../golden.ts";
import { reverseSweep } from "./reverse.ts";

type GoldenCase = {
  readonly id: string;
  readonly op: string;
  readonly file: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly rtol: number;
  readonly atol: number;
  readonly cotangents?: readonly (string | null)[];
  readonly grads?: Readonly<Record<string, string>>;
  readonly grad_rtol?: number;
  readonly grad_atol?: number;
  readonly second?: {
    readonly v: Readonly<Record<string, string>>;
    readonly grads: Readonly<Record<string, string>>;
    readonly rtol: number;
    readonly atol: number;
  };
};

/** PyTorch's names of ops that are called otherwise here; the rest have the same name. */
const renamed: Readonly<Record<string, OpName>> = { fmod: "mod", maximum: "max", minimum: "min", where: "select" };

/** The call of ours that a case stands for; `undefined` if it uses more of PyTorch than one op. */
function build({ g, append }: GraphWriter, test: GoldenCase, x: readonly Node[]): Node | undefined {
  const first = x[0];
  if (first === undefined) return undefined;
  const { shape } = first.type;
  const [, dim] = test.args;
  const axis = typeof dim === "number" && shape.length > 0 ? (dim + shape.length) % shape.length : undefined;
  const name = renamed[test.op] ?? test.op;
  const same = opNames.find((op) => op === name);
  switch (test.op) {
    case "cumsum":
    case "cumprod":
      return axis === undefined ? undefined : g[test.op](first, { axis, reverse: false });
    case "prod":
    case "amax":
    case "amin": {
      if (Object.keys(test.kwargs).length > 0 || test.args.length > 1) return undefined;
      const op = test.op === "prod" ? "prod" : test.op === "amax" ? "maxReduce" : "minReduce";
      return g[op](first, { axes: shape.map((_, i) => i) });
    }
    case "gather":
      return axis === undefined || x[1]?.type.shape.length !== shape.length
        ? undefined
        : g.takeAlong(first, at(x, 1), { axis });
    case "index_select":
      return axis === undefined ? undefined : g.gather(first, at(x, 1), { axis });
    case "nn.functional.conv1d":
    case "nn.functional.conv2d":
    case "nn.functional.conv3d":
      return buildConv(g, test, x);
    case "nn.functional.max_pool1d":
    case "nn.functional.max_pool2d":
    case "nn.functional.max_pool3d":
      return buildMaxPool(g, test, first);
    default: {
      const alike = x.every((operand) => sameShape(operand.type.shape, shape));
      const elementwise = same !== undefined && opDef(same).lowering.class === "map" && opDef(same).arity === x.length;
      const alikeTypes = x
        .slice(same === "select" ? 1 : 0)
        .every(({ type }) => type.dtype === at(x, x.length - 1).type.dtype);
      const plain = Object.keys(test.kwargs).length === 0 && test.args.length === x.length;
      return !elementwise || !alike || !alikeTypes || !plain ? undefined : append(same, x, {});
    }
  }
}

/** A number per spatial axis, from PyTorch's number or list. */
function perAxis(value: unknown, rank: number, otherwise: readonly number[]): number[] | undefined {
  if (value === undefined || value === null) return [...otherwise];
  if (typeof value === "number") return otherwise.map(() => value);
  if (!Array.isArray(value)) return undefined;
  const list = value.map(Number);
  return list.length === rank ? list : list.length === 1 ? otherwise.map(() => at(list, 0)) : undefined;
}

function buildConv(g: GraphWriter["g"], { args, kwargs }: GoldenCase, x: readonly Node[]): Node | undefined {
  const rank = at(x, 1).type.shape.length - 2;
  const ones = Array.from({ length: rank }, () => 1);
  const strides = perAxis(kwargs["stride"], rank, ones);
  const padding = perAxis(
    kwargs["padding"] === "valid" ? 0 : kwargs["padding"],
    rank,
    ones.map(() => 0),
  );
  const rhsDilation = perAxis(kwargs["dilation"], rank, ones);
  const groups = Number(kwargs["groups"] ?? 1);
  if (args.length > 3 || at(x, 0).type.shape.length !== rank + 2) return undefined;
  if (strides === undefined || padding === undefined || rhsDilation === undefined) return undefined;
  const borders = padding.map((p): [number, number] => [p, p]);
  const attrs = { strides, padding: borders, lhsDilation: ones, rhsDilation, groups };
  const y = g.conv(at(x, 0), at(x, 1), attrs);
  const bias = x[2];
  if (bias === undefined) return y;
  const lifted = g.reshape(bias, { shape: y.type.shape.map((extent, axis) => (axis === 1 ? extent : 1)) });
  return g.add(y, g.broadcast(lifted, { shape: y.type.shape }));
}

/** Max pooling: the elements at `windowArgmax` of the flattened spatial axes. */
function buildMaxPool(g: GraphWriter["g"], { op, args, kwargs }: GoldenCase, x: Node): Node | undefined {
  const rank = Number(op.at(-2));
  const { shape } = x.type;
  const leading = shape.slice(0, shape.length - rank);
  const ones = Array.from({ length: rank }, () => 1);
  const window = perAxis(kwargs["kernel_size"], rank, ones);
  const dilation = perAxis(kwargs["dilation"], rank, ones);
  const padding = perAxis(
    kwargs["padding"],
    rank,
    ones.map(() => 0),
  );
  if (window === undefined || dilation === undefined || padding === undefined) return undefined;
  const strides = perAxis(kwargs["stride"], rank, window);
  if (strides === undefined || args.length > 1 || kwargs["ceil_mode"] === true) return undefined;
  const borders = padding.map((p): [number, number] => [p, p]);
  const index = g.windowArgmax(x, { window, strides, padding: borders, dilation });
  const flat = (value: Node): Node => {
    const spatial = value.type.shape.slice(leading.length).reduce((product, extent) => product * extent, 1);
    return g.reshape(value, { shape: [...leading, spatial] });
  };
  const taken = g.takeAlong(flat(x), flat(index), { axis: leading.length });
  return g.reshape(taken, { shape: index.type.shape });
}

function elements({ data }: GoldenTensor): Float64Array {
  return Float64Array.from(data, Number);
}

/** Compares by the rule of the reference data: |a - b| <= atol + rtol |b|, NaN with NaN. */
function agree(
  got: Float64Array,
  golden: GoldenTensor,
  tolerance: { readonly rtol: number; readonly atol: number },
  what: string,
): void {
  const expected = elements(golden);
  expect(got.length, what).to.equal(expected.length);
  for (const [i, b] of expected.entries()) {
    const a = got[i] ?? Number.NaN;
    const close = Object.is(a, b) || a === b || Math.abs(a - b) <= tolerance.atol + tolerance.rtol * Math.abs(b);
    expect(close || (Number.isNaN(a) && Number.isNaN(b)), `${what}, element ${i}: ${a}, expected ${b}`).to.equal(true);
  }
}

/** Runs one case; false if it is not a single op. */
function runCase(test: GoldenCase, tensors: ReadonlyMap<string, GoldenTensor>): boolean {
  const writer = createWriter(() => undefined);
  const given = new Map<string, Float64Array>();
  const tensor = (name: string): GoldenTensor => tensors.get(name) ?? expect.fail(`no tensor ${name}`);
  const leaf = (name: string): Node => {
    const { dtype, shape } = tensor(name);
    given.set(name, elements(tensor(name)));
    return writer.g.input({ name, dtype, shape });
  };
  const operands = test.inputs.map(leaf);
  const output = build(writer, test, operands);
  if (output === undefined) return false;
  const valueOf = (value: Value): Float64Array => {
    const node = at(writer.nodes, value.id);
    const graph = { name: "test", nodes: writer.nodes, outputs: [{ name: "y", value: node }], writes: [] };
    return interpret(graph, { inputs: given }).outputs.get("y") ?? new Float64Array();
  };
  const golden = tensor(at(test.outputs, 0));
  expect(output.type.shape, test.id).to.deep.equal(golden.shape);
  agree(valueOf(output), golden, test, test.id);
  const seedName = test.cotangents?.[0];
  if (typeof seedName !== "string") return true;
  const seed = leaf(seedName);
  const cotangents = reverseSweep(writer, output, seed);
  const tolerance = { rtol: test.grad_rtol ?? 0, atol: test.grad_atol ?? 0 };
  const terms: Value[] = [];
  for (const [i, name] of test.inputs.entries()) {
    const gradient = cotangents.get(at(operands, i));
    const stored = test.grads?.[name];
    if (stored === undefined) continue;
    if (gradient === undefined) expect.fail(`${test.id}: no gradient of ${name}`);
    agree(valueOf(gradient), tensor(stored), tolerance, `${test.id}, gradient of ${name}`);
    const direction = test.second?.v[name];
    if (direction === undefined) continue;
    const axes = gradient.type.shape.map((_, axis) => axis);
    terms.push(writer.g.sum(writer.g.mul(gradient, leaf(direction)), { axes }));
  }
  if (test.second === undefined || terms.length === 0) return true;
  const total = at(writer.nodes, terms.reduce((x, y) => writer.g.add(x, y)).id);
  const again = reverseSweep(writer, total, writer.g.full({ value: 1, ...total.type }));
  for (const [name, stored] of Object.entries(test.second.grads)) {
    const node = name === seedName ? seed : at(operands, test.inputs.indexOf(name));
    const gradient = again.get(node) ?? writer.g.full({ value: 0, ...node.type });
    agree(valueOf(gradient), tensor(stored), test.second, `${test.id}, second gradient of ${name}`);
  }
  return true;
}

describe("ops against PyTorch", () => {
  it("agree in results, gradients and gradients of gradients", function () {
    requireGolden(this);
    const files = new Map<string, ReadonlyMap<string, GoldenTensor>>();
    let count = 0;
    for (const test of loadManifest<GoldenCase>("ops").cases) {
      let tensors = files.get(test.file);
      if (tensors === undefined) files.set(test.file, (tensors = openTensors(`ops/${test.file}`)));
      if (runCase(test, tensors)) count++;
    }
    expect(count).to.be.greaterThan(100);
  });
});
