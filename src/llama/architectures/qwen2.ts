/** Qwen 2 and 2.5 (Yang et al. 2024, 2.2.1): Llama's layers with biases on queries, keys and values. */
import type { Architecture } from "./architecture.ts";

export const qwen2: Architecture = {
  name: "qwen2",
  ropeLayout: "half",
  attention: "separate",
  feedForward: "gated",
  activation: "silu",
  biases: "queryKeyValue",
};
