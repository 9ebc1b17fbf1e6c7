/** Cases of kv.metal and attention.metal. */

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

const formats = ["f32", "f16"] as const;
/** Of caches. */
const cacheFormats = ["f32", "f16", "q8_0"] as const;
/** Elements that share a scale. */
const blockLength = { f32: 1, f16: 1, q8_0: 32 } as const;
const masked = -3.0e38;
const noWindow = 0xffffffff;

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

/** `positions`: for each sequence the positions of its rows; rows of different sequences alternate. */
const paged = [
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
  // Windows: longer than what there is, as long, shorter, of a single key, and from the middle of a block and of a tile.
  { heads: 2, kvHeads: 1, headDim: 32, blockSize: 4, positions: [[0, 9, 10, 11, 300]], window: 11 },
  { heads: 3, kvHeads: 1, headDim: 64, blockSize: 16, positions: [[200, 400]], window: 130 },
  { heads: 2, kvHeads: 2, headDim: 16, blockSize: 8, positions: [[0], [77]], window: 1 },
  // Caps: scores reach ten times as far.
  { heads: 4, kvHeads: 2, headDim: 32, blockSize: 8, positions: [[150]], softCap: 5 },
  { heads: 2, kvHeads: 1, headDim: 256, blockSize: 32, positions: [[20, 260]], window: 100, softCap: 1 },
] as const;

/** A SIMD group, the CPU device's one thread, and a SIMD group that is not whole. */
const threadCounts = [tile("SimdWidth"), 1, 11] as const;

const fused = cacheFormats.flatMap((format) =>
  paged
    .filter(({ headDim }) => headDim % blockLength[format] === 0)
    .flatMap(({ positions: positionsOf, ...rest }) =>
      threadCounts.map((threads): KernelCase => {
        const { window, softCap, ...shape } = { window: noWindow, softCap: 0, ...rest };
        const { heads, kvHeads, headDim, blockSize } = shape;
        return {
          kernel: `attention_${format}`,
          shape: `heads=${heads}/${kvHeads} headDim=${headDim} blockSize=${blockSize} positions=${JSON.stringify(positionsOf)} window=${window} softCap=${softCap} threads=${threads}`,
          bound: f32Bound,
          build: (random) => {
            const scale = 1 / Math.sqrt(headDim);
            const width = kvHeads * headDim;
            const rowsOf = positionsOf.flatMap((list, sequence) =>
              list.map((position) => ({ sequence, position })),
            );
            const order = permutation(random, rowsOf.length);
            const rows = Array.from(order, (i) => rowsOf[i] ?? { sequence: 0, position: 0 });

            // Blocks of all sequences lie in the cache in random order, with spare ones between them.
            const blocksPerSequence =
              Math.max(...positionsOf.flat().map((p) => Math.floor(p / blockSize) + 1)) + 1;
            const blockCount = positionsOf.length * blocksPerSequence + 3;
            const blockTables = permutation(random, blockCount).slice(
              0,
              positionsOf.length * blocksPerSequence,
            );
            const slots = blockCount * blockSize;
            const k = storeAs(format, normal(random, slots * width));
            const v = storeAs(format, normal(random, slots * width));
            const q = normal(random, rows.length * heads * headDim, 2);

            const expected = new Float64Array(q.length);
            rows.forEach(({ sequence, position }, r) => {
              const first = Math.max(0, position + 1 - window);
              const gathered = {
                k: new Float64Array((position + 1 - first) * width),
                v: new Float64Array((position + 1 - first) * width),
              };
              for (let p = first; p <= position; p++) {
                const block = blockTables[sequence * blocksPerSequence + Math.floor(p / blockSize)] ?? NaN;
                const slot = block * blockSize + (p % blockSize);
                gathered.k.set(k.values.subarray(slot * width, (slot + 1) * width), (p - first) * width);
                gathered.v.set(v.values.subarray(slot * width, (slot + 1) * width), (p - first) * width);
              }
              const rowSize = heads * headDim;
              const row = q.subarray(r * rowSize, (r + 1) * rowSize);
              expected.set(
                reference.attention(row, gathered.k, gathered.v, shape, scale, softCap),
                r * rowSize,
              );
            });

            return {
              buffers: [
                input(q),
                input(k),
                input(v),
                input(Uint32Array.from(rows, (row) => row.position)),
                input(Uint32Array.from(rows, (row) => row.sequence)),
                input(blockTables),
                output("f32", expected),
              ],
              args: args(
                u32(heads),
                u32(kvHeads),
                u32(headDim),
                u32(blockSize),
                u32(blocksPerSequence),
                f32(scale),
                f32(softCap),
                u32(window),
              ),
              threadgroups: [heads, rows.length, 1],
              threads,
            };
          },
        };
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

export const attentionCases: readonly KernelCase[] = [...stores, ...fused, ...scores, ...sums];
