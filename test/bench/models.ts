/** The models that are measured: real shapes and types, random weights, the same bytes each time. */
import { closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { type GgmlType, type GgufTensor, ggmlLayout, planGguf } from "../../src/gguf/index.ts";
import { chooseType, fileTypeOf, type QuantizeType } from "../../src/quantize/mix.ts";
import { f32, type WritableValue, writeGguf } from "../reference/gguf_writer.ts";
import { fillRandom, isRandomType, RandomWords } from "./random_weights.ts";

/** What decides how much there is to compute and to read. */
export type Shape = {
  readonly dim: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headLength: number;
  readonly hidden: number;
  readonly vocabulary: number;
};

export type BenchModel = {
  /** As the command line has it. */
  readonly name: string;
  readonly shape: Shape;
  readonly type: QuantizeType;
};

/** TinyLlama 1.1B. */
const large: Shape = {
  dim: 2048,
  layers: 22,
  heads: 32,
  kvHeads: 4,
  headLength: 64,
  hidden: 5632,
  vocabulary: 32000,
};
const small: Shape = {
  dim: 768,
  layers: 12,
  heads: 12,
  kvHeads: 12,
  headLength: 64,
  hidden: 2048,
  vocabulary: 32000,
};

/** All that can be measured, in the order in which they are. */
export const benchModels: readonly BenchModel[] = [
  { name: "110m-f16", shape: small, type: "F16" },
  { name: "110m-q8_0", shape: small, type: "Q8_0" },
  { name: "1.1b-q8_0", shape: large, type: "Q8_0" },
  { name: "1.1b-q4_0", shape: large, type: "Q4_0" },
  { name: "1.1b-q4_k_m", shape: large, type: "Q4_K_M" },
  { name: "1.1b-q6_k", shape: large, type: "Q6_K" },
];

/** Positions that a model says it was trained for. */
const CONTEXT = 4096;
const SEED = 20240607;
/** Of the way in which files are made: a file of another version is made anew. */
const VERSION = 1;
/** Bytes that are made and written at once, about; whole words of whole blocks of every type are. */
const PIECE_BYTES = 1 << 22;
export const BOS = 1;
const EOS = 2;

/** Tensors of a model without their places: names, shapes and types. */
export function tensorsOf({ shape, type }: BenchModel): { name: string; shape: number[]; type: GgmlType }[] {
  const { dim, layers, heads, kvHeads, headLength, hidden, vocabulary } = shape;
  const facts = {
    blockCount: layers,
    headsPerKv: heads / kvHeads,
    expertCount: 0,
    isTied: false,
  };
  const tensor = (name: string, ...lengths: number[]) => {
    const plain: GgufTensor = { name, shape: lengths, type: "f32", part: 0, offset: 0, byteLength: 0 };
    return { name, shape: lengths, type: chooseType(plain, type, facts, false) };
  };
  const layer = (i: number) => [
    tensor(`blk.${i}.attn_norm.weight`, dim),
    tensor(`blk.${i}.attn_q.weight`, dim, heads * headLength),
    tensor(`blk.${i}.attn_k.weight`, dim, kvHeads * headLength),
    tensor(`blk.${i}.attn_v.weight`, dim, kvHeads * headLength),
    tensor(`blk.${i}.attn_output.weight`, heads * headLength, dim),
    tensor(`blk.${i}.ffn_norm.weight`, dim),
    tensor(`blk.${i}.ffn_gate.weight`, dim, hidden),
    tensor(`blk.${i}.ffn_up.weight`, dim, hidden),
    tensor(`blk.${i}.ffn_down.weight`, hidden, dim),
  ];
  return [
    tensor("token_embd.weight", dim, vocabulary),
    ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
    tensor("output_norm.weight", dim),
    tensor("output.weight", dim, vocabulary),
  ];
}

/**
 * Bytes that one generated token has to read: all weights but the embedding, of which it is one row, and the keys and
 * values in F16 of the positions before it.
 */
export function bytesPerToken(model: BenchModel, depth: number): number {
  const { layers, kvHeads, headLength } = model.shape;
  const weights = tensorsOf(model)
    .filter(({ name }) => name !== "token_embd.weight")
    .reduce((sum, { shape, type }) => sum + byteLength(shape, type), 0);
  return weights + depth * layers * kvHeads * headLength * 2 * 2;
}

function byteLength(shape: readonly number[], type: GgmlType): number {
  const { blockSize, blockBytes } = ggmlLayout(type);
  return (shape.reduce((product, length) => product * length, 1) / blockSize) * blockBytes;
}

/** A vocabulary that both sides load: the bytes, and as many words of letters as it takes. */
function metadata({ name, shape, type }: BenchModel): [string, WritableValue][] {
  const pieces = ["<unk>", "<s>", "</s>"];
  for (let i = 0; i < 256; i++) pieces.push(`<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
  const fixed = pieces.length;
  for (let i = 0; pieces.length < shape.vocabulary; i++) pieces.push(`▁${word(i)}`);
  return [
    ["general.architecture", "llama"],
    ["general.name", `random weights ${name}, version ${VERSION}`],
    ["general.file_type", fileTypeOf(type) ?? 0],
    ["general.quantization_version", 2],
    ["llama.context_length", CONTEXT],
    ["llama.embedding_length", shape.dim],
    ["llama.feed_forward_length", shape.hidden],
    ["llama.block_count", shape.layers],
    ["llama.attention.head_count", shape.heads],
    ["llama.attention.head_count_kv", shape.kvHeads],
    ["llama.attention.layer_norm_rms_epsilon", f32(1e-5)],
    ["llama.rope.dimension_count", shape.headLength],
    ["llama.rope.freq_base", f32(10000)],
    ["llama.vocab_size", shape.vocabulary],
    ["tokenizer.ggml.model", "llama"],
    ["tokenizer.ggml.tokens", pieces],
    ["tokenizer.ggml.scores", Float32Array.from(pieces, (_, i) => -i)],
    // llama_token_type: 1 normal, 2 unknown, 3 control, 6 byte
    [
      "tokenizer.ggml.token_type",
      Int32Array.from(pieces, (_, i) => (i === 0 ? 2 : i < 3 ? 3 : i < fixed ? 6 : 1)),
    ],
    ["tokenizer.ggml.bos_token_id", BOS],
    ["tokenizer.ggml.eos_token_id", EOS],
    ["tokenizer.ggml.unknown_token_id", 0],
  ];
}

/** The `i`th word of letters: a, b ... z, aa, ab ... */
function word(i: number): string {
  const letter = String.fromCharCode(97 + (i % 26));
  return i < 26 ? letter : word(Math.floor(i / 26) - 1) + letter;
}

/** Returns the model's file in a directory, which it makes where it is not there. */
export function modelFile(model: BenchModel, directory: string, log: (line: string) => void): string {
  const path = join(directory, `${model.name}-v${VERSION}.gguf`);
  const entries = metadata(model).map((entry) => writeGguf([entry]).subarray(24)); // behind the counts
  const plan = planGguf(entries, tensorsOf(model), 32);
  if (existsSync(path) && statSync(path).size === plan.byteLength) return path;
  log(`making ${path}, ${(plan.byteLength / 1e6).toFixed(0)} MB`);
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  const file = openSync(temporary, "w");
  try {
    writeAll(file, plan.header, 0);
    const random = new RandomWords(SEED);
    for (const tensor of plan.tensors) writeTensor(file, tensor, random);
    if (plan.byteLength > statSync(temporary).size) writeAll(file, new Uint8Array(1), plan.byteLength - 1);
    renameSync(temporary, path);
  } finally {
    closeSync(file);
    rmSync(temporary, { force: true });
  }
  return path;
}

function writeTensor(
  file: number,
  { name, type, shape, offset, byteLength }: GgufTensor,
  random: RandomWords,
): void {
  if (!isRandomType(type)) throw new TypeError(`There are no random weights of ${type} for "${name}"`);
  if (shape.length === 1) {
    const norm = Float32Array.from({ length: shape[0] }, () => 1 + (random.next() / 2 ** 31) * 0.1);
    writeAll(file, new Uint8Array(norm.buffer), offset);
    return;
  }
  const [columns, rows] = shape;
  const rowBytes = byteLength / rows;
  // Rows of about unit length, so that the residual stream keeps its size. An even number of them is whole words.
  const step = 2 * Math.max(1, Math.floor(PIECE_BYTES / rowBytes / 2));
  for (let row = 0; row < rows; row += step) {
    const bytes = new Uint8Array(Math.min(step, rows - row) * rowBytes);
    fillRandom(type, bytes, 1 / Math.sqrt(columns), random);
    // A row of zeros never has the largest logit: no generation ends early.
    if (name === "output.weight" && row === 0) bytes.fill(0, EOS * rowBytes, (EOS + 1) * rowBytes);
    writeAll(file, bytes, offset + row * rowBytes);
  }
}

function writeAll(file: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at, position + at);
}
