/**
 * Llama 1, 2, 3 and 3.1 to 3.3 (Touvron et al. 2023; Grattafiori et al. 2024), and what has the same layers: Mistral 7B,
 * TinyLlama, SmolLM. Rows of Q and K are reordered in GGUF files so that pairs are neighbours, as in Llama's own weights.
 * Biases: `attention_bias` and `mlp_bias` of the models' configuration. Frequency factors and scaling are in the file, for
 * any architecture (`rope_tables.ts`).
 *
 * Mistral's window is every layer's (Jiang et al. 2023, 2), and is kept where a file has `llama.attention.sliding_window`.
 * llama.cpp ignores that key, and its converters write none: so files that were made with them are run as it runs them, and
 * a file that has the key is of somebody who wants the window. Within the window there is no difference.
 */
import type { Architecture } from "./architecture.ts";

export const llama: Architecture = {
  name: "llama",
  ropeLayout: "interleaved",
  attention: "separate",
  feedForward: "gated",
  activation: "silu",
  biases: "optional",
  window: { globalEvery: 0 },
};
