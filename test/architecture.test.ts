/**
 * The worked example of ARCHITECTURE.md is what the compiler makes of `fixtures/models/two-layers.ts` now: every block
 * behind a line `<!-- example: NAME -->` is made again here and compared; `UPDATE_SNAPSHOTS=1` rewrites them. Paths that
 * the documents name must be there, and commands must be those of the package.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { emitC } from "../codegen/targets/c/emit.ts";
import { loadModel } from "../compiler/load-model.ts";
import { planTraced } from "../compiler/pipeline.ts";
import { traceTraining } from "../compiler/trace/training.ts";
import { describeLoader } from "../ir/data/describe.ts";
import { printKernel } from "../ir/loop/print.ts";
import { printEntry } from "../ir/program-print.ts";
import { at } from "../ir/type.ts";
import { packageRoot } from "../runtime/package-root.ts";
import { expectGolden, updatesSnapshots } from "./golden-text.ts";

const root = packageRoot();
const modelPath = join(root, "test", "fixtures", "models", "two-layers.ts");
const documents = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];

/** Vectors of 8 floats and 16 registers, so that the example does not depend on the machine. */
const vectors = { lanes: 8, registers: 16 };

/** The lines of `text` from the first that holds `from` to the next that matches `to`, both included. */
function between(text: string, from: string, to: RegExp): string {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => line.includes(from));
  const length = lines.slice(start).findIndex((line) => to.test(line)) + 1;
  return lines.slice(start, start + length).join("\n");
}

/** The lines of a printed graph that come from the first layer, or belong to the frame. */
function firstLayer(graph: string): string {
  const kept = graph.split("\n").filter((line) => /# fc1 |^\S|^ {2}write fc1|%0 =/.test(line));
  return kept.join("\n").trimEnd();
}

/** The lines of a printed graph that update the first layer: of that layer or the optimizer, behind the loss. */
function firstUpdate(graph: string): string {
  const [, loss = "0"] = /return loss = %(\d+)/.exec(graph) ?? [];
  const [, last = "0"] = /write fc1.bias = %(\d+)/.exec(graph) ?? [];
  const kept = graph.split("\n").filter((line) => {
    const [, id] = /^ {2}%(\d+) = /.exec(line) ?? [];
    if (id === undefined) return line.includes("write fc1");
    return Number(id) > Number(loss) && Number(id) <= Number(last) && /# fc1 |:29:/.test(line);
  });
  return kept.join("\n").trimEnd();
}

/** The groups of a printed schedule that compute something of the first layer. */
function firstGroups(schedule: string): string {
  const groups = schedule.split(/^(?=group )/m);
  return groups
    .filter((group) => group.includes("# fc1"))
    .join("")
    .trimEnd();
}

/** The head of a kernel's function in C, and the loop over the batch in it. */
function loopOf(source: string, name: string): string {
  const body = between(source, `${name}(`, /^\}/);
  return `${body.split("\n")[0] ?? ""}\n    …\n${between(body, "< 32; ", /^ {4}\}/)}`;
}

/** The blocks of the example by name. */
async function makeBlocks(): Promise<Readonly<Record<string, string>>> {
  const { definition, root: folder } = await loadModel(modelPath);
  const loaders = Object.entries(definition.data()).map(
    ([name, loader]) => [name, describeLoader(loader, name)] as const,
  );
  const traced = traceTraining(definition, Object.fromEntries(loaders), { root: folder });
  const stages = new Map<string, string>();
  const dump = (name: string, text: string): void => void stages.set(name, text);
  const { plan } = planTraced(traced, { machine: vectors, name: "two-layers", observer: { dump } });
  const graphs = [...stages].filter(([name]) => name.startsWith("train@32.") && name.endsWith(".ir"));
  // The update of a bias is short enough to be read.
  const kernel = plan.program.kernels.find(({ name }) => name.startsWith("fc1_sum"));
  const source = readFileSync(modelPath, "utf8");
  const text = emitC(plan.program)
    .files.filter(({ name }) => name.endsWith(".c"))
    .map((file) => file.text);
  return {
    model: `${between(source, "class Net", /^\}/)}\n${between(source, "trainStep", /^  \}/)}`,
    trace: firstLayer(graphs[0]?.[1] ?? ""),
    passes: firstUpdate(graphs.at(-1)?.[1] ?? ""),
    schedule: firstGroups(stages.get("train@32.schedule") ?? ""),
    kernel: kernel === undefined ? "" : printKernel(kernel).trimEnd(),
    plan: printEntry(at(plan.program.entries, 0), plan.program.kernels),
    source: loopOf(text.find((each) => each.includes(`${kernel?.name}(`)) ?? "", kernel?.name ?? ""),
  };
}

const blockPattern = /<!-- example: (\w+) -->\n\n```(\w*)\n([^]*?)\n```/g;

describe("ARCHITECTURE.md", () => {
  it("shows what the compiler makes of the example", async () => {
    const blocks = await makeBlocks();
    const text = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
    const named = [...text.matchAll(blockPattern)].map(([, name]) => name);
    expect(named).to.deep.equal(Object.keys(blocks));
    const fresh = text.replace(blockPattern, (_, name: string, language: string) => {
      return `<!-- example: ${name} -->\n\n\`\`\`${language}\n${blocks[name] ?? ""}\n\`\`\``;
    });
    if (!updatesSnapshots) expect(fresh.split("\n").length).to.be.at.most(285);
    expectGolden("ARCHITECTURE.md", fresh);
  });
});

describe("documents", () => {
  const texts = documents.map((name) => [name, readFileSync(join(root, name), "utf8")] as const);

  it("name files and folders that are there", () => {
    const folders = readdirSync(root);
    const missing = texts.flatMap(([name, text]) =>
      [...text.matchAll(/`([\w.-]+\/[\w./@-]*)`/g)]
        .map(([, path = ""]) => path)
        .filter((path) => folders.includes(path.split("/")[0] ?? "") && !/^(build|dist|runs|node_modules)\//.test(path))
        .filter((path) => !existsSync(join(root, path)))
        .map((path) => `${name}: ${path}`),
    );
    expect(missing).to.deep.equal([]);
  });

  it("name scripts that the package has", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly scripts: object };
    const missing = texts.flatMap(([name, text]) =>
      [...text.matchAll(/\bnpm run ([\w:-]+)/g)]
        .map(([, script = ""]) => script)
        .filter((script) => !(script in scripts))
        .map((script) => `${name}: ${script}`),
    );
    expect(missing).to.deep.equal([]);
  });
});
