/** Cases of the fused kernels of attention.metal and attention_tiled.metal. */

import * as reference from "../../reference/kernels.ts";
import { args, f32Bound, input, type KernelCase, normal, output, u32 } from "../case.ts";
import { tile } from "../tiles.ts";
import {
  attended,
  blockLength,
  cacheFormats,
  nameOf,
  noWindow,
  type PagedShape,
  pagedData,
} from "./caches.ts";

const range = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);

const paged: readonly PagedShape[] = [
  { heads: 1, kvHeads: 1, headDim: 1, blockSize: 1, positions: [[0]] },
  { heads: 2, kvHeads: 2, headDim: 8, blockSize: 3, positions: [[0, 1, 6]] },
  { heads: 8, kvHeads: 4, headDim: 32, blockSize: 16, positions: [[30], [31], [32]] },
  { heads: 8, kvHeads: 4, headDim: 32, blockSize: 16, positions: [[511]] },
  {
    heads: 4,
    kvHeads: 1,
    headDim: 20,
    blockSize: 5,
    positions: [
      [126, 127],
      [128, 129],
    ],
  },
  { heads: 8, kvHeads: 1, headDim: 64, blockSize: 32, positions: [[0], [64, 65], [300]] },
  { heads: 3, kvHeads: 3, headDim: 17, blockSize: 7, positions: [[255], [3], [256]] },
  { heads: 2, kvHeads: 1, headDim: 80, blockSize: 16, positions: [[200]] },
  { heads: 4, kvHeads: 4, headDim: 100, blockSize: 8, positions: [[150], [0]] },
  { heads: 4, kvHeads: 2, headDim: 128, blockSize: 16, positions: [[131], [270]] },
  { heads: 2, kvHeads: 1, headDim: 256, blockSize: 64, positions: [[64], [191]] },
  { heads: 1, kvHeads: 1, headDim: 255, blockSize: 1, positions: [[40]] },
  // Prompts, which the CPU device makes in tiles: across their borders and those of pieces, and of several sequences.
  { heads: 2, kvHeads: 2, headDim: 64, blockSize: 32, positions: [range(0, 200)] },
  { heads: 8, kvHeads: 1, headDim: 48, blockSize: 16, positions: [range(100, 30), range(0, 3)] },
  { heads: 6, kvHeads: 3, headDim: 96, blockSize: 16, positions: [range(250, 40)], window: 100, softCap: 20 },
  // Windows: longer than what there is, as long, shorter, of a single key, and from the middle of a block and of a tile.
  { heads: 2, kvHeads: 1, headDim: 32, blockSize: 4, positions: [[0, 9, 10, 11, 300]], window: 11 },
  { heads: 3, kvHeads: 1, headDim: 64, blockSize: 16, positions: [[200, 400]], window: 130 },
  { heads: 2, kvHeads: 2, headDim: 16, blockSize: 8, positions: [[0], [77]], window: 1 },
  // Caps: scores reach ten times as far.
  { heads: 4, kvHeads: 2, headDim: 32, blockSize: 8, positions: [[150]], softCap: 5 },
  { heads: 2, kvHeads: 1, headDim: 256, blockSize: 32, positions: [[20, 260]], window: 100, softCap: 1 },
];

/** A SIMD group, the CPU device's one thread, and a SIMD group that is not whole. */
const threadCounts = [tile("SimdWidth"), 1, 11] as const;

/** The formats that a shape can have, each with it. */
function inFormats(shapes: readonly PagedShape[]) {
  return cacheFormats.flatMap((format) =>
    shapes.filter(({ headDim }) => headDim % blockLength[format] === 0).map((shape) => ({ format, shape })),
  );
}

const whole = inFormats(paged).flatMap(({ format, shape }) =>
  threadCounts.map(
    (threads): KernelCase => ({
      kernel: `attention_${format}`,
      shape: `${nameOf(shape)} threads=${threads}`,
      bound: f32Bound,
      build: (random) => {
        const data = pagedData(random, format, shape);
        return {
          buffers: [...data.buffers, output("f32", attended(data, shape))],
          args: data.args(1),
          threadgroups: [shape.heads, data.rows.length, 1],
          threads,
        };
      },
    }),
  ),
);

