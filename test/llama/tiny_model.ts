/** A model of two layers with random weights, as the parts of a file: small enough to be made and broken at will. */
import {
  encodeF16,
  encodeF32,
  encodeQ8_0,
  f32,
  type WritableTensor,
  type WritableValue,
} from "../reference/gguf_writer.ts";
import { gaussianArray, mulberry32 } from "../reference/random.ts";
import type { ModelParts } from "./oracle.ts";

export type TinyModelOptions = {
  readonly seed: number;
  readonly type: "f32" | "f16" | "q8_0";
  readonly headCount: number;
  readonly headCountKv: number;
  readonly headLength: number;
  readonly ropeDimensionCount: number;
  readonly isTied: boolean;
};

const DIM = 64;
const HIDDEN = 96;
const LAYERS = 2;
const CONTEXT = 96;

const encoders = { f32: encodeF32, f16: encodeF16, q8_0: encodeQ8_0 } as const;
const typeIds = { f32: 0, f16: 1, q8_0: 8 } as const;

export function tinyModel(options: Partial<TinyModelOptions> = {}): ModelParts {
  const { seed, type, headCount, headCountKv, headLength, ropeDimensionCount, isTied } = {
    seed: 1,
    type: "f32" as const,
    headCount: 4,
    headCountKv: 2,
    headLength: 16,
    ropeDimensionCount: 16,
    isTied: true,
    ...options,
  };
  const random = mulberry32(seed);
  const { tokens } = vocabulary();
  const matrix = (name: string, rows: number, columns: number): WritableTensor => ({
    name,
    type: typeIds[type],
    shape: [columns, rows],
    // Rows of unit length on average, so that the residual stream keeps its size.
    data: encoders[type](gaussianArray(random, rows * columns, 1 / Math.sqrt(columns))),
  });
  const norm = (name: string): WritableTensor => ({
    name,
    type: typeIds.f32,
    shape: [DIM],
    data: encodeF32(gaussianArray(random, DIM, 0.1).map((x) => 1 + x)),
  });
  const tensors = [matrix("token_embd.weight", tokens.length, DIM), norm("output_norm.weight")];
  if (!isTied) tensors.push(matrix("output.weight", tokens.length, DIM));
  for (let i = 0; i < LAYERS; i++) {
    tensors.push(
      norm(`blk.${i}.attn_norm.weight`),
      matrix(`blk.${i}.attn_q.weight`, headCount * headLength, DIM),
      matrix(`blk.${i}.attn_k.weight`, headCountKv * headLength, DIM),
      matrix(`blk.${i}.attn_v.weight`, headCountKv * headLength, DIM),
      matrix(`blk.${i}.attn_output.weight`, DIM, headCount * headLength),
      norm(`blk.${i}.ffn_norm.weight`),
      matrix(`blk.${i}.ffn_gate.weight`, HIDDEN, DIM),
      matrix(`blk.${i}.ffn_up.weight`, HIDDEN, DIM),
      matrix(`blk.${i}.ffn_down.weight`, DIM, HIDDEN),
    );
  }
  const metadata = new Map<string, WritableValue>([
    ["general.architecture", "llama"],
    ["llama.context_length", CONTEXT],
    ["llama.embedding_length", DIM],
    ["llama.feed_forward_length", HIDDEN],
    ["llama.block_count", LAYERS],
    ["llama.attention.head_count", headCount],
    ["llama.attention.head_count_kv", headCountKv],
    ["llama.attention.key_length", headLength],
    ["llama.attention.layer_norm_rms_epsilon", f32(1e-5)],
    ["llama.rope.dimension_count", ropeDimensionCount],
    ["llama.rope.freq_base", f32(10000)],
    ...tokenizerMetadata(),
  ]);
  return { metadata, tensors };
}

/** The metadata of a tokenizer of 259 tokens: see `vocabulary`. */
export function tokenizerMetadata(): [string, WritableValue][] {
  const { tokens, types } = vocabulary();
  return [
    ["tokenizer.ggml.model", "llama"],
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.scores", new Float32Array(tokens.length)],
    ["tokenizer.ggml.token_type", types],
    ["tokenizer.ggml.bos_token_id", 1],
    ["tokenizer.ggml.eos_token_id", 2],
    ["tokenizer.ggml.unknown_token_id", 0],
  ];
}

/** `<unk>`, `<s>`, `</s>` and the 256 byte pieces: every text has tokens, and most tokens are part of a character. */
function vocabulary(): { tokens: string[]; types: Int32Array } {
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
  const tokens = ["<unk>", "<s>", "</s>", ...bytes];
  // llama_token_type: 2 unknown, 3 control, 6 byte
  return { tokens, types: Int32Array.from(tokens, (_, i) => (i === 0 ? 2 : i < 3 ? 3 : 6)) };
}

/**
 * A model whose greedy continuation is known: after chain[i] comes chain[i + 1]. Attention and feed-forward add nothing,
 * so the last token's embedding alone decides, and the output row of each token is its predecessor's embedding.
 */
export function chainModel(chain: readonly number[]): ModelParts {
  const { metadata, tensors } = tinyModel({ isTied: false });
  const embedding = tensors.find(({ name }) => name === "token_embd.weight");
  if (embedding === undefined) throw new Error("The tiny model has no embedding");
  const rowBytes = DIM * 4;
  const output = new Uint8Array(embedding.data.length);
  for (let i = 1; i < chain.length; i++) {
    const row = embedding.data.subarray(chain[i - 1] * rowBytes, (chain[i - 1] + 1) * rowBytes);
    output.set(row, chain[i] * rowBytes);
  }
  return {
    metadata,
    tensors: tensors.map((tensor) => {
      if (tensor.name === "output.weight") return { ...tensor, data: output };
      const isSilent = /attn_output|ffn_down/.test(tensor.name);
      return isSilent ? { ...tensor, data: new Uint8Array(tensor.data.length) } : tensor;
    }),
  };
}
