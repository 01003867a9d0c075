/** Movement, indexing and order in our words. */
import { cat, stack } from "../../../compiler/tensor/create.ts";
import type { IndexList, IndexPart } from "../../../compiler/tensor/pick.ts";
import { meshgrid } from "../../../compiler/tensor/rearrange.ts";
import { isTensor, type Tensor } from "../../../compiler/trace/tensor.ts";
import { isList, type Arg, type Call } from "../call.ts";
import { Unsupported } from "../report.ts";
import { operator, type OperatorTable } from "./operator.ts";

function pairOf({ values, indices }: { readonly values: Tensor; readonly indices: Tensor }): Tensor[] {
  return [values, indices];
}

function indexList(list: readonly Arg[]): IndexList {
  return list.map((part) => {
    if (typeof part === "number") return part;
    if (isList(part)) return indexList(part);
    throw new Unsupported(`an index of ${JSON.stringify(part)}`);
  });
}

function indexPart(part: Arg): IndexPart {
  if (part === null || typeof part === "number" || isTensor(part)) return part;
  if (isList(part)) return indexList(part);
  if (typeof part === "object" && "kind" in part && part.kind === "ellipsis") return "...";
  if (typeof part === "object" && "kind" in part && part.kind === "slice") {
    const { start, stop, step } = part;
    return {
      ...(start === undefined ? {} : { start }),
      ...(stop === undefined ? {} : { stop }),
      ...(step === undefined ? {} : { step }),
    };
  }
  throw new Unsupported(`an index of ${JSON.stringify(part)}`);
}

function split(call: Call, sizes: string): readonly Tensor[] {
  const parts = call.numbersOr(sizes);
  return call.tensor("input").split(parts ?? 1, call.numberOr("dim", 0));
}

const shapes: OperatorTable = {
  broadcast_to: operator("input, size", (call) => call.tensor("input").broadcastTo(call.numbers("size"))),
  diag: operator("input, diagonal", (call) => call.tensor("input").diag(call.numberOr("diagonal", 0))),
  diag_embed: operator("input, offset", (call) => call.tensor("input").diagEmbed(call.numberOr("offset", 0))),
  diagonal: operator("input, offset, dim1, dim2", (call) =>
    call.tensor("input").diagonal(call.numberOr("offset", 0), call.numberOr("dim1", 0), call.numberOr("dim2", 1)),
  ),
  expand: operator("input, *size", (call) => call.tensor("input").expand(flat(call, "size"))),
  flatten: operator("input, start_dim, end_dim", (call) =>
    call.tensor("input").flatten(call.numberOr("start_dim", 0), call.numberOr("end_dim", -1)),
  ),
  flip: operator("input, dims", (call) => call.tensor("input").flip(call.numbers("dims"))),
  meshgrid: operator("*tensors, indexing", (call) =>
    meshgrid(call.tensors("tensors"), { indexing: call.text("indexing", "ij") === "xy" ? "xy" : "ij" }),
  ),
  movedim: operator("input, source, destination", (call) =>
    call.tensor("input").movedim(call.numbers("source"), call.numbers("destination")),
  ),
  narrow: operator("input, dim, start, length", (call) =>
    call.tensor("input").narrow(call.number("dim"), call.number("start"), call.number("length")),
  ),
  permute: operator("input, dims", (call) => call.tensor("input").permute(call.numbers("dims"))),
  ravel: operator("input", (call) => call.tensor("input").ravel()),
  repeat: operator("input, *repeats", (call) => call.tensor("input").repeat(flat(call, "repeats"))),
  repeat_interleave: operator("input, repeats, dim, output_size", (call) => {
    const repeats = call.operand("repeats");
    return call
      .tensor("input")
      .repeatInterleave(
        typeof repeats === "boolean" ? Number(repeats) : repeats,
        call.numberOr("dim", undefined),
        call.has("output_size") ? { outputSize: call.number("output_size") } : {},
      );
  }),
  reshape: operator("input, *shape", (call) => call.tensor("input").reshape(flat(call, "shape"))),
  roll: operator("input, shifts, dims", (call) =>
    call.tensor("input").roll(call.numbers("shifts"), call.numbersOr("dims")),
  ),
  slice: operator("input, dim, start, end, step", (call) =>
    call
      .tensor("input")
      .slice(
        call.numberOr("dim", 0),
        call.numberOr("start", undefined),
        call.numberOr("end", undefined),
        call.numberOr("step", undefined),
      ),
  ),
  squeeze: operator("input, dim", (call) => {
    // An empty list of axes squeezes none, unlike no list.
    const dims = call.numbersOr("dim");
    return Array.isArray(dims) && dims.length === 0 ? call.tensor("input") : call.tensor("input").squeeze(dims);
  }),
  tile: operator("input, *dims", (call) => call.tensor("input").tile(flat(call, "dims"))),
  transpose: operator("input, dim0, dim1", (call) =>
    call.tensor("input").transpose(call.number("dim0"), call.number("dim1")),
  ),
  tril: operator("input, diagonal", (call) => call.tensor("input").tril(call.numberOr("diagonal", 0))),
  triu: operator("input, diagonal", (call) => call.tensor("input").triu(call.numberOr("diagonal", 0))),
  unflatten: operator("input, dim, sizes", (call) =>
    call.tensor("input").unflatten(call.number("dim"), call.numbers("sizes")),
  ),
  unfold: operator("input, dimension, size, step", (call) =>
    call.tensor("input").unfold(call.number("dimension"), call.number("size"), call.number("step")),
  ),
  unsqueeze: operator("input, dim", (call) => call.tensor("input").unsqueeze(call.number("dim"))),
  view: operator("input, *shape", (call) => call.tensor("input").view(flat(call, "shape"))),
};

