/** Variants of kernels: which of them a device takes, and that what they rely on is measured on it. */
import { expect } from "chai";
import { roundToFloat16 } from "../../../ir/random/half.ts";
import { chooseVariants, measureSubgroup } from "../../../runtime/gpu/variants.ts";
import type { GpuKernel } from "../../../runtime/gpu/device.ts";
import { filled, floatsOf, openOrSkip, telling, unaryKernel, whole } from "./open-wgpu.ts";

describe("variants of kernels", () => {
  it("are taken as far as a device offers what they need", () => {
    const chosen = (subgroup: number): unknown =>
      chooseVariants([telling], { subgroup, f16: false })[0]?.needs?.subgroup;
    expect([1, 2, 3, 8, 15, 64, 4096].map(chosen)).to.deep.equal([undefined, 2, 2, 8, 8, 16, 4096]);
    expect(chooseVariants([telling], { subgroup: 1, f16: true })[0]).to.include({ text: telling.text });
  });

  it("are in half precision where a device has it, with subgroups as far as it has those", () => {
    const needs = [
      { f16: false, subgroup: 4 },
      { f16: true, subgroup: 1 },
      { f16: true, subgroup: 4 },
    ];
    const kernel: GpuKernel = {
      ...unaryKernel("b[i] = 0.0;"),
      variants: needs.map((each, i) => ({ needs: each, sharedBytes: 4 * i, text: `variant ${i}` })),
    };
    const chosen = (f16: boolean, subgroup: number): unknown => chooseVariants([kernel], { f16, subgroup })[0]?.text;
    expect([chosen(false, 2), chosen(false, 8), chosen(true, 2), chosen(true, 8)]).to.deep.equal([
      kernel.text,
      "variant 0",
      "variant 1",
      "variant 2",
    ]);
  });

  it("shuffle as far as was measured, and no further than the driver tells", async function () {
    const device = await openOrSkip(this);
    try {
      const subgroup = await measureSubgroup(device, 0);
      expect(subgroup).to.be.within(1, 8);
      expect(await measureSubgroup(device, 2)).to.be.at.most(2);
      const input = filled(device, new Float32Array(64).fill(0.5));
      const output = device.allocate(256);
      const module = await device.load({ kernels: [telling] });
      const sequence = device.sequence(module, [{ kernel: 0, groups: 1, bindings: [whole(input), whole(output)] }]);
      await sequence.run(1);
      const expected = Array.from({ length: 64 }, (_, i) => subgroup + (i ^ (subgroup / 2)) / 64);
      const core = Array.from({ length: 64 }, () => 0.5);
      expect(Array.from(await floatsOf(device, output))).to.deep.equal(subgroup === 1 ? core : expected);
    } finally {
      await device.close();
    }
  });

  it("round to halves on a device that has them, and not at all on another", async function () {
    const device = await openOrSkip(this);
    try {
      const kernel: GpuKernel = {
        ...unaryKernel("b[i] = a[i];"),
        variants: [
          { needs: { f16: true, subgroup: 1 }, sharedBytes: 0, text: unaryKernel("b[i] = f32(f16(a[i]));").text },
        ],
      };
      const numbers = Float32Array.from({ length: 64 }, (_, i) => 1 + i / 4096);
      const [input, output] = [filled(device, numbers), device.allocate(256)];
      const module = await device.load({ kernels: [kernel] });
      const sequence = device.sequence(module, [{ kernel: 0, groups: 1, bindings: [whole(input), whole(output)] }]);
      await sequence.run(1);
      const got = await floatsOf(device, output);
      expect([numbers, numbers.map(roundToFloat16)]).to.deep.include(got);
    } finally {
      await device.close();
    }
  });
});
