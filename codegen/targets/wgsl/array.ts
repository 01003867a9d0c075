/**
 * How loop IR's arrays lie in a module: the element type they are declared with, and the text that reads and writes them.
 * Memory is words of 32 bits: integers of every width and bools are `i32`. An array that mostly whole vectors are read
 * from is declared as one of vectors, whose lanes can be read alone; a data set keeps its bytes and is read by shift and mask; buffers of several types that
 * share a binding are `u32`.
 */
import { invariant } from "../../../ir/diagnostic/diagnostic.ts";
import type { Expr } from "../../../ir/loop/loop.ts";
import type { DType } from "../../../ir/type.ts";
import { code, Fragment } from "../../source-writer.ts";
import { integerLiteral, scalarOf } from "./spelling.ts";
import { laneNames } from "./support.ts";

/** What an array's elements are declared as. */
export type Element = "f32" | "i32" | "u32" | "vec4<f32>" | "vec4<i32>" | "atomic<i32>";

/** An array as a module declares it. */
export type ArrayView = {
  /** The variable that holds it. */
  readonly name: Fragment;
  /** What loop IR takes its elements for. */
  readonly dtype: DType;
  readonly element: Element;
  /** Where its first element is, in words. */
  readonly offset: number;
  /** Bits of an element, where several share a word. */
  readonly bits?: 8 | 16;
};

/** How memory holds a value of an element type. */
export function wordOf(dtype: DType, where: string): "f32" | "i32" {
  return scalarOf(dtype, where) === "f32" ? "f32" : "i32";
}

/** The element type of an array of its own. `vectors`: whether only whole vectors are read and written. */
export function elementOf(dtype: DType, vectors: boolean, where: string): Element {
  const word = wordOf(dtype, where);
  return vectors ? `vec4<${word}>` : word;
}

/** Whether the elements of an array are vectors. */
export function holdsVectors(view: ArrayView): boolean {
  return view.element === "vec4<f32>" || view.element === "vec4<i32>";
}

/** An index as text that may stand in a sum, and its value if it is constant. */
export type Index = { readonly text: Fragment; readonly value: number | undefined };

/** The word of an array at an index plus a constant. */
export function place(view: ArrayView, index: Index, lane: number): Fragment {
  const constant = view.offset + lane;
  // An index that is constant and outside stands behind a condition that is never met; as text it would be an error.
  if (index.value !== undefined) {
    const word = Math.max(0, index.value) + constant;
    return holdsVectors(view)
      ? code`${view.name}[${Math.floor(word / 4)}][${word % 4}]`
      : code`${view.name}[${integerLiteral(word)}]`;
  }
  if (holdsVectors(view)) {
    const word = constant === 0 ? bracketed(index.text) : code`(${index.text} + ${constant})`;
    return code`${view.name}[${word} >> 2u][${word} & 3]`;
  }
  return constant === 0 ? code`${view.name}[${index.text}]` : code`${view.name}[${index.text} + ${constant}]`;
}

/** Text in parentheses, unless it is a name. */
function bracketed(text: Fragment): Fragment {
  return /^\w+$/.test(text.text) ? text : code`(${text})`;
}

/** Reads one element as a value of its type. */
export function readElement(view: ArrayView, index: Index, lane: number): Fragment {
  if (view.bits !== undefined) return readPacked(view, view.bits, index, lane);
  const word = place(view, index, lane);
  const scalar = scalarOf(view.dtype);
  switch (view.element) {
    case "f32":
    case "vec4<f32>":
      return word;
    case "i32":
    case "vec4<i32>":
      return scalar === "bool" ? code`(${word} != 0)` : word;
    case "atomic<i32>":
      return code`atomicLoad(&${word})`;
    case "u32":
      return scalar === "bool" ? code`(${word} != 0u)` : code`bitcast<${new Fragment(scalar)}>(${word})`;
  }
}

/** Reads the four bytes of a word as a vector. */
export function readBytes(view: ArrayView, index: Fragment): Fragment {
  const word = code`vec4<u32>(${view.name}[${bracketed(index)} >> 2u])`;
  const bytes = code`((${word} >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u))`;
  return view.dtype === "bool" ? code`(${bytes} != vec4<u32>(0u))` : code`vec4<i32>(${bytes})`;
}

function readPacked(view: ArrayView, bits: 8 | 16, index: Index, lane: number): Fragment {
  const at = lane === 0 ? bracketed(index.text) : code`(${index.text} + ${lane})`;
  const perWord = 32 / bits;
  const word = code`${view.name}[${at} >> ${perWord === 4 ? 2 : 1}u]`;
  const first = code`u32(${at} & ${perWord - 1}) * ${bits}u`;
  if (view.dtype === "bool") return code`(extractBits(${word}, ${first}, ${bits}u) != 0u)`;
  if (view.dtype === "u8") return code`i32(extractBits(${word}, ${first}, ${bits}u))`;
  return code`extractBits(bitcast<i32>(${word}), ${first}, ${bits}u)`;
}

/** The statement that writes one element. */
export function writeElement(view: ArrayView, index: Index, lane: number, value: Fragment): Fragment {
  invariant(view.bits === undefined, `a kernel writes to the data set ${view.name.text}`);
  const word = place(view, index, lane);
  const scalar = scalarOf(view.dtype);
  const plain = scalar === "bool" ? code`select(0, 1, ${value})` : value;
  if (view.element === "atomic<i32>") return code`atomicStore(&${word}, ${plain});`;
  if (view.element === "u32") return code`${word} = bitcast<u32>(${plain});`;
  return code`${word} = ${plain};`;
}

/** The element of an array of vectors that starts at a word index, a multiple of four. */
export function vectorPlace(view: ArrayView, index: Expr, text: (expr: Expr) => Fragment): Fragment {
  invariant(view.offset % 4 === 0, `${view.name.text} begins within a vector`);
  const quarter = quarterOf(index);
  const at = quarter === undefined ? code`${bracketed(text(index))} >> 2u` : text(quarter);
  if (view.offset === 0) return code`${view.name}[${at}]`;
  return code`${view.name}[${bracketed(at)} + ${view.offset / 4}]`;
}

/** A quarter of an index, where that can be said without a division. */
function quarterOf(index: Expr): Expr | undefined {
  if (index.kind === "constant") return index.value % 4 === 0 ? { ...index, value: index.value / 4 } : undefined;
  if (index.kind !== "scalar") return undefined;
  const [x, y] = index.args;
  if (x === undefined || y === undefined || index.args.length !== 2) return undefined;
  const [a, b] = [quarterOf(x), quarterOf(y)];
  if (index.op === "add" || index.op === "sub") {
    return a === undefined || b === undefined ? undefined : { ...index, args: [a, b] };
  }
  if (index.op !== "mul") return undefined;
  if (b !== undefined) return isOne(b) ? x : { ...index, args: [x, b] };
  if (a !== undefined) return isOne(a) ? y : { ...index, args: [a, y] };
  return undefined;
}

function isOne(expr: Expr): boolean {
  return expr.kind === "constant" && expr.value === 1;
}

/** `.x`, `.y`, `.z` or `.w`. */
export function laneOf(value: Fragment, lane: number): Fragment {
  return code`${value}.${new Fragment(laneNames[lane] ?? "x")}`;
}
