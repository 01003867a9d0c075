/**
 * The public face of `kilnjs/data`: data sets, samplers, loaders and transforms, named as in PyTorch. It needs neither the
 * compiler nor a program.
 */
export { describe, type FieldDescription, type LoaderDescription } from "../../ir/data/description.ts";
export type { TransformDescription } from "../../ir/data/description.ts";
export { describeLoader } from "../../ir/data/describe.ts";
export { defaultGenerator, manualSeed } from "../../ir/random/default.ts";
export { Generator } from "../../ir/random/generator.ts";
export type { Batch, Collate } from "./collate.ts";
export { ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset } from "./dataset.ts";
export type { FieldValue, Sample, TransformOptions } from "./dataset.ts";
export { readIdx } from "./idx.ts";
export { DataLoader, type DataLoaderOptions } from "./loader.ts";
export { fashionMnist, mnist, type MnistOptions } from "./mnist.ts";
export type { Epoch, Pass } from "./pass.ts";
export type { LoaderState } from "./position.ts";
export type { ResidentField } from "./resident.ts";
export { dataRoot, setDataRoot } from "./root.ts";
export { BatchSampler, RandomSampler, Sampler, SequentialSampler, SubsetRandomSampler } from "./sampler.ts";
export { WeightedRandomSampler, type BatchSource, type RandomSamplerOptions } from "./sampler.ts";
export type { WeightedRandomSamplerOptions } from "./sampler.ts";
export { randomSplit } from "./split.ts";
export type { ArrayData, ArrayValue, Tensorlike } from "./tensorlike.ts";
export type { TypedArray } from "../typed-array.ts";
export * as transforms from "./transforms.ts";
export type { Transform } from "./transforms.ts";
