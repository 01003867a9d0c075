/** The two kinds of randomness in steps: what each target is compiled with, what the report says, and the numbers. */
import { join } from "node:path";
import { assert } from "chai";
import { compileTraced, type CompileOptions } from "../../compiler/compile.ts";
import { dropout } from "../../compiler/nn/functional/index.ts";
import { traceFunction } from "../../compiler/trace/function.ts";
import { Program } from "../../runtime/program.ts";
import { kiln } from "../bin/kiln.ts";
import { writeProject } from "../errors/project.ts";
import { openOrSkip } from "../runtime/gpu/open-wgpu.ts";
import { removeFolders, temporaryFolder } from "../runtime/tiny-artifact.ts";

const extent = 1000;

/** Compiles a dropout for processors and GPUs. */
async function compiled(random: CompileOptions["random"]): Promise<string> {
  const out = join(temporaryFolder(), "dropout");
  const type = { dtype: "f32", shape: [extent] } as const;
  const traced = traceFunction((x) => dropout(x, 0.25), [type], { name: "main" });
  await compileTraced(traced, {
    out,
    name: "dropout",
    targets: ["c", "wgsl"],
    ...(random === undefined ? {} : { random }),
  });
  return out;
}

/** Two steps of it with the same seed. */
async function masks(program: Program): Promise<number[][]> {
  program.seed(7);
  const inputs = { x: new Float32Array(2 * extent).fill(3) };
  const { outputs } = await program.run({ entry: "main", steps: 2, inputs });
  await program.dispose();
  const [all = []] = Object.values(outputs).map((values) => Array.from(values, Number));
  return [all.slice(0, extent), all.slice(extent)];
}

describe("randomness of steps", () => {
  after(removeFolders);

  for (const random of ["torch", "counter"] as const)
    it(`${random}: the same numbers on a processor and on a GPU`, async function () {
      const gpu = await openOrSkip(this);
      const folder = await compiled(random);
      const onGpu = await masks(await Program.load(folder, { gpu, device: "wgpu" }));
      const onProcessor = await masks(await Program.load(folder, { device: "cpu" }));
      await gpu.close();
      assert.deepEqual(onGpu, onProcessor);
      for (const mask of onGpu) {
        const kept = mask.filter((value) => value === 4).length;
        assert.equal(kept + mask.filter((value) => value === 0).length, extent);
        assert.approximately(kept / extent, 0.75, 0.06);
      }
      assert.notDeepEqual(onGpu[0], onGpu[1]);
    });

  it("is PyTorch's on processors and a counter's on GPUs if nothing is said, and the report says so", () => {
    const folder = writeProject({ "model.ts": model });
    const words = ["compile", "model.ts", "--no-check", "--target", "c,wgsl,cuda"];
    const { json } = kiln([...words, "--json"], folder);
    assert.deepEqual(json()[0]?.["random"], { c: "torch", wgsl: "counter", cuda: "counter" });
    const { out } = kiln([...words, "--random", "torch"], folder);
    assert.match(out, /^random +c torch, wgsl torch, cuda torch$/m);
    const { code, talk } = kiln(["compile", "model.ts", "--random", "dice"], folder);
    assert.equal(code, 2);
    assert.match(talk, /K6003.*torch, counter/s);
  });
});

/** A model with dropout. */
const model = `import { nn, optim, defineTraining } from "kilnjs";
import { DataLoader, TensorDataset } from "kilnjs/data";

class Net extends nn.Module {
  fc = new nn.Linear(4, 2);
  dropout = new nn.Dropout(0.5);
  forward(x) {
    return this.fc.forward(this.dropout.forward(x));
  }
}

export default defineTraining({
  data: () => ({
    train: new DataLoader(new TensorDataset({ dtype: "f32", shape: [8, 4], data: new Float32Array(32) }), { batchSize: 4 }),
  }),
  setup() {
    const model = new Net();
    return { model, optimizer: new optim.SGD(model.parameters(), { lr: 1 }) };
  },
  trainStep({ model, optimizer }, [x]) {
    const loss = model.forward(x).sum();
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return { loss };
  },
});
`;
