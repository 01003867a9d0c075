/** `optim`: optimizers and learning-rate schedulers. */
export { Optimizer, type CommonOptions, type Params, type ParamGroup } from "./optimizer.ts";
export * from "./adam.ts";
export * from "./adaptive.ts";
export * from "./sgd.ts";
export * as lrScheduler from "./lr-scheduler.ts";
