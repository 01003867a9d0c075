/** The op table: every export is one op under its own name. */
export * from "./leaf.ts";
export * from "./arithmetic.ts";
export * from "./math.ts";
export * from "./logic.ts";
export * from "./movement.ts";
export * from "./join.ts";
export * from "./reduce.ts";
export * from "./dot.ts";
export * from "./conv.ts";
export * from "./window.ts";
export * from "./gather.ts";
export * from "./sort.ts";
export * from "./random.ts";
