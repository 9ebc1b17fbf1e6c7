/** Attention over paged caches as data: numbers in memory, and what float64 makes of them. */

import * as reference from "../../reference/kernels.ts";
import { type Stored, storeAs } from "../../reference/kernels_formats.ts";
import { args, type BufferSpec, f32, input, normal, permutation, u32 } from "../case.ts";

/** Of caches. */
export const cacheFormats = ["f32", "f16", "q8_0"] as const;
export type CacheFormat = (typeof cacheFormats)[number];
/** Elements that share a scale. */
export const blockLength: Readonly<Record<CacheFormat, number>> = { f32: 1, f16: 1, q8_0: 32 };

/** `AttentionArgs.window` that hides nothing. */
export const noWindow = 0xffffffff;

/** `positions`: for each sequence the positions of its rows. */
export interface PagedShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly blockSize: number;
  readonly positions: readonly (readonly number[])[];
  readonly window?: number;
  readonly softCap?: number;
}

/** One row's query, and what it sees. */
export interface SeenRow {
  readonly position: number;
  readonly query: Float32Array; // [heads, headDim]
  /** The same of keys first .. last of what it sees. */
  readonly gather: (first: number, last: number) => { readonly k: Float64Array; readonly v: Float64Array };
  readonly first: number;
}

export interface PagedData {
  readonly rows: readonly SeenRow[];
  readonly scale: number;
  /** q, caches, positions, sequences, block tables. */
  readonly buffers: readonly BufferSpec[];
  readonly args: (splits: number) => Uint8Array;
}

/** What identifies a shape in a test's name. */
export function nameOf({
  heads,
  kvHeads,
  headDim,
  blockSize,
  positions,
  window,
  softCap,
}: PagedShape): string {
  const rows = positions.map((list) => (list.length > 8 ? `${list[0]}..${list.at(-1)}` : list.join(",")));
  return `heads=${heads}/${kvHeads} headDim=${headDim} blockSize=${blockSize} positions=${rows.join(";")} window=${window ?? 0} softCap=${softCap ?? 0}`;
}

/** Draws a cache and queries. `shuffled`: rows of different sequences alternate; otherwise they follow each other. */
export function pagedData(
  random: () => number,
  format: CacheFormat,
  shape: PagedShape,
  shuffled = true,
): PagedData {
  const { heads, kvHeads, headDim, blockSize, positions: positionsOf } = shape;
  const { window = noWindow, softCap = 0 } = shape;
  const scale = 1 / Math.sqrt(headDim);
  const width = kvHeads * headDim;
  const inOrder = positionsOf.flatMap((list, sequence) => list.map((position) => ({ sequence, position })));
  const order = shuffled ? permutation(random, inOrder.length) : inOrder.keys();
  const places = Array.from(order, (i) => inOrder[i] ?? { sequence: 0, position: 0 });

  // Blocks of all sequences lie in the cache in random order, with spare ones between them.
  const blocksPerSequence = Math.max(...positionsOf.flat().map((p) => Math.floor(p / blockSize) + 1)) + 1;
  const blockCount = positionsOf.length * blocksPerSequence + 3;
  const blockTables = permutation(random, blockCount).slice(0, positionsOf.length * blocksPerSequence);
  const slots = blockCount * blockSize;
  const k = storeAs(format, normal(random, slots * width));
  const v = storeAs(format, normal(random, slots * width));
  const q = normal(random, places.length * heads * headDim, 2);

  const gathered = (from: Stored, sequence: number, first: number, last: number): Float64Array => {
    const rows = new Float64Array((last + 1 - first) * width);
    for (let p = first; p <= last; p++) {
      const block = blockTables[sequence * blocksPerSequence + Math.floor(p / blockSize)] ?? NaN;
      const slot = block * blockSize + (p % blockSize);
      rows.set(from.values.subarray(slot * width, (slot + 1) * width), (p - first) * width);
    }
    return rows;
  };
  return {
    rows: places.map(({ sequence, position }, r) => ({
      position,
      query: q.subarray(r * heads * headDim, (r + 1) * heads * headDim),
      gather: (first, last) => ({
        k: gathered(k, sequence, first, last),
        v: gathered(v, sequence, first, last),
      }),
      first: Math.max(0, position + 1 - window),
    })),
    scale,
    buffers: [
      input(q),
      input(k),
      input(v),
      input(Uint32Array.from(places, ({ position }) => position)),
      input(Uint32Array.from(places, ({ sequence }) => sequence)),
      input(blockTables),
    ],
    args: (splits) =>
      args(
        u32(heads),
        u32(kvHeads),
        u32(headDim),
        u32(blockSize),
        u32(blocksPerSequence),
        f32(scale),
        f32(softCap),
        u32(window),
        u32(splits),
      ),
  };
}

/** What attention over all that the rows see has to be, [rows, heads, headDim]. */
export function attended({ rows, scale }: PagedData, shape: PagedShape): Float64Array {
  const rowSize = shape.heads * shape.headDim;
  const out = new Float64Array(rows.length * rowSize);
  rows.forEach(({ query, gather, first, position }, r) => {
    const { k, v } = gather(first, position);
    out.set(reference.attention(query, k, v, shape, scale, shape.softCap), r * rowSize);
  });
  return out;
}
