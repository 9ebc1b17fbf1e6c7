/**
 * Gemma 1, 2 and 3 (Gemma Team 2024, 2024, 2025). Their norms multiply by 1 + weight; the 1 is already added in GGUF
 * files. Numbers that files may leave out are those of the models' configuration.
 */
import type { Architecture, ModelSize } from "./architecture.ts";

/** GeGLU, and embeddings times sqrt(embeddingLength). */
export const gemma: Architecture = {
  name: "gemma",
  ropeLayout: "half",
  attention: "separate",
  feedForward: "gated",
  activation: "gelu",
  scalesEmbedding: true,
};

/** Norms after attention and feed-forward, soft caps, and a window in every other layer, the first among them. */
export const gemma2: Architecture = {
  ...gemma,
  name: "gemma2",
  normsOutputs: true,
  softCaps: { attention: 50, final: 30 },
  window: { globalEvery: 2, length: 4096 },
  attentionScale: (size) => largestScale(size, 46),
};

/**
 * Norms of heads in place of the caps; five layers with a window for each without one. The window's layers turn by
 * unscaled frequencies of base 10000 (`rope_local_base_freq`).
 */
export const gemma3: Architecture = {
  ...gemma,
  name: "gemma3",
  normsOutputs: true,
  normsHeads: true,
  window: { globalEvery: 6, ropeFrequencyBase: 10000 },
  attentionScale: (size) => largestScale(size, 62),
};

/**
 * 1 / sqrt(`query_pre_attn_scalar`), which is the length of a head, except in the largest model of each generation, of 27
 * billion weights: there it is embeddingLength / headCount. No key of GGUF says so, but the number of layers does.
 */
function largestScale(size: ModelSize, largestBlockCount: number): number {
  const { embeddingLength, headCount, headLength, blockCount } = size;
  return 1 / Math.sqrt(blockCount === largestBlockCount ? embeddingLength / headCount : headLength);
}
