/**
 * Which tensors of the file are which weights. Types and shapes are checked against the configuration before a device is
 * touched; `weight_buffers.ts` brings their bytes there.
 */
import type { GgufFile, GgufTensor } from "../gguf/index.ts";
import { type WeightDType, weightDTypes } from "../tensor/index.ts";
import type { LlamaConfig } from "./config.ts";
import { ModelError } from "./errors.ts";

/** Where a weight lies in the file. */
export type WeightPlace = {
  /** The tensor's name. */
  readonly name: string;
  readonly type: WeightDType;
  /** Rows first, as in the paper (GGUF writes the row length first). */
  readonly shape: readonly number[];
  readonly offset: number; // bytes from the start of the file
  readonly byteLength: number;
};

/** The weights of one layer: as places in a file, or as tensors of a graph. */
export type LayerWeights<T> = {
  readonly attentionNorm: T; // [embedding]
  readonly q: T; // [heads * headLength, embedding]
  readonly k: T; // [kvHeads * headLength, embedding]
  readonly v: T; // [kvHeads * headLength, embedding]
  readonly attentionOutput: T; // [embedding, heads * headLength]
  readonly feedForwardNorm: T; // [embedding]
  readonly gate: T; // [feedForward, embedding]
  readonly up: T; // [feedForward, embedding]
  readonly down: T; // [embedding, feedForward]
};

export type LlamaWeights<T> = {
  readonly embedding: T; // [vocabulary, embedding]
  readonly layers: readonly LayerWeights<T>[];
  readonly outputNorm: T; // [embedding]
  readonly output: T; // [vocabulary, embedding]: the embedding itself where they are tied
};

/**
 * Finds all weights of the model in the file.
 *
 * @throws {ModelError} If tensors are missing, have another shape or an unsupported type, or if the file has tensors
 *   that this library would ignore (biases, experts, frequency factors): the text would be wrong without them.
 */
export function findWeights(file: GgufFile, config: LlamaConfig): LlamaWeights<WeightPlace> {
  const finder = new Finder(file);
  const { embeddingLength: dim, feedForwardLength: hidden, vocabularySize: vocabulary } = config;
  const queries = config.headCount * config.headLength;
  const keys = config.headCountKv * config.headLength;

  const embedding = finder.matrix("token_embd.weight", vocabulary, dim);
  const layers = Array.from({ length: config.blockCount }, (_, i) => ({
    attentionNorm: finder.norm(`blk.${i}.attn_norm.weight`, dim),
    q: finder.matrix(`blk.${i}.attn_q.weight`, queries, dim),
    k: finder.matrix(`blk.${i}.attn_k.weight`, keys, dim),
    v: finder.matrix(`blk.${i}.attn_v.weight`, keys, dim),
    attentionOutput: finder.matrix(`blk.${i}.attn_output.weight`, dim, queries),
    feedForwardNorm: finder.norm(`blk.${i}.ffn_norm.weight`, dim),
    gate: finder.matrix(`blk.${i}.ffn_gate.weight`, hidden, dim),
    up: finder.matrix(`blk.${i}.ffn_up.weight`, hidden, dim),
    down: finder.matrix(`blk.${i}.ffn_down.weight`, dim, hidden),
  }));
  const outputNorm = finder.norm("output_norm.weight", dim);
  const tied = !file.tensors.has("output.weight");
  const output = tied ? embedding : finder.matrix("output.weight", vocabulary, dim);
  finder.finish();
  return { embedding, layers, outputNorm, output };
}

/** The same weights in another form: makes one T of each place, and the same T of the same place. */
export function bindWeights<T>(
  weights: LlamaWeights<WeightPlace>,
  bind: (place: WeightPlace) => T,
): LlamaWeights<T> {
  const embedding = bind(weights.embedding);
  return {
    embedding,
    layers: weights.layers.map((layer) => ({
      attentionNorm: bind(layer.attentionNorm),
      q: bind(layer.q),
      k: bind(layer.k),
      v: bind(layer.v),
      attentionOutput: bind(layer.attentionOutput),
      feedForwardNorm: bind(layer.feedForwardNorm),
      gate: bind(layer.gate),
      up: bind(layer.up),
      down: bind(layer.down),
    })),
    outputNorm: bind(weights.outputNorm),
    output: weights.output === weights.embedding ? embedding : bind(weights.output),
  };
}

/** All weights, each once. */
export function distinctPlaces(weights: LlamaWeights<WeightPlace>): readonly WeightPlace[] {
  const places = new Set<WeightPlace>([weights.embedding]);
  for (const layer of weights.layers) for (const place of Object.values(layer)) places.add(place);
  return [...places.add(weights.outputNorm).add(weights.output)];
}

/** Bytes of all weights, each counted once. */
export function weightBytes(weights: LlamaWeights<WeightPlace>): number {
  return distinctPlaces(weights).reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** Looks tensors up, checks them, and remembers which were missing and which were asked for. */
class Finder {
  readonly #file: GgufFile;
  readonly #missing: string[] = [];
  readonly #used = new Set<string>();

  constructor(file: GgufFile) {
    this.#file = file;
  }

  matrix(name: string, rows: number, columns: number): WeightPlace {
    return this.#find(name, [rows, columns], weightDTypes);
  }

  norm(name: string, length: number): WeightPlace {
    return this.#find(name, [length], ["f32"]);
  }

  /** Throws if a tensor was missing, or if the file has one that was not asked for. */
  finish(): void {
    const first = this.#missing[0];
    if (first !== undefined) {
      throw new ModelError(first, `Cannot run the model: the file lacks ${list(this.#missing)}`);
    }
    const unused = [...this.#file.tensors.keys()].filter((name) => !this.#used.has(name));
    if (unused[0] !== undefined) {
      throw new ModelError(
        unused[0],
        `Cannot run the model: its architecture has no use for ${list(unused)}, so the file needs what is not supported`,
      );
    }
  }

  #find(name: string, shape: readonly number[], types: readonly WeightDType[]): WeightPlace {
    const tensor = this.#file.tensors.get(name);
    if (tensor === undefined) {
      this.#missing.push(name);
      return { name, type: "f32", shape, offset: 0, byteLength: 0 }; // never seen: finish() throws
    }
    this.#used.add(name);
    const type = types.find((known) => known === tensor.type);
    if (type === undefined) {
      throw new ModelError(
        name,
        `Cannot use tensor "${name}": its type is ${tensor.type}, supported are ${types.join(", ")}`,
      );
    }
    checkShape(tensor, shape);
    return { name, type, shape, offset: tensor.offset, byteLength: tensor.byteLength };
  }
}

function checkShape(tensor: GgufTensor, shape: readonly number[]): void {
  const found = [...tensor.shape].reverse();
  while (found.length > shape.length && found[0] === 1) found.shift();
  if (found.length === shape.length && found.every((size, i) => size === shape[i])) return;
  throw new ModelError(
    tensor.name,
    `Cannot use tensor "${tensor.name}": its shape is [${found.join(", ")}], the configuration asks for [${shape.join(", ")}]`,
  );
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => `"${name}"`);
  const more = names.length > shown.length ? ` and ${names.length - shown.length} more` : "";
  return `tensor${names.length === 1 ? "" : "s"} ${shown.join(", ")}${more}`;
}