/** Keys of each split: whole tiles. */
function splitKeys(keys: number, splits: number): number {
  return Math.ceil(Math.ceil(keys / tile("AttentionTile")) / splits) * tile("AttentionTile");
}

/** Contexts that leave splits empty, that fill them to the last key, and that do not. */
const split: readonly (PagedShape & { readonly splits: number })[] = [
  { heads: 2, kvHeads: 1, headDim: 32, blockSize: 16, positions: [[0, 127, 128, 255, 256, 700]], splits: 4 },
  { heads: 3, kvHeads: 1, headDim: 64, blockSize: 32, positions: [[2999], [30], [499]], splits: 7 },
  { heads: 2, kvHeads: 2, headDim: 96, blockSize: 32, positions: [[900]], window: 300, splits: 64 },
  { heads: 8, kvHeads: 1, headDim: 128, blockSize: 8, positions: [[400]], softCap: 5, splits: 2 },
];

const parts = inFormats(split).flatMap(({ format, shape }) =>
  threadCounts.map((threads): KernelCase => {
    const { heads, kvHeads, headDim, splits, softCap = 0 } = shape as (typeof split)[number];
    return {
      kernel: `attention_${format}`,
      shape: `${nameOf(shape)} splits=${splits} threads=${threads}`,
      bound: f32Bound,
      build: (random) => {
        const data = pagedData(random, format, shape);
        const length = headDim + 2;
        const expected = new Float64Array(data.rows.length * heads * splits * length).fill(NaN); // NaN: not written
        data.rows.forEach(({ query, gather, first, position }, r) => {
          const step = splitKeys(position + 1 - first, splits);
          for (let s = 0; first + s * step <= position; s++) {
            const begin = first + s * step;
            const { k, v } = gather(begin, Math.min(position, begin + step - 1));
            const keys = k.length / (kvHeads * headDim);
            const scores = reference
              .attentionScores(query, k, shape, data.scale, () => true, 0)
              .map((score) => (softCap === 0 ? score : softCap * Math.tanh(score / softCap))); // [heads, keys]
            for (let h = 0; h < heads; h++) {
              const own = scores.subarray(h * keys, (h + 1) * keys);
              const maximum = Math.max(...own);
              const weights = new Float64Array(heads * keys); // of this head; the others' are 0
              own.forEach((score, j) => {
                weights[h * keys + j] = Math.exp(score - maximum);
              });
              const sums = reference
                .attentionWeightedSum(weights, v, shape)
                .subarray(h * headDim, (h + 1) * headDim);
              const at = ((r * heads + h) * splits + s) * length;
              expected.set(sums, at);
              expected.set([maximum, weights.reduce((a, b) => a + b)], at + headDim);
            }
          }
        });
        return {
          buffers: [...data.buffers, output("f32", expected)],
          args: data.args(splits),
          threadgroups: [heads, data.rows.length, splits],
          threads,
        };
      },
    };
  }),
);

const reductions = [
  { heads: 1, headDim: 1, splits: 2, window: noWindow, positions: [0, 128] },
  { heads: 3, headDim: 80, splits: 7, window: noWindow, positions: [0, 3000, 500] },
  { heads: 2, headDim: 256, splits: 64, window: 900, positions: [5, 2000, 899, 100_000] },
].flatMap(({ heads, headDim, splits, window, positions }) =>
  threadCounts.map(
    (threads): KernelCase => ({
      kernel: "attention_reduce",
      shape: `heads=${heads} headDim=${headDim} splits=${splits} window=${window} positions=${positions} threads=${threads}`,
      bound: f32Bound,
      build: (random) => {
        const length = headDim + 2;
        const partials = normal(random, positions.length * heads * splits * length);
        const expected = new Float64Array(positions.length * heads * headDim);
        for (let i = 0; i < positions.length * heads; i++) {
          const keys = Math.min(window, (positions[Math.floor(i / heads)] ?? NaN) + 1);
          const used = Math.ceil(keys / splitKeys(keys, splits));
          let total = 0;
          for (let s = 0; s < splits; s++) {
            const part = partials.subarray((i * splits + s) * length, (i * splits + s + 1) * length);
            if (s >= used)
              part.fill(NaN); // nobody wrote it
            else {
              const own = Math.exp(part[headDim] ?? NaN);
              part[headDim + 1] = 1 + 10 * random();
              total += own * (part[headDim + 1] ?? NaN);
              for (let d = 0; d < headDim; d++) expected[i * headDim + d] += own * (part[d] ?? NaN);
            }
          }
          for (let d = 0; d < headDim; d++) expected[i * headDim + d] /= total;
        }
        return {
          buffers: [input(partials), input(Uint32Array.from(positions)), output("f32", expected)],
          args: args(u32(heads), u32(headDim), u32(window), u32(splits)),
          threadgroups: [heads, positions.length, 1],
          threads,
        };
      },
    }),
  ),
);

