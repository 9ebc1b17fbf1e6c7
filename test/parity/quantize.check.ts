/** Blocks as ggml quantises them and as we do: the same bytes where the rule is simple, no larger error where it is a search. */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { ggmlLayout } from "../../src/gguf/index.ts";
import { type EncodableType, encode } from "../../src/quantize/encoders.ts";
import { dequantize } from "../reference/llama_dequantize.ts";
import { gaussianArray, mulberry32 } from "../reference/random.ts";
import { binaries } from "./addon.ts";

const SEED = 3;
const ROW = 256;
const COUNT = 256 * ROW;
/** Our error over ggml's: equal, and a little for the cases where its luck is better. */
const WORST_RATIO = 1.01;

const library = process.platform === "darwin" ? "libggml-base.dylib" : "libggml-base.so";

function openGgml(): (id: number, x: Float32Array, out: Uint8Array) => void {
  const { i32, i64, u64, ptr: pointer } = FFIType;
  const { symbols } = dlopen(join(binaries(), library), {
    // type, values, blocks, first value, rows, values of a row, weights or none
    ggml_quantize_chunk: { args: [i32, pointer, pointer, i64, i64, i64, pointer], returns: u64 },
  });
  return (id, x, out) => {
    symbols.ggml_quantize_chunk(id, ptr(x), ptr(out), 0, x.length / ROW, ROW, null);
  };
}

function rmse(a: Float64Array, b: Float32Array): number {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.length);
}

const same: readonly EncodableType[] = ["f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"];
const searched: readonly EncodableType[] = ["q2_k", "q3_k", "q4_k", "q5_k", "q6_k"];

test("encode() gives ggml's blocks, or blocks with no larger error", () => {
  const quantizeChunk = openGgml();
  const random = mulberry32(SEED);
  const sets: readonly (readonly [string, Float32Array])[] = [
    ["gaussian", gaussianArray(random, COUNT, 0.02)],
    ["with outliers", gaussianArray(random, COUNT, 1).map((x, i) => (i % 100 === 0 ? 5 * x : x))],
    ["uniform", Float32Array.from({ length: COUNT }, () => 2 * random() - 1)],
  ];
  for (const type of [...same, ...searched]) {
    const ratios: string[] = [];
    for (const [name, x] of sets) {
      const blocks = encode(type, x);
      const theirs = new Uint8Array(blocks.length);
      quantizeChunk(ggmlLayout(type).id, x, theirs);
      if (same.includes(type)) {
        expect(Buffer.compare(blocks, theirs), `${type}, ${name}`).toBe(0);
        continue;
      }
      const ratio = rmse(dequantize(blocks, type), x) / rmse(dequantize(theirs, type), x);
      expect(ratio, `${type}, ${name}`).toBeLessThanOrEqual(WORST_RATIO);
      ratios.push(`${name} ${ratio.toFixed(3)}`);
    }
    const result = ratios.length === 0 ? "the same bytes" : `error over ggml's: ${ratios.join(", ")}`;
    console.log(`${type.padEnd(5)} seed ${SEED}: ${result}`);
  }
}, 120_000);
