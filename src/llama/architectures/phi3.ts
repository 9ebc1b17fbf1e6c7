/**
 * Phi 3, 3.5 and 4-mini (Abdin et al. 2024): Q, K and V are rows of one matrix, and so are gate and up, in this order. Part
 * of a head may turn (`partial_rotary_factor`). Long contexts have frequency factors, of which there are two sets
 * (LongRoPE, Ding et al. 2024; `rope_tables.ts`).
 *
 * All layers see all keys, whatever `phi3.attention.sliding_window` says. Files have it as `sliding_window` of the
 * configuration, which is 2047 in models of 4096 positions, the whole context or more in others, and nowhere is it said which
 * layers have it. llama.cpp reads the key and switches the window off for this reason, and what it gives is given here.
 */
import type { Architecture } from "./architecture.ts";

export const phi3: Architecture = {
  name: "phi3",
  ropeLayout: "half",
  attention: "fused",
  feedForward: "fused",
  activation: "silu",
  window: "ignored",
};
