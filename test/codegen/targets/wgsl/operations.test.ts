/** Every scalar operation on every element type that has it, alone and in vectors, on a device against the interpreter. */
import { expect } from "chai";
import { at } from "../../../../ir/type.ts";
import { requireDevice, runOnDevice } from "./device.ts";
import { operationBuffers, operationCases, operationFaults } from "./operation-kernels.ts";

describe("WGSL operations", () => {
  it("mean what scalar.ts says, on every type", async function () {
    this.timeout(120_000);
    const device = await requireDevice(this);
    const cases = operationCases();
    const buffers = cases.map(operationBuffers);
    await runOnDevice(
      device,
      cases.map(({ kernel }) => kernel),
      buffers,
    );
    const wrong = cases.flatMap((tested, index) => operationFaults(tested, at(buffers, index)));
    expect(wrong.slice(0, 20), `${wrong.length} wrong`).to.deep.equal([]);
    await device.close();
  });
});
