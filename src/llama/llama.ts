import { type GgufFile, openGguf } from "../gguf/index.ts";
import { Device } from "../runtime/index.ts";
import { type Tokenizer, tokenizerFromMetadata } from "../text/index.ts";
import { checkSequence, type Row } from "./batch.ts";
import type { KvType } from "./cache.ts";
import { type LlamaConfig, readConfig } from "./config.ts";
import { type GenerateOptions, type GenerateResult, generate, type StepRunner } from "./generate.ts";
import { checkMemory } from "./memory_check.ts";
import { Model, type ModelOptions } from "./model.ts";
import type { Sequence } from "./sequence.ts";
import { layoutWeights, loadWeights, type WeightBuffers, type WeightPlacement } from "./weight_buffers.ts";
import { findWeights, type LlamaWeights, type WeightPlace, weightBytes } from "./weights.ts";

/** Positions of a sequence unless told: a longer context is memory that few texts use. */
const DEFAULT_CONTEXT_LENGTH = 4096;
const DEFAULT_BATCH_SIZE = 128;
/** Which part of loading is the weights' where they are copied, as a fraction. */
const PLACING_BEGINS = 0.2;
const PLACING_ENDS = 0.8;

export type LoadProgress = {
  /** What is being done, for people. */
  readonly stage:
    | "reading the file"
    | "opening the device"
    | "placing the weights"
    | "preparing kernels"
    | "ready";
  /** How much is done, from 0 to 1. */
  readonly fraction: number;
};

export type LoadOptions = {
  /**
   * A name as for `Device.open` (`"auto"`, `"cpu"`, `"metal"`, `"cuda"`): the model opens it and disposes it with itself.
   * Or a device, which stays the caller's and has to outlive the model. Default: `"auto"`.
   */
  readonly device?: string | Device;
  /** Positions that each sequence can hold. Memory grows with it. Default: what the model was trained for, at most 4096. */
  readonly contextLength?: number;
  /** Rows of a prompt that are computed at once. More are faster on large devices and take more memory. Default: 128. */
  readonly batchSize?: number;
  /** Sequences that can be open at once, each with room for a whole context. Memory grows with it. Default: 1. */
  readonly maxSequences?: number;
  /**
   * How keys and values are stored. `"f32"` keeps logits within 1e-4 of exact arithmetic; `"f16"` takes half the memory, and
   * moves them by a few thousandths. Default: `"f32"`.
   */
  readonly kvType?: KvType;
  /**
   * Whether to load a model that needs more memory than the device's working set (`DeviceInfo.workingSet`). That is a
   * recommendation: beyond it a device gets slow, and work may fail with a `BridgeError` when memory runs out. Without it
   * such a model is refused before anything is allocated. Default: false.
   */
  readonly exceedWorkingSet?: boolean;
  /** Ends loading with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called between the parts of loading and, where weights are copied, between their pieces. */
  readonly onProgress?: (progress: LoadProgress) => void;
};

/** What loading and generation took, and what the model holds. Times are wall-clock. */
export type LlamaStatistics = {
  readonly loadSeconds: number;
  /** Prompt tokens computed by `generate`, in total. */
  readonly promptTokens: number;
  /** NaN before the first prompt. */
  readonly promptTokensPerSecond: number;
  /** Tokens computed by `generate` one by one, in total. */
  readonly generatedTokens: number;
  /** NaN before the first such token. */
  readonly generationTokensPerSecond: number;
  /** Bytes of the weights. */
  readonly weightBytes: number;
  /** Where the weights are: `"mapped"` from the file, `"copied"` into shared memory, or in `"private"` memory of the device. */
  readonly weightPlacement: WeightPlacement;
  /** Buffers that the weights are spread over: more than one where the file is over the device's largest buffer. */
  readonly weightBuffers: number;
  /** Bytes of the KV cache. */
  readonly kvBytes: number;
  /** Bytes that intermediate results take. */
  readonly activationBytes: number;
  /** Kernel launches of one generated token. */
  readonly dispatchesPerToken: number;
  /** Barriers between them. */
  readonly barriersPerToken: number;
};

