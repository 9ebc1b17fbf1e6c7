/**
 * Files of models with random weights, the same bytes each time, made in seconds: a few tens of megabytes of random rows of
 * each type and length are repeated, and every tensor begins elsewhere among them.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type GgufTensor, planGguf } from "../../src/gguf/index.ts";
import { fileTypeOf } from "../../src/quantize/mix.ts";
import { f32, type WritableValue, writeGguf } from "../reference/gguf_writer.ts";
import { type BenchModel, tensorsOf } from "./models.ts";
import { fillRandom, isRandomType, type RandomType, RandomWords } from "./random_weights.ts";

/** Where models and programs that are made for a run are kept for the next. */
export const benchDirectory: string = join(import.meta.dirname, "../../build/bench");

/** Positions that a model says it was trained for. */
const CONTEXT = 16384;
const SEED = 20240607;
/** Of the way in which files are made: a file of another version is made anew. */
const VERSION = 2;
/** Bytes of random rows, about, that tensors of a type and a length of rows are made of. */
const TILE_BYTES = 1 << 25;
/** A small file has tiles of this part of it. */
const SMALL_FILE_TILES = 8;
/** Of a file, read at once. */
const PIECE_BYTES = 1 << 22;
/** That a file system has left over besides a file. */
const SPARE_BYTES = 1 << 28;
export const BOS = 1;
const EOS = 2;
/** The unknown one, begin and end, and the bytes. */
const TOKENS_WITHOUT_TEXT = 3 + 256;

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

/**
 * Returns the model's file in the first directory that has it or has room for it, and makes it where it is not there.
 *
 * @throws {RangeError} If there is room in none
 */
export function modelFile(
  model: BenchModel,
  directories: string | readonly string[],
  log: (line: string) => void,
): string {
  const candidates = typeof directories === "string" ? [directories] : directories;
  const entries = metadata(model).map((entry) => writeGguf([entry]).subarray(24)); // behind the counts
  const plan = planGguf(entries, tensorsOf(model), 32);
  const paths = candidates.map((directory) => join(directory, `${model.name}-v${VERSION}.gguf`));
  const existing = paths.find((path) => existsSync(path) && statSync(path).size === plan.byteLength);
  if (existing !== undefined) return existing;
  const path = paths.find((candidate) => hasRoom(dirname(candidate), plan.byteLength));
  const megabytes = (plan.byteLength / 1e6).toFixed(0);
  if (path === undefined)
    throw new RangeError(`There is no room for ${model.name} of ${megabytes} MB in ${candidates.join(", ")}`);
  log(`making ${path}, ${megabytes} MB`);
  const temporary = `${path}.${process.pid}.tmp`;
  const file = openSync(temporary, "w");
  try {
    writeAll(file, plan.header, 0);
    const random = new RandomWords(SEED);
    const tiles = new Tiles(random, Math.min(TILE_BYTES, plan.byteLength / SMALL_FILE_TILES));
    for (const tensor of plan.tensors) writeTensor(file, tensor, random, tiles);
    if (plan.byteLength > statSync(temporary).size) writeAll(file, new Uint8Array(1), plan.byteLength - 1);
    renameSync(temporary, path);
  } finally {
    closeSync(file);
    rmSync(temporary, { force: true });
  }
  return path;
}

/** Brings a file into the page cache. */
export function readAll(path: string): void {
  const file = openSync(path, "r");
  const piece = new Uint8Array(PIECE_BYTES);
  try {
    while (readSync(file, piece, 0, piece.length, null) > 0);
  } finally {
    closeSync(file);
  }
}

/** Random rows by type and length, made when first asked for. */
class Tiles {
  readonly #random: RandomWords;
  readonly #byteLength: number;
  readonly #tiles = new Map<string, Uint8Array<ArrayBuffer>>();

  /** @param byteLength Of each, about */
  constructor(random: RandomWords, byteLength: number) {
    this.#random = random;
    this.#byteLength = byteLength;
  }

  get(type: RandomType, columns: number, rowBytes: number): Uint8Array<ArrayBuffer> {
    const key = `${type} ${columns}`;
    const known = this.#tiles.get(key);
    if (known !== undefined) return known;
    // An even number of rows is whole words.
    const tile = new Uint8Array(2 * Math.max(1, Math.floor(this.#byteLength / rowBytes / 2)) * rowBytes);
    // Rows of about unit length, so that the residual stream keeps its size.
    fillRandom(type, tile, 1 / Math.sqrt(columns), this.#random);
    this.#tiles.set(key, tile);
    return tile;
  }
}

function writeTensor(
  file: number,
  { name, type, shape, offset, byteLength }: GgufTensor,
  random: RandomWords,
  tiles: Tiles,
): void {
  if (!isRandomType(type)) throw new TypeError(`There are no random weights of ${type} for "${name}"`);
  if (shape.length === 1) {
    const norm = Float32Array.from({ length: shape[0] }, () => 1 + (random.next() / 2 ** 31) * 0.1);
    writeAll(file, new Uint8Array(norm.buffer), offset);
    return;
  }
  const [columns, rows] = shape;
  const rowBytes = byteLength / rows;
  const tile = tiles.get(type, columns, rowBytes);
  let from = ((random.next() >>> 0) % (tile.length / rowBytes)) * rowBytes;
  for (let at = 0; at < byteLength; ) {
    const piece = tile.subarray(from, from + Math.min(tile.length - from, byteLength - at));
    writeAll(file, piece, offset + at);
    at += piece.length;
    from = 0;
  }
  // Rows of zeros never have the largest logit: no generation ends early, and each of its tokens is text.
  if (name === "output.weight")
    writeAll(file, new Uint8Array(Math.min(rows, TOKENS_WITHOUT_TEXT) * rowBytes), offset);
}

function writeAll(file: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at, position + at);
}

/** Whether a directory, which is made, has room for so many bytes. */
function hasRoom(directory: string, byteLength: number): boolean {
  mkdirSync(directory, { recursive: true });
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize > byteLength + SPARE_BYTES;
}
