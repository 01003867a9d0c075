/**
 * Factories for the op families: what all elementwise, predicate and reduction ops have in common, so that each op file
 * states only what is particular. Also the small shape checks that type rules share.
 */
import { fail } from "../diagnostic/diagnostic.ts";
import * as messages from "../diagnostic/messages.ts";
import { scalarOps, type ScalarOp } from "../loop/scalar.ts";
import type { Arity, NoAttrs, OpDef, Operands, Value, VjpContext } from "../op.ts";
import { isFloat, isInteger, sameType, type DType, type TensorType } from "../type.ts";

/** Which dtypes an elementwise op takes. */
export type Domain = "float" | "number" | "integer" | "bool" | "any";

const domains: Readonly<Record<Domain, (dtype: DType) => boolean>> = {
  float: isFloat,
  number: (dtype) => dtype !== "bool",
  integer: (dtype) => isInteger(dtype) || dtype === "bool",
  bool: (dtype) => dtype === "bool",
  any: () => true,
};

/** What is particular to one elementwise op. */
export type Elementwise<N extends Arity> = {
  readonly doc: string;
  readonly domain: Domain;
  readonly commutative?: boolean;
  readonly vjp: ((context: VjpContext<N, NoAttrs>) => Operands<N, Value | null>) | null;
};

/** An op that applies the scalar operation of its own name element by element; operands have equal types. */
export function elementwise<Name extends ScalarOp, N extends 1 | 2>(
  name: Name,
  arity: N,
  spec: Elementwise<N>,
): OpDef<Name, N, NoAttrs> {
  const scalar = scalarOps[name];
  return {
    name,
    arity,
    doc: spec.doc,
    type: (inputs) => {
      const types: readonly TensorType[] = inputs;
      const first = requireDomain(name, types, spec.domain);
      if (!types.every((type) => sameType(type, first)))
        throw fail(messages.opTypeMismatch(name, types, "operands of one type"));
      return scalar.result === "bool" ? { dtype: "bool", shape: first.shape } : first;
    },
    vjp: spec.vjp,
    evaluate: (inputs, { type }) => {
      const [x, y]: readonly Float64Array[] = inputs;
      const result = new Float64Array(x?.length ?? 0);
      for (let i = 0; i < result.length; i++)
        result[i] = wrap(type.dtype, scalar.evaluate(x?.[i] ?? 0, y?.[i] ?? 0, 0));
      return result;
    },
    lowering: { class: "map", scalar: name },
    commutative: spec.commutative ?? false,
  };
}

/** The first operand's type, after checking that every operand's dtype is in the domain. */
export function requireDomain(op: string, types: readonly TensorType[], domain: Domain): TensorType {
  const [first] = types;
  if (first === undefined || !types.every((type) => domains[domain](type.dtype)))
    throw fail(messages.opTypeMismatch(op, types, `operands with ${domain} elements`));
  return first;
}

const integerBits: Readonly<Partial<Record<DType, { readonly bits: number; readonly signed: boolean }>>> = {
  i8: { bits: 8, signed: true },
  u8: { bits: 8, signed: false },
  i16: { bits: 16, signed: true },
  i32: { bits: 32, signed: true },
  i64: { bits: 64, signed: true },
};

/** A float64 number as the nearest thing the dtype can hold: integers truncate and wrap, bools become 0 or 1, floats stay. */
export function wrap(dtype: DType, value: number): number {
  if (isFloat(dtype)) return value;
  if (dtype === "bool") return value === 0 ? 0 : 1;
  if (!Number.isFinite(value)) return 0;
  const { bits, signed } = integerBits[dtype] ?? { bits: 64, signed: true };
  const whole = Math.trunc(value);
  if (Number.isSafeInteger(whole) && bits === 64) return whole;
  return Number(signed ? BigInt.asIntN(bits, BigInt(whole)) : BigInt.asUintN(bits, BigInt(whole)));
}
