/** Logits as llama.cpp gives them on the CPU. What is declared here is only what the checks of this directory use. */
import { type Addon, openAddon } from "./addon.ts";

type Sampler = { applyConfig(config: { readonly temperature: number }): void; dispose(): void };

type Model = { init(): Promise<boolean>; dispose(): Promise<void> };

type Context = {
  init(): Promise<boolean>;
  initBatch(size: number): void;
  /** Returns where the wanted logits will be. */
  addToBatch(sequence: number, position: number, tokens: Uint32Array, wanted: Uint32Array): Uint32Array;
  decodeBatch(): Promise<void>;
  /** The fourth of what it returns are tokens and their logits in turn, if `logits` is true. */
  sampleToken(
    index: number,
    sampler: Sampler,
    probabilities: boolean,
    confidence: boolean,
    logits: boolean,
  ): Promise<readonly [number, unknown, unknown, ArrayLike<number>]>;
  dispose(): Promise<void>;
};

type LogitsAddon = Addon & {
  readonly AddonModel: new (
    path: string,
    options: { readonly gpuLayers: number; readonly useMmap: boolean; readonly addonExports: LogitsAddon },
  ) => Model;
  readonly AddonContext: new (
    model: Model,
    options: ContextSettings & { readonly contextSize: number },
  ) => Context;
  readonly AddonSampler: new (model: Model) => Sampler;
};

/** What llama.cpp can do in more than one way, with results that differ a little. */
export type ContextSettings = {
  readonly threads: number;
  /** Tokens of a prompt that are computed at once. */
  readonly batchSize: number;
  readonly flashAttention: boolean;
  /** ggml's numbers of types: 0 is F32, 1 F16. */
  readonly kvCacheKeyType: number;
  readonly kvCacheValueType: number;
};

const CONTEXT = 512;

/** A model of llama.cpp's. Dispose it (`await using`). */
export class LlamaCpp implements AsyncDisposable {
  readonly #addon: LogitsAddon;
  readonly #model: Model;
  readonly #sampler: Sampler;

  private constructor(addon: LogitsAddon, model: Model) {
    this.#addon = addon;
    this.#model = model;
    this.#sampler = new addon.AddonSampler(model);
    this.#sampler.applyConfig({ temperature: 0 });
  }

  static async load(path: string): Promise<LlamaCpp> {
    const addon = await openAddon<LogitsAddon>();
    const model = new addon.AddonModel(path, { gpuLayers: 0, useMmap: true, addonExports: addon });
    if (!(await model.init())) throw new Error(`llama.cpp does not load "${path}"`);
    return new LlamaCpp(addon, model);
  }

  /** The logits after the last token of a prompt, and after each token that is greedily chosen behind it. */
  async logits(prompt: readonly number[], steps: number, settings: ContextSettings): Promise<Float32Array[]> {
    const context = new this.#addon.AddonContext(this.#model, { ...settings, contextSize: CONTEXT });
    if (!(await context.init())) throw new Error("llama.cpp made no context");
    try {
      const all = [await this.#feed(context, prompt, 0, settings.batchSize)];
      for (let i = 0; i < steps; i++) {
        const next = largest(all[i]);
        all.push(await this.#feed(context, [next], prompt.length + i, settings.batchSize));
      }
      return all;
    } finally {
      await context.dispose();
    }
  }

  /** Computes tokens, and returns the logits after the last. */
  async #feed(
    context: Context,
    tokens: readonly number[],
    position: number,
    batchSize: number,
  ): Promise<Float32Array> {
    let index = 0;
    for (let at = 0; at < tokens.length; at += batchSize) {
      const part = Uint32Array.from(tokens.slice(at, at + batchSize));
      const isLast = at + batchSize >= tokens.length;
      context.initBatch(part.length);
      const wanted = isLast ? Uint32Array.of(part.length - 1) : new Uint32Array(0);
      const places = context.addToBatch(0, position + at, part, wanted);
      await context.decodeBatch();
      if (isLast) index = places[0];
    }
    const [, , , pairs] = await context.sampleToken(index, this.#sampler, false, false, true);
    const logits = new Float32Array(pairs.length / 2);
    for (let i = 0; i < pairs.length; i += 2) logits[pairs[i]] = pairs[i + 1];
    return logits;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sampler.dispose();
    await this.#model.dispose();
  }
}

/** The token with the largest logit. */
export function largest(logits: Float32Array | Float64Array): number {
  let best = 0;
  for (let token = 1; token < logits.length; token++) if (logits[token] > logits[best]) best = token;
  return best;
}
