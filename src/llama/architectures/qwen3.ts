/** Qwen 3 (Yang et al. 2025, 2): no biases, but a norm for each head of queries and keys. */
import type { Architecture } from "./architecture.ts";

export const qwen3: Architecture = {
  name: "qwen3",
  ropeLayout: "half",
  attention: "separate",
  feedForward: "gated",
  activation: "silu",
  normsHeads: true,
};
