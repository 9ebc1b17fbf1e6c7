/** The numbers that describe a model, read from GGUF metadata and checked against each other before anything is built. */
import type { GgufFile } from "../gguf/index.ts";
import { type Architecture, findArchitecture } from "./architectures/index.ts";
import { ModelError } from "./errors.ts";

/** Most elements of a head: what the attention kernels have room for. */
const MAX_HEAD_LENGTH = 256;

/** What the file says of scaling. */
export type RopeScaling = {
  /** `longrope`: by frequency factors alone. */
  readonly type: "none" | "linear" | "yarn" | "longrope";
  /** How many times longer a context gets. */
  readonly factor: number;
  /** Positions that the model was trained for before. */
  readonly originalContextLength: number;
  /** Factor of the length of what is turned. */
  readonly magnitude: number;
  /** YaRN: pairs of more turns than `betaFast` in the original context stay, those of fewer than `betaSlow` are scaled. */
  readonly betaFast: number;
  readonly betaSlow: number;
};

export type LlamaConfig = {
  readonly architecture: string;
  /** `general.name`, or an empty string. */
  readonly name: string;
  readonly embeddingLength: number; // elements of the residual stream
  readonly feedForwardLength: number; // hidden elements of the gated block, or of one expert
  readonly blockCount: number; // layers
  readonly headCount: number; // query heads
  readonly headCountKv: number; // key-value heads; headCount is a multiple of it
  readonly headLength: number; // elements of one head
  readonly ropeDimensionCount: number; // leading elements of a head that are rotated, in pairs
  readonly ropeFrequencyBase: number; // θ: pair i turns by position * θ^(-2i / ropeDimensionCount)
  readonly ropeScaling: RopeScaling;
  readonly attentionScale: number; // factor of a score before the softmax
  readonly attentionSoftCap: number; // of scores; 0: none
  readonly finalSoftCap: number; // of logits; 0: none
  readonly slidingWindow: number; // positions that a row of a layer with a window sees; 0: no layer has one
  readonly globalEvery: number; // the last of every so many layers has no window; 0: all have it
  readonly localRopeFrequencyBase?: number; // θ of layers with a window, if not that of the others
  readonly expertCount: number; // 0: the feed-forward block has no experts
  readonly expertUsedCount: number; // experts of each row
  readonly rmsEpsilon: number;
  readonly vocabularySize: number;
  /** Positions that the model was trained for. */
  readonly contextLength: number;
};

/**
 * Reads the configuration.
 *
 * @throws {GgufError} If metadata is missing or of the wrong kind; `field` is its key.
 * @throws {ModelError} If the values contradict each other, or ask for what this library lacks.
 */
export function readConfig(file: GgufFile): LlamaConfig {
  const architecture = file.getString("general.architecture");
  const key = (name: string): string => `${architecture}.${name}`;
  const expertCount = file.getCount(key("expert_count"), 0);
  const description = findArchitecture(architecture, expertCount);
  const size = (name: string, fallback?: number): number => positive(file, key(name), fallback);

  const embeddingLength = size("embedding_length");
  const headCount = size("attention.head_count");
  const headCountKv = size("attention.head_count_kv", headCount);
  check(
    key("attention.head_count_kv"),
    headCount % headCountKv === 0,
    `${headCount} query heads cannot share ${headCountKv} key-value heads evenly`,
  );
  if (!file.has(key("attention.key_length"))) {
    check(
      key("attention.head_count"),
      embeddingLength % headCount === 0,
      `an embedding of ${embeddingLength} does not divide into ${headCount} heads`,
    );
  }
  const headLength = size("attention.key_length", embeddingLength / headCount);
  check(
    key("attention.key_length"),
    headLength <= MAX_HEAD_LENGTH,
    `heads of ${headLength} elements are not supported, only of up to ${MAX_HEAD_LENGTH}`,
  );
  const valueLength = size("attention.value_length", headLength);
  check(
    key("attention.value_length"),
    valueLength === headLength,
    `values of ${valueLength} elements beside keys of ${headLength} are not supported`,
  );
  const ropeDimensionCount = size("rope.dimension_count", headLength);
  check(
    key("rope.dimension_count"),
    ropeDimensionCount % 2 === 0 && ropeDimensionCount <= headLength,
    `${ropeDimensionCount} rotated dimensions must be an even number, at most the ${headLength} of a head`,
  );

  const hasExpertLength = expertCount > 0 && file.has(key("expert_feed_forward_length"));
  const blockCount = size("block_count");
  check(
    key("block_count"),
    blockCount <= file.tensors.size,
    `${blockCount} layers need more than the ${file.tensors.size} tensors of the file`,
  );
  const contextLength = size("context_length");
  const ropeScaling = readScaling(file, key, contextLength);
  const ropeFrequencyBase = positiveReal(file, key("rope.freq_base"), 10000); // the paper's θ, and llama.cpp's default
  check(
    key("rope.freq_base"),
    ropeFrequencyBase > 1 || ropeScaling.type !== "yarn",
    `YaRN needs frequencies that fall, and a base of ${ropeFrequencyBase} makes none`,
  );
  const { attentionScale, softCaps } = description;
  const scale = attentionScale?.({ embeddingLength, blockCount, headCount, headLength });
  return {
    architecture,
    name: file.getString("general.name", ""),
    embeddingLength,
    feedForwardLength: size(hasExpertLength ? "expert_feed_forward_length" : "feed_forward_length"),
    blockCount,
    headCount,
    headCountKv,
    headLength,
    ropeDimensionCount,
    ropeFrequencyBase,
    ropeScaling,
    attentionScale: positiveReal(file, key("attention.scale"), scale ?? 1 / Math.sqrt(headLength)),
    attentionSoftCap: cap(file, key("attn_logit_softcapping"), softCaps?.attention),
    finalSoftCap: cap(file, key("final_logit_softcapping"), softCaps?.final),
    ...readWindow(file, key, description),
    expertCount,
    expertUsedCount: expertCount > 0 ? readUsedCount(file, key, expertCount) : 0,
    rmsEpsilon: positiveReal(file, key("attention.layer_norm_rms_epsilon")),
    vocabularySize: readVocabularySize(file, key("vocab_size")),
    contextLength,
  };
}

