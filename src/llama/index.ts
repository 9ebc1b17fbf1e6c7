/** The Llama room: models in GGUF files, from loading to streamed text. */
export type { Row } from "./batch.ts";
export type { KvType } from "./cache.ts";
export type { LlamaConfig } from "./config.ts";
export { ContextFullError, MemoryError, ModelError } from "./errors.ts";
export {
  type ExportOptions,
  type ExportResult,
  type ExportTarget,
  exportModel,
  exportTargets,
} from "./export.ts";
export type { GenerateOptions, GenerateResult } from "./generate.ts";
export { Llama, type LlamaStatistics } from "./llama.ts";
export type { LoadOptions, LoadProgress } from "./load.ts";
export type { Sequence } from "./sequence.ts";
export type { WeightPlacement } from "./weight_buffers.ts";
