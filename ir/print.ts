/**
 * The printed form of a graph: a header with the entry's inputs and states, one node a line, then writes and results.
 * It is stable (attributes in alphabetical order, names that are not plain words as JSON strings) and `parse.ts` reads it
 * back to an equal graph. An attribute that the node's type tells (`dtype`, `shape`) is written as its bare name.
 *
 *   entry train(images: u8[64,784]) state(fc1.weight: f32[128,784]) {
 *     %0 = input {dtype, name="images", shape} : u8[64,784]  # model.ts:9:5
 *     %1 = cast %0 {dtype} : f32[64,784]  # toTensor model.ts:9:5
 *     write fc1.weight = %7
 *     return loss = %9 : f32[]
 *   }
 */
import type { SourceLocation } from "./diagnostic/diagnostic.ts";
import { opDef, type Graph, type Node } from "./graph.ts";
import type { Attr } from "./op.ts";
import { formatType, sameShape, type TensorType } from "./type.ts";

/** The text of a graph, with a newline at the end. */
export function printGraph(graph: Graph): string {
  const lines = [printHeader(graph)];
  for (const node of graph.nodes) lines.push(`  ${printNode(node)}`);
  for (const { state, value } of graph.writes) lines.push(`  write ${printName(state)} = %${value.id}`);
  for (const { name, value } of graph.outputs)
    lines.push(`  return ${printName(name)} = %${value.id} : ${formatType(value.type)}`);
  return `${lines.join("\n")}\n}\n`;
}

/** The first line of a graph's text: its name, its inputs and feeds, the states it reads or writes. */
export function printHeader(graph: Graph): string {
  const list = (types: ReadonlyMap<string, TensorType>): string =>
    Array.from(types, ([name, type]) => `${printName(name)}: ${formatType(type)}`).join(", ");
  const states = leafTypes(graph, "state", "state");
  for (const { state, value } of graph.writes) if (!states.has(state)) states.set(state, value.type);
  const inputs = new Map([...leafTypes(graph, "input", "name"), ...leafTypes(graph, "feed", "field")]);
  return `entry ${printName(graph.name)}(${list(inputs)})${states.size === 0 ? "" : ` state(${list(states)})`} {`;
}

/** One node's line, without indentation. */
export function printNode(node: Node): string {
  const operands = node.inputs.map(({ id }) => ` %${id}`).join(",");
  const source = node.source === undefined ? "" : `  # ${printSource(node.source)}`;
  return `%${node.id} = ${node.op}${operands}${printAttrs(node)} : ${formatType(node.type)}${source}`;
}

/** A name as it is printed: bare if it is a plain word, else a JSON string without control characters. */
export function printName(name: string): string {
  return /^[A-Za-z_][\w.]*$/.test(name) ? name : printString(name);
}

/** Types of the leaves that come from a source, by the name in one of their attributes, in program order. */
function leafTypes(graph: Graph, source: string, attribute: string): Map<string, TensorType> {
  const types = new Map<string, TensorType>();
  for (const node of graph.nodes) {
    const { lowering } = opDef(node.op);
    if (lowering.class === "leaf" && lowering.source === source) types.set(String(node.attrs[attribute]), node.type);
  }
  return types;
}

function printAttrs({ attrs, type }: Node): string {
  const entries = Object.entries(attrs).toSorted(([a], [b]) => (a < b ? -1 : 1));
  if (entries.length === 0) return "";
  return ` {${entries.map(([name, value]) => (isTold(name, value, type) ? name : `${name}=${printAttr(value)}`)).join(", ")}}`;
}

/** Whether an attribute repeats the dtype or shape of the node's type. */
function isTold(name: string, value: Attr, { dtype, shape }: TensorType): boolean {
  if (name === "dtype") return value === dtype;
  return name === "shape" && Array.isArray(value) && sameShape(value.map(Number), shape);
}

function printAttr(value: Attr): string {
  if (typeof value === "string") return printString(value);
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number") return printNumber(value);
  return `[${value.map(printAttr).join(", ")}]`;
}

/** A number that reads back as itself: NaN, infinities and -0 included. */
function printNumber(value: number): string {
  if (Object.is(value, -0)) return "-0";
  return Number.isFinite(value) || Number.isNaN(value) ? String(value) : value > 0 ? "Infinity" : "-Infinity";
}

/** A JSON string in which every character that could steer a terminal or end a line is escaped. */
function printString(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** `module file:line:column`, the module only where there is one. */
function printSource({ file, line, column, module }: SourceLocation): string {
  const word = (text: string): string => (/^[\w./@+-]+$/.test(text) ? text : printString(text));
  return `${module === undefined ? "" : `${word(module)} `}${word(file)}:${line}:${column}`;
}
