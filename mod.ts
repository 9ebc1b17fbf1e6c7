/**
 * Llama inference and GPU tensors over Apple's Metal, and over the same API on Linux. This file is all that is public.
 *
 * @example Generate text
 * ```ts
 * import { Llama } from "bun-metal";
 *
 * using llama = await Llama.load("examples/models/austen-5m-q8_0.gguf");
 * for await (const text of llama.generate("Emma was", { maxTokens: 64 })) process.stdout.write(text);
 * ```
 *
 * @module
 */

/** Model files: what a GGUF file contains. */
export {
  GgufError,
  GgufFile,
  type GgufPart,
  type GgufTensor,
  type GgufValue,
  openGguf,
  parseGguf,
} from "./src/gguf/index.ts";
/** Models: load a GGUF file, stream text, or run single steps and read logits. */
export {
  ContextFullError,
  type GenerateOptions,
  type GenerateResult,
  type KvType,
  Llama,
  type LlamaConfig,
  type LlamaStatistics,
  type LoadOptions,
  type LoadProgress,
  MemoryError,
  ModelError,
  type Row,
  type Sequence,
  type WeightPlacement,
} from "./src/llama/index.ts";

/** Quantising: a model in fewer bits, from file to file. */
export {
  QuantizeError,
  type QuantizeErrorCode,
  type QuantizeOptions,
  type QuantizeProgress,
  type QuantizeResult,
  type QuantizeType,
  quantize,
  quantizeTypes,
} from "./src/quantize/index.ts";

/** Devices and what lives on them: buffers, shader libraries, pipelines, programs, queues. */
export {
  type Backend,
  BridgeError,
  type BridgeErrorCode,
  type BridgeStatistics,
  Buffer,
  type BufferBinding,
  type BufferOptions,
  BufferPool,
  type BufferPoolOptions,
  type BufferPoolStatistics,
  CompileError,
  Device,
  type DeviceInfo,
  type Diagnostic,
  type Dispatch,
  type Feature,
  type Grid,
  type GridDimension,
  Library,
  type LiveHandles,
  type MapOptions,
  type OpenOptions,
  OutOfMemoryError,
  Pipeline,
  Program,
  ProgramBuilder,
  type ProgramOptions,
  Queue,
  ReleasedError,
  type Storage,
  type ViewType,
} from "./src/runtime/index.ts";
/** Sampling: how the next token is chosen from logits. */
export {
  createSampler,
  type ResolvedSamplerOptions,
  type Sampler,
  type SamplerOptions,
} from "./src/sample/index.ts";
/** Tensors: a lazy graph with shape checks, compiled into one program call. */
export {
  type AttentionOptions,
  add,
  addBias,
  argmax,
  attention,
  attentionScores,
  attentionWeightedSum,
  convert,
  type Dimension,
  type DType,
  embed,
  type FusedAttentionOptions,
  Graph,
  gatherRows,
  gelu,
  kvStore,
  type MatmulKernel,
  matmul,
  matmulExperts,
  mixExperts,
  mul,
  type PagedCache,
  type Plan,
  type RopeLayout,
  type RopeOptions,
  type Routes,
  type Rows,
  rmsNorm,
  rope,
  ropeFrequencies,
  routeExperts,
  type Shape,
  SKIPPED_SLOT,
  scale,
  silu,
  softCap,
  softmax,
  type Tensor,
  type WeightDType,
} from "./src/tensor/index.ts";
/** Text: tokenizers and chat templates as models have them, and stop strings in streams. */
export {
  type ChatMessage,
  type ChatOptions,
  ChatTemplateError,
  createTokenizer,
  type DecodeOptions,
  type EncodeOptions,
  StopMatcher,
  type StopResult,
  type StreamDecoder,
  type Tokenizer,
  type TokenTypes,
  tokenizerFromMetadata,
  tokenTypes,
  type Vocabulary,
} from "./src/text/index.ts";
