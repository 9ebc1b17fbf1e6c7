/**
 * Logits as llama.cpp gives them on the CPU, by the lowest bindings of node-llama-cpp. What is declared here is only what
 * the checks of this directory use.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

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

type Addon = {
  readonly AddonModel: new (
    path: string,
    options: { readonly gpuLayers: number; readonly useMmap: boolean; readonly addonExports: Addon },
  ) => Model;
  readonly AddonContext: new (
    model: Model,
    options: ContextSettings & { readonly contextSize: number },
  ) => Context;
  readonly AddonSampler: new (model: Model) => Sampler;
  setLogger(log: (level: number, message: string) => void): void;
  setLoggerLogLevel(level: number): void;
  loadBackends(directory?: string): void;
  init(): Promise<void>;
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

const packages: Readonly<Record<string, string>> = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "darwin-arm64": "mac-arm64-metal",
  "darwin-x64": "mac-x64",
};

/** Errors and nothing less. */
const LOG_ERRORS = 2;
const CONTEXT = 512;

let opened: Promise<Addon> | undefined;

async function open(): Promise<Addon> {
  const platform = `${process.platform}-${process.arch}`;
  const name = packages[platform];
  if (name === undefined) throw new Error(`There is no package of llama.cpp for "${platform}"`);
  const require = createRequire(import.meta.url);
  const bins = join(dirname(require.resolve(`@node-llama-cpp/${name}/package.json`)), "bins", name);
  const addon = require(join(bins, "llama-addon.node")) as Addon;
  addon.setLogger((level, message) => {
    if (level <= LOG_ERRORS) console.error(`llama.cpp: ${message.trimEnd()}`);
  });
  addon.setLoggerLogLevel(LOG_ERRORS);
  addon.loadBackends();
  addon.loadBackends(bins);
  await addon.init();
  return addon;
}

/** A model of llama.cpp's. Dispose it (`await using`). */
export class LlamaCpp implements AsyncDisposable {
  readonly #addon: Addon;
  readonly #model: Model;
  readonly #sampler: Sampler;

  private constructor(addon: Addon, model: Model) {
    this.#addon = addon;
    this.#model = model;
    this.#sampler = new addon.AddonSampler(model);
    this.#sampler.applyConfig({ temperature: 0 });
  }

  static async load(path: string): Promise<LlamaCpp> {
    opened ??= open();
    const addon = await opened;
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
export function largest(logits: Float32Array): number {
  return logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
}
