/** The vocabulary beyond single ops: indexing as in Python, scattering, einsum, diagonals, norms; values and mistakes. */
import { assert } from "chai";
import { einsum, F, meshgrid, tensor, tensordot, type Tensor } from "../../../compiler/index.ts";
import { traceFunction } from "../../../compiler/trace/function.ts";
import type { DType, TensorType } from "../../../ir/type.ts";
import { failsWith } from "../../fails-with.ts";
import { Simulation } from "../../simulate.ts";

const type = (dtype: DType, ...shape: number[]): TensorType => ({ dtype, shape });

/** Results of a function without arguments, by the reference interpreter. */
function values(body: () => Tensor): { readonly shape: readonly number[]; readonly values: number[] } {
  const program = traceFunction(() => body(), [], { name: "main" });
  const shape = program.entries[0]?.graph.outputs[0]?.value.type.shape ?? [];
  return { shape, values: [...(new Simulation(program).run("main", {}).get("output") ?? [])] };
}

/** The numbers 0, 1, … in a shape. */
function counted(...shape: number[]): Tensor {
  const count = shape.reduce((product, extent) => product * extent, 1);
  return tensor(Array.from({ length: count }, (_, i) => i))
    .toFloat()
    .reshape(shape);
}

const fails = (code: string, body: (x: Tensor) => unknown, of: TensorType = type("f32", 3, 4)): Error =>
  failsWith(code, () => traceFunction(body, [of], { name: "main" }));

describe("indexing as in Python", () => {
  it("takes numbers, slices, new axes and an ellipsis", () => {
    assert.deepEqual(
      values(() => counted(3, 4).index(1, { start: -3, step: 2 })),
      { shape: [2], values: [5, 7] },
    );
    assert.deepEqual(
      values(() => counted(2, 2).index("...", null, 0)),
      { shape: [2, 1], values: [0, 2] },
    );
  });

  it("broadcasts index tensors, and puts their axes first where they do not stand together", () => {
    const apart = values(() => counted(2, 3, 4).index([0, 1, 1], { start: 0 }, [3, -1, 0]));
    assert.deepEqual(apart.shape, [3, 3]);
    assert.deepEqual(apart.values, [3, 7, 11, 15, 19, 23, 12, 16, 20]);
    assert.deepEqual(values(() => counted(2, 3, 4).index({ start: 0 }, [0, 2], [1, 1])).values, [1, 9, 13, 21]);
  });

  it("refuses more parts than axes, and masks", () => {
    fails("K1404", (x) => x.index(0, 0, 0));
    fails("K1404", (x) => x.index("...", "...", 0));
    fails("K1404", (x) => x.indexPut([], 1));
    fails("K1140", (x) => x.index(x.gt(0)));
  });
});

describe("scattering", () => {
  it("keeps the last of several values for one place", () => {
    const source = (): Tensor => tensor([1, 2, 3, 4], { dtype: "f32" });
    const place = (): Tensor => tensor([1, 0, 1, 1]);
    assert.deepEqual(values(() => counted(3).scatter(0, place(), source())).values, [2, 4, 2]);
    assert.deepEqual(values(() => counted(3).indexPut([place()], source())).values, [2, 4, 2]);
    const sum = values(() => counted(3).indexPut([place()], source(), { accumulate: true }));
    assert.deepEqual(sum.values, [2, 9, 2]);
  });

  it("gives a number to every place", () => {
    assert.deepEqual(values(() => counted(2, 2).scatter(1, tensor([[1], [0]]), 9)).values, [0, 9, 9, 3]);
  });
});

describe("einsum", () => {
  it("contracts, traces, broadcasts and orders axes", () => {
    assert.deepEqual(values(() => einsum("ij,jk->ki", counted(2, 3), counted(3, 2))).values, [10, 28, 13, 40]);
    assert.deepEqual(
      values(() => einsum("ii", counted(3, 3))),
      { shape: [], values: [12] },
    );
    assert.deepEqual(values(() => einsum("...i,i->...", counted(2, 3), counted(3))).values, [5, 14]);
    assert.deepEqual(values(() => tensordot(counted(2, 3), counted(3, 2), 1)).values, [10, 13, 28, 40]);
  });

  it("refuses equations that do not fit", () => {
    fails("K1403", (x) => einsum("ij,jk->ik", x));
    fails("K1403", (x) => einsum("ijk->i", x));
    fails("K1403", (x) => einsum("ij->k", x));
    fails("K1403", (x) => einsum("ij,ij->i", x, x.t()));
    fails("K1403", (x) => einsum("i1->i", x));
  });
});

