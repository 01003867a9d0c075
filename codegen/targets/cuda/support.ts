/**
 * The functions of a CUDA program: CUDA's own mathematics, which PyTorch's kernels call too, and vectors of the device
 * header. While a kernel is written, `facts` tells what is known of its indices.
 */
import type { Expr, MatrixFormat, ValueType } from "../../../ir/loop/loop.ts";
import type { ScalarOp } from "../../../ir/loop/scalar.ts";
import { isFloat, type DType } from "../../../ir/type.ts";
import { code, Fragment, identifier } from "../../source-writer.ts";
import { expressionText } from "../c-family/expression.ts";
import { libraryFunction } from "../c-family/library.ts";
import { typeSuffix } from "../c-family/spelling.ts";
import { functionArity, level, Support, type LaneLoad, type Text } from "../c-family/support.ts";
import { matrixHeaders, vectorHeader } from "./device-header.ts";
import type { IndexFacts } from "./indices.ts";
import { cudaSpelling } from "./spelling.ts";

/** Operations spelled as operators whose result may be out of an integer's range. */
const overflowing: ReadonlySet<ScalarOp> = new Set(["add", "sub", "mul", "neg"]);

const unrolled = new Fragment('_Pragma("unroll")');

/** The functions and types of a CUDA program. */
export class CudaSupport extends Support {
  /** What is known of the indices of the kernel that is being written. */
  facts: IndexFacts = { exact: new Set(), aligned: new Set() };

  constructor() {
    super(cudaSpelling, new Fragment("KILN_DEVICE"));
  }

  type(type: ValueType): Fragment {
    const element = this.spelling.element(type.dtype);
    if (type.lanes === 1) return element;
    this.#vectors();
    return this.define(
      `kiln_${typeSuffix(type)}`,
      (name) => code`typedef kiln_vector<${element}, ${type.lanes}> ${name};`,
    );
  }

  /** Signed integers of 32 and 64 bits may not overflow in CUDA, unless they are known not to. */
  wraps(expr: Expr): boolean {
    const { dtype, lanes } = expr.type;
    if (expr.kind !== "scalar" || !overflowing.has(expr.op) || lanes > 1) return false;
    return (dtype === "i32" || dtype === "i64") && !this.facts.exact.has(expr);
  }

  splat(type: ValueType): Fragment {
    this.#vectors();
    return code`kiln_splat<${type.lanes}, ${this.spelling.element(type.dtype)}>`;
  }

  lane(vector: Fragment, lane: number): Fragment {
    return code`${vector}.lane[${lane}]`;
  }

  pack(type: ValueType, parts: () => readonly Fragment[]): Fragment {
    this.#vectors();
    return code`kiln_pack<${this.spelling.element(type.dtype)}>(${parts()})`;
  }

  loadLanes(load: LaneLoad, index: () => Fragment): Text {
    this.#vectors();
    const name = new Fragment(this.facts.aligned.has(load.index) ? "kiln_load_aligned" : "kiln_load");
    const place = code`&${this.spelling.name(load.buffer)}[${index()}]`;
    return { fragment: code`${name}<${load.type.lanes}>(${place})`, level: level.primary };
  }

  storeLanes(buffer: string, index: Expr, value: Expr): Fragment {
    this.#vectors();
    const name = new Fragment(this.facts.aligned.has(index) ? "kiln_store_aligned" : "kiln_store");
    const place = code`&${this.spelling.name(buffer)}[${expressionText(index, this)}]`;
    return code`${name}(${place}, ${expressionText(value, this)});`;
  }

  convertLanes(from: ValueType, to: ValueType, value: () => Fragment): Fragment {
    this.#vectors();
    if (to.dtype === "bool") return code`kiln_nonzero(${value()})`;
    const narrow = to.dtype === "i8" || to.dtype === "u8" || to.dtype === "i16";
    const text = isFloat(from.dtype) && narrow ? code`kiln_convert<int>(${value()})` : value();
    return code`kiln_convert<${this.spelling.element(to.dtype)}>(${text})`;
  }

  compareLanes(comparison: Text): Text {
    return comparison;
  }

  notLanes(value: Fragment): Text {
    return { fragment: code`!${value}`, level: level.prefix };
  }

  chooseLanes(condition: Expr, y: Expr, z: Expr): Fragment {
    this.#vectors();
    return code`kiln_choose(${[condition, y, z].map((expr) => expressionText(expr, this))})`;
  }

  /** Name of the function that multiplies tiles. */
  mma(format: MatrixFormat): Fragment {
    return this.define(`kiln_mma_${format}`, () => matrixHeaders[format]);
  }

  report(): Fragment {
    return this.define(
      "kiln_report",
      (name) => code`KILN_DEVICE void ${name}(int *status, int failure, long long value, long long limit) {
  if (atomicCAS(status, 0, failure) == 0) {
    status[1] = (int)value;
    status[2] = (int)limit;
  }
}`,
    );
  }

  protected library(op: ScalarOp, dtype: DType): Fragment | undefined {
    const library = libraryFunction(op, dtype);
    return library === undefined ? undefined : identifier(library.name);
  }

  protected lanes(op: ScalarOp, type: ValueType): Fragment {
    const vector = this.type(type);
    const one = this.function(op, { dtype: type.dtype, lanes: 1 });
    const names = ["x", "y"].slice(0, functionArity(op)).map((name) => new Fragment(name));
    const params = names.map((name) => code`${vector} ${name}`);
    const args = names.map((name) => code`${name}.lane[i]`);
    return this.define(
      `kiln_${op}_${typeSuffix(type)}`,
      (name) => code`${this.head(vector, name, params)}
  ${vector} result;
  ${unrolled} for (int i = 0; i < ${type.lanes}; i++) result.lane[i] = ${one}(${args});
  return result;
}`,
    );
  }

  #vectors(): void {
    this.define("kiln_vector", () => vectorHeader);
  }
}
