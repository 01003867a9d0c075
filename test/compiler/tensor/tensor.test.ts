/** Tensors: promotion, broadcasting, values against plain arithmetic, and mistakes. */
import { assert } from "chai";
import { arange, cat, eye, full, linspace, stack, tensor, where, type Tensor } from "../../../compiler/index.ts";
import { currentTrace, runTrace } from "../../../compiler/trace/trace.ts";
import { traceFunction } from "../../../compiler/trace/function.ts";
import type { DType, TensorType } from "../../../ir/type.ts";
import { failsWith } from "../../fails-with.ts";
import { Simulation } from "../../simulate.ts";

const type = (dtype: DType, ...shape: number[]): TensorType => ({ dtype, shape });
const f23 = type("f32", 2, 3);

/** Results of a function of tensors, by the reference interpreter. */
function values(
  body: (...x: Tensor[]) => Tensor,
  types: TensorType[] = [],
  inputs: ArrayLike<number>[] = [],
): number[] {
  const names = ["x", "y", "z"];
  const program = traceFunction((x: Tensor, y: Tensor, z: Tensor) => body(...[x, y, z].slice(0, types.length)), types, {
    name: "main",
  });
  const given = Object.fromEntries(inputs.map((value, i) => [names[i] ?? "", value]));
  return [...(new Simulation(program).run("main", given).get("output") ?? [])];
}

/** The type of a result. */
function typeOf(body: (...x: Tensor[]) => Tensor, ...types: TensorType[]): string {
  const program = traceFunction((...x) => body(...x), types, { name: "main" });
  const { dtype, shape } = program.entries[0]?.graph.outputs[0]?.value.type ?? type("f32");
  return `${dtype}[${shape.join(",")}]`;
}

const trace = (body: (x: Tensor) => unknown, x: TensorType = f23): unknown =>
  traceFunction(body, [x], { name: "main" });

