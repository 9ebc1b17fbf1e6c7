/** Cases of experts.metal, and of the matrix products by expert in matvec.metal. */

import * as reference from "../../reference/kernels.ts";
import { randomWeights } from "../../reference/kernels_formats.ts";
import { blockOf, referenceTypes } from "../../reference/llama_dequantize.ts";
import { args, exact, f32Bound, input, type KernelCase, normal, output, u32 } from "../case.ts";
import { tile } from "../tiles.ts";

/** A SIMD group, the CPU device's one thread, and a SIMD group that is not whole. */
const laneCounts = [tile("SimdWidth"), 1, 11] as const;

const routeShapes = [
  { rows: 1, experts: 1, used: 1 },
  { rows: 3, experts: 8, used: 2 },
  { rows: 2, experts: 33, used: 33 },
  { rows: 5, experts: 128, used: 8 },
] as const;

function routing(
  shape: string,
  scores: (random: () => number) => Float32Array,
  rows: number,
  used: number,
  threads: number,
): KernelCase {
  return {
    kernel: "route_experts_f32",
    shape,
    bound: f32Bound,
    build: (random) => {
      const x = scores(random);
      const { ids, weights } = reference.routeExperts(x, x.length / rows, used);
      return {
        buffers: [input(x), output("u32", ids), output("f32", weights)],
        args: args(u32(x.length / rows), u32(used)),
        threadgroups: [1, rows, 1],
        threads,
      };
    },
  };
}

const routes = laneCounts.flatMap((threads) => [
  ...routeShapes.map(({ rows, experts, used }) =>
    routing(
      `rows=${rows} experts=${experts} used=${used} threads=${threads}`,
      (random) => normal(random, rows * experts, 3),
      rows,
      used,
      threads,
    ),
  ),
  routing(`ties threads=${threads}`, (random) => normal(random, 4 * 40, 1).map(Math.round), 4, 10, threads),
  routing(`all equal threads=${threads}`, () => new Float32Array(20).fill(2), 1, 3, threads),
]);

/** A score that is no number comes last, and none gets an id beyond the experts. */
const brokenScores: KernelCase = {
  kernel: "route_experts_f32",
  shape: "NaN and infinities",
  bound: exact,
  build: () => ({
    buffers: [
      input(Float32Array.of(NaN, -Infinity, 5, Infinity, NaN)),
      output("u32", [3, 2, 0, 1]),
      output("f32", [1, 0, 0, 0]),
    ],
    args: args(u32(5), u32(4)),
    threadgroups: [1, 1, 1],
    threads: 32,
  }),
};

/** `share`: rows of outputs for each row of activations; `blocks`: 32 elements of a row each, rounded up to the type's. */
const productShapes = [
  { rows: 2, share: 1, experts: 1, n: 1, blocks: 1 },
  { rows: 4, share: 2, experts: 3, n: 9, blocks: 3 },
  { rows: 6, share: 1, experts: 4, n: 33, blocks: 8 },
  { rows: 8, share: 8, experts: 16, n: 10, blocks: 33 },
] as const;

const products = referenceTypes.flatMap((type) =>
  productShapes.flatMap(({ rows, share, experts, n, blocks }) =>
    [64, 1, 5].map(
      (threads): KernelCase => ({
        kernel: `matvec_experts_${type}`,
        shape: `rows=${rows} share=${share} experts=${experts} n=${n} blocks=${blocks} threads=${threads}`,
        bound: f32Bound,
        build: (random) => {
          const { length } = blockOf(type);
          const k = Math.ceil((32 * blocks) / length) * length;
          const w = randomWeights(type, random, experts * n * k, 0.1);
          const x = normal(random, (rows / share) * k);
          const ids = Uint32Array.from({ length: rows }, () => Math.floor(random() * experts));
          const expected = Float64Array.from(
            Array.from(ids).flatMap((id, row) => {
              const matrix = w.values.subarray(id * n * k, (id + 1) * n * k);
              const from = Math.floor(row / share) * k;
              return [...reference.matmul(matrix, x.subarray(from, from + k), n, k)];
            }),
          );
          const outputs = tile("MatvecOutputs") * Math.ceil(threads / tile("SimdWidth"));
          return {
            buffers: [input(w), input(x), input(ids), output("f32", expected)],
            args: args(u32(n), u32(k), u32(experts), u32(share)),
            threadgroups: [Math.ceil(n / outputs), rows, 1],
            threads,
          };
        },
      }),
    ),
  ),
);

const mixes = [
  { rows: 1, used: 1, n: 1 },
  { rows: 3, used: 2, n: 33 },
  { rows: 2, used: 8, n: 300 },
].map(
  ({ rows, used, n }): KernelCase => ({
    kernel: "mix_experts_f32",
    shape: `rows=${rows} used=${used} n=${n}`,
    bound: f32Bound,
    build: (random) => {
      const x = normal(random, rows * used * n);
      const weights = normal(random, rows * used);
      const expected = Float64Array.from({ length: rows * n }, (_, at) => {
        const first = Math.floor(at / n) * used;
        let sum = 0;
        for (let j = first; j < first + used; j++) sum += weights[j] * x[j * n + (at % n)];
        return sum;
      });
      const threads = tile("ElementwiseThreads");
      return {
        buffers: [input(x), input(weights), output("f32", expected)],
        args: args(u32(n), u32(used)),
        threadgroups: [Math.ceil(n / threads), rows, 1],
        threads,
      };
    },
  }),
);

export const expertCases: readonly KernelCase[] = [...routes, brokenScores, ...products, ...mixes];
