/** A kernel test as data: one dispatch, and what has to be in memory after it. */

import { hasHalfProducts, hasNativeKernels } from "../host/native_kernels.ts";
import type { Stored } from "../reference/kernels_formats.ts";
import type { ReferenceType } from "../reference/llama_dequantize.ts";
import { gaussianArray, mulberry32 } from "../reference/random.ts";

/** What a kernel's buffer holds. */
export type ElementType = "f32" | "f16" | "u32" | "q8_0";

/**
 * A buffer of a dispatch.
 *
 * - `input`: read only; must be unchanged afterwards.
 * - `output`: poisoned before, unless `initial` says what it holds. Where `expected` is NaN the kernel must not write.
 * - `alias`: the buffer that is bound at index `of`, once more.
 * - `scratch`: poisoned before; what is in it afterwards does not matter.
 */
export type BufferSpec =
  | { readonly kind: "input"; readonly data: Uint8Array }
  | {
      readonly kind: "output";
      readonly type: ElementType;
      readonly expected: ArrayLike<number>;
      readonly initial?: Uint8Array;
    }
  | { readonly kind: "alias"; readonly of: number }
  | { readonly kind: "scratch"; readonly byteLength: number };

/** A dispatch: buffers in index order, then the arguments at the next index. */
export interface Dispatch {
  readonly buffers: readonly BufferSpec[];
  readonly args: Uint8Array;
  readonly threadgroups: readonly [number, number, number];
  readonly threads: number;
}

export interface KernelCase {
  /** The kernel's host name. */
  readonly kernel: string;
  /** What is special about the case; with the kernel's name it identifies it. */
  readonly shape: string;
  /** Largest error allowed, see `largestError`. */
  readonly bound: number;
  /** Makes the inputs from random numbers, and what is expected of them. */
  readonly build: (random: () => number) => Dispatch;
}

/**
 * Bound of kernels that compute in F32 from inputs that the reference has exactly: some roundings of 6e-8 each. The types of
 * weights do not loosen it: the reference multiplies by what the stored bytes mean.
 */
export const f32Bound = 1e-5;

/**
 * Bound of sums of `length` products in one accumulator, as matmul has: each step rounds the running sum by up to 2^-24 of
 * it, and the roundings add up as a random walk, to about sqrt(length) times that. Twice as much for the worst of thousands.
 */
export function sumBound(length: number): number {
  return Math.max(f32Bound, Math.sqrt(length) * 2 ** -23);
}

/**
 * Bound of products with quantised weights by the CPU device's native kernels, which round activations to 16 bits: by up to
 * 2^-16 of the largest of each 32, which is 2 to 3 times the typical one. Of a sum of many that is about 2e-5 of a typical
 * sum; the worst of thousands has some times as much, and a case of few outputs, or a product of two, more, since none of
 * them may be as large as the terms. (bridge/linux/cpu/native/activations.h)
 */
export const roundedActivationsBound = 5e-4;

/**
 * Bound of attention of many rows in half precision. In the cases the root of the squares of a score's terms is about 2: with
 * both factors of each rounded by 2^-11 of it at most, a third of that squared on average, a score errs by 2^-11 * 2 * sqrt(2/3)
 * typically, and the share of its key by as much; weights and values by 2^-11 * sqrt(2/3) more. So the output has errors of
 * 2^-11 * sqrt(10/3), or 9e-4, of a typical one. The worst of thousands has five times as much; with a cache that is rounded
 * (Q8_0) and wide heads 8 times as much was seen in simulations. (bridge/linux/cuda/native/attention_tiled.cu)
 */
export const halfAttentionBound: number = 20 * 2 ** -11;