describe("rearranging", () => {
  it("makes diagonals, triangles, rolls and grids", () => {
    assert.deepEqual(values(() => counted(2).diag(1)).values, [0, 0, 0, 0, 0, 1, 0, 0, 0]);
    assert.deepEqual(values(() => counted(3, 4).diagonal(-1)).values, [4, 9]);
    assert.deepEqual(values(() => counted(2, 2).tril()).values, [0, 0, 2, 3]);
    assert.deepEqual(values(() => counted(4).roll(-5)).values, [1, 2, 3, 0]);
    const [x] = [values(() => meshgrid([counted(2), counted(3)], { indexing: "xy" })[0] ?? counted(1))];
    assert.deepEqual(x, { shape: [3, 2], values: [0, 1, 0, 1, 0, 1] });
    fails("K1402", (y) => y.roll([1, 2], [0]));
  });

  it("repeats by a tensor of counts if it is told how many there will be", () => {
    const counts = (): Tensor => tensor([2, 0, 1]);
    const repeated = values(() => counted(3).repeatInterleave(counts(), 0, { outputSize: 3 }));
    assert.deepEqual(repeated.values, [0, 0, 2]);
    fails("K1401", (x) => x.repeatInterleave(counts(), 0));
  });
});

describe("functions", () => {
  it("mind infinities and zeros", () => {
    const infinite = (): Tensor => tensor([-Infinity, 0], { dtype: "f32" });
    assert.deepEqual(values(() => infinite().logaddexp(infinite())).values, [-Infinity, Math.log(2)]);
    assert.deepEqual(
      values(() => tensor([0, 0], { dtype: "f32" }).xlogy(tensor([0, -1], { dtype: "f32" }))).values,
      [0, 0],
    );
    assert.deepEqual(values(() => counted(2).norm(0)).values, [1]);
  });

  it("give gradient 0 where a norm is 0", () => {
    const program = traceFunction((x: Tensor) => x.norm(2, 1), [type("f32", 2, 2)], { name: "main", grad: true });
    const given = { x: Float64Array.of(0, 0, 3, 4) };
    const gradient = [...(new Simulation(program).run("main", given).get("grad.x") ?? [])];
    [0, 0, 3 / 5, 4 / 5].forEach((expected, i) => assert.closeTo(gradient[i] ?? Number.NaN, expected, 1e-12));
    const deviation = traceFunction((x: Tensor) => x.std(1), [type("f32", 2, 2)], { name: "main", grad: true });
    const slopes = [...(new Simulation(deviation).run("main", { x: [2, 2, 1, 3] }).get("grad.x") ?? [])];
    [0, 0, -Math.SQRT1_2, Math.SQRT1_2].forEach((slope, i) => assert.closeTo(slopes[i] ?? Number.NaN, slope, 1e-12));
  });

  it("divide and round down by the true quotient", () => {
    const quotients = (): Tensor =>
      tensor([1, -1, 7, 1, 0], { dtype: "f64" }).floorDivide(tensor([0.1, 0.1, -2, 0, 0], { dtype: "f64" }));
    // 1 / 0.1 rounds to 10, but the number that 0.1 stands for is a little more than a tenth.
    assert.deepEqual(values(quotients).values, [9, -10, -4, Infinity, Number.NaN]);
  });

  it("refuse what does not fit, with the function's name", () => {
    assert.match(fails("K1207", (x) => F.glu(x.slice(1, 0, 3))).message, /glu/);
    fails("K1206", (x) => F.pad(x, [1]));
    fails("K1206", (x) => F.pad(x, [4, 0], { mode: "reflect" }));
    fails("K1206", (x) => F.oneHot(x.toLong(), -1));
    fails("K1206", (x) => F.interpolate(x.reshape([1, 3, 4]), {}));
    fails("K1206", (x) =>
      F.convTranspose1d(
        x,
        tensor([[[1, 2]]])
          .toFloat()
          .repeat([3, 1, 1]),
        { outputPadding: 1 },
      ),
    );
  });
});
