/** Option tables: values, help and errors derive from one table. */
import { assert } from "chai";
import { flagOf, helpOf, parseCommandLine, type CommandSpec } from "../../../runtime/training/option-table.ts";
import { learningRates, trainerOptions } from "../../../runtime/training/options.ts";
import { failsWith } from "../../fails-with.ts";

const spec: CommandSpec<typeof trainerOptions> = {
  name: "kiln train",
  doc: "Trains.",
  arguments: [{ name: "artifact", doc: "folder", required: true }],
  options: trainerOptions,
};

describe("runtime/training/option-table", () => {
  it("parses every kind of option, and leaves out what was not given", () => {
    const words = "dir --epochs 3 --lr 1e-2 --resume --json --save-every=50 --device cpu".split(" ");
    assert.deepEqual(parseCommandLine(spec, words), {
      kind: "values",
      arguments: ["dir"],
      options: { epochs: 3, lr: "1e-2", resume: true, json: true, saveEvery: 50, device: "cpu" },
    });
    assert.deepEqual(parseCommandLine(spec, ["dir"]), { kind: "values", arguments: ["dir"], options: {} });
    const resumed = parseCommandLine(spec, ["dir", "--resume", "a b.safetensors"]);
    assert.deepInclude(resumed, { options: { resume: "a b.safetensors" } });
  });

  it("has every flag and its words in the help", () => {
    const help = helpOf(spec);
    for (const [name, option] of Object.entries(trainerOptions)) {
      assert.include(help, flagOf(name));
      assert.include(help.replace(/\s+/g, " "), option.doc);
    }
    const asked = parseCommandLine(spec, ["--help"]);
    assert.equal(asked.kind === "help" ? asked.text : "", help);
  });

  it("names the nearest flag", () => {
    const error = failsWith("K6002", () => parseCommandLine(spec, ["dir", "--epoch=3"]));
    assert.include(error.message, "`--epoch`");
    assert.include(error.message, "Did you mean `--epochs`?");
    assert.notInclude(failsWith("K6002", () => parseCommandLine(spec, ["dir", "--zzzzzz"])).message, "Did you mean");
  });

  it("refuses values that an option cannot have", () => {
    for (const value of ["-1", "1.5", "three", "", "1e99"])
      failsWith("K6003", () => parseCommandLine(spec, ["dir", `--epochs=${value}`]));
    failsWith("K6003", () => parseCommandLine(spec, ["dir", "--threads", "0"]));
    failsWith("K6003", () => parseCommandLine(spec, ["dir", "--device", "tpu"]));
    failsWith("K6003", () => parseCommandLine(spec, ["dir", "--out"]));
  });

  it("refuses missing and additional arguments", () => {
    failsWith("K6004", () => parseCommandLine(spec, []));
    failsWith("K6004", () => parseCommandLine(spec, ["a", "b"]));
  });

  it("sets learning rates of all optimizers, of one, of a group", () => {
    const hyper = { "g.0.lr": 1, "g.1.lr": 1, "d.0.lr": 1, "d.0.momentum": 0.9 };
    assert.deepEqual(
      [...learningRates("0.5", hyper)],
      [
        ["g.0.lr", 0.5],
        ["g.1.lr", 0.5],
        ["d.0.lr", 0.5],
      ],
    );
    assert.deepEqual(
      [...learningRates("g=0.1, d.0=0.2", hyper)],
      [
        ["g.0.lr", 0.1],
        ["g.1.lr", 0.1],
        ["d.0.lr", 0.2],
      ],
    );
    failsWith("K4004", () => learningRates("x=1", hyper));
    failsWith("K4004", () => learningRates("1", {}));
    for (const bad of ["", "fast", "-1", "NaN", "g=", "1e999"]) failsWith("K6003", () => learningRates(bad, hyper));
  });
});