describe("tensors", () => {
  it("promote dtypes as PyTorch does", () => {
    const sum = (a: TensorType, b: TensorType): string => typeOf((x, y) => x?.add(y ?? 0) ?? tensor(0), a, b);
    assert.equal(sum(type("i64", 2), type("f32")), "f32[2]");
    assert.equal(sum(type("f32", 2), type("f64")), "f32[2]", "a scalar's tensor does not widen");
    assert.equal(sum(type("f32", 2), type("f64", 1)), "f64[2]");
    assert.equal(sum(type("u8", 2), type("i8", 2)), "i16[2]");
    assert.equal(sum(type("u8", 2), type("i64")), "u8[2]");
    assert.equal(sum(type("f16", 2), type("bf16", 2)), "f32[2]");
    assert.equal(sum(type("bool", 2), type("i32", 2)), "i32[2]");
    assert.equal(
      typeOf((x) => x?.add(1) ?? tensor(0), type("u8", 2)),
      "u8[2]",
    );
    assert.equal(
      typeOf((x) => x?.mul(0.5) ?? tensor(0), type("i64", 2)),
      "f32[2]",
    );
    assert.equal(
      typeOf((x) => x?.div(2) ?? tensor(0), type("i64", 2)),
      "f32[2]",
    );
    assert.equal(
      typeOf((x) => x?.sum() ?? tensor(0), type("bool", 2)),
      "i64[]",
    );
    assert.equal(
      typeOf((x) => x?.exp() ?? tensor(0), type("i64", 2)),
      "f32[2]",
    );
    assert.equal(
      typeOf((x) => x?.maskedFill(x.gt(0), 0.5) ?? tensor(0), type("f16", 2)),
      "f16[2]",
    );
    assert.equal(
      typeOf((x) => x?.argmax(1, { keepdim: true }) ?? tensor(0), type("f32", 2, 3)),
      "i64[2,1]",
    );
  });

  it("divide and take remainders by Python's signs", () => {
    const x = type("i64", 4);
    const given = [
      [7, -7, 7, -7],
      [2, 2, -2, -2],
    ];
    assert.deepEqual(
      values((a, b) => a?.floorDivide(b ?? 1) ?? tensor(0), [x, x], given),
      [3, -4, -4, 3],
    );
    assert.deepEqual(
      values((a, b) => a?.remainder(b ?? 1) ?? tensor(0), [x, x], given),
      [1, 1, -1, -1],
    );
    assert.deepEqual(
      values((a, b) => a?.fmod(b ?? 1) ?? tensor(0), [x, x], given),
      [1, -1, 1, -1],
    );
    assert.deepEqual(
      values((a, b) => a?.div(b ?? 1, { roundingMode: "trunc" }) ?? tensor(0), [x, x], given),
      [3, -3, -3, 3],
    );
  });

  it("broadcast, select and fill", () => {
    assert.deepEqual(
      values((x) => x?.add(tensor([10, 20])) ?? tensor(0), [type("f32", 2, 1)], [[1, 2]]),
      [11, 21, 12, 22],
    );
    assert.deepEqual(
      values((x) => where(x?.gt(1) ?? tensor(true), 5, -1), [type("f32", 3)], [[0, 1, 2]]),
      [-1, -1, 5],
    );
    assert.deepEqual(
      values((x) => x?.relu() ?? tensor(0), [type("f32", 3)], [[NaN, -1, 2]]),
      [NaN, 0, 2],
    );
  });

  it("are made of numbers", () => {
    assert.deepEqual(
      values(() =>
        tensor([
          [1, 2.5],
          [3, 4],
        ]),
      ),
      [1, 2.5, 3, 4],
    );
    assert.deepEqual(
      values(() => arange(2, 8, 2)),
      [2, 4, 6],
    );
    assert.deepEqual(
      values(() => linspace(0, 1, 5)),
      [0, 0.25, 0.5, 0.75, 1],
    );
    assert.deepEqual(
      values(() => eye(2)),
      [1, 0, 0, 1],
    );
    assert.equal(
      typeOf(() => full([2], 3)),
      "i64[2]",
    );
    assert.equal(
      typeOf(() => tensor([true, false])),
      "bool[2]",
    );
    assert.equal(
      typeOf(() => tensor([])),
      "f32[0]",
    );
    assert.deepEqual(
      values(() => stack([tensor([1, 2]), tensor([3, 4])], 1)),
      [1, 3, 2, 4],
    );
    assert.deepEqual(
      values(() => cat([tensor([1, 2]), tensor([0.5])])),
      [1, 2, 0.5],
    );
  });

  it("pick by index", () => {
    const x = type("f32", 2, 3);
    const given = [[1, 9, 3, 7, 5, 6]];
    assert.deepEqual(
      values((a) => a?.max(1).indices ?? tensor(0), [x], given),
      [1, 0],
    );
    assert.deepEqual(
      values((a) => a?.topk(2).values ?? tensor(0), [x], given),
      [9, 3, 7, 6],
    );
    assert.deepEqual(
      values((a) => a?.indexSelect(1, tensor([2, 0])) ?? tensor(0), [x], given),
      [3, 1, 6, 7],
    );
    assert.deepEqual(
      values((a) => a?.select(1, -1) ?? tensor(0), [x], given),
      [3, 6],
    );
  });

  it("K1105, K1106: have no values", () => {
    for (const read of [
      (x: Tensor) => x.item(),
      (x: Tensor) => x.tolist(),
      (x: Tensor) => Number(x),
      (x: Tensor) => `${x}`, // oxlint-disable-line typescript/restrict-template-expressions
      (x: Tensor) => (x as unknown as number) > 1,
      (x: Tensor) => (x as unknown as number) + 1,
      (x: Tensor) => JSON.stringify({ x }),
    ]) {
      const error = failsWith("K1105", () => trace(read));
      assert.match(error.source?.file ?? "", /tensor\.test/);
    }
    failsWith("K1106", () => trace((x) => [...(x as unknown as Iterable<Tensor>)]));
    trace((x) => {
      assert.equal(x.toString(), "Tensor f32[2,3]");
      return x;
    });
  });

  it("K1101, K1102: live in one trace", () => {
    failsWith("K1101", () => tensor(1));
    failsWith("K1102", () => trace(() => runTrace(currentTrace(), () => 1)));
  });

  it("K1107: know tensors of another copy of the library", () => {
    failsWith("K1107", () => trace(() => ({ y: { [Symbol.for("kiln.tensor")]: true } })));
  });

  it("K112x to K114x: name what does not fit", () => {
    failsWith("K1121", () => trace((x) => x.sum(2)));
    failsWith("K1122", () => trace((x) => x.sum([0, -2])));
    failsWith("K1123", () => trace((x) => x.add([1] as unknown as number)));
    failsWith("K1123", () => trace((x) => x.add(undefined as unknown as number)));
    failsWith("K1124", () => trace((x) => x.add(x.t())));
    failsWith("K1125", () => trace((x) => x.gt(0).sub(x.gt(1))));
    failsWith("K1126", () => trace((x) => x.bitwiseAnd(x)));
    failsWith("K1127", () => trace((x) => x.toLong().mean()));
    failsWith("K1128", () => trace((x) => x.reshape(4, -1)));
    failsWith("K1128", () => trace((x) => x.reshape(-1, -1)));
    failsWith("K1129", () => trace((x) => x.expand(4, 3)));
    failsWith("K1130", () => trace((x) => x.slice(0, 0, 2, -1)));
    failsWith("K1131", () => trace((x) => x.split([1, 2])));
    failsWith("K1132", () => trace((x) => x.flatten(1, 0)));
    failsWith("K1133", () => trace((x) => x.permute(0, 0)));
    failsWith("K1134", () => trace((x) => x.bmm(x)));
    failsWith("K1135", () => trace((x) => x.repeat(2)));
    failsWith("K1136", () => trace((x) => x.select(0, 2)));
    failsWith("K1136", () => trace((x) => x.narrow(1, 2, 2)));
    failsWith("K1137", () => trace((x) => x.matmul(3 as unknown as Tensor)));
    failsWith("K1138", () => trace((x) => x.matmul(x)));
    failsWith("K1140", () => trace((x) => x.gather(1, x)));
    failsWith("K1141", () => trace(() => arange(0, Infinity)));
    failsWith("K1142", () => trace(() => tensor([[1, 2], [3]])));
  });
});
