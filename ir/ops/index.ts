/** The op table: every export is one op under its own name. */
export * from "./arithmetic.ts";
export * from "./movement.ts";
