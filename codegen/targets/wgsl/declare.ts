/**
 * The declarations of a module's bindings, and how each of the kernel's buffers lies in them. A binding of one buffer is
 * an array of its elements; one that several share is an array of words; a data set keeps its bytes; a uniform one is an
 * array of vectors, whose lanes are the elements.
 */
import { invariant } from "../../../ir/diagnostic/diagnostic.ts";
import { unboundedSize, type BufferParam, type Kernel, type Stmt } from "../../../ir/loop/loop.ts";
import { allStatements } from "../../../ir/loop/walk.ts";
import { at, dtypeBytes } from "../../../ir/type.ts";
import { code, identifier, type Fragment } from "../../source-writer.ts";
import { elementOf, wordOf, type ArrayView } from "./array.ts";
import type { BoundLaunch, WgslAccess } from "./bindings.ts";
import { wgslName } from "./spelling.ts";
import { elementType } from "./statement.ts";

/** The declarations of a kernel's bindings, in order, and the views of its buffers. */
export type Declarations = { readonly lines: readonly Fragment[]; readonly arrays: ReadonlyMap<string, ArrayView> };

/** Declares the bindings of a kernel, whose statements are `body`. `vectors`: its arrays that hold vectors. */
export function declareBindings(
  kernel: Kernel,
  body: readonly Stmt[],
  bound: BoundLaunch,
  vectors: ReadonlySet<string>,
): Declarations {
  const statuses = statusBuffers(body);
  const arrays = new Map<string, ArrayView>();
  const lines = bound.accesses.map((access, binding) => {
    const members = kernel.buffers.flatMap((param, index) => {
      const place = at(bound.places, index);
      return place.binding === binding ? [{ param, offset: place.offset }] : [];
    });
    const [first] = members;
    invariant(first !== undefined, `${kernel.name} has an empty binding`);
    const name = members.length === 1 ? wgslName(first.param.name) : identifier(`kiln_memory_${binding}`);
    const whole = members.every(({ param, offset }) => vectors.has(param.name) && offset % 4 === 0);
    if (access === "uniform") {
      const element = elementOf(first.param.dtype, true, `the buffer ${first.param.name}`);
      for (const { param, offset } of members) arrays.set(param.name, { name, dtype: param.dtype, element, offset });
      const length = at(bound.bindings, binding).bytes / 16;
      return code`@group(0) @binding(${binding}) var<uniform> ${name}: array<${elementType(element)}, ${length}>;`;
    }
    const elements = members.map(({ param }) => ownElement(param, whole, statuses));
    const own = at(elements, 0);
    const element = elements.every((other) => other === own) ? own : "u32";
    invariant(!elements.includes("atomic<i32>") || members.length === 1, "a status buffer shares its binding");
    for (const { param, offset } of members) {
      arrays.set(param.name, { name, dtype: param.dtype, element, offset, ...packing(param) });
    }
    return bindingText(binding, name, element, access);
  });
  return { lines, arrays };
}

function bindingText(index: number, name: Fragment, element: ArrayView["element"], access: WgslAccess): Fragment {
  const mode = access === "read" ? code`read` : code`read_write`;
  return code`@group(0) @binding(${index}) var<storage, ${mode}> ${name}: array<${elementType(element)}>;`;
}

function ownElement(param: BufferParam, whole: boolean, statuses: ReadonlySet<string>): ArrayView["element"] {
  if (statuses.has(param.name)) return "atomic<i32>";
  if (packing(param) !== undefined) return "u32";
  return elementOf(param.dtype, whole, `the buffer ${param.name}`);
}

/** Data sets keep their bytes; their 64-bit integers come as words. */
function packing({ name, dtype, size }: BufferParam): Pick<ArrayView, "bits"> | undefined {
  if (size !== unboundedSize) return undefined;
  wordOf(dtype, `the data set ${name}`);
  const bytes = dtypeBytes[dtype];
  return bytes === 1 ? { bits: 8 } : bytes === 2 ? { bits: 16 } : undefined;
}

/** Buffers that checks report to. */
function statusBuffers(body: readonly Stmt[]): ReadonlySet<string> {
  return new Set(allStatements(body).flatMap((stmt) => (stmt.kind === "check" ? [stmt.status] : [])));
}
