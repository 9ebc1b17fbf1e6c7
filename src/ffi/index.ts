/** The C ABI for the runtime room; nothing above that room imports this. */
export * from "./abi.ts";
export { Bridge, type CallCount, countNativeCalls, loadBridge } from "./bridge.ts";
export { environmentVariable } from "./environment.ts";
export type { Completions } from "./host.ts";
export {
  BridgeError,
  type BridgeErrorCode,
  CompileError,
  type Diagnostic,
  OutOfMemoryError,
  ReleasedError,
  readText,
} from "./status.ts";
