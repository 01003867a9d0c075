/** Text comes only from checked pieces. */
import { expect } from "chai";
import { code, comment, identifier, SourceWriter, stringLiteral } from "../../codegen/source-writer.ts";
import { cName, floatLiteral } from "../../codegen/targets/c/spelling.ts";

describe("source writer", () => {
  it("joins fragments, numbers and lists", () => {
    const call = code`${identifier("f")}(${[code`x`, code`${-3}`]})`;
    expect(call.text).to.equal("f(x, -3)");
  });

  it("refuses numbers that do not print exactly, and names that are none", () => {
    for (const value of [0.1, Number.NaN, 2 ** 60, -0]) expect(() => code`${value}`, String(value)).to.throw("K5101");
    for (const name of ["", "1a", "a-b", "a b", "é", "a\n"]) expect(() => identifier(name), name).to.throw("K5101");
  });

  it("refuses what the types would not let through", () => {
    for (const value of [undefined, "text", null]) {
      // Stands for a caller that has lost its types.
      const piece = value as unknown as number;
      expect(() => code`${piece}`, String(value)).to.throw("K5101");
    }
  });

  it("indents blocks and keeps directives at the margin", () => {
    const writer = new SourceWriter();
    writer.block(code`for (;;) {`, () =>
      writer
        .directive(code`#pragma x`)
        .line(code`a;\nb;`)
        .blank(),
    );
    expect(writer.toString()).to.equal("for (;;) {\n#pragma x\n  a;\n  b;\n\n}\n");
  });

  it("keeps comments on one line and strings closed", () => {
    expect(comment("a\nint x; \\").text).to.equal("// a?int x; /");
    expect(stringLiteral('a"b\\\n??/é').text).to.equal('"a\\042b\\134\\012\\077\\077/\\303\\251"');
  });

  it("writes every float exactly", () => {
    expect(floatLiteral(1, "f").text).to.equal("1.0f");
    expect(floatLiteral(-0, "f").text).to.equal("-0.0f");
    expect(floatLiteral(0.1, "").text).to.equal("0x1.999999999999ap-4");
    expect(floatLiteral(5e-324, "").text).to.equal("0x0.0000000000001p-1022");
    expect(floatLiteral(-Infinity, "f").text).to.equal("-__builtin_inff()");
    expect(floatLiteral(Number.NaN, "").text).to.equal('__builtin_nan("")');
  });

  it("gives C's own words and ours another name, and different names different ones", () => {
    const names = ["for", "for_", "for__", "kiln_x", "x", "x_", "int64_t", "loss"];
    const spelled = names.map((name) => cName(name).text);
    expect(spelled).to.deep.equal(["for_", "for__", "for___", "kiln_x_", "x", "x_", "int64_t_", "loss"]);
  });
});
