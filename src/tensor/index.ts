/** The tensor room: a lazy graph, compiled into a plan that is one program call per run. */

export { type DType, type DTypeLayout, dtypes, type WeightDType } from "./dtype.ts";
export { Graph } from "./graph.ts";
export * from "./ops/index.ts";
export { Plan } from "./plan.ts";
export type { ScheduleOptions } from "./schedule.ts";
export { type Dimension, Rows, type Shape } from "./shape.ts";
export { Tensor } from "./tensor.ts";
