/** Cases of matvec.metal and matmul.metal. */

import * as reference from "../../reference/kernels.ts";
import { randomWeights } from "../../reference/kernels_formats.ts";
import { blockOf, type ReferenceType, referenceTypes } from "../../reference/llama_dequantize.ts";
import {
  args,
  type Dispatch,
  f32Bound,
  input,
  type KernelCase,
  normal,
  output,
  sumBound,
  u32,
} from "../case.ts";
import { tile } from "../tiles.ts";

export interface Shape {
  readonly rows: number;
  readonly n: number;
  readonly k: number;
}

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
  { rows: 8, n: 3, k: 11008 },
  { rows: 550, n: 2, k: 64 },
];

const oddMatrixShapes: readonly Shape[] = [
  { rows: 3, n: 5, k: 1 },
  { rows: 10, n: 34, k: 15 },
  { rows: 31, n: 3, k: 49 },
  { rows: 257, n: 34, k: 131 },
];

/**
 * Shapes for the types that share all of a kernel but its dequantize(): one block, a few, and more than a tile of x. The
 * error of a sum is relative to its neighbours, so there are some: a type with a minimum has sums that cancel.
 */
function blockVectorShapes(length: number): readonly Shape[] {
  return [
    { rows: 1, n: 6, k: length },
    { rows: 3, n: 9, k: 3 * length },
    { rows: 9, n: 37, k: 1024 + 256 },
  ];
}

/** Around the tiles of native kernels: rows of some tiles, n of whole ones and a part, up to two pieces' rows. */
function blockMatrixShapes(length: number): readonly Shape[] {
  return [
    ...blockVectorShapes(length),
    { rows: 8, n: 5, k: 43 * 256 },
    { rows: 31, n: 70, k: 2 * length },
    { rows: 64, n: 17, k: 3 * length },
    { rows: 257, n: 34, k: length },
  ];
}

function shapesOf(
  type: ReferenceType,
  shapes: readonly Shape[],
  oddShapes: readonly Shape[],
  blockShapes: (length: number) => readonly Shape[],
): readonly Shape[] {
  if (type === "q8_0") return shapes;
  const { length } = blockOf(type);
  return length === 1 ? [...shapes, ...oddShapes] : blockShapes(length);
}

function inputs(random: () => number, type: ReferenceType, { rows, n, k }: Shape) {
  const w = randomWeights(type, random, n * k, 0.1);
  const x = normal(random, rows * k);
  return { w, x, expected: reference.matmul(w.values, x, n, k) };
}

const describe = ({ rows, n, k }: Shape) => `rows=${rows} n=${n} k=${k}`;

/** A GPU's threadgroup, the CPU device's one thread, and a SIMD group that is not whole. */
const threadCounts = [tile("MatvecSimdgroups") * tile("SimdWidth"), 1, 5] as const;

export type VectorFamily = "matvec" | "matvec_tiled" | "matvec_rows";

/** A product by one of the matvec kernels. */
export function vectorCase(
  family: VectorFamily,
  type: ReferenceType,
  shape: Shape,
  threads: number,
): KernelCase {
  const outputs = tile("MatvecOutputs") * Math.ceil(threads / tile("SimdWidth"));
  const rowsPerGroup = family === "matvec_rows" ? tile("MatvecRows") : 1;
  return {
    kernel: `${family}_${type}`,
    shape: `${describe(shape)} threads=${threads}`,
    bound: f32Bound,
    build: (random) => {
      const { w, x, expected } = inputs(random, type, shape);
      const buffers = [input(w), input(x), output("f32", expected)];
      if (family === "matvec_rows") buffers.push(input(Uint32Array.of(shape.rows)));
      return {
        buffers,
        args: args(u32(shape.n), u32(shape.k)),
        threadgroups: [Math.ceil(shape.n / outputs), Math.ceil(shape.rows / rowsPerGroup), 1],
        threads,
      };
    },
  };
}

/** A product by matmul. */
export function matmulCase(type: ReferenceType, shape: Shape): KernelCase {
  return {
    kernel: `matmul_${type}`,
    shape: describe(shape),
    bound: sumBound(shape.k),
    build: (random): Dispatch => {
      const { w, x, expected } = inputs(random, type, shape);
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
  };
}

export const matrixCases: readonly KernelCase[] = referenceTypes.flatMap((type) => {
  const vectors = shapesOf(type, vectorShapes, oddVectorShapes, blockVectorShapes);
  const matrices = shapesOf(type, matrixShapes, oddMatrixShapes, blockMatrixShapes);
  return [
    ...threadCounts.flatMap((threads) => [
      ...vectors.flatMap((shape) => [
        vectorCase("matvec", type, shape, threads),
        vectorCase("matvec_tiled", type, shape, threads),
      ]),
      ...matrices.map((shape) => vectorCase("matvec_rows", type, shape, threads)),
    ]),
    ...matrices.map((shape) => matmulCase(type, shape)),
  ];
});