/**
 * Bound of products of many rows in half precision, as NVIDIA's GPUs make them. Rounding to 11 bits errs by 2^-11 at most, and by
 * 0.42 times that on average, activations and weights alike: so a product by 0.6 * 2^-11, and the sum of many that have any sign by
 * as much of a typical sum. The worst of thousands has five times as much, and a bit more where a weight is the difference of two
 * rounded numbers: 2e-3 was the most in calculations with all cases. Sums of weights in floats and bfloats are of activations of
 * two bfloats, 16 bits, and of all products of the parts but the least. (bridge/linux/cuda/native/matmul.cu)
 */
export const halfProductsBound: number = 8 * 2 ** -11;
export const bfloatProductsBound: number = 8 * 2 ** -16;

/** The case's bound for the kernels in use. */
export function boundOf({ kernel, bound }: KernelCase): number {
  if (hasHalfProducts && kernel.startsWith("attention_tiled_")) return Math.max(bound, halfAttentionBound);
  if (hasHalfProducts && kernel.startsWith("matmul_"))
    return Math.max(bound, /_(bf16|f32)$/.test(kernel) ? bfloatProductsBound : halfProductsBound);
  const isRounded = hasNativeKernels && /^mat(vec|mul)_/.test(kernel) && !/_b?f(16|32)$/.test(kernel);
  return isRounded ? Math.max(bound, roundedActivationsBound) : bound;
}

/** Bound of results that are stored as F16: Metal may round either way, so up to one unit in the last place, 2^-10. */
export const f16Bound = 1e-3;

/** Copies: every bit. */
export const exact = 0;

/**
 * Bound of single weights as F32. Without a minimum they are exact: 11 bits of scale, at most 8 of a sub-block's scale
 * and at most 8 of the quant (no type has all of both) are no more than F32's 24. Where a minimum is added, both products
 * are exact as well and the sum is rounded once, by one unit in the last place at most.
 */
export function dequantizedBound(type: ReferenceType): number {
  return withMinimum.includes(type) ? 2 ** -23 : exact;
}
const withMinimum: readonly ReferenceType[] = ["q4_1", "q5_1", "q2_k", "q4_k", "q5_k"];

export function input(data: Uint8Array | Uint32Array | Float32Array | Stored): BufferSpec {
  const view = "values" in data && "bytes" in data ? data.bytes : data;
  return { kind: "input", data: new Uint8Array(view.buffer, view.byteOffset, view.byteLength) };
}

export function output(type: ElementType, expected: ArrayLike<number>, initial?: Uint8Array): BufferSpec {
  return initial === undefined
    ? { kind: "output", type, expected }
    : { kind: "output", type, expected, initial };
}

/** Packs arguments: 32-bit fields in order. */
export function args(
  ...fields: readonly ({ readonly u32: number } | { readonly f32: number })[]
): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * fields.length));
  fields.forEach((field, i) => {
    if ("u32" in field) view.setUint32(4 * i, field.u32, true);
    else view.setFloat32(4 * i, field.f32, true);
  });
  return new Uint8Array(view.buffer);
}

export const u32 = (value: number): { readonly u32: number } => ({ u32: value });
export const f32 = (value: number): { readonly f32: number } => ({ f32: value });

/** Normally distributed numbers. */
export function normal(random: () => number, length: number, deviation = 1): Float32Array {
  return gaussianArray(random, length, deviation);
}

/** The numbers 0 .. length - 1 in random order. */
export function permutation(random: () => number, length: number): Uint32Array {
  const order = Uint32Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const kept = order[i] ?? 0;
    order[i] = order[j] ?? 0;
    order[j] = kept;
  }
  return order;
}

/** A case's own seed: equal runs of a test see equal numbers, and different cases different ones. */
export function seedOf(testCase: KernelCase): number {
  let hash = 0x811c9dc5; // FNV-1a
  for (const character of `${testCase.kernel} ${testCase.shape}`) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  }
  return hash >>> 0;
}

/** Builds a case from its own seed. */
export function buildCase(testCase: KernelCase): Dispatch {
  return testCase.build(mulberry32(seedOf(testCase)));
}
