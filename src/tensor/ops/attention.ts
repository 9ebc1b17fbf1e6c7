/**
 * Grouped-query attention (Ainslie et al. 2023): query head h reads key and value head h / (heads / kvHeads). One fused
 * operation over a paged cache, and the two halves of the textbook form for keys that lie in one piece.
 */

import { dtypes } from "../dtype.ts";
import type { WordLimit } from "../limits.ts";
import { type Dispatch, type KernelTarget, Operation } from "../operation.ts";
import { maximum } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { Operands } from "./check.ts";
import { groupPerRow, packArguments } from "./launch.ts";

/** `AttentionScoresArgs.firstPosition` that masks nothing (shaders/args.h). */
const NO_MASK = 0xffff_ffff;
/** `AttentionArgs.window` that hides nothing (shaders/args.h). */
const NO_WINDOW = 0xffff_ffff;
/** Threads of a scores threadgroup, one key each (shaders/tiles.h). */
const SCORES_THREADS = 64;
/** Threads of a weighted-sum threadgroup, one dimension each, and of a fused threadgroup: one SIMD group. */
const SIMD_THREADS = 32;
/** Largest head of the fused kernel (shaders/tiles.h). */
const MAX_HEAD_DIM = 256;

/** Keys and values in blocks of `blockSize` positions, and which blocks each sequence has. */
export interface PagedCache {
  /** Constant f16, f32 or q8_0 [slots, kvHeads * headDim]; heads are whole blocks. */
  readonly keys: Tensor;
  /** Constant, type and shape of `keys`. */
  readonly values: Tensor;
  /** u32 [sequences, blocksPerSequence]: position p of sequence s is in block [s, p / blockSize]. Words or an input. */
  readonly blockTables: Tensor;
  /** Positions per block; `slots` is a multiple of it. */
  readonly blockSize: number;
}

/** Options of all attention operations. */
export interface AttentionOptions {
  /** Elements of one head. */
  readonly headDim: number;
  /** Factor of a score before the softmax. Default: 1 / sqrt(headDim). */
  readonly scale?: number;
}

/** Options of `attention` alone. */
export interface FusedAttentionOptions extends AttentionOptions {
  /** Keys that a row sees, its own the last of them. Default: all up to its own. */
  readonly window?: number;
  /** Scores become softCap * tanh(score / softCap). Default: they stay as they are. */
  readonly softCap?: number;
}

interface Heads {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** Fused: scores, softmax and weighted sum of each head in one pass over the cache. */
export class Attention extends Operation {
  readonly name = "attention";
  readonly query: Tensor;
  readonly positions: Tensor;
  readonly sequences: Tensor;
  readonly cache: PagedCache;
  readonly out: Tensor;
  readonly heads: Heads;
  readonly options: Required<Omit<FusedAttentionOptions, "headDim">>;

  constructor(
    operands: { readonly query: Tensor; readonly positions: Tensor; readonly sequences: Tensor },
    cache: PagedCache,
    out: Tensor,
    heads: Heads,
    options: Required<Omit<FusedAttentionOptions, "headDim">>,
  ) {
    const { query, positions, sequences } = operands;
    super([query, cache.keys, cache.values, positions, sequences, cache.blockTables], [out]);
    this.query = query;
    this.positions = positions;
    this.sequences = sequences;
    this.cache = cache;
    this.out = out;
    this.heads = heads;
    this.options = options;
  }

  override get limits(): readonly WordLimit[] {
    const { blockTables, blockSize, keys } = this.cache;
    return [
      {
        kind: "blocks",
        operation: this.name,
        positions: this.positions,
        sequences: this.sequences,
        blockTables,
        blockSize,
        blockCount: maximum(keys.shape[0]) / blockSize,
      },
    ];
  }

  override encode(target: KernelTarget): Dispatch {
    const { heads, kvHeads, headDim } = this.heads;
    const { keys, blockTables, blockSize } = this.cache;
    const blocksPerSequence = maximum(blockTables.shape[1]);
    const { scale, softCap, window } = this.options;
    return {
      kernel: `attention_${keys.dtype}`,
      bindings: [...this.inputs, this.out],
      args: packArguments(
        heads,
        kvHeads,
        headDim,
        blockSize,
        blocksPerSequence,
        { f32: scale },
        { f32: softCap },
        window,
      ),
      grid: [{ extent: heads, itemsPerGroup: 1 }, groupPerRow(this.query.shape)],
      threads: target.serialLanes ? 1 : SIMD_THREADS,
    };
  }
}

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

/** Head counts from row lengths. */
function headsOf(operands: Operands, queryLength: number, keyLength: number, headDim: number): Heads {
  operands.requireCount("headDim", headDim);
  const heads = operands.quotient(queryLength, headDim, "query row in heads of headDim");
  const kvHeads = operands.quotient(keyLength, headDim, "key or value row in heads of headDim");
  operands.quotient(heads, kvHeads, "query heads in groups, one per key head");
  return { heads, kvHeads, headDim };
}

function scaleOf(operands: Operands, { headDim, scale = 1 / Math.sqrt(headDim) }: AttentionOptions): number {
  operands.requireFinite("scale", scale);
  return scale;
}

/**
 * Causal attention over a paged cache: row r attends to positions 0 .. positions[r] of sequence sequences[r], its own
 * included, so that `kvStore` of the same rows comes first.
 *
 * @param query f32 [rows, heads * headDim]
 * @param cache keys, values and block tables
 * @param positions u32 [rows]: words or an input
 * @param sequences u32 [rows]: row of the block tables; words or an input
 * @param options `headDim` (at most 256), `scale`, `window`, `softCap`
 * @returns f32 [rows, heads * headDim]
 */
export function attention(
  query: Tensor,
  cache: PagedCache,
  positions: Tensor,
  sequences: Tensor,
  options: FusedAttentionOptions,
): Tensor {
  const { window = NO_WINDOW, softCap = 0 } = options;
  const { keys, values, blockTables, blockSize } = cache;
  const operands = new Operands("attention", { query, keys, values, blockTables, positions, sequences });
  operands.requireType("query", "f32");
  operands.requireType("keys", "f16", "f32", "q8_0");
  operands.requireType("values", keys.dtype);
  for (const name of ["blockTables", "positions", "sequences"]) {
    operands.requireType(name, "u32");
    operands.requireCallerIndices(name);
  }
  operands.requireRank("query", 2);
  operands.requireRank("keys", 2);
  operands.requireRank("blockTables", 2);
  operands.requireRank("positions", 1);
  operands.requireRank("sequences", 1);
  operands.requireSameShape("keys", "values");
  operands.requireSameRows("query", "positions");
  operands.requireSameRows("query", "sequences");
  operands.fixed("blockTables", 0);
  operands.requireCount("headDim", options.headDim, MAX_HEAD_DIM);
  operands.quotient(options.headDim, dtypes[keys.dtype].blockLength, "headDim in blocks of the cache's type");
  operands.requireCount("blockSize", blockSize);
  operands.quotient(operands.fixed("keys", 0), blockSize, "slots of the cache in blocks of blockSize");
  const heads = headsOf(operands, operands.fixed("query", 1), operands.fixed("keys", 1), options.headDim);
  const scale = scaleOf(operands, options);
  operands.requireCount("window", window, NO_WINDOW);
  operands.requireFinite("softCap", softCap);
  if (softCap < 0) throw operands.range(`softCap must not be negative, but is "${softCap}"`);
  const out = operands.owner.result("f32", query.shape);
  const scoring = { scale, softCap, window };
  operands.owner.append(new Attention({ query, positions, sequences }, cache, out, heads, scoring));
  return out;
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
