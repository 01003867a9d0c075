/** Kernels cut short: the elements they still compute are those of the whole kernel. */
import { expect } from "chai";
import { chooseCuts, shorten } from "../../bin/verify/shorten.ts";
import { interpretKernel } from "../../ir/loop/interpret.ts";
import { int, load, loop, scalar, store, variable, type Expr, type Kernel } from "../../ir/loop/loop.ts";

const add = (a: Expr, b: Expr): Expr => scalar("add", a, b);
const times = (a: Expr, b: number): Expr => scalar("mul", a, int(b));

/** y[task, i, j] = x[task, i, j] + x[task, i, j]: 3 tasks of 10 × 20. */
const twice: Kernel = {
  name: "twice",
  doc: "",
  tasks: 3,
  flops: 600,
  buffers: [
    { name: "x", dtype: "f32", size: 600, access: "read" },
    { name: "y", dtype: "f32", size: 600, access: "write" },
  ],
  body: [
    loop(
      "task",
      variable("taskBegin"),
      variable("taskEnd"),
      [
        loop("i", times(variable("task"), 10), add(times(variable("task"), 10), int(10)), [
          loop("j", int(0), int(20), [
            store(
              "y",
              add(times(variable("i"), 20), variable("j")),
              add(
                load("x", "f32", add(times(variable("i"), 20), variable("j"))),
                load("x", "f32", add(times(variable("i"), 20), variable("j"))),
              ),
            ),
          ]),
        ]),
      ],
      { mode: "tasks" },
    ),
  ],
};

/** Numbers of the elements that a kernel writes; checks their values. */
function written(kernel: Kernel): number[] {
  const x = Float32Array.from({ length: 600 }, (_, i) => i);
  const y = new Float32Array(600).fill(-1);
  interpretKernel(kernel, { x, y });
  const elements = [...y.keys()].filter((i) => y[i] !== -1);
  for (const i of elements) expect(y[i]).to.equal(2 * i);
  return elements;
}

describe("shortened kernels", () => {
  it("are not cut when there is time for all", () => {
    expect(chooseCuts(twice, 200)).to.deep.equal([]);
    expect(shorten(twice, [], "first")).to.equal(twice);
  });

  it("lose iterations of the outer loop first", () => {
    const cuts = chooseCuts(twice, 50);
    expect(cuts).to.deep.equal([{ depth: 1, count: 10, keep: 2 }]);
    const first = [0, 1, 2].flatMap((task) => Array.from({ length: 40 }, (_, i) => 200 * task + i));
    expect(written(shorten(twice, cuts, "first"))).to.deep.equal(first);
    expect(written(shorten(twice, cuts, "last"))).to.deep.equal(first.map((i) => i + 160));
  });

  it("lose iterations of inner loops when that is not enough", () => {
    const cuts = chooseCuts(twice, 4);
    expect(cuts.map(({ depth, keep }) => [depth, keep])).to.deep.equal([
      [1, 1],
      [2, 4],
    ]);
    expect(written(shorten(twice, cuts, "last")))
      .to.have.lengthOf(12)
      .and.include(599);
  });
});
