/**
 * Phi 3, 3.5 and 4-mini (Abdin et al. 2024): Q, K and V are rows of one matrix, and so are gate and up, in this order. Part
 * of a head may turn (`partial_rotary_factor`). Long contexts have frequency factors, of which there are two sets
 * (LongRoPE, Ding et al. 2024; `rope_tables.ts`). The window is every layer's (`sliding_window` of the configuration).
 */
import type { Architecture } from "./architecture.ts";

export const phi3: Architecture = {
  name: "phi3",
  ropeLayout: "half",
  attention: "fused",
  feedForward: "fused",
  activation: "silu",
  window: { globalEvery: 0 },
};
