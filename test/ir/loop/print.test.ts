/** The printed form of loop IR and of planned programs. */
import { expect } from "chai";
import { constant, dot, int, load, mma, shuffle, scalar, splat, variable } from "../../../ir/loop/loop.ts";
import { printExpr, printKernel, printStmt } from "../../../ir/loop/print.ts";
import { printProgram } from "../../../ir/program-print.ts";
import { columnSum } from "./sample-kernels.ts";

describe("loop IR printer", () => {
  it("brackets by strength and writes types where they are not plain", () => {
    const i = variable("i");
    const product = scalar("mul", scalar("add", i, int(1)), scalar("sub", i, scalar("sub", int(2), i)));
    expect(printExpr(product)).to.equal("(i + 1) * (i - (2 - i))");
    expect(printExpr(scalar("fma", constant("f32", 2), load("x", "f32", i), constant("f32", 0.1)))).to.equal(
      "fma(2.0, x[i], 0.1)",
    );
    expect(printExpr(splat(constant("f32", -0), 8))).to.equal("splat8(-0.0)");
    expect(printExpr(load("x", "u8", product, 16))).to.equal("x[(i + 1) * (i - (2 - i)) :16]");
    expect(printExpr(constant("i32", 5))).to.equal("i32(5)");
  });

  it("prints a kernel a statement a line", () => {
    expect(printKernel(columnSum()).split("\n").slice(0, 9)).to.deep.equal([
      "kernel column_sum tasks 3 flops 520  # y = sum of x over rows",
      "  read x: f32[520]",
      "  write y: f32[40]",
      "{",
      "  for task in taskBegin .. taskEnd tasks {",
      "    let first = task * 16",
      "    let width = min(16, 40 - first)",
      "    local sums: f32[16]",
      "    for j in 0 .. width vector {",
    ]);
  });

  it("prints what threads do together, and products in lower precision", () => {
    const [x, y] = [load("x", "f32", variable("i")), constant("f32", 2)];
    expect(printStmt(shuffle(["a", "b"], [x, y], 4))).to.equal("shuffle a, b = x[i], 2.0 by 4");
    expect(printStmt(dot("f16", "sum", [x, scalar("add", x, y)], [y, x]))).to.equal(
      "dot f16 sum += x[i] * 2.0 + (x[i] + 2.0) * x[i]",
    );
    expect(printStmt(mma("tf32", ["s", "t"], [x, y], [y]))).to.equal("mma tf32 s, t += (x[i], 2.0) * (2.0)");
  });

  it("prints launches with their buffers", () => {
    const text = printProgram({
      name: "p",
      kernels: [columnSum()],
      entries: [
        {
          name: "train",
          batch: 64,
          arenaBytes: 128,
          buffers: [
            { role: "state", name: "w", dtype: "f32", stored: "f32", shape: [520] },
            { role: "arena", name: "arena", dtype: "u8", stored: "u8", shape: [128] },
          ],
          phases: [
            [
              {
                kernel: 0,
                args: [
                  { buffer: 0, offset: 0 },
                  { buffer: 1, offset: 64 },
                ],
              },
            ],
          ],
          scalars: [["hyper", "lr"]],
          increments: { step: 1 },
        },
      ],
    });
    expect(text).to.include('entry train@64 (arena 128 bytes) {\n  buffer 0 state "w": f32[520]');
    expect(text).to.include("  phase 0:\n    column_sum(x: read 0+0, y: write 1+64)\n}");
  });
});
