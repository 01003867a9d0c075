import { createWriter, type Graph, type Node } from "../ir/graph.ts";
import { scheduleGraph } from "../compiler/schedule/schedule.ts";
import { chooseLayouts } from "../compiler/schedule/layout.ts";
import { planProgram, stateBuffer } from "../compiler/memory/plan.ts";
import { orderedStrides } from "../compiler/memory/buffer.ts";
import type { StateDecl } from "../compiler/trace/traced.ts";
import { printKernel } from "../ir/loop/print.ts";
import { reuseOutputs } from "../compiler/passes/reuse-outputs.ts";

const { g, nodes } = createWriter(() => undefined);
const B = 64;
const img = g.feed({ field: "images", dtype: "u8", shape: [B, 28, 28] });
const lab = g.feed({ field: "labels", dtype: "i64", shape: [B] });
const x = g.reshape(g.div(g.cast(img, { dtype: "f32" }), g.full({ value: 255, dtype: "f32", shape: [B, 28, 28] })), { shape: [B, 784] });
const st: StateDecl[] = [];
const param = (name: string, shape: number[]): Node => {
  st.push({ name, role: "parameter", dtype: "f32", shape });
  for (const s of ["exp_avg", "exp_avg_sq"]) st.push({ name: `optimizer.${s}.${name}`, role: "slot", dtype: "f32", shape });
  return g.read({ state: name, dtype: "f32", shape });
};
const w1 = param("fc1.weight", [128, 784]), b1 = param("fc1.bias", [128]), w2 = param("fc2.weight", [10, 128]), b2 = param("fc2.bias", [10]);
const row = (v: Node, n: number): Node => g.broadcast(g.reshape(v, { shape: [1, n] }), { shape: [B, n] });
const col = (v: Node, n: number): Node => g.broadcast(g.reshape(v, { shape: [B, 1] }), { shape: [B, n] });
const dotNT = (a: Node, b: Node): Node => g.dot(a, b, { lhsBatch: [], rhsBatch: [], lhsContract: [1], rhsContract: [1] });
const pre = g.add(dotNT(x, w1), row(b1, 128));
const zero = g.full({ value: 0, dtype: "f32", shape: [B, 128] });
const h = g.select(g.le(pre, zero), zero, pre);
const logits = g.add(dotNT(h, w2), row(b2, 10));
const sh = g.sub(logits, col(g.maxReduce(logits, { axes: [1] }), 10));
const lse = g.log(g.sum(g.exp(sh), { axes: [1] }));
const logp = g.sub(sh, col(lse, 10));
const hot = g.eq(g.iota({ axis: 1, dtype: "i64", shape: [B, 10] }), col(lab, 10));
const zero10 = g.full({ value: 0, dtype: "f32", shape: [B, 10] });
const nll = g.neg(g.sum(g.select(hot, logp, zero10), { axes: [1] }));
const loss = g.div(g.sum(nll, { axes: [0] }), g.full({ value: B, dtype: "f32", shape: [] }));
const scale = g.full({ value: 1 / B, dtype: "f32", shape: [B, 10] });
const dl = g.mul(g.sub(g.exp(logp), g.select(hot, g.full({ value: 1, dtype: "f32", shape: [B, 10] }), zero10)), scale);
const dot0 = (a: Node, b: Node): Node => g.dot(a, b, { lhsBatch: [], rhsBatch: [], lhsContract: [0], rhsContract: [0] });
const dw2 = dot0(dl, h), db2 = g.sum(dl, { axes: [0] });
const dh = g.select(g.le(pre, zero), zero, g.dot(dl, w2, { lhsBatch: [], rhsBatch: [], lhsContract: [1], rhsContract: [0] }));
const dw1 = dot0(dh, x), db1 = g.sum(dh, { axes: [0] });
const writes: { state: string; value: Node }[] = [];
const fill = (v: number, like: Node): Node => g.full({ value: v, dtype: "f32", shape: like.type.shape });
const bc = (s: Node, like: Node): Node => g.broadcast(g.reshape(s, { shape: like.type.shape.map(() => 1) }), { shape: like.type.shape });
const adam = (name: string, p: Node, gr: Node): void => {
  const shape = p.type.shape;
  const m = g.read({ state: `optimizer.exp_avg.${name}`, dtype: "f32", shape });
  const v = g.read({ state: `optimizer.exp_avg_sq.${name}`, dtype: "f32", shape });
  const m1 = g.add(m, g.mul(g.sub(gr, m), fill(0.1, p)));
  const v1 = g.add(g.mul(v, fill(0.999, p)), g.mul(g.mul(gr, gr), fill(0.001, p)));
  const denom = g.add(g.div(g.sqrt(v1), bc(g.hostScalar({ expr: ["sqrt", ["counter", "t"]] }), p)), fill(1e-8, p));
  const p1 = g.add(p, g.mul(bc(g.hostScalar({ expr: ["hyper", "lr"] }), p), g.div(m1, denom)));
  writes.push({ state: `optimizer.exp_avg.${name}`, value: m1 }, { state: `optimizer.exp_avg_sq.${name}`, value: v1 }, { state: name, value: p1 });
};
adam("fc1.weight", w1, dw1);
adam("fc1.bias", b1, db1);
adam("fc2.weight", w2, dw2);
adam("fc2.bias", b2, db2);
let graph: Graph = { name: "train", nodes, outputs: [{ name: "loss", value: loss }], writes };
graph = reuseOutputs(graph);
const vectors = { lanes: 16, registers: 32 };
const t0 = performance.now();
const layouts = chooseLayouts([{ graph, weight: 1 }], st, vectors);
console.log([...layouts]);
const strides = (s: string): number[] => {
  const d = st.find(({ name }) => name === s);
  return orderedStrides(d?.shape ?? [], layouts.get(s) ?? []);
};
const schedule = scheduleGraph(graph, strides, vectors);
for (const group of schedule.grouping.groups)
  console.log(group.id, group.kind, group.shape.join("x"), group.heavy.map((n) => `%${n.id} ${n.op}`).join(" "), "|", group.stores.map((s) => `%${s.node.id} ${s.node.op} ${s.level}`).join(", "));
const plan = planProgram("w1", [{ name: "train", batch: B, schedule, inputs: [{ kind: "feed", name: "images", dtype: "u8", shape: [B, 28, 28] }, { kind: "feed", name: "labels", dtype: "i64", shape: [B] }], increments: {} }], st.map((s) => stateBuffer(s.name, s.dtype, s.shape, layouts.get(s.name) ?? [])), vectors);
console.log(performance.now() - t0, "ms");
for (const r of plan.reports) for (const l of r.launches) console.log(l.phase, l.kernel, l.tasks, l.flops, l.bytes, l.computes.join(" "));
if (process.argv[2]) for (const k of plan.program.kernels) console.log(printKernel(k));
export { plan };
import { verifyKernel } from "../ir/loop/verify.ts";
import { emitC } from "../codegen/targets/c/emit.ts";
import { buildC } from "../compiler/build/c.ts";
import { writeFileSync } from "node:fs";
for (const k of plan.program.kernels) { try { verifyKernel(k); } catch (e) { console.log(k.name, String(e)); } }
const c = emitC(plan.program);
for (const f of c.files) writeFileSync(`/tmp/scratch/${f.name}`, f.text);
console.log(c.files.map((f) => [f.name, f.text.length]));
try {
const lib = await buildC(c);
writeFileSync("/tmp/scratch/p.so", lib.library); console.log(lib.seconds);
} catch (e) { console.log(String(e)); }
