/** A small model with random weights, whose rows are whole blocks of every type, and what becomes of it in other types. */
import { readFileSync, writeFileSync } from "node:fs";
import { ggmlLayout, openGguf } from "../../src/gguf/index.ts";
import {
  encodeF32,
  f32,
  type WritableTensor,
  type WritableValue,
  writeGguf,
} from "../reference/gguf_writer.ts";
import {
  dequantize,
  type ReferenceType,
  randomBlocks,
  referenceTypes,
} from "../reference/llama_dequantize.ts";
import { gaussianArray, mulberry32 } from "../reference/random.ts";

const DIM = 256;
const HIDDEN = 512;
const LAYERS = 2;
const HEADS = 8;
const KV_HEADS = 4;
const HEAD = DIM / HEADS;
const CONTEXT = 512;

/** `<unk>`, `<s>`, `</s>` and the 256 bytes. */
export const vocabulary: readonly string[] = [
  "<unk>",
  "<s>",
  "</s>",
  ...Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`),
];

/** Metadata of the model. */
function randomMetadata(): [string, WritableValue][] {
  const count = vocabulary.length;
  return [
    ["general.architecture", "llama"],
    ["llama.context_length", CONTEXT],
    ["llama.embedding_length", DIM],
    ["llama.feed_forward_length", HIDDEN],
    ["llama.block_count", LAYERS],
    ["llama.attention.head_count", HEADS],
    ["llama.attention.head_count_kv", KV_HEADS],
    ["llama.attention.layer_norm_rms_epsilon", f32(1e-5)],
    ["llama.rope.dimension_count", HEAD],
    ["llama.rope.freq_base", f32(10000)],
    ["tokenizer.ggml.model", "llama"],
    ["tokenizer.ggml.tokens", vocabulary],
    ["tokenizer.ggml.scores", new Float32Array(count)],
    // llama_token_type: 2 unknown, 3 control, 6 byte
    [
      "tokenizer.ggml.token_type",
      Int32Array.from({ length: count }, (_, i) => (i === 0 ? 2 : i < 3 ? 3 : 6)),
    ],
    ["tokenizer.ggml.bos_token_id", 1],
    ["tokenizer.ggml.eos_token_id", 2],
    ["tokenizer.ggml.unknown_token_id", 0],
  ];
}

/** Writes the model in F32, or with matrices of random blocks of a type that the quantiser does not make. */
export function writeRandomModel(path: string, seed: number, type: ReferenceType = "f32"): void {
  const random = mulberry32(seed);
  const matrix = (name: string, rows: number, columns: number): WritableTensor => ({
    name,
    type: ggmlLayout(type).id,
    shape: [columns, rows],
    // Rows of about unit length, so that the residual stream keeps its size.
    data:
      type === "f32"
        ? encodeF32(gaussianArray(random, rows * columns, 1 / Math.sqrt(columns)))
        : randomBlocks(type, random, rows * columns, 1 / Math.sqrt(columns)),
  });
  const norm = (name: string): WritableTensor => ({
    name,
    type: 0,
    shape: [DIM],
    data: encodeF32(gaussianArray(random, DIM, 0.1).map((x) => 1 + x)),
  });
  const tensors = [
    matrix("token_embd.weight", vocabulary.length, DIM),
    norm("output_norm.weight"),
    matrix("output.weight", vocabulary.length, DIM),
  ];
  for (let i = 0; i < LAYERS; i++) {
    tensors.push(
      norm(`blk.${i}.attn_norm.weight`),
      matrix(`blk.${i}.attn_q.weight`, DIM, DIM),
      matrix(`blk.${i}.attn_k.weight`, KV_HEADS * HEAD, DIM),
      matrix(`blk.${i}.attn_v.weight`, KV_HEADS * HEAD, DIM),
      matrix(`blk.${i}.attn_output.weight`, DIM, DIM),
      norm(`blk.${i}.ffn_norm.weight`),
      matrix(`blk.${i}.ffn_gate.weight`, HIDDEN, DIM),
      matrix(`blk.${i}.ffn_up.weight`, HIDDEN, DIM),
      matrix(`blk.${i}.ffn_down.weight`, DIM, HIDDEN),
    );
  }
  writeFileSync(path, writeGguf(randomMetadata(), tensors));
}

/** Writes what a model's weights mean, in F32: the same model, which nobody rounds any further. */
export function writeDequantized(
  path: string,
  from: string,
  metadata: readonly (readonly [string, WritableValue])[] = randomMetadata(),
): void {
  const file = openGguf(from);
  const bytes = readFileSync(from);
  const tensors = [...file.tensors.values()].map(({ name, type, shape, offset, byteLength }) => {
    const known = referenceTypes.find((reference) => reference === type);
    if (known === undefined) throw new TypeError(`There is no reference for ${type}`);
    const values = dequantize(bytes.subarray(offset, offset + byteLength), known);
    return { name, type: 0, shape, data: encodeF32(Float32Array.from(values)) };
  });
  writeFileSync(path, writeGguf(metadata, tensors));
}