/** Which layers attend to a window of how many positions. */
function readWindow(
  file: GgufFile,
  key: (name: string) => string,
  { window }: Architecture,
): Pick<LlamaConfig, "slidingWindow" | "globalEvery" | "localRopeFrequencyBase"> {
  const none = { slidingWindow: 0, globalEvery: 0 };
  if (window === "ignored") return none;
  const field = key("attention.sliding_window");
  const length = file.getCount(field, window?.length ?? 0);
  check(field, length < 2 ** 31, `"${field}" must be at most 2147483647, not ${length}`);
  check(field, length === 0 || window !== undefined, `"${field}" of ${length} is not supported`);
  if (length === 0 || window === undefined) return none;
  const globalEvery = file.getCount(key("attention.sliding_window_pattern"), window.globalEvery);
  const base = window.ropeFrequencyBase;
  const localBase = key("rope.freq_base_swa");
  if (base === undefined) {
    check(localBase, !file.has(localBase), `"${localBase}" is not supported`);
    return { slidingWindow: length, globalEvery };
  }
  const localRopeFrequencyBase = positiveReal(file, localBase, base);
  return { slidingWindow: length, globalEvery, localRopeFrequencyBase };
}

const scalingTypes: readonly RopeScaling["type"][] = ["none", "linear", "yarn", "longrope"];

function readScaling(file: GgufFile, key: (name: string) => string, contextLength: number): RopeScaling {
  const typeKey = key("rope.scaling.type");
  const name = file.getString(typeKey, "linear"); // files with a factor and no type came first, and mean this
  const type = scalingTypes.find((known) => known === name);
  if (type === undefined) {
    const known = scalingTypes.map((each) => `"${each}"`).join(", ");
    throw new ModelError(
      typeKey,
      `Cannot run the model: rope scaling "${name}" is not supported, only ${known}`,
    );
  }
  const extrapolation = key("rope.scaling.yarn_ext_factor");
  const share = file.getNumber(extrapolation, 1);
  check(extrapolation, share === 1 || type !== "yarn", `"${extrapolation}" of ${share} is not supported`);
  const factorKey = file.has(key("rope.scaling.factor")) ? "rope.scaling.factor" : "rope.scale_linear";
  const factor = file.getNumber(key(factorKey), 1) === 0 ? 1 : positiveReal(file, key(factorKey), 1); // 0: none
  return {
    type: factor === 1 && type === "linear" ? "none" : type,
    factor,
    originalContextLength: positive(file, key("rope.scaling.original_context_length"), contextLength),
    magnitude: positiveReal(file, key("rope.scaling.attn_factor"), 1),
    // The paper's α and β for Llama, 3.2.
    betaFast: positiveReal(file, key("rope.scaling.yarn_beta_fast"), 32),
    betaSlow: positiveReal(file, key("rope.scaling.yarn_beta_slow"), 1),
  };
}

function readUsedCount(file: GgufFile, key: (name: string) => string, expertCount: number): number {
  const field = key("expert_used_count");
  const used = positive(file, field);
  check(field, used <= expertCount, `a row cannot use ${used} of ${expertCount} experts`);
  return used;
}

/** A soft cap: 0 or a missing key mean that there is none. */
function cap(file: GgufFile, key: string, fallback = 0): number {
  const value = file.getNumber(key, fallback);
  check(key, value >= 0 && Number.isFinite(value), `"${key}" must not be negative, and not ${value}`);
  return value;
}

function readVocabularySize(file: GgufFile, key: string): number {
  const pieces = file.getStrings("tokenizer.ggml.tokens").length;
  const size = positive(file, key, pieces);
  check(key, size === pieces, `a vocabulary of ${size} tokens does not fit the tokenizer's ${pieces}`);
  return size;
}

function positive(file: GgufFile, key: string, fallback?: number): number {
  const value = file.getCount(key, fallback);
  // Kernels count in 32 bits.
  check(key, value >= 1 && value < 2 ** 31, `"${key}" must be from 1 to 2147483647, not ${value}`);
  return value;
}

function positiveReal(file: GgufFile, key: string, fallback?: number): number {
  const value = file.getNumber(key, fallback);
  check(key, value > 0 && Number.isFinite(value), `"${key}" must be a positive number, not ${value}`);
  return value;
}

function check(field: string, holds: boolean, fault: string): void {
  if (!holds) throw new ModelError(field, `Cannot run the model: ${fault}`);
}

/** Whether rows of this layer see a window of the positions before them only. */
export function hasWindow({ slidingWindow, globalEvery }: LlamaConfig, layer: number): boolean {
  return slidingWindow > 0 && (globalEvery === 0 || (layer + 1) % globalEvery !== 0);
}
