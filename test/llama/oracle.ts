/** Model files as the float64 oracle reads them, and model files made from others. Support for the tests of this room. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type GgufFile, type GgufValue, openGguf } from "../../src/gguf/index.ts";
import { readConfig } from "../../src/llama/config.ts";
import { type WritableTensor, type WritableValue, writeGguf } from "../reference/gguf_writer.ts";
import { storeAs } from "../reference/kernels_formats.ts";
import { type ReferenceConfig, ReferenceLlama, type ReferenceWeights } from "../reference/llama.ts";
import { dequantize, type ReferenceType, referenceTypes } from "../reference/llama_dequantize.ts";

const root = join(import.meta.dirname, "../..");

/** The repository's model, in both types that it is stored in. */
export const models: { readonly f16: string; readonly q8_0: string } = {
  f16: join(root, "test/fixtures/austen-5m-f16.gguf"),
  q8_0: join(root, "examples/models/austen-5m-q8_0.gguf"),
};

/** ggml's numbers of the types. */
const typeIds: Readonly<Record<ReferenceType, number>> = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q4_1: 3,
  q5_0: 6,
  q5_1: 7,
  q8_0: 8,
  q2_k: 10,
  q3_k: 11,
  q4_k: 12,
  q5_k: 13,
  q6_k: 14,
  iq4_nl: 20,
  iq4_xs: 23,
  mxfp4: 39,
  bf16: 30,
};

export type OracleModel = { readonly config: ReferenceConfig; readonly weights: ReferenceWeights };

/** Reads and dequantises a whole model. */
export function openOracle(path: string): OracleModel {
  const file = openGguf(path);
  const bytes = readFileSync(path);
  const config = readConfig(file);
  const weight = (name: string): Float64Array => {
    const { offset, byteLength, type } = file.getTensor(name);
    return dequantize(bytes.subarray(offset, offset + byteLength), referenceType(type));
  };
  const embedding = weight("token_embd.weight");
  const layers = Array.from({ length: config.blockCount }, (_, i) => ({
    attentionNorm: weight(`blk.${i}.attn_norm.weight`),
    q: weight(`blk.${i}.attn_q.weight`),
    k: weight(`blk.${i}.attn_k.weight`),
    v: weight(`blk.${i}.attn_v.weight`),
    attentionOutput: weight(`blk.${i}.attn_output.weight`),
    feedForwardNorm: weight(`blk.${i}.ffn_norm.weight`),
    gate: weight(`blk.${i}.ffn_gate.weight`),
    up: weight(`blk.${i}.ffn_up.weight`),
    down: weight(`blk.${i}.ffn_down.weight`),
  }));
  const output = file.tensors.has("output.weight") ? weight("output.weight") : embedding;
  return { config, weights: { embedding, layers, outputNorm: weight("output_norm.weight"), output } };
}

/** The oracle's logits after the last of the tokens; `round` as in ReferenceLlama. */
export function oracleLogits(
  model: OracleModel,
  tokens: readonly number[],
  round?: (row: Float64Array) => Float64Array,
): Float64Array {
  return new ReferenceLlama(model.config, model.weights, round).feed(tokens);
}

/** Rounds to the nearest half, as an F16 cache does. */
export function roundToHalf(row: Float64Array): Float64Array {
  return row.map(Math.f16round);
}

/** Rounds to the nearest bytes and their scales, as a Q8_0 cache does. */
export function roundToBlocks(row: Float64Array): Float64Array {
  return storeAs("q8_0", row).values;
}

/** The largest |a - b|, which is NaN or Infinity where one of them is. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new RangeError(`Cannot compare ${a.length} numbers with ${b.length}`);
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i] - b[i]);
    if (!(difference <= largest)) largest = difference;
    if (Number.isNaN(largest)) return largest;
  }
  return largest;
}

/** A model file in parts, to be changed before it is written. */
export type ModelParts = {
  readonly metadata: Map<string, WritableValue>;
  readonly tensors: WritableTensor[];
};

/** Takes a file apart. */
export function takeApart(path: string): ModelParts {
  const file: GgufFile = openGguf(path);
  const bytes = readFileSync(path);
  return {
    metadata: new Map([...file.metadata].map(([key, value]) => [key, writable(key, value)])),
    tensors: [...file.tensors.values()].map(({ name, shape, type, offset, byteLength }) => ({
      name,
      shape,
      type: typeIds[referenceType(type)],
      data: bytes.subarray(offset, offset + byteLength),
    })),
  };
}

/** The bytes of the file again. */
export function putTogether(parts: ModelParts): Uint8Array {
  return writeGguf([...parts.metadata], parts.tensors);
}

/** The same model with all F16 matrices written as F32. */
export function widened(parts: ModelParts): ModelParts {
  return {
    metadata: parts.metadata,
    tensors: parts.tensors.map((tensor) =>
      tensor.type === typeIds.f16
        ? {
            ...tensor,
            type: typeIds.f32,
            data: new Uint8Array(Float32Array.from(dequantize(tensor.data, "f16")).buffer),
          }
        : tensor,
    ),
  };
}

function referenceType(type: string): ReferenceType {
  const known = referenceTypes.find((reference) => reference === type);
  if (known !== undefined) return known;
  throw new TypeError(`The oracle does not read tensors of type "${type}"`);
}

function writable(key: string, value: GgufValue): WritableValue {
  if (typeof value === "bigint") return { type: "u64", value };
  if (typeof value !== "object") return value;
  if (value instanceof Float32Array || value instanceof Int32Array) return value;
  if (Array.isArray(value) && value.every((element) => typeof element === "string")) return value;
  throw new TypeError(`The writer does not write "${key}"`);
}
