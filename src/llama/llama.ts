import type { Device } from "../runtime/index.ts";
import type { Tokenizer } from "../text/index.ts";
import { checkSequence, type Row } from "./batch.ts";
import type { LlamaConfig } from "./config.ts";
import { type GenerateOptions, type GenerateResult, generate, type StepRunner } from "./generate.ts";
import { type LoadedModel, type LoadOptions, loadModel } from "./load.ts";
import { Lookahead } from "./lookahead.ts";
import type { Model } from "./model.ts";
import type { Sequence } from "./sequence.ts";
import type { WeightPlacement } from "./weight_buffers.ts";
import { weightBytes } from "./weights.ts";

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
  /** Bytes that intermediate results take: of a generated token's, and of those of more rows once there were some. */
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
   * @param path A GGUF file of architecture `llama`, `qwen2`, `qwen3`, `qwen3moe`, `gemma`, `gemma2`, `gemma3` or `phi3`
   *   with weights of any type in `WeightDType`, or any part of one that is split (`name-00001-of-00003.gguf`). It must
   *   not change afterwards.
   * @throws {GgufError} If the file is no GGUF file, or lacks metadata or a part.
   * @throws {ModelError} If it is a model that this library cannot run; `field` names the metadata key or tensor.
   * @throws {TypeError} If the file lacks a part of the tokenizer.
   * @throws {RangeError} If an option is out of range.
   * @throws {MemoryError} If the model needs more memory than the device has to give.
   * @throws {BridgeError} If the native library or the device is missing, or memory runs out.
   */
  static async load(path: string, options: LoadOptions = {}): Promise<Llama> {
    const start = performance.now();
    const loaded = await loadModel(path, options);
    return new Llama(loaded, (performance.now() - start) / 1e3);
  }

  private constructor({ file, device, model, owned }: LoadedModel, loadSeconds: number) {
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
      lookahead: (sequence, sampler, last) => {
        const { choosing } = this.#model;
        if (choosing === undefined || sampler.needsHistory) return undefined;
        return new Lookahead(choosing, sequence, sampler, last);
      },
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

function count(total: { tokens: number; seconds: number }, tokens: number, seconds: number): void {
  total.tokens += tokens;
  total.seconds += seconds;
}
