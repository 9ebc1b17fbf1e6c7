// What each type makes of values: against ggml's definition of its blocks, and against the plainest way to fill them.
import { describe, expect, test } from "bun:test";
import { ggmlLayout } from "../../src/gguf/index.ts";
import { type EncodableType, encode } from "../../src/quantize/encoders.ts";
import { dequantize } from "../reference/llama_dequantize.ts";
import { gaussianArray, mulberry32 } from "../reference/random.ts";

const SEED = 20;

function meaning(type: EncodableType, x: Float32Array): Float64Array {
  return dequantize(encode(type, x), type);
}

function rmse(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let squares = 0;
  for (let i = 0; i < a.length; i++) squares += (a[i] - b[i]) ** 2;
  return Math.sqrt(squares / a.length);
}

/** The step of rounding where `levels` steps span each `length` values, from the smallest (or its mirror) to the largest. */
function plainError(x: Float32Array, length: number, levels: number, symmetric: boolean): number {
  let squares = 0;
  for (let start = 0; start < x.length; start += length) {
    const part = x.subarray(start, start + length);
    const most = Math.max(...part.map(Math.abs));
    const low = symmetric ? -most : Math.min(0, ...part);
    const high = symmetric ? most : Math.max(...part);
    const step = (high - low) / levels;
    for (const value of part) squares += (Math.round((value - low) / step) * step + low - value) ** 2;
  }
  return Math.sqrt(squares / x.length);
}

/** Parts and steps of each type, and what quantising the parts' scales may cost over scales that are exact. */
const plain: readonly (readonly [
  EncodableType,
  length: number,
  levels: number,
  symmetric: boolean,
  cost: number,
])[] = [
  ["q8_0", 32, 254, true, 1.01],
  ["q4_0", 32, 15, true, 1.05],
  ["q4_1", 32, 15, false, 1.01],
  ["q5_0", 32, 31, true, 1.05],
  ["q5_1", 32, 31, false, 1.01],
  // The search gains more than the rounding of scales costs, but for those of 4 bits.
  ["q2_k", 16, 3, false, 1],
  ["q3_k", 16, 7, true, 1],
  ["q4_k", 32, 15, false, 1],
  ["q5_k", 32, 31, false, 1],
  ["q6_k", 16, 63, true, 1],
];

describe("encode", () => {
  test("encode() errs no more than plain rounding with exact scales", () => {
    console.log(`seed ${SEED}`);
    const random = mulberry32(SEED);
    const shapes: readonly (readonly [string, Float32Array])[] = [
      ["gaussian", gaussianArray(random, 64 * 256, 0.02)],
      ["with outliers", gaussianArray(random, 64 * 256, 1).map((x, i) => (i % 100 === 0 ? 5 * x : x))],
      ["uniform", Float32Array.from({ length: 64 * 256 }, () => 2 * random() - 1)],
    ];
    for (const [type, length, levels, symmetric, cost] of plain) {
      for (const [name, x] of shapes) {
        const error = rmse(meaning(type, x), x);
        const ratio = error / plainError(x, length, levels, symmetric);
        expect(ratio, `${type}, ${name}`).toBeLessThanOrEqual(cost);
      }
    }
  });

  test("encode() gives values back exactly that the type can say", () => {
    const random = mulberry32(SEED);
    const whole = (most: number): number => Math.floor(random() * (most + 1));
    const cases: readonly (readonly [EncodableType, (i: number) => number])[] = [
      ["q8_0", (i) => (i % 32 === 0 ? -127 : whole(254) - 127) / 64],
      ["q4_0", (i) => (i % 32 === 0 ? -8 : whole(15) - 8) / 4],
      ["q5_0", (i) => (i % 32 === 0 ? 16 : 16 - whole(31)) / 4],
      ["q4_1", (i) => (i % 32 === 0 ? 0 : i % 32 === 1 ? 15 : whole(15)) / 8 + 3],
      ["q5_1", (i) => (i % 32 === 0 ? 0 : i % 32 === 1 ? 31 : whole(31)) / 8 - 3],
      // One scale for all parts, which is the largest that a part can have.
      ["q6_k", (i) => (i % 16 === 0 ? -32 : whole(63) - 32) / 4],
      ["q3_k", (i) => (i % 16 === 0 ? -4 : whole(7) - 4) / 4],
      ["q4_k", (i) => ((i % 32 === 0 ? 0 : i % 32 === 1 ? 15 : whole(15)) - 4) * 63],
      ["q5_k", (i) => ((i % 32 === 0 ? 0 : i % 32 === 1 ? 31 : whole(31)) - 8) * 63],
      ["q2_k", (i) => ((i % 16 === 0 ? 0 : i % 16 === 1 ? 3 : whole(3)) - 1) * 15],
    ];
    for (const [type, value] of cases) {
      const x = Float32Array.from({ length: 1024 }, (_, i) => value(i));
      expect(rmse(meaning(type, x), x), type).toBe(0);
    }
  });

  test("encode() keeps zeros zero, and every other value finite and near", () => {
    const blocks: readonly (readonly [string, Float32Array])[] = [
      ["zeros", new Float32Array(256)],
      ["a constant", new Float32Array(256).fill(0.3)],
      ["a negative constant", new Float32Array(256).fill(-0.3)],
      ["one value", Float32Array.from({ length: 256 }, (_, i) => (i === 77 ? -2.5 : 0))],
      ["the largest", Float32Array.from({ length: 256 }, (_, i) => (i % 2 === 0 ? 65504 : -65504))],
      ["one side", Float32Array.from({ length: 256 }, (_, i) => 1 + i / 256)],
      ["tiny ones", Float32Array.from({ length: 256 }, (_, i) => ((i % 7) - 3) * 1e-9)],
    ];
    for (const [type, , levels] of plain) {
      for (const [name, x] of blocks) {
        const most = Math.max(...x.map(Math.abs));
        const y = meaning(type, x);
        const worst = Math.max(...y.map((value, i) => Math.abs(value - x[i])));
        if (name === "zeros") expect(worst, `${type}, ${name}`).toBe(0);
        // A step, and what scales in F16 and in 4 to 8 bits add; F16 has nothing below 6e-8.
        expect(worst, `${type}, ${name}`).toBeLessThanOrEqual(most * (2 / levels + 0.1) + 1e-7);
      }
    }
  });

  test("encode() rounds to F16 and BF16 as the reference reads them: to the nearest, halves to even", () => {
    const random = mulberry32(SEED);
    const x = gaussianArray(random, 4096, 10);
    expect(meaning("f32", x)).toEqual(Float64Array.from(x));
    for (const [type, bits] of [
      ["f16", 11],
      ["bf16", 8],
    ] as const) {
      const y = meaning(type, x);
      x.forEach((value, i) => {
        const unit = 2 ** (Math.floor(Math.log2(Math.abs(value))) + 1 - bits);
        expect(Math.abs(y[i] - value)).toBeLessThanOrEqual(unit / 2);
      });
    }
    expect([...meaning("bf16", Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8, -1 - 2 ** -8))]).toEqual([
      1,
      1 + 2 ** -6,
      -1,
    ]);
  });

  test("encode() gives the same bytes each time, and as many as the layout says", () => {
    const x = gaussianArray(mulberry32(SEED), 2048, 0.1);
    for (const [type] of plain) {
      const { blockSize, blockBytes } = ggmlLayout(type);
      const bytes = encode(type, x);
      expect(bytes.length).toBe((2048 / blockSize) * blockBytes);
      encode(type, x.toReversed()); // what one call leaves behind must not reach the next
      expect(encode(type, x)).toEqual(bytes);
    }
  });
});
