/** The tensor room: a lazy graph, compiled into a plan that is one program call per run. */

export { type DType, type DTypeLayout, dtypes, rowBytes, type WeightDType, weightDTypes } from "./dtype.ts";
export { type Footprint, footprint, footprintBound } from "./footprint.ts";
export { Graph } from "./graph.ts";
export { Nodes } from "./nodes.ts";
export type { KernelTarget } from "./operation.ts";
export * from "./ops/index.ts";
export { compileNodes, type Plan } from "./plan.ts";
export {
  compileRelocatable,
  KernelTable,
  NumberedMemory,
  type RelocatableOptions,
  type RelocatableProgram,
} from "./relocatable.ts";
export { kernelsOf, type ScheduleOptions } from "./schedule.ts";
export { type Dimension, Rows, type Shape } from "./shape.ts";
export { type Memory, Tensor } from "./tensor.ts";
export type { DerivedWord } from "./words.ts";
