/** Cases of kv.metal, and of the textbook halves in attention.metal. */

import * as reference from "../../reference/kernels.ts";
import { storeAs } from "../../reference/kernels_formats.ts";
import {
  args,
  exact,
  f16Bound,
  f32,
  f32Bound,
  input,
  type KernelCase,
  normal,
  output,
  permutation,
  u32,
} from "../case.ts";
import { tile } from "../tiles.ts";
import { blockLength, cacheFormats } from "./caches.ts";

const formats = ["f32", "f16"] as const;
const masked = -3.0e38;

const stores = cacheFormats.flatMap((format) =>
  [
    { rows: 1, n: 1, slots: 1 },
    { rows: 3, n: 33, slots: 8 },
    { rows: 4, n: 32, slots: 9 },
    { rows: 6, n: 256, slots: 16 },
    { rows: 2, n: 1024, slots: 5 },
    { rows: 2, n: 1056, slots: 2 },
  ]
    .filter(({ n }) => n % blockLength[format] === 0)
    .map(
      ({ rows, n, slots }): KernelCase => ({
        kernel: `kv_store_${format}`,
        shape: `rows=${rows} n=${n} slots=${slots}, every third row skipped`,
        bound: format === "f32" ? exact : f16Bound,
        build: (random) => {
          const threads = format === "q8_0" ? tile("KvBlocks") : tile("ElementwiseThreads");
          const k = normal(random, rows * n);
          const v = normal(random, rows * n);
          if (rows > 1) v.fill(0, 0, n); // a scale of zero
          const slotOf = permutation(random, slots)
            .slice(0, rows)
            .map((slot, r) => (r % 3 === 2 ? 0xffffffff : slot));
          // Where nothing is stored the cache stays as it was: NaN means so to the runner. In q8_0 the quants are those of
          // the reference, except within 1e-7 of halfway between two, where these numbers are not.
          const cache = (exactly: Float32Array) => {
            const from = storeAs(format, exactly).values;
            const expected = new Float64Array(slots * n).fill(NaN);
            slotOf.forEach((slot, r) => {
              if (slot !== 0xffffffff) expected.set(from.subarray(r * n, (r + 1) * n), slot * n);
            });
            return expected;
          };
          return {
            buffers: [input(k), input(v), input(slotOf), output(format, cache(k)), output(format, cache(v))],
            args: args(u32(n)),
            threadgroups: [Math.ceil(n / blockLength[format] / threads), rows, 1],
            threads,
          };
        },
      }),
    ),
);

/** `firstPosition` undefined: no mask. */
const plain = [
  { rows: 1, heads: 1, kvHeads: 1, headDim: 1, nKeys: 1, firstPosition: 0 },
  { rows: 3, heads: 4, kvHeads: 4, headDim: 32, nKeys: 33, firstPosition: undefined },
  { rows: 5, heads: 4, kvHeads: 2, headDim: 20, nKeys: 64, firstPosition: 59 },
  { rows: 70, heads: 4, kvHeads: 1, headDim: 16, nKeys: 70, firstPosition: 0 },
  { rows: 2, heads: 8, kvHeads: 1, headDim: 33, nKeys: 130, firstPosition: 20 },
  { rows: 1, heads: 2, kvHeads: 1, headDim: 128, nKeys: 300, firstPosition: 299 },
] as const;

const scores = formats.flatMap((format) =>
  plain.map(({ rows, nKeys, firstPosition, ...shape }): KernelCase => {
    const { heads, kvHeads, headDim } = shape;
    const threads = tile("AttentionScoresThreads");
    return {
      kernel: `attention_scores_${format}`,
      shape: `rows=${rows} heads=${heads}/${kvHeads} headDim=${headDim} nKeys=${nKeys} firstPosition=${firstPosition}`,
      bound: f32Bound,
      build: (random) => {
        const scale = 1 / Math.sqrt(headDim);
        const q = normal(random, rows * heads * headDim);
        const k = storeAs(format, normal(random, nKeys * kvHeads * headDim));
        const sees = (row: number, key: number) => firstPosition === undefined || key <= firstPosition + row;
        return {
          buffers: [
            input(q),
            input(k),
            output("f32", reference.attentionScores(q, k.values, shape, scale, sees, masked)),
          ],
          args: args(
            u32(heads),
            u32(kvHeads),
            u32(headDim),
            u32(nKeys),
            u32(firstPosition ?? 0xffffffff),
            f32(scale),
          ),
          threadgroups: [Math.ceil(nKeys / threads), rows, heads],
          threads,
        };
      },
    };
  }),
);

const sums = formats.flatMap((format) =>
  plain.map(({ rows, nKeys, firstPosition: _, ...shape }): KernelCase => {
    const { heads, kvHeads, headDim } = shape;
    const threads = tile("AttentionWeightedSumThreads");
    return {
      kernel: `attention_weighted_sum_${format}`,
      shape: `rows=${rows} heads=${heads}/${kvHeads} headDim=${headDim} nKeys=${nKeys}`,
      bound: f32Bound,
      build: (random) => {
        const weights = Float32Array.from(reference.softmax(normal(random, rows * heads * nKeys), nKeys, 1));
        const v = storeAs(format, normal(random, nKeys * kvHeads * headDim));
        return {
          buffers: [
            input(weights),
            input(v),
            output("f32", reference.attentionWeightedSum(weights, v.values, shape)),
          ],
          args: args(u32(heads), u32(kvHeads), u32(headDim), u32(nKeys)),
          threadgroups: [Math.ceil(headDim / threads), rows, heads],
          threads,
        };
      },
    };
  }),
);

export const attentionCases: readonly KernelCase[] = [...stores, ...scores, ...sums];
