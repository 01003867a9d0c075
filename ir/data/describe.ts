/** Asking a loader what it gives: the one place where the compiler and the trainer meet loaders they know nothing of. */
import { fail } from "../diagnostic/diagnostic.ts";
import { notALoader } from "../diagnostic/messages.ts";
import { describe, type LoaderDescription } from "./description.ts";

/** Something that describes itself as a loader. */
export type DescribedLoader = { readonly [describe]: () => LoaderDescription };

/** Whether `value` describes itself as a loader. */
export function isLoader(value: unknown): value is DescribedLoader {
  return typeof value === "object" && value !== null && describe in value && typeof value[describe] === "function";
}

/**
 * What `loader` says about itself; `place` names it in errors. For a user's own data set this reads sample 0.
 *
 * @throws UserError K2034 if it is no loader, else what its data set gives as faults.
 */
export function describeLoader(loader: unknown, place: string = "the value"): LoaderDescription {
  if (isLoader(loader)) return loader[describe]();
  const got = typeof loader === "object" && loader !== null ? `a ${loader.constructor.name}` : String(loader);
  throw fail(notALoader(place, got));
}
