/** Variants of kernels: which of them a device takes, and that what they rely on is measured on it. */
import { expect } from "chai";
import { chooseVariants, measureSubgroup } from "../../../runtime/gpu/variants.ts";
import { filled, floatsOf, openOrSkip, telling, whole } from "./open-wgpu.ts";

describe("variants of kernels", () => {
  it("are taken as far as a device offers what they need", () => {
    const chosen = (subgroup: number): unknown =>
      chooseVariants([telling], { subgroup, f16: false })[0]?.needs?.subgroup;
    expect([1, 2, 3, 8, 15, 64, 4096].map(chosen)).to.deep.equal([undefined, 2, 2, 8, 8, 16, 4096]);
    expect(chooseVariants([telling], { subgroup: 1, f16: true })[0]).to.include({ text: telling.text });
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
});
