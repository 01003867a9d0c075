/** What every op promises about its types and values, over the cases of all ops. */
import { expect } from "chai";
import { UserError } from "../../../ir/diagnostic/diagnostic.ts";
import { createWriter, opDef, opNames } from "../../../ir/graph.ts";
import type { Attrs } from "../../../ir/op.ts";
import { elementCount } from "../../../ir/type.ts";
import { operandData, randomNumbers, type InvalidCase, type OpCase } from "./case.ts";
import { opCases } from "./cases.ts";

describe("op table", () => {
  for (const op of opNames) {
    const definition = opDef(op);
    const { valid, invalid }: { valid: readonly OpCase<Attrs>[]; invalid: readonly InvalidCase<Attrs>[] } = opCases[op];
    it(`${op}: computes what its cases say, in the size its type says`, () => {
      const random = randomNumbers(3);
      expect(valid.length).to.be.greaterThan(0);
      for (const { types, attrs, expected, ...test } of valid) {
        const type = definition.type(types, attrs);
        if (definition.arity !== "variadic") expect(types.length).to.equal(definition.arity);
        if (definition.evaluate === null) continue;
        const operands = operandData({ types, ...test }, random);
        const copies = operands.map((x) => x.slice());
        const result = definition.evaluate(operands, { types, attrs, type });
        expect(result.length).to.equal(elementCount(type.shape));
        expect(operands, "operands are left as they were").to.deep.equal(copies);
        if (expected === undefined) continue;
        expect(result.length).to.equal(expected.length);
        for (const [i, x] of expected.entries())
          if (Number.isNaN(x)) expect(Number.isNaN(result[i]), `element ${i}`).to.equal(true);
          else expect(result[i]).to.be.closeTo(x, 1e-14 * Math.abs(x));
      }
    });
    if (invalid.length > 0)
      it(`${op}: refuses operands and attributes that do not fit, with a place`, () => {
        const source = { file: "model.ts", line: 3, column: 5 };
        for (const { types, attrs } of invalid) {
          const writer = createWriter(() => source);
          const operands = types.map((type, i) => writer.g.input({ name: `x${i}`, ...type }));
          expect(() => writer.append(op, operands, attrs), JSON.stringify({ types, attrs }))
            .to.throw(UserError)
            .that.includes({ source });
        }
      });
  }
  it("tells an index out of range from a good one", () => {
    const types = [
      { dtype: "f32", shape: [3] },
      { dtype: "i64", shape: [1] },
    ] as const;
    for (const op of ["gather", "takeAlong"] as const)
      for (const index of [-1, 3, Number.NaN])
        expect(() =>
          opDef(op).evaluate?.([new Float64Array(3), Float64Array.of(index)], {
            types,
            attrs: { axis: 0 },
            type: { dtype: "f32", shape: [1] },
          }),
        )
          .to.throw(UserError)
          .that.includes({ code: "K1003" });
  });
});
