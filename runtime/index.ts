/** The public face of the runtime, `kilnjs/runtime`: what runs a compiled program. */
export { Program, type ProgramOptions } from "./program.ts";
export type { DatasetField, Named, RunOptions, RunResult } from "./run.ts";
export type { CallInput } from "./inputs.ts";
export type { LoadOptions, StateTensor } from "./state.ts";
export { createSchedulers, type Scheduler, type SchedulerState } from "./schedulers.ts";
export { DiagnosticError, InternalError, TargetError, UserError } from "../ir/diagnostic/diagnostic.ts";
export { runTrainer, trainWith, type TrainerMain } from "./training/run-trainer.ts";
export { Session } from "./training/session.ts";
