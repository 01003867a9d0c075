/**
 * The description of an exported page, `page.json`: the data sets that lie beside it and the loaders that read them. The
 * command that exports writes it, the program of the page reads it; the schema is the one declaration.
 */
import * as v from "valibot";
import { dtypes } from "../type.ts";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** An array in a file of its own: gzip of its elements, row-major, little-endian. */
export const pageArraySchema = v.object({
  file: v.string(),
  dtype: v.picklist(dtypes),
  shape: v.array(count),
});

/**
 * What gives a loader's order: one of the library's samplers. `indices`, `weights`: numbers of arrays (i32, f64);
 * `generator`: the number of its own generator.
 */
export const pageSamplerSchema = v.variant("kind", [
  v.object({ kind: v.literal("sequential") }),
  v.object({
    kind: v.literal("random"),
    replacement: v.boolean(),
    samples: count,
    generator: v.nullable(count),
  }),
  v.object({ kind: v.literal("subset"), indices: count, generator: v.nullable(count) }),
  v.object({
    kind: v.literal("weighted"),
    weights: count,
    replacement: v.boolean(),
    samples: count,
    generator: v.nullable(count),
  }),
]);

/** A loader. */
export const pageLoaderSchema = v.object({
  name: v.string(),
  batchSize: count,
  dropLast: v.boolean(),
  /** Numbers of the arrays of its fields. */
  fields: v.array(count),
  /** Number of the array (i32) with the row of each sample; `null` if sample i is row i. */
  rows: v.nullable(count),
  sampler: pageSamplerSchema,
  /** Number of its own generator. */
  generator: v.nullable(count),
});

/** What `page.json` holds. */
export const pageSchema = v.object({
  /** Marks a folder as an exported page. */
  kind: v.literal("kiln-page"),
  schema: v.literal(1),
  arrays: v.array(pageArraySchema),
  /** States of the loaders' and samplers' own generators when `data()` had run, in base64. */
  generators: v.array(v.string()),
  /** State of the default generator when `data()` had run after the model's seed, in base64; `null` if it drew nothing. */
  drawn: v.nullable(v.string()),
  loaders: v.array(pageLoaderSchema),
});

export type PageDescription = v.InferOutput<typeof pageSchema>;
export type PageArray = v.InferOutput<typeof pageArraySchema>;
export type PageSampler = v.InferOutput<typeof pageSamplerSchema>;
export type PageLoader = v.InferOutput<typeof pageLoaderSchema>;
