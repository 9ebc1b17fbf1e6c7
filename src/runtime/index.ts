/** Devices, memory and work: the native objects of a device, each with one owner. */
export {
  abiVersion,
  BridgeError,
  type BridgeErrorCode,
  type CallCount,
  CompileError,
  countNativeCalls,
  type Diagnostic,
  OutOfMemoryError,
  ReleasedError,
} from "../ffi/index.ts";
export { Buffer, type BufferOptions, type Storage, type ViewType } from "./buffer.ts";
export { ProgramBuilder, type ProgramOptions } from "./builder.ts";
export type { Backend, DeviceContext, DeviceInfo } from "./context.ts";
export {
  type BridgeStatistics,
  Device,
  type LiveHandles,
  type MapOptions,
  type OpenOptions,
} from "./device.ts";
export type { Feature } from "./features.ts";
export { Library } from "./library.ts";
export { Owned } from "./owned.ts";
export { Pipeline } from "./pipeline.ts";
export { BufferPool, type BufferPoolOptions, type BufferPoolStatistics, sizeClass } from "./pool.ts";
export { Program } from "./program.ts";
export { Queue, requireRuns } from "./queue.ts";
export {
  type Bindable,
  type BufferBinding,
  type Dispatch,
  type Grid,
  type GridDimension,
  ProgramWriter,
  type Runnable,
} from "./writer.ts";
