/** All operations of the tensor graph. */

export { type AttentionKernel, attention, type FusedAttentionOptions, type PagedCache } from "./attention.ts";
export { attentionScores, attentionWeightedSum } from "./attention_scores.ts";
export { add, addBias, convert, gelu, mul, silu } from "./elementwise.ts";
export { matmulExperts, mixExperts, type Routes, routeExperts } from "./experts.ts";
export { argmax, embed, gatherRows } from "./gather.ts";
export type { AttentionOptions } from "./heads.ts";
export { kvStore, SKIPPED_SLOT } from "./kv.ts";
export { MATMUL_MIN_ROWS, type MatmulKernel, matmul } from "./matmul.ts";
export { rmsNorm, softmax } from "./norm.ts";
export { type RopeLayout, type RopeOptions, rope, ropeFrequencies } from "./rope.ts";
export { chooseTokens, chosenTokens, FROM_CHOSEN } from "./sample.ts";
export { scale, softCap } from "./scale.ts";
