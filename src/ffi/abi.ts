/**
 * The C ABI of bridge/bun_metal.h, declared once, as data. Types are derived from it, loaders read it, and a test holds
 * it against the header. What each function does, who owns what and which errors there are is said in the header.
 */

/**
 * How a value crosses: numbers as `u32` or `f64` only (a 64-bit integer costs several times as much and comes back as a
 * bigint), memory as `in` (read during the call) or `out` (written during the call), a completion as `callback`.
 * `pointer` is an address that comes back.
 */
export type NativeType = "u32" | "f64" | "in" | "out" | "callback" | "pointer";

/** What the function returns, then its arguments. */
export type Signature = readonly [returns: NativeType, ...args: NativeType[]];

export const abi = {
  bm_abi_version: ["u32"], // -> BM_ABI_VERSION
  bm_error_code: ["u32"], // -> status of this thread's last failure
  bm_error_message: ["u32", "out", "u32"], // -> full length; text, capacity
  bm_live_handles: ["u32", "out", "u32"], // -> how many kinds; f64 counts, capacity
  bm_statistics: ["u32", "out", "u32"], // -> how many numbers; f64 numbers, capacity
  bm_live_objects: ["u32", "out", "u32"], // -> full length; text, capacity
  bm_release: ["u32", "u32"], // -> status; handle

  bm_device_count: ["u32", "out"], // -> status; u32 count
  bm_device_open: ["u32", "u32", "u32"], // -> handle; index, disabled features
  bm_device_text: ["u32", "u32", "u32", "out", "u32"], // -> full length; device, which, text, capacity
  bm_device_numbers: ["u32", "u32", "out", "u32"], // -> status; device, f64 numbers, capacity

  bm_buffer_new: ["u32", "u32", "f64", "u32"], // -> handle; device, length, storage
  bm_buffer_wrap: ["u32", "u32", "out", "f64"], // -> handle; device, memory (kept!), length
  bm_buffer_map: ["u32", "u32", "in", "f64", "f64"], // -> handle; device, path, offset, length
  bm_buffer_length: ["f64", "u32"], // -> bytes; buffer
  bm_buffer_contents: ["pointer", "u32"], // -> address; buffer
  bm_buffer_fill: ["u32", "u32", "u32", "f64", "f64", "u32"], // -> status; queue, buffer, offset, length, value
  bm_buffer_copy: ["u32", "u32", "u32", "f64", "u32", "f64", "f64"], // -> status; queue, from, at, to, at, length
  bm_buffer_upload: ["u32", "u32", "u32", "f64", "in", "f64"], // -> status; queue, buffer, offset, bytes, length
  bm_buffer_download: ["u32", "u32", "u32", "f64", "out", "f64"], // -> status; queue, buffer, offset, bytes, length

  bm_library_from_source: ["u32", "u32", "in", "f64", "in"], // -> handle; device, source, length, name
  bm_library_from_file: ["u32", "u32", "in"], // -> handle; device, path
  bm_library_shaders: ["u32", "u32"], // -> handle; device
  bm_shaders_digest: ["u32", "out", "u32"], // -> full length; text, capacity
  bm_library_functions: ["u32", "u32", "out", "u32"], // -> full length; library, text, capacity
  bm_pipeline_new: ["u32", "u32", "in"], // -> handle; library, function
  bm_pipeline_numbers: ["u32", "u32", "out", "u32"], // -> status; pipeline, f64 numbers, capacity

  bm_queue_new: ["u32", "u32", "callback"], // -> handle; device, completed
  bm_program_new: ["u32", "u32", "in", "f64"], // -> handle; device, bytes, length
  bm_program_run: ["u32", "u32", "u32", "in", "u32"], // -> status; queue, program, u32 words, count
  bm_program_submit: ["u32", "u32", "u32", "in", "u32"], // -> ticket; queue, program, u32 words of all runs, count
  bm_queue_wait: ["u32", "u32", "u32"], // -> status; queue, ticket
  bm_queue_gpu_seconds: ["f64", "u32", "u32"], // -> seconds; queue, ticket

  // Models without JavaScript: nothing here calls them.
  bm_model_open: ["u32", "in", "in", "u32", "u32"], // -> handle; directory, plan, device index, features left out
  bm_model_numbers: ["u32", "u32", "out", "u32"], // -> status; model, f64 numbers, capacity
  bm_model_tokenize: ["u32", "u32", "in", "f64", "u32", "out", "u32", "out"], // -> status; model, text, length, flags, u32 tokens, capacity, u32 count
  bm_model_prompt: ["u32", "u32", "in", "f64", "u32"], // -> status; model, text, length, flags
  bm_model_prompt_tokens: ["u32", "u32", "in", "u32"], // -> status; model, u32 tokens, count
  bm_model_sampling: ["u32", "u32", "f64", "u32", "f64", "f64", "f64", "u32", "f64"], // -> status; model, temperature, top-k, top-p, min-p, penalty, last n, seed
  bm_model_next: ["u32", "u32", "out", "u32", "out", "out"], // -> status; model, text, capacity, u32 length, u32 token
  bm_model_rewind: ["u32", "u32", "u32"], // -> status; model, position
} as const;

