/** The numbers that describe a model, read from GGUF metadata and checked against each other before anything is built. */
import type { GgufFile } from "../gguf/index.ts";
import { ModelError } from "./errors.ts";

/** Values of `general.architecture` that this library runs. */
const architectures: readonly string[] = ["llama"];

export type LlamaConfig = {
  readonly architecture: string;
  /** `general.name`, or an empty string. */
  readonly name: string;
  readonly embeddingLength: number; // elements of the residual stream
  readonly feedForwardLength: number; // hidden elements of the SwiGLU block
  readonly blockCount: number; // layers
  readonly headCount: number; // query heads
  readonly headCountKv: number; // key-value heads; headCount is a multiple of it
  readonly headLength: number; // elements of one head
  readonly ropeDimensionCount: number; // leading elements of a head that are rotated, in pairs (2i, 2i + 1)
  readonly ropeFrequencyBase: number; // θ: pair i turns by position * θ^(-2i / ropeDimensionCount)
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
  if (!architectures.includes(architecture)) {
    throw new ModelError(
      "general.architecture",
      `Cannot run a model of architecture "${architecture}": the known ones are ${architectures.map((a) => `"${a}"`).join(", ")}`,
    );
  }
  refuseUnsupported(file, architecture);
  const key = (name: string): string => `${architecture}.${name}`;
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

  return {
    architecture,
    name: file.getString("general.name", ""),
    embeddingLength,
    feedForwardLength: size("feed_forward_length"),
    blockCount: size("block_count"),
    headCount,
    headCountKv,
    headLength,
    ropeDimensionCount,
    ropeFrequencyBase: positiveReal(file, key("rope.freq_base"), 10000), // the paper's θ, and llama.cpp's default
    rmsEpsilon: positiveReal(file, key("attention.layer_norm_rms_epsilon")),
    vocabularySize: readVocabularySize(file, key("vocab_size")),
    contextLength: size("context_length"),
  };
}

/** Refuses what would change the numbers and is not implemented: ignoring it would give wrong text. */
function refuseUnsupported(file: GgufFile, architecture: string): void {
  const scalingKey = `${architecture}.rope.scaling.type`;
  const scaling = file.getString(scalingKey, "none");
  check(scalingKey, scaling === "none", `rope scaling "${scaling}" is not supported`);
  for (const name of ["expert_count", "attention.sliding_window"]) {
    const key = `${architecture}.${name}`;
    const value = file.getCount(key, 0);
    check(key, value === 0, `"${key}" of ${value} is not supported`);
  }
  for (const name of ["rope.scale_linear", "rope.scaling.factor"]) {
    const key = `${architecture}.${name}`;
    const value = file.getNumber(key, 1);
    check(key, value === 1 || value === 0, `"${key}" of ${value} is not supported`);
  }
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