/** Prompts: heads of all sizes, groups of 1, 2, 3, 7 and 8, and contexts of 1, 31, 33, 500 and 3000 before the last row. */
const prompts: readonly (PagedShape & { readonly shuffled?: boolean })[] = [
  { heads: 1, kvHeads: 1, headDim: 32, blockSize: 32, positions: [[0]] },
  { heads: 2, kvHeads: 2, headDim: 64, blockSize: 32, positions: [range(0, 31)] },
  { heads: 4, kvHeads: 2, headDim: 80, blockSize: 16, positions: [range(0, 33)] },
  { heads: 3, kvHeads: 1, headDim: 96, blockSize: 5, positions: [range(460, 40)] },
  { heads: 7, kvHeads: 1, headDim: 128, blockSize: 32, positions: [range(20, 13)] },
  { heads: 16, kvHeads: 2, headDim: 256, blockSize: 32, positions: [range(28, 5)] },
  { heads: 1, kvHeads: 1, headDim: 64, blockSize: 32, positions: [range(2990, 10)] },
  { heads: 2, kvHeads: 1, headDim: 40, blockSize: 32, positions: [range(60, 20)] },
  { heads: 1, kvHeads: 1, headDim: 200, blockSize: 32, positions: [range(0, 35)] },
  // Windows: shorter than the context and than a tile, and from the middle of one.
  { heads: 2, kvHeads: 1, headDim: 64, blockSize: 16, positions: [range(90, 40)], window: 11 },
  { heads: 3, kvHeads: 1, headDim: 256, blockSize: 16, positions: [range(0, 60)], window: 33 },
  { heads: 1, kvHeads: 1, headDim: 32, blockSize: 8, positions: [range(3, 9)], window: 1 },
  // Caps: scores reach ten times as far.
  { heads: 4, kvHeads: 2, headDim: 128, blockSize: 8, positions: [range(100, 20)], softCap: 5 },
  // Several sequences in a tile: one after the other, one of a single row, and row by row.
  { heads: 2, kvHeads: 1, headDim: 64, blockSize: 32, positions: [range(0, 7), [130], range(40, 20)] },
  {
    heads: 3,
    kvHeads: 3,
    headDim: 96,
    blockSize: 16,
    positions: [range(60, 9), range(0, 9)],
    shuffled: true,
    window: 20,
  },
];

const tiled = inFormats(prompts).map(({ format, shape }): KernelCase => {
  const { heads, kvHeads, headDim, shuffled = false } = shape as (typeof prompts)[number];
  const variant = headDim <= 64 ? 64 : headDim <= 128 ? 128 : 256;
  const simdgroups = variant === 256 ? 2 : 4;
  return {
    kernel: `attention_tiled_${variant}_${format}`,
    shape: `${nameOf(shape)} shuffled=${shuffled}`,
    bound: f32Bound,
    build: (random) => {
      const data = pagedData(random, format, shape, shuffled);
      const queries = (data.rows.length * heads) / kvHeads;
      return {
        buffers: [
          ...data.buffers,
          output("f32", attended(data, shape)),
          input(Uint32Array.of(data.rows.length)),
        ],
        args: data.args(1),
        threadgroups: [kvHeads, Math.ceil(queries / (simdgroups * tile("AttentionQueries"))), 1],
        threads: simdgroups * tile("SimdWidth"),
      };
    },
  };
});

export const fusedAttentionCases: readonly KernelCase[] = [...whole, ...parts, ...reductions, ...tiled];
