/** Cases of elementwise.metal, convert.metal and gather.metal. */

import * as reference from "../../reference/kernels.ts";
import { randomWeights } from "../../reference/kernels_formats.ts";
import { blockOf, type ReferenceType, referenceTypes } from "../../reference/llama_dequantize.ts";
import {
  args,
  dequantizedBound,
  exact,
  f16Bound,
  f32,
  f32Bound,
  input,
  type KernelCase,
  normal,
  output,
  u32,
} from "../case.ts";
import { tile } from "../tiles.ts";

const threads = tile("ElementwiseThreads");

/** Rows and row lengths: one element, around a SIMD group and a threadgroup, odd, and the feed-forward sizes of Llamas. */
const shapes = [
  { rows: 1, n: 1 },
  { rows: 3, n: 31 },
  { rows: 2, n: 256 },
  { rows: 5, n: 257 },
  { rows: 1, n: 5632 },
  { rows: 2, n: 11008 },
] as const;

const grid = (rows: number, n: number) => [Math.ceil(n / threads), rows, 1] as const;

const functions = {
  add_f32: (a: number, b: number) => a + b,
  mul_f32: (a: number, b: number) => a * b,
  silu_f32: (x: number) => reference.silu(x),
  silu_mul_f32: (gate: number, up: number) => reference.silu(gate) * up,
  gelu_f32: (x: number) => reference.gelu(x),
  gelu_mul_f32: (gate: number, up: number) => reference.gelu(gate) * up,
};

const arithmetic = Object.entries(functions).flatMap(([kernel, compute]): KernelCase[] =>
  shapes.map(({ rows, n }) => ({
    kernel,
    shape: `rows=${rows} n=${n}`,
    bound: f32Bound,
    build: (random) => {
      const operands = Array.from({ length: compute.length }, () => normal(random, rows * n, 3));
      return {
        buffers: [
          ...operands.map(input),
          output("f32", reference.elementwise(compute as (...x: number[]) => number, ...operands)),
        ],
        args: args(u32(n)),
        threadgroups: grid(rows, n),
        threads,
      };
    },
  })),
);

/** Kernels with one number for all elements. */
const scaled = { scale_f32: (x: number, factor: number) => x * factor, softcap_f32: reference.softCap };

const scalings = Object.entries(scaled).flatMap(([kernel, compute]): KernelCase[] =>
  [-2.5, 0.75, 30].flatMap((factor) =>
    shapes.map(({ rows, n }) => ({
      kernel,
      shape: `rows=${rows} n=${n} factor=${factor}`,
      bound: f32Bound,
      build: (random) => {
        const x = normal(random, rows * n, 20);
        return {
          buffers: [
            input(x),
            output(
              "f32",
              reference.elementwise((value) => compute(value, factor), x),
            ),
          ],
          args: args(u32(n), f32(factor)),
          threadgroups: grid(rows, n),
          threads,
        };
      },
    })),
  ),
);

const biases = shapes.map(
  ({ rows, n }): KernelCase => ({
    kernel: "add_bias_f32",
    shape: `rows=${rows} n=${n}`,
    bound: f32Bound,
    build: (random) => {
      const x = normal(random, rows * n);
      const bias = normal(random, n);
      return {
        buffers: [
          input(x),
          input(bias),
          output(
            "f32",
            Float64Array.from(x, (value, i) => value + bias[i % n]),
          ),
        ],
        args: args(u32(n)),
        threadgroups: grid(rows, n),
        threads,
      };
    },
  }),
);

const activations = { silu_f32: reference.silu, gelu_f32: reference.gelu };

/** Where a careless logistic function overflows or loses the sign of zero. */
const extremes = Object.entries(activations).map(
  ([kernel, compute]): KernelCase => ({
    kernel,
    shape: "extreme values",
    bound: f32Bound,
    build: () => {
      const x = Float32Array.of(0, -0, 1e-30, -1e-30, 20, -20, 88, -88, 104, -104, 1e30, -1e30, 3e38, -3e38);
      return {
        buffers: [
          input(x),
          output(
            "f32",
            Float64Array.from(x, (value) => (value < -700 ? 0 : compute(value))),
          ),
        ],
        args: args(u32(x.length)),
        threadgroups: grid(1, x.length),
        threads,
      };
    },
  }),
);

/** Rows of a plain type have any length, others are whole blocks. */
function lengths(type: ReferenceType): readonly number[] {
  const { length } = blockOf(type);
  return length === 1 ? [1, 33, 257, 2048] : [length, 3 * length, 9 * length, 2048];
}

/** Elements that a thread of convert and embed makes. */
const perThread = (type: ReferenceType) => (blockOf(type).length === 1 ? 1 : tile("ChunkSize"));

/** Rows in another type. */
export function convertCase(from: ReferenceType, to: "f32" | "f16", rows: number, n: number): KernelCase {
  return {
    kernel: `convert_${from}_${to}`,
    shape: `rows=${rows} n=${n}`,
    bound: to === "f32" ? dequantizedBound(from) : from === "f16" ? exact : f16Bound,
    build: (random) => {
      const x = randomWeights(from, random, rows * n, 10);
      return {
        buffers: [input(x), output(to, x.values)],
        args: args(u32(n)),
        threadgroups: grid(rows, n / perThread(from)),
        threads,
      };
    },
  };
}

/** Rows of an embedding table, the last of which does not exist. */
export function embedCase(type: ReferenceType, rows: number, n: number, vocab: number): KernelCase {
  return {
    kernel: `embed_${type}`,
    shape: `rows=${rows} n=${n} with a token outside the vocabulary`,
    bound: dequantizedBound(type),
    build: (random) => {
      const weight = randomWeights(type, random, vocab * n, 1); // [vocab, n]
      const tokens = Uint32Array.from({ length: rows }, () => Math.floor(random() * vocab));
      tokens[rows - 1] = rows % 2 === 1 ? vocab : 0xffffffff;
      return {
        buffers: [
          input(weight),
          input(tokens),
          output("f32", reference.gatherRows(weight.values, tokens, n, vocab)),
        ],
        args: args(u32(n), u32(vocab)),
        threadgroups: grid(rows, n / perThread(type)),
        threads,
      };
    },
  };
}

const conversions = referenceTypes.flatMap((from) =>
  (["f32", "f16"] as const).flatMap((to) => lengths(from).map((n, i) => convertCase(from, to, 1 + i, n))),
);

const embeddings = referenceTypes.flatMap((type) =>
  lengths(type).map((n, i) => embedCase(type, 1 + 2 * i, n, 50)),
);

const gathers = [
  { from: 1, rows: 1, n: 1 },
  { from: 7, rows: 3, n: 33 },
  { from: 2, rows: 9, n: 300 },
].map(
  ({ from, rows, n }): KernelCase => ({
    kernel: "gather_rows_f32",
    shape: `from=${from} rows=${rows} n=${n}`,
    bound: exact,
    build: (random) => {
      const x = normal(random, from * n);
      const indices = Uint32Array.from({ length: rows }, () => Math.floor(random() * from));
      return {
        buffers: [input(x), input(indices), output("f32", reference.gatherRows(x, indices, n))],
        args: args(u32(n)),
        threadgroups: grid(rows, n),
        threads,
      };
    },
  }),
);

export const elementwiseCases: readonly KernelCase[] = [
  ...arithmetic,
  ...extremes,
  ...scalings,
  ...biases,
  ...conversions,
  ...embeddings,
  ...gathers,
];
