/**
 * The two halves of the textbook form of attention, for keys that lie in one piece: scores, and the weighted sum of values.
 */

import { type Dispatch, Operation } from "../operation.ts";
import { maximum } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { Operands } from "./check.ts";
import { type AttentionOptions, type Heads, headsOf, scaleOf } from "./heads.ts";
import { groupPerRow, packArguments } from "./launch.ts";

/** `AttentionScoresArgs.firstPosition` that masks nothing (shaders/args.h). */
const NO_MASK = 0xffff_ffff;
/** Threads of a scores threadgroup, one key each (shaders/tiles.h). */
const SCORES_THREADS = 64;
/** Threads of a weighted-sum threadgroup, one dimension each. */
const SIMD_THREADS = 32;

/** out[r, h, j] = scale * query[r, h] . keys[j], masked where j > firstPosition + r */
export class AttentionScores extends Operation {
  readonly name = "attentionScores";
  readonly query: Tensor;
  readonly keys: Tensor;
  readonly out: Tensor;
  readonly heads: Heads;
  readonly firstPosition: number;
  readonly scale: number;

  constructor(query: Tensor, keys: Tensor, out: Tensor, heads: Heads, firstPosition: number, scale: number) {
    super([query, keys], [out]);
    this.query = query;
    this.keys = keys;
    this.out = out;
    this.heads = heads;
    this.firstPosition = firstPosition;
    this.scale = scale;
  }

  override encode(): Dispatch {
    const { heads, kvHeads, headDim } = this.heads;
    const keyCount = maximum(this.keys.shape[0]);
    return {
      kernel: `attention_scores_${this.keys.dtype}`,
      bindings: [this.query, this.keys, this.out],
      args: packArguments(heads, kvHeads, headDim, keyCount, this.firstPosition, { f32: this.scale }),
      grid: [
        { extent: keyCount, itemsPerGroup: SCORES_THREADS },
        groupPerRow(this.query.shape),
        { extent: heads, itemsPerGroup: 1 },
      ],
      threads: SCORES_THREADS,
    };
  }
}

/** out[r, h, d] = sum over j of weights[r, h, j] * values[j, h / group, d] */
export class AttentionWeightedSum extends Operation {
  readonly name = "attentionWeightedSum";
  readonly weights: Tensor;
  readonly values: Tensor;
  readonly out: Tensor;
  readonly heads: Heads;

  constructor(weights: Tensor, values: Tensor, out: Tensor, heads: Heads) {
    super([weights, values], [out]);
    this.weights = weights;
    this.values = values;
    this.out = out;
    this.heads = heads;
  }

  override encode(): Dispatch {
    const { heads, kvHeads, headDim } = this.heads;
    return {
      kernel: `attention_weighted_sum_${this.values.dtype}`,
      bindings: [this.weights, this.values, this.out],
      args: packArguments(heads, kvHeads, headDim, maximum(this.values.shape[0])),
      grid: [
        { extent: headDim, itemsPerGroup: SIMD_THREADS },
        groupPerRow(this.out.shape),
        { extent: heads, itemsPerGroup: 1 },
      ],
      threads: SIMD_THREADS,
    };
  }
}

/**
 * Scores of each query head against all keys: scale * q . k.
 *
 * @param query f32 [rows, heads * headDim]
 * @param keys f16 or f32 [nKeys, kvHeads * headDim]
 * @param options `headDim`, `scale`; `firstPosition`: position of row 0, row r then sees keys 0 .. firstPosition + r and
 * the rest is masked with a score that softmax makes 0. Default: every row sees every key
 * @returns f32 [rows, heads, nKeys]
 */
export function attentionScores(
  query: Tensor,
  keys: Tensor,
  options: AttentionOptions & { readonly firstPosition?: number },
): Tensor {
  const { firstPosition = NO_MASK } = options;
  const operands = new Operands("attentionScores", { query, keys });
  operands.requireType("query", "f32");
  operands.requireType("keys", "f16", "f32");
  operands.requireRank("query", 2);
  operands.requireRank("keys", 2);
  if (!Number.isSafeInteger(firstPosition) || firstPosition < 0 || firstPosition > NO_MASK) {
    throw operands.range(`firstPosition must be a whole number from 0, not "${firstPosition}"`);
  }
  const heads = headsOf(operands, operands.fixed("query", 1), operands.fixed("keys", 1), options.headDim);
  const scale = scaleOf(operands, options);
  const out = operands.owner.result("f32", [
    operands.leading("query"),
    heads.heads,
    operands.fixed("keys", 0),
  ]);
  operands.owner.append(new AttentionScores(query, keys, out, heads, firstPosition, scale));
  return out;
}

/**
 * Values mixed by attention weights (the softmax of scores).
 *
 * @param weights f32 [rows, heads, nKeys]
 * @param values f16 or f32 [nKeys, kvHeads * headDim]
 * @param options `headDim`
 * @returns f32 [rows, heads * headDim]
 */
export function attentionWeightedSum(
  weights: Tensor,
  values: Tensor,
  options: { readonly headDim: number },
): Tensor {
  const { headDim } = options;
  const operands = new Operands("attentionWeightedSum", { weights, values });
  operands.requireType("weights", "f32");
  operands.requireType("values", "f16", "f32");
  operands.requireRank("weights", 3);
  operands.requireRank("values", 2);
  operands.requireDimension("weights", 2, operands.fixed("values", 0), "the number of values");
  const queryLength = operands.fixed("weights", 1) * headDim;
  const heads = headsOf(operands, queryLength, operands.fixed("values", 1), headDim);
  const out = operands.owner.result("f32", [operands.leading("weights"), queryLength]);
  operands.owner.append(new AttentionWeightedSum(weights, values, out, heads));
  return out;
}
