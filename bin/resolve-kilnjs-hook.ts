/** The resolve hook for artifacts: `kilnjs/…` means this package, so that trainer, data and command share one copy of it. */
import type { ResolveHook } from "node:module";

/** Resolves `kilnjs` and what is below it from here, everything else as Node does. */
export const resolve: ResolveHook = (specifier, context, nextResolve) => {
  const isOurs = specifier === "kilnjs" || specifier.startsWith("kilnjs/");
  return nextResolve(specifier, isOurs ? { ...context, parentURL: import.meta.url } : context);
};
