/**
 * Grouped-query attention (Ainslie et al. 2023) over a paged cache, fused: query head h reads key and value head
 * h / (heads / kvHeads), and scores never reach device memory. Two kernel families: `attention` (a SIMD group for each head
 * of each row, or several, which share out its keys and are put together by a second operation), and `attention_tiled`
 * (tiles of queries by tiles of keys with simdgroup_matrix).
 */

import { dtypes } from "../dtype.ts";
import type { WordLimit } from "../limits.ts";
import { type Dispatch, type KernelTarget, Operation } from "../operation.ts";
import { maximum, rowExtent } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { Operands } from "./check.ts";
import { type AttentionOptions, type Heads, headsOf, scaleOf } from "./heads.ts";
import { groupPerRow, packArguments } from "./launch.ts";

/** `AttentionArgs.window` that hides nothing (shaders/args.h). */
const NO_WINDOW = 0xffff_ffff;
/** Threads of a SIMD group. */
const SIMD_THREADS = 32;
/** Largest head of all kernels, and most parts of a row's keys (shaders/tiles.h). */
const MAX_HEAD_DIM = 256;
const MAX_SPLITS = 64;
/** Fewest keys of a split that are worth a SIMD group: two of its tiles (shaders/tiles.h). */
const SPLIT_KEYS = 256;
/** SIMD groups that a GPU is busy with: some tens of cores, several on each. */
const BUSY_GROUPS = 512;
/** Heads that `attention_tiled` takes: below 32 dimensions, staging costs more than products. */
const TILED_MIN_HEAD_DIM = 32;
const TILED_HEAD_MULTIPLE = 8;
/** Fewest rows (the maximum, where the number is dynamic) for which tiles of queries are not mostly padding. */
const TILED_MIN_ROWS = 8;
/** Queries of a SIMD group of `attention_tiled` (shaders/tiles.h). */
const TILED_QUERIES = 8;
/**
 * The variants of `attention_tiled` (shaders/attention_tiled.metal): largest head, and SIMD groups of a threadgroup, which
 * are as many as its threadgroup memory of at most 32 KB has room for.
 */
const TILED_VARIANTS = [
  { headDim: 64, simdgroups: 4 },
  { headDim: 128, simdgroups: 4 },
  { headDim: 256, simdgroups: 2 },
] as const;

const KERNELS = ["attention", "attention_tiled"] as const;

/** The kernel families of `attention`. */
export type AttentionKernel = (typeof KERNELS)[number];

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

/** Options of `attention` alone. */
export interface FusedAttentionOptions extends AttentionOptions {
  /** Keys that a row sees, its own the last of them. Default: all up to its own. */
  readonly window?: number;
  /** Scores become softCap * tanh(score / softCap). Default: they stay as they are. */
  readonly softCap?: number;
  /** Forces a kernel family. `attention_tiled` takes heads of 32 to 256 dimensions, in eights. Default: what suits the device. */
  readonly kernel?: AttentionKernel;
  /** Forces how many SIMD groups share out the keys of a row, 1 to 64. Default: what suits the device and the cache. */
  readonly splits?: number;
}

/** What scores are made with, and what was forced. */
interface Scoring {
  readonly scale: number;
  readonly softCap: number;
  readonly window: number;
  readonly kernel: AttentionKernel | undefined;
  readonly splits: number | undefined;
}

interface Rows {
  readonly query: Tensor; // f32 [rows, heads * headDim]
  readonly positions: Tensor; // u32 [rows]
  readonly sequences: Tensor; // u32 [rows]
}

/** Scores, softmax and weighted sum of each head in one pass over the cache. */
export class Attention extends Operation {
  readonly name = "attention";
  readonly rows: Rows;
  readonly cache: PagedCache;
  readonly out: Tensor;
  readonly heads: Heads;
  readonly scoring: Scoring;
  /** By number of splits: what they have summed, f32 [rows, heads * splits * (headDim + 2)]. */
  readonly #partials = new Map<number, Tensor>();

  constructor(rows: Rows, cache: PagedCache, out: Tensor, heads: Heads, scoring: Scoring) {
    const { query, positions, sequences } = rows;
    super([query, cache.keys, cache.values, positions, sequences, cache.blockTables], [out]);
    this.rows = rows;
    this.cache = cache;
    this.out = out;
    this.heads = heads;
    this.scoring = scoring;
  }

  override get limits(): readonly WordLimit[] {
    const { blockTables, blockSize, keys } = this.cache;
    const { positions, sequences } = this.rows;
    return [
      {
        kind: "blocks",
        operation: this.name,
        positions,
        sequences,
        blockTables,
        blockSize,
        blockCount: maximum(keys.shape[0]) / blockSize,
      },
    ];
  }

  /** Long contexts of few rows: one operation for parts of the keys, and one that puts the parts together. */
  override expand(target: KernelTarget): readonly Operation[] {
    const splits = this.#splits(target);
    if (splits === 1) return [this];
    const { rows, cache, heads, scoring, out } = this;
    const length = heads.heads * splits * (heads.headDim + 2);
    const partials = this.#partials.get(splits) ?? out.owner.result("f32", [rows.query.shape[0], length]);
    this.#partials.set(splits, partials);
    const kernel = "attention" as const;
    return [
      new Attention(rows, cache, partials, heads, { ...scoring, kernel, splits }),
      new AttentionReduce(partials, rows.positions, out, heads, scoring.window, splits),
    ];
  }

