/**
 * Heads of attention: how rows divide into them, and what all attention operations can be told.
 */

import type { Operands } from "./check.ts";

/** Options of all attention operations. */
export interface AttentionOptions {
  /** Elements of one head. */
  readonly headDim: number;
  /** Factor of a score before the softmax. Default: 1 / sqrt(headDim). */
  readonly scale?: number;
}

/** Head counts: query head h reads key and value head h / (heads / kvHeads). */
export interface Heads {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** Head counts from row lengths. */
export function headsOf(operands: Operands, queryLength: number, keyLength: number, headDim: number): Heads {
  operands.requireCount("headDim", headDim);
  const heads = operands.quotient(queryLength, headDim, "query row in heads of headDim");
  const kvHeads = operands.quotient(keyLength, headDim, "key or value row in heads of headDim");
  operands.quotient(heads, kvHeads, "query heads in groups, one per key head");
  return { heads, kvHeads, headDim };
}

/** The factor of scores, by default 1 / sqrt(headDim). */
export function scaleOf(
  operands: Operands,
  { headDim, scale = 1 / Math.sqrt(headDim) }: AttentionOptions,
): number {
  operands.requireFinite("scale", scale);
  return scale;
}