/**
 * A Llama model, ready to generate text.
 *
 * It owns its weights, cache and programs, and the device if it opened it. Disposing it ends running generations with a
 * `ReleasedError`; disposing it twice is fine.
 *
 * @example
 * ```ts
 * import { Llama } from "bun-metal";
 *
 * using llama = await Llama.load("examples/models/austen-5m-q8_0.gguf");
 * for await (const text of llama.generate("Emma was", { maxTokens: 64 })) process.stdout.write(text);
 * ```
 */
export class Llama implements Disposable {
  readonly config: LlamaConfig;
  readonly tokenizer: Tokenizer;
  /** Where the model runs. */
  readonly device: Device;
  /** Positions that each sequence can hold. */
  readonly contextLength: number;
  readonly #model: Model;
  readonly #owned: DisposableStack;
  readonly #loadSeconds: number;
  readonly #weightBytes: number;
  readonly #prompt = { tokens: 0, seconds: 0 };
  readonly #generated = { tokens: 0, seconds: 0 };

  /**
   * Loads a model. The file is checked as a whole before a device is touched. Where device and CPU share memory its
   * weights are mapped and not read; else they are copied to the device in pieces.
   *
   * @param path A GGUF file of architecture `llama` with weights in F32, F16 or Q8_0. It must not change afterwards.
   * @throws {GgufError} If the file is no GGUF file, or lacks metadata.
   * @throws {ModelError} If it is a model that this library cannot run; `field` names the metadata key or tensor.
   * @throws {TypeError} If the file lacks a part of the tokenizer.
   * @throws {RangeError} If an option is out of range.
   * @throws {MemoryError} If the model needs more memory than the device has to give.
   * @throws {BridgeError} If the native library or the device is missing, or memory runs out.
   */
  static async load(path: string, options: LoadOptions = {}): Promise<Llama> {
    const start = performance.now();
    const begin = async (stage: LoadProgress["stage"], fraction: number): Promise<void> => {
      options.onProgress?.({ stage, fraction });
      await new Promise((resolve) => setImmediate(resolve)); // a chance to paint, and to abort
      options.signal?.throwIfAborted();
    };
    options.signal?.throwIfAborted();
    await begin("reading the file", 0);
    const file = readModelFile(path);
    const modelOptions = resolveOptions(options, file.config);
    await begin("opening the device", 0.1);
    using owned = new DisposableStack();
    const device =
      typeof options.device === "object" ? options.device : owned.use(Device.open(options.device));
    await begin("placing the weights", PLACING_BEGINS);
    const weights = owned.use(await placeWeights(device, path, file, options, modelOptions));
    await begin("preparing kernels", PLACING_ENDS);
    const model = owned.use(new Model(device, file.config, file.places, weights, modelOptions));
    await begin("ready", 1);
    return new Llama(file, device, model, owned.move(), (performance.now() - start) / 1e3);
  }

  private constructor(
    file: ModelFile,
    device: Device,
    model: Model,
    owned: DisposableStack,
    loadSeconds: number,
  ) {
    this.config = file.config;
    this.tokenizer = file.tokenizer;
    this.device = device;
    this.contextLength = model.cache.blocks.options.contextLength;
    this.#model = model;
    this.#owned = owned;
    this.#loadSeconds = loadSeconds;
    this.#weightBytes = weightBytes(file.places);
  }

