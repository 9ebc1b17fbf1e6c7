/** Cases of matvec.metal and matmul.metal. */

import * as reference from "../../reference/kernels.ts";
import { type Format, storeAs } from "../../reference/kernels_formats.ts";
import { args, f32Bound, input, type KernelCase, normal, output, u32 } from "../case.ts";
import { tile } from "../tiles.ts";

interface Shape {
  readonly rows: number;
  readonly n: number;
  readonly k: number;
}

const formats = ["f32", "f16", "q8_0"] as const;

/** Around every tile: n around 8 outputs, k around a chunk, a SIMD group's 512 and a staged tile's 1024. */
const vectorShapes: readonly Shape[] = [
  { rows: 1, n: 1, k: 32 },
  { rows: 1, n: 7, k: 64 },
  { rows: 3, n: 9, k: 96 },
  { rows: 1, n: 128, k: 256 },
  { rows: 2, n: 33, k: 512 },
  { rows: 1, n: 50, k: 544 },
  { rows: 4, n: 12, k: 1056 },
  { rows: 1, n: 4, k: 2080 },
  { rows: 1, n: 37, k: 5632 },
  { rows: 1, n: 13, k: 11008 },
];

/** Row lengths that are no multiple of anything, for formats without blocks. */
const oddVectorShapes: readonly Shape[] = [
  { rows: 1, n: 5, k: 1 },
  { rows: 2, n: 3, k: 17 },
  { rows: 1, n: 10, k: 515 },
  { rows: 2, n: 6, k: 1031 },
];

/** Around the tile of 32 rows by 32 outputs, and the depth of 32. */
const matrixShapes: readonly Shape[] = [
  { rows: 1, n: 1, k: 32 },
  { rows: 7, n: 31, k: 64 },
  { rows: 32, n: 32, k: 32 },
  { rows: 33, n: 40, k: 96 },
  { rows: 9, n: 65, k: 256 },
  { rows: 65, n: 33, k: 128 },
  { rows: 5, n: 20, k: 5632 },
];

const oddMatrixShapes: readonly Shape[] = [
  { rows: 3, n: 5, k: 1 },
  { rows: 10, n: 34, k: 15 },
  { rows: 31, n: 3, k: 49 },
];

function inputs(random: () => number, format: Format, { rows, n, k }: Shape) {
  const w = storeAs(format, normal(random, n * k, 0.1));
  const x = normal(random, rows * k);
  return { w, x, expected: reference.matmul(w.values, x, n, k) };
}

const describe = ({ rows, n, k }: Shape) => `rows=${rows} n=${n} k=${k}`;

/** A GPU's threadgroup, the CPU device's one thread, and a SIMD group that is not whole. */
const threadCounts = [tile("MatvecSimdgroups") * tile("SimdWidth"), 1, 5] as const;

const matvec = ["matvec", "matvec_tiled"].flatMap((family) =>
  formats.flatMap((format) =>
    [...vectorShapes, ...(format === "q8_0" ? [] : oddVectorShapes)].flatMap((shape) =>
      threadCounts.map((threads): KernelCase => {
        const outputsPerThreadgroup = tile("MatvecOutputs") * Math.ceil(threads / tile("SimdWidth"));
        return {
          kernel: `${family}_${format}`,
          shape: `${describe(shape)} threads=${threads}`,
          bound: f32Bound,
          build: (random) => {
            const { w, x, expected } = inputs(random, format, shape);
            return {
              buffers: [input(w), input(x), output("f32", expected)],
              args: args(u32(shape.n), u32(shape.k)),
              threadgroups: [Math.ceil(shape.n / outputsPerThreadgroup), shape.rows, 1],
              threads,
            };
          },
        };
      }),
    ),
  ),
);

const matvecRows = formats.flatMap((format) =>
  [...matrixShapes, ...(format === "q8_0" ? [] : oddMatrixShapes)].flatMap((shape) =>
    threadCounts.map((threads): KernelCase => {
      const outputsPerThreadgroup = tile("MatvecOutputs") * Math.ceil(threads / tile("SimdWidth"));
      return {
        kernel: `matvec_rows_${format}`,
        shape: `${describe(shape)} threads=${threads}`,
        bound: f32Bound,
        build: (random) => {
          const { w, x, expected } = inputs(random, format, shape);
          return {
            buffers: [input(w), input(x), output("f32", expected), input(Uint32Array.of(shape.rows))],
            args: args(u32(shape.n), u32(shape.k)),
            threadgroups: [
              Math.ceil(shape.n / outputsPerThreadgroup),
              Math.ceil(shape.rows / tile("MatvecRows")),
              1,
            ],
            threads,
          };
        },
      };
    }),
  ),
);

const matmul = formats.flatMap((format) =>
  [...matrixShapes, ...(format === "q8_0" ? [] : oddMatrixShapes)].map(
    (shape): KernelCase => ({
      kernel: `matmul_${format}`,
      shape: describe(shape),
      bound: f32Bound,
      build: (random) => {
        const { w, x, expected } = inputs(random, format, shape);
        return {
          buffers: [input(w), input(x), output("f32", expected), input(Uint32Array.of(shape.rows))],
          args: args(u32(shape.n), u32(shape.k)),
          threadgroups: [
            Math.ceil(shape.n / tile("MatmulOutputs")),
            Math.ceil(shape.rows / tile("MatmulRows")),
            1,
          ],
          threads: tile("MatmulThreads"),
        };
      },
    }),
  ),
);

export const matrixCases: readonly KernelCase[] = [...matvec, ...matvecRows, ...matmul];
