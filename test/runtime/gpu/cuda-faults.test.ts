/**
 * Every call that a device makes of the driver and of NVRTC fails once: the answer is a `TargetError` or no error at all,
 * nothing crashes or leaks, and the next device works.
 */
import { expect } from "chai";
import { DiagnosticError, TargetError } from "../../../ir/diagnostic/diagnostic.ts";
import { openCuda, type CudaDevice } from "../../../runtime/gpu/cuda.ts";
import { failsWithAsync } from "../../fails-with-async.ts";
import { bind, kernels, kernelsText } from "./cuda-kernels.ts";
import { emulatedDriverOrSkip, emulatedImage, type EmulatedDriver } from "./emulated-driver.ts";

/** What a call may fail with: a bad argument, too little memory, a kernel that broke the context. */
const codes = [1, 2, 700];

/** Functions whose failure costs nothing but what they are asked for; a context is also set to query an event. */
const harmless = ["nvrtcDestroyProgram", "cuEventQuery", "cuCtxSetCurrent"];

/** Everything that a device can do. */
async function everything(): Promise<void> {
  const device = await openCuda();
  let failure: unknown;
  try {
    await use(device);
  } catch (error) {
    failure = error;
  }
  try {
    await device.close();
  } catch (error) {
    failure ??= error;
  }
  if (failure !== undefined) throw failure;
}

async function use(device: CudaDevice): Promise<void> {
  const compiled = await device.load({ kernels });
  compiled.free();
  // Asks for shared memory beside what the text declares.
  const wanting = kernels.map((kernel) => ({ ...kernel, sharedBytes: 1024 }));
  const module = await device.load({ kernels: wanting, image: emulatedImage(kernelsText) });
  const state = device.allocate(256 * 100);
  const sums = device.allocate(4 * 100);
  for (let i = 0; i < 10; i++) device.write(state, 0, new Uint8Array(256));
  device.write(state, 0, new Uint8Array(256 * 100));
  const sequence = device.sequence(module, [
    { kernel: 3, groups: 2, bindings: [bind(state, 0, 256, 256)] },
    { kernel: 2, groups: 1, bindings: [bind(state, 0, 256, 256), bind(sums, 0, 4, 4)] },
  ]);
  expect(await sequence.run(70)).to.equal(70);
  expect(sequence.runSync(6)).to.equal(6);
  await device.read(sums, 0, new Uint8Array(280));
  device.write(state, 0, new Uint8Array(256));
  device.readSync(state, 0, new Uint8Array(256));
  sequence.free();
  state.free();
}

describe("failures of the CUDA driver", function () {
  this.timeout(300_000);
  let driver: EmulatedDriver;

  before(function () {
    driver = emulatedDriverOrSkip(this);
  });
  after(() => driver?.close());

  it("are typed errors, each of them, and leave nothing behind", async () => {
    driver.reset({ isDeferred: true });
    await everything();
    // The driver is asked for its version once a process; what is counted are the calls of every device.
    driver.reset({ isDeferred: true });
    await everything();
    expect(driver.complaints()).to.deep.equal([]);
    const counts = new Map<string, number>();
    for (const name of driver.log("call")) counts.set(name, (counts.get(name) ?? 0) + 1);
    expect(counts.size).to.be.greaterThan(40);
    let failed = 0;
    for (const [name, count] of counts) {
      for (let nth = 1; nth <= count; nth++) {
        for (const code of codes) {
          driver.reset({ isDeferred: true });
          driver.fail(name, nth, code);
          const where = `${name}, call ${nth}, code ${code}`;
          try {
            await everything();
            // How often some are called depends on who comes first: a call of before may not be made again.
            const isReached = driver.log("call").filter((each) => each === name).length >= nth;
            if (isReached) expect(harmless, where).to.include(name);
          } catch (error) {
            if (!(error instanceof DiagnosticError)) throw error;
            expect(error, where).to.be.instanceOf(TargetError);
            failed++;
          }
          expect(driver.complaints(), where).to.deep.equal([]);
        }
      }
    }
    expect(failed).to.be.greaterThan(150);
    driver.reset();
    await everything();
    expect(driver.complaints()).to.deep.equal([]);
  });

  it("are typed errors when it is opened, too", async () => {
    for (const name of ["cuInit", "cuDriverGetVersion"]) {
      driver.reset();
      process.env["KILN_CUDA_DRIVER"] = driver.anotherPath();
      driver.fail(name, 1, 1);
      await failsWithAsync(name === "cuInit" ? "K5423" : "K5211", everything);
      await everything();
      expect(driver.complaints()).to.deep.equal([]);
    }
    process.env["KILN_CUDA_DRIVER"] = driver.library;
  });
});
