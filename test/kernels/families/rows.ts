/** Cases of norm.metal, softmax.metal and sample.metal: a threadgroup for each row. */

import * as reference from "../../reference/kernels.ts";
import {
  args,
  type BufferSpec,
  exact,
  f32,
  f32Bound,
  input,
  type KernelCase,
  normal,
  output,
  u32,
} from "../case.ts";

/**
 * Fewer elements than threads, as many, more; one thread, a part of a SIMD group, one and several; the feed-forward sizes
 * of Llamas.
 */
const shapes = [
  { rows: 1, n: 1, threads: 32 },
  { rows: 3, n: 7, threads: 64 },
  { rows: 2, n: 200, threads: 1 },
  { rows: 2, n: 50, threads: 7 },
  { rows: 2, n: 32, threads: 32 },
  { rows: 4, n: 33, threads: 32 },
  { rows: 1, n: 256, threads: 32 },
  { rows: 5, n: 100, threads: 96 },
  { rows: 2, n: 1000, threads: 256 },
  { rows: 1, n: 5632, threads: 352 },
  { rows: 2, n: 11008, threads: 1024 },
] as const;

const eps = 1e-5;

interface RowKernel {
  readonly bound: number;
  readonly args: (n: number) => Uint8Array;
  readonly buffers: (random: () => number, rows: number, n: number) => BufferSpec[];
}

const kernels: Record<string, RowKernel> = {
  rmsnorm_f32: {
    bound: f32Bound,
    args: (n) => args(u32(n), f32(eps)),
    buffers: (random, rows, n) => {
      const x = normal(random, rows * n, 2);
      const weight = normal(random, n);
      return [input(x), input(weight), output("f32", reference.rmsNorm(x, weight, n, eps))];
    },
  },
  add_rmsnorm_f32: {
    bound: f32Bound,
    args: (n) => args(u32(n), f32(eps)),
    buffers: (random, rows, n) => {
      const a = normal(random, rows * n, 2);
      const b = normal(random, rows * n, 2);
      const weight = normal(random, n);
      const sum = reference.elementwise((x, y) => x + y, a, b);
      return [
        input(a),
        input(b),
        input(weight),
        output("f32", sum),
        output("f32", reference.rmsNorm(sum, weight, n, eps)),
      ];
    },
  },
  softmax_f32: {
    bound: f32Bound,
    args: (n) => args(u32(n), f32(0.25)),
    buffers: (random, rows, n) => {
      const x = normal(random, rows * n, 10);
      return [input(x), output("f32", reference.softmax(x, n, 0.25))];
    },
  },
  argmax_f32: {
    bound: exact,
    args: (n) => args(u32(n)),
    buffers: (random, rows, n) => {
      // Few distinct values, so that there are ties.
      const x = normal(random, rows * n, 3).map(Math.round);
      return [input(x), output("u32", reference.argmax(x, n))];
    },
  },
};

const regular = Object.entries(kernels).flatMap(([kernel, { bound, args: argsOf, buffers }]) =>
  shapes.map(
    ({ rows, n, threads }): KernelCase => ({
      kernel,
      shape: `rows=${rows} n=${n} threads=${threads}`,
      bound,
      build: (random) => ({
        buffers: buffers(random, rows, n),
        args: argsOf(n),
        threadgroups: [1, rows, 1],
        threads,
      }),
    }),
  ),
);

/** A row that a careless kernel gets wrong, written out. */
function row(
  kernel: string,
  shape: string,
  bound: number,
  argsOf: Uint8Array,
  ...buffers: BufferSpec[]
): KernelCase {
  return {
    kernel,
    shape,
    bound,
    build: () => ({ buffers, args: argsOf, threadgroups: [1, 1, 1], threads: 64 }),
  };
}

function argmaxRow(shape: string, x: Float32Array): KernelCase {
  return row(
    "argmax_f32",
    shape,
    exact,
    args(u32(x.length)),
    input(x),
    output("u32", reference.argmax(x, x.length)),
  );
}

function softmaxRow(shape: string, x: Float32Array, scale: number): KernelCase {
  const expected = reference.softmax(x, x.length, scale);
  return row(
    "softmax_f32",
    shape,
    f32Bound,
    args(u32(x.length), f32(scale)),
    input(x),
    output("f32", expected),
  );
}

function filled(length: number, value: number, exceptions: Record<number, number> = {}): Float32Array {
  const x = new Float32Array(length).fill(value);
  for (const [i, exception] of Object.entries(exceptions)) x[Number(i)] = exception;
  return x;
}

const special: KernelCase[] = [
  argmaxRow("all equal", filled(300, 1)),
  argmaxRow("NaN before, at and after the largest", filled(300, -5, { 0: NaN, 70: NaN, 71: 3, 299: NaN })),
  argmaxRow("one number among NaN", filled(300, NaN, { 255: -7 })),
  argmaxRow("one -Infinity among NaN", filled(100, NaN, { 77: -Infinity })),
  argmaxRow("only NaN", filled(100, NaN)),
  argmaxRow("only -Infinity", filled(100, -Infinity)),
  argmaxRow("Infinity twice", filled(100, 0, { 40: Infinity, 41: Infinity })),
  argmaxRow("negative numbers", filled(65, -2, { 64: -1 })),
  softmaxRow("large values", filled(100, 1e4, { 3: 1.0001e4 }), 1),
  softmaxRow("masked elements", filled(200, -3e38, { 0: 1, 1: 2, 199: -1 }), 0.125),
  softmaxRow("equal values", filled(77, -3e38), 0.5),
  row(
    "rmsnorm_f32",
    "a row of zeros",
    f32Bound,
    args(u32(40), f32(eps)),
    input(filled(40, 0)),
    input(filled(40, 2)),
    output("f32", new Float64Array(40)),
  ),
];

export const rowCases: readonly KernelCase[] = [...regular, ...special];
