/**
 * Writing keys and values into a cache. The only operation with an effect beyond its result.
 */

import { dtypes } from "../dtype.ts";
import type { WordLimit } from "../limits.ts";
import { type Dispatch, Operation } from "../operation.ts";
import { maximum, rowLength } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { Operands } from "./check.ts";
import { ELEMENTWISE_THREADS, elementwiseGrid, groupPerRow, packArguments } from "./launch.ts";

/** A slot of this number makes `kvStore` skip the row. */
export const SKIPPED_SLOT = 0xffff_ffff;

/** Threads of a threadgroup that stores blocks, one each (shaders/tiles.h). */
const BLOCK_THREADS = 32;

/** keyCache[slots[r]] = keys[r]; valueCache[slots[r]] = values[r] */
export class KvStore extends Operation {
  readonly name = "kvStore";
  readonly keys: Tensor; // f32 [rows, n]
  readonly slots: Tensor; // u32 [rows]
  readonly keyCache: Tensor; // [slots, n]

  constructor(keys: Tensor, values: Tensor, slots: Tensor, keyCache: Tensor, valueCache: Tensor) {
    super([keys, values, slots], [], [keyCache, valueCache]);
    this.keys = keys;
    this.slots = slots;
    this.keyCache = keyCache;
  }

  override get limits(): readonly WordLimit[] {
    const limit = maximum(this.keyCache.shape[0]);
    const of = "slots of the cache";
    return [{ kind: "below", operation: this.name, indices: this.slots, of, limit, except: SKIPPED_SLOT }];
  }

  override encode(): Dispatch {
    const n = rowLength(this.keys.shape);
    const { blockLength } = dtypes[this.keyCache.dtype];
    const blocks = { extent: n / blockLength, itemsPerGroup: BLOCK_THREADS };
    return {
      kernel: `kv_store_${this.keyCache.dtype}`,
      bindings: [...this.inputs, ...this.writes],
      args: packArguments(n),
      grid: blockLength > 1 ? [blocks, groupPerRow(this.keys.shape)] : elementwiseGrid(this.keys.shape),
      threads: blockLength > 1 ? BLOCK_THREADS : ELEMENTWISE_THREADS,
    };
  }
}

/**
 * Stores a key and a value row of each token into caches. Operations made after it see what it stored, operations made
 * before it do not; it runs even if nothing in the graph reads the caches.
 *
 * @param keys f32 [rows, n], n = kvHeads * headDim
 * @param values f32 [rows, n]
 * @param slots u32 [rows]: cache row of each, all different; `SKIPPED_SLOT` stores nothing. Words or an input
 * @param keyCache constant f16, f32 or q8_0 [slots, n]
 * @param valueCache constant, type and shape of `keyCache`, other memory
 */
export function kvStore(
  keys: Tensor,
  values: Tensor,
  slots: Tensor,
  keyCache: Tensor,
  valueCache: Tensor,
): void {
  const operands = new Operands("kvStore", { keys, values, slots, keyCache, valueCache });
  operands.requireType("keys", "f32");
  operands.requireType("values", "f32");
  operands.requireType("slots", "u32");
  operands.requireType("keyCache", "f16", "f32", "q8_0");
  operands.requireType("valueCache", keyCache.dtype);
  operands.requireRank("keys", 2);
  operands.requireRank("slots", 1);
  operands.requireRank("keyCache", 2);
  operands.requireSameShape("keys", "values");
  operands.requireSameShape("keyCache", "valueCache");
  operands.requireSameRows("keys", "slots");
  operands.requireDimension("keyCache", 1, operands.fixed("keys", 1), "the row length of keys");
  operands.requireIndices("slots", operands.fixed("keyCache", 0), "slots of the cache");
  operands.requireSeparateMemory("keyCache", "valueCache");
  operands.owner.append(new KvStore(keys, values, slots, keyCache, valueCache));
}