/** Memory that a native function may read or write during a call. `null` is NULL. */
export type NativeMemory = Uint8Array | Uint32Array | Float64Array | null;

type Values = {
  readonly u32: number;
  readonly f64: number;
  readonly in: NativeMemory;
  readonly out: NativeMemory;
  readonly callback: number | null;
  readonly pointer: number | null;
};

type NativeFunction<S> = S extends readonly [
  infer R extends NativeType,
  ...infer A extends readonly NativeType[],
]
  ? (...args: { readonly [I in keyof A]: Values[A[I]] }) => Values[R]
  : never;

/** Name of a function of the C ABI. */
export type SymbolName = keyof typeof abi;

/** The loaded functions, typed from `abi`. */
export type Symbols = { readonly [K in SymbolName]: NativeFunction<(typeof abi)[K]> };

/** A native object: index and generation, never 0. The bridge checks every one that it is given. */
export type Handle = number;

/** BM_ABI_VERSION that this package is written for. */
export const abiVersion = 2;

/** What a status means, by its number: BM_OK, then BM_ERROR_*. */
export const statusNames = [
  "ok",
  "handle",
  "argument",
  "range",
  "memory",
  "compile",
  "not-found",
  "unsupported",
  "validation",
  "execution",
  "busy",
  "internal",
] as const;

/** BM_KIND_*, by number. */
export const handleKinds = ["device", "buffer", "library", "pipeline", "queue", "program", "model"] as const;

/** BM_STATISTIC_*, by number. */
export const statisticNames = [
  "bufferBytes",
  "peakBufferBytes",
  "inFlight",
  "objects",
  "objectsWithoutPool",
  "shaderCacheHits",
  "shaderCacheMisses",
  "shaderCacheFailures",
] as const;

/** Texts of bm_device_text, by number. */
export const deviceTexts = ["name", "architecture"] as const;

/** Numbers of bm_device_numbers, by position. */
export const deviceNumbers = [
  "unifiedMemory",
  "maxBufferLength",
  "workingSet",
  "maxThreadgroupMemory",
  "maxThreadsX",
  "maxThreadsY",
  "maxThreadsZ",
  "allocated",
  "simdgroupMatrix",
  "pageSize",
  "features",
  "weightStorage",
  "nonuniformThreadgroups",
  "availableMemory",
  "totalMemory",
] as const;

/** BM_FEATURE_*: name i is bit i of a set. */
export const featureNames = [
  "concurrent-dispatch",
  "indirect-commands",
  "residency-sets",
  "unretained-references",
  "shader-cache",
  "thread-qos",
] as const;

/** Numbers of bm_pipeline_numbers, by position. */
export const pipelineNumbers = ["maxThreads", "executionWidth", "threadgroupMemory"] as const;

/** BM_STORAGE_*, by number. */
export const storageModes = ["shared", "private"] as const;

/** The program format's numbers; bun_metal.h describes the format. */
export const programFormat = {
  magic: 0x31504d42, // "BMP1"
  dispatch: 1,
  copy: 2,
  fill: 3,
  barrier: 4,
  dispatchThreads: 1,
  dynamicWords: 0xffffffff,
  maxDynamicWords: 1048576,
} as const;

/** BM_MAX_IN_FLIGHT: submissions of one queue that the bridge holds at a time. */
export const maxInFlight = 64;
/** BM_MAX_RUNS: runs of one submission. */
export const maxRuns = 64;

/** BM_TICKET_FAILED: set in what a completion brings where the submission failed. */
export const ticketFailed = 0x80000000;