/** Numbers given as one list or as arguments. */
function flat(call: Call, name: string): number[] {
  const value = call.arg(name);
  const numbers = isList(value) ? value.flatMap((part) => (isList(part) ? part : [part])) : [value];
  return numbers.map((part) => {
    if (typeof part !== "number") throw new Unsupported(`${name} of ${JSON.stringify(part)}`);
    return part;
  });
}

const parts: OperatorTable = {
  cat: operator("tensors, dim", (call) => cat(call.tensors("tensors"), call.numberOr("dim", 0))),
  chunk: operator("input, chunks, dim", (call) =>
    call.tensor("input").chunk(call.number("chunks"), call.numberOr("dim", 0)),
  ),
  select: operator("input, dim, index", (call) =>
    call.tensor("input").select(call.number("dim"), call.number("index")),
  ),
  split: operator("input, split_size_or_sections, dim", (call) => split(call, "split_size_or_sections")),
  stack: operator("tensors, dim", (call) => stack(call.tensors("tensors"), call.numberOr("dim", 0))),
  unbind: operator("input, dim", (call) => call.tensor("input").unbind(call.numberOr("dim", 0))),
};

const indexing: OperatorTable = {
  __getitem__: operator("input, index", (call) => {
    const index = call.arg("index");
    return call.tensor("input").index(...(isList(index) ? index : [index]).map(indexPart));
  }),
  gather: operator("input, dim, index", (call) =>
    call.tensor("input").gather(call.number("dim"), call.tensor("index")),
  ),
  index_add: operator("input, dim, index, source, alpha", (call) =>
    call
      .tensor("input")
      .indexAdd(call.number("dim"), call.tensor("index"), call.tensor("source"), { alpha: call.numberOr("alpha", 1) }),
  ),
  index_fill: operator("input, dim, index, value", (call) =>
    call.tensor("input").indexFill(call.number("dim"), call.tensor("index"), call.number("value")),
  ),
  index_put: operator("input, indices, values, accumulate", (call) =>
    call
      .tensor("input")
      .indexPut(call.tensors("indices"), call.tensor("values"), { accumulate: call.flag("accumulate") }),
  ),
  index_select: operator("input, dim, index", (call) =>
    call.tensor("input").indexSelect(call.number("dim"), call.tensor("index")),
  ),
  scatter: operator("input, dim, index, src", (call) => {
    const source = call.operand("src");
    return call
      .tensor("input")
      .scatter(call.number("dim"), call.tensor("index"), typeof source === "boolean" ? Number(source) : source);
  }),
  scatter_add: operator("input, dim, index, src", (call) =>
    call.tensor("input").scatterAdd(call.number("dim"), call.tensor("index"), call.tensor("src")),
  ),
  take_along_dim: operator("input, indices, dim", (call) =>
    call.tensor("input").takeAlongDim(call.tensor("indices"), call.numberOr("dim", undefined)),
  ),
  argsort: operator("input, dim, descending, stable", (call) =>
    call.tensor("input").argsort(call.numberOr("dim", -1), { descending: call.flag("descending") }),
  ),
  sort: operator("input, dim, descending, stable", (call) =>
    pairOf(call.tensor("input").sort(call.numberOr("dim", -1), { descending: call.flag("descending") })),
  ),
  topk: operator("input, k, dim, largest, sorted", (call) =>
    pairOf(
      call.tensor("input").topk(call.number("k"), call.numberOr("dim", -1), { largest: call.flag("largest", true) }),
    ),
  ),
};

/** Movement, parts and indexing. */
export const movementOperators: OperatorTable = { ...shapes, ...parts, ...indexing };