  /**
   * Streams the continuation of a prompt, in pieces of whole characters. Leaving the loop stops the work. Several
   * generations can run at the same time, each with a sequence of its own (`maxSequences`); their steps take turns.
   *
   * @param prompt Text, which begins with the start token where the model wants one, or token ids as they are.
   * @returns A generator; its return value says why it ended.
   * @throws {ContextFullError} If the prompt, or `maxTokens` tokens after it, do not fit into the context.
   * @throws {RangeError} If an option is out of range, or all sequences are in use.
   */
  generate(
    prompt: string | readonly number[],
    options: GenerateOptions = {},
  ): AsyncGenerator<string, GenerateResult, void> {
    const runner: StepRunner = {
      tokenizer: this.tokenizer,
      contextLength: this.contextLength,
      openSequence: () => this.#model.openSequence(),
      checkSequence: (sequence) => checkSequence(sequence, this.#model.cache),
      run: (rows, onLogits, signal) => this.#model.run(rows, onLogits, signal),
      countPrompt: (tokens, seconds) => count(this.#prompt, tokens, seconds),
      countGenerated: (tokens, seconds) => count(this.#generated, tokens, seconds),
    };
    return generate(runner, prompt, options);
  }

  /**
   * Opens an empty sequence for `decode`, or for `generate` to go on in. The caller disposes it.
   *
   * @throws {RangeError} If all sequences are in use.
   */
  sequence(): Sequence {
    return this.#model.openSequence();
  }

  /**
   * Computes any number of rows, of any sequences, in as few steps as there is room for. Calls run one after the other.
   *
   * @returns A copy of the logits, [vocabulary], after each row that wants them, in the order of the rows.
   * @throws {RangeError} If a token or a position is not possible; nothing was computed then.
   * @throws {ContextFullError} If a sequence has no room; nothing was computed then.
   */
  async decode(
    rows: readonly Row[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Float32Array[]> {
    const logits: Float32Array[] = [];
    await this.#model.run(rows, (row) => logits.push(row.slice()), options.signal);
    return logits;
  }

  get statistics(): LlamaStatistics {
    const { cache, single, activationBytes, weights } = this.#model;
    return {
      loadSeconds: this.#loadSeconds,
      promptTokens: this.#prompt.tokens,
      promptTokensPerSecond: this.#prompt.tokens / this.#prompt.seconds,
      generatedTokens: this.#generated.tokens,
      generationTokensPerSecond: this.#generated.tokens / this.#generated.seconds,
      weightBytes: this.#weightBytes,
      weightPlacement: weights.placement,
      weightBuffers: weights.buffers.length,
      kvBytes: cache.byteLength,
      activationBytes,
      dispatchesPerToken: single.plan.dispatchCount,
      barriersPerToken: single.plan.barrierCount,
    };
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/** What is known of a model without a device. */
export type ModelFile = {
  readonly gguf: GgufFile;
  readonly config: LlamaConfig;
  readonly tokenizer: Tokenizer;
  readonly places: LlamaWeights<WeightPlace>;
};

/** Reads a model's file and checks all of it. Throws as `Llama.load`. */
export function readModelFile(path: string): ModelFile {
  const gguf = openGguf(path);
  const config = readConfig(gguf);
  const places = findWeights(gguf, config);
  return { gguf, config, places, tokenizer: tokenizerFromMetadata(gguf.metadata) };
}

/** Checks that there is room, then brings the weights there. */
async function placeWeights(
  device: Device,
  path: string,
  { config, places, gguf }: ModelFile,
  options: LoadOptions,
  modelOptions: ModelOptions,
): Promise<WeightBuffers> {
  const layout = layoutWeights(places, device.info);
  checkMemory(device.info, config, places, layout, {
    ...modelOptions,
    exceedWorkingSet: options.exceedWorkingSet ?? false,
  });
  return loadWeights(device, { path, fileSize: gguf.fileSize }, layout, {
    signal: options.signal,
    onProgress: (done) =>
      options.onProgress?.({
        stage: "placing the weights",
        fraction: PLACING_BEGINS + done * (PLACING_ENDS - PLACING_BEGINS),
      }),
  });
}

/** The options with defaults filled in. @throws {RangeError} if one is out of range */
export function resolveOptions(options: LoadOptions, config: LlamaConfig): ModelOptions {
  const {
    contextLength = Math.min(config.contextLength, DEFAULT_CONTEXT_LENGTH),
    batchSize = DEFAULT_BATCH_SIZE,
    maxSequences = 1,
    kvType = "f32",
  } = options;
  checkCount("contextLength", contextLength, config.contextLength, "what the model was trained for");
  checkCount("batchSize", batchSize, 65536, "the most that a step takes");
  checkCount("maxSequences", maxSequences, 65536, "the most that there can be");
  if (kvType !== "f16" && kvType !== "f32") {
    throw new RangeError(`kvType must be "f16" or "f32", not "${kvType}"`);
  }
  // A batch larger than the whole cache would never be full.
  return {
    contextLength,
    batchSize: Math.min(batchSize, contextLength * maxSequences),
    maxSequences,
    kvType,
  };
}

function checkCount(name: string, value: number, most: number, why: string): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= most) return;
  throw new RangeError(`${name} must be a whole number from 1 to ${most} (${why}), not ${value}`);
}

function count(total: { tokens: number; seconds: number }, tokens: number, seconds: number): void {
  total.tokens += tokens;
  total.seconds += seconds;
}