  override encode(target: KernelTarget): Dispatch {
    const { query } = this.rows;
    const { kernel = this.#suitableKernel(target) } = this.scoring;
    const row = groupPerRow(query.shape);
    if (kernel === "attention_tiled") return this.#encodeTiled();
    const { splits = 1 } = this.scoring;
    const head = { extent: this.heads.heads, itemsPerGroup: 1 };
    return {
      kernel: `attention_${this.cache.keys.dtype}`,
      bindings: [...this.inputs, this.out],
      args: this.#arguments(splits),
      grid: splits === 1 ? [head, row] : [head, row, { extent: splits, itemsPerGroup: 1 }],
      threads: target.serialLanes ? 1 : SIMD_THREADS,
    };
  }

  #encodeTiled(): Dispatch {
    const { heads, kvHeads, headDim } = this.heads;
    const { shape } = this.rows.query;
    const variant = TILED_VARIANTS.find((each) => headDim <= each.headDim) ?? TILED_VARIANTS[2];
    return {
      kernel: `attention_tiled_${variant.headDim}_${this.cache.keys.dtype}`,
      bindings: [...this.inputs, this.out, { rowCount: rowExtent(shape) }],
      args: this.#arguments(1),
      grid: [
        { extent: kvHeads, itemsPerGroup: 1 },
        {
          extent: rowExtent([shape[0], heads / kvHeads, 1]),
          itemsPerGroup: variant.simdgroups * TILED_QUERIES,
        },
      ],
      threads: variant.simdgroups * SIMD_THREADS,
    };
  }

  #arguments(splits: number): Uint8Array {
    const { heads, kvHeads, headDim } = this.heads;
    const { blockTables, blockSize } = this.cache;
    const { scale, softCap, window } = this.scoring;
    return packArguments(
      heads,
      kvHeads,
      headDim,
      blockSize,
      maximum(blockTables.shape[1]),
      { f32: scale },
      { f32: softCap },
      window,
      splits,
    );
  }

  #suitableKernel({ simdgroupMatrix, serialLanes }: KernelTarget): AttentionKernel {
    if (this.scoring.splits !== undefined) return "attention";
    const rows = maximum(this.rows.query.shape[0]);
    const isTiled = simdgroupMatrix && !serialLanes && rows >= TILED_MIN_ROWS && canTile(this.heads.headDim);
    return isTiled ? "attention_tiled" : "attention";
  }

  /** How many SIMD groups share out the keys of a row: enough to keep a GPU busy. Where lanes are serial, heads do that. */
  #splits(target: KernelTarget): number {
    const { kernel = this.#suitableKernel(target), splits, window } = this.scoring;
    if (kernel === "attention_tiled") return 1;
    if (splits !== undefined) return splits;
    if (target.serialLanes) return 1;
    const { blockTables, blockSize } = this.cache;
    const keys = Math.min(window, maximum(blockTables.shape[1]) * blockSize);
    const groups = maximum(this.rows.query.shape[0]) * this.heads.heads;
    const wanted = Math.min(Math.ceil(BUSY_GROUPS / groups), Math.ceil(keys / SPLIT_KEYS), MAX_SPLITS);
    return Math.max(1, wanted);
  }
}

function canTile(headDim: number): boolean {
  return headDim >= TILED_MIN_HEAD_DIM && headDim % TILED_HEAD_MULTIPLE === 0;
}

/** Puts together what the splits of attention have summed. */
export class AttentionReduce extends Operation {
  readonly name = "attentionReduce";
  readonly partials: Tensor;
  readonly positions: Tensor;
  readonly out: Tensor;
  readonly heads: Heads;
  readonly window: number;
  readonly splits: number;

  constructor(
    partials: Tensor,
    positions: Tensor,
    out: Tensor,
    heads: Heads,
    window: number,
    splits: number,
  ) {
    super([partials, positions], [out]);
    this.partials = partials;
    this.positions = positions;
    this.out = out;
    this.heads = heads;
    this.window = window;
    this.splits = splits;
  }

  override encode(target: KernelTarget): Dispatch {
    const { heads, headDim } = this.heads;
    return {
      kernel: "attention_reduce",
      bindings: [this.partials, this.positions, this.out],
      args: packArguments(heads, headDim, this.window, this.splits),
      grid: [{ extent: heads, itemsPerGroup: 1 }, groupPerRow(this.out.shape)],
      threads: target.serialLanes ? 1 : SIMD_THREADS,
    };
  }
}

/**
 * Causal attention over a paged cache: row r attends to positions 0 .. positions[r] of sequence sequences[r], its own
 * included, so that `kvStore` of the same rows comes first.
 *
 * @param query f32 [rows, heads * headDim]
 * @param cache keys, values and block tables
 * @param positions u32 [rows]: words or an input
 * @param sequences u32 [rows]: row of the block tables; words or an input
 * @param options `headDim` (at most 256), `scale`, `window`, `softCap`; `kernel` and `splits` force how it is done
 * @returns f32 [rows, heads * headDim]
 */
export function attention(
  query: Tensor,
  cache: PagedCache,
  positions: Tensor,
  sequences: Tensor,
  options: FusedAttentionOptions,
): Tensor {
  const { window = NO_WINDOW, softCap = 0, kernel, splits } = options;
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
  if (kernel !== undefined && !KERNELS.includes(kernel)) throw operands.type(`unknown kernel "${kernel}"`);
  if (kernel === "attention_tiled" && !canTile(options.headDim)) {
    throw operands.range(`attention_tiled takes heads of 32 to 256 in eights, not of "${options.headDim}"`);
  }
  if (splits !== undefined) operands.requireCount("splits", splits, MAX_SPLITS);
  const out = operands.owner.result("f32", query.shape);
  const scoring = { scale, softCap, window, kernel, splits };
  operands.owner.append(new Attention({ query, positions, sequences }, cache, out, heads, scoring));
  return out;
}
