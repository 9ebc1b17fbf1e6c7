/**
 * Which tensors of the file are which weights. Types and shapes are checked against the configuration before a device is
 * touched; `weight_buffers.ts` brings their bytes there.
 */
import type { GgufFile, GgufTensor } from "../gguf/index.ts";
import { type WeightDType, weightDTypes } from "../tensor/index.ts";
import { type Architecture, findArchitecture } from "./architectures/index.ts";
import type { LlamaConfig } from "./config.ts";
import { ModelError } from "./errors.ts";
import { ropeFactorNames } from "./rope_factors.ts";

/** Where a weight lies in the file. */
export type WeightPlace = {
  /** The tensor's name. */
  readonly name: string;
  readonly type: WeightDType;
  /** Rows first, as in the paper (GGUF writes the row length first). */
  readonly shape: readonly number[];
  readonly part: number; // which of the model's files
  readonly offset: number; // bytes from the start of that file
  readonly byteLength: number;
};

/** The weights of one layer: as places in a file, or as tensors of a graph. */
export type LayerWeights<T> = {
  readonly attentionNorm: T; // [embedding]
  readonly q: T; // [heads * headLength, embedding]
  readonly k: T; // [kvHeads * headLength, embedding]
  readonly v: T; // [kvHeads * headLength, embedding]
  readonly qBias?: T; // [heads * headLength]
  readonly kBias?: T; // [kvHeads * headLength]
  readonly vBias?: T; // [kvHeads * headLength]
  readonly qNorm?: T; // [headLength]
  readonly kNorm?: T; // [headLength]
  readonly attentionOutput: T; // [embedding, heads * headLength]
  readonly attentionOutputBias?: T; // [embedding]
  readonly postAttentionNorm?: T; // [embedding]
  readonly feedForwardNorm: T; // [embedding]
  readonly router?: T; // [experts, embedding]; with it, gate, up and down have a leading dimension of experts
  readonly gate: T; // [feedForward, embedding]
  readonly up: T; // [feedForward, embedding]
  readonly down: T; // [embedding, feedForward]
  readonly gateBias?: T; // [feedForward]
  readonly upBias?: T; // [feedForward]
  readonly downBias?: T; // [embedding]
  readonly postFeedForwardNorm?: T; // [embedding]
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
 *   that this library would ignore: the text would be wrong without them.
 */
export function findWeights(file: GgufFile, config: LlamaConfig): LlamaWeights<WeightPlace> {
  const finder = new Finder(file);
  const { embeddingLength: dim, vocabularySize: vocabulary } = config;
  const embedding = finder.matrix("token_embd.weight", [vocabulary, dim]);
  const layers = Array.from({ length: config.blockCount }, (_, i) =>
    findLayer(new LayerFinder(finder, i), config),
  );
  const outputNorm = finder.vector("output_norm.weight", dim);
  const tied = !file.tensors.has("output.weight");
  const output = tied ? embedding : finder.matrix("output.weight", [vocabulary, dim]);
  finder.finish();
  return { embedding, layers, outputNorm, output };
}

function findLayer(finder: LayerFinder, config: LlamaConfig): LayerWeights<WeightPlace> {
  const { embeddingLength: dim, feedForwardLength: hidden, headLength } = config;
  const queries = config.headCount * headLength;
  const keys = config.headCountKv * headLength;
  const model = findArchitecture(config.architecture, config.expertCount);
  const { attention, biases, feedForward } = model;

  const attentionNorm = finder.norm("attn_norm", dim);
  const [q, k, v] =
    attention === "fused"
      ? finder.parts("attn_qkv", dim, [queries, keys, keys])
      : [
          finder.matrix("attn_q", queries, dim),
          finder.matrix("attn_k", keys, dim),
          finder.matrix("attn_v", keys, dim),
        ];
  return {
    attentionNorm,
    q,
    k,
    v,
    ...(biases !== undefined && {
      ...finder.bias("qBias", "attn_q", queries, biases === "optional"),
      ...finder.bias("kBias", "attn_k", keys, biases === "optional"),
      ...finder.bias("vBias", "attn_v", keys, biases === "optional"),
    }),
    ...(model.normsHeads && {
      qNorm: finder.norm("attn_q_norm", headLength),
      kNorm: finder.norm("attn_k_norm", headLength),
    }),
    attentionOutput: finder.matrix("attn_output", dim, queries),
    ...(biases === "optional" && finder.bias("attentionOutputBias", "attn_output", dim, true)),
    ...(model.normsOutputs && { postAttentionNorm: finder.norm("post_attention_norm", dim) }),
    feedForwardNorm: finder.norm("ffn_norm", dim),
    ...findFeedForward(finder, config, feedForward),
    ...(biases === "optional" &&
      feedForward !== "experts" && {
        ...finder.bias("gateBias", "ffn_gate", hidden, true),
        ...finder.bias("upBias", "ffn_up", hidden, true),
        ...finder.bias("downBias", "ffn_down", dim, true),
      }),
    ...(model.normsOutputs && { postFeedForwardNorm: finder.norm("post_ffw_norm", dim) }),
  };
}

function findFeedForward(
  finder: LayerFinder,
  { embeddingLength: dim, feedForwardLength: hidden, expertCount: experts }: LlamaConfig,
  kind: Architecture["feedForward"],
): Pick<LayerWeights<WeightPlace>, "router" | "gate" | "up" | "down"> {
  if (kind === "experts") {
    return {
      router: finder.matrix("ffn_gate_inp", experts, dim),
      gate: finder.matrix("ffn_gate_exps", experts, hidden, dim),
      up: finder.matrix("ffn_up_exps", experts, hidden, dim),
      down: finder.matrix("ffn_down_exps", experts, dim, hidden),
    };
  }
  const [gate, up] =
    kind === "fused"
      ? finder.parts("ffn_up", dim, [hidden, hidden])
      : [finder.matrix("ffn_gate", hidden, dim), finder.matrix("ffn_up", hidden, dim)];
  return { gate, up, down: finder.matrix("ffn_down", dim, hidden) };
}

/** The same weights in another form: makes one T of each place, and the same T of the same place. */
export function bindWeights<T>(
  weights: LlamaWeights<WeightPlace>,
  bind: (place: WeightPlace) => T,
): LlamaWeights<T> {
  const embedding = bind(weights.embedding);
  return {
    embedding,
    layers: weights.layers.map((layer) => bindLayer(layer, bind)),
    outputNorm: bind(weights.outputNorm),
    output: weights.output === weights.embedding ? embedding : bind(weights.output),
  };
}

function bindLayer<T>(layer: LayerWeights<WeightPlace>, bind: (place: WeightPlace) => T): LayerWeights<T> {
  const bound = Object.entries(layer).map(([name, place]) => [name, bind(place)] as const);
  return Object.fromEntries(bound) as LayerWeights<T>; // the same names
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

  /** `shape`: rows first. */
  matrix(name: string, shape: readonly number[]): WeightPlace {
    return this.#find(name, shape, weightDTypes);
  }

  vector(name: string, length: number): WeightPlace {
    return this.#find(name, [length], ["f32"]);
  }

  has(name: string): boolean {
    return this.#file.tensors.has(name);
  }

  /** Throws if a tensor was missing, or if the file has one that was not asked for. */
  finish(): void {
    const first = this.#missing[0];
    if (first !== undefined) {
      throw new ModelError(first, `Cannot run the model: the file lacks ${list(this.#missing)}`);
    }
    const unused = [...this.#file.tensors.keys()].filter(
      (name) => !this.#used.has(name) && !ropeFactorNames.includes(name),
    );
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
      return { name, type: "f32", shape, part: 0, offset: 0, byteLength: 0 }; // never seen: finish() throws
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
    const { part, offset, byteLength } = tensor;
    return { name, type, shape, part, offset, byteLength };
  }
}

/** Finds the weights of one layer, by their names in it. */
class LayerFinder {
  readonly #finder: Finder;
  readonly #layer: number;

  constructor(finder: Finder, layer: number) {
    this.#finder = finder;
    this.#layer = layer;
  }

  /** `shape`: rows first, or experts before them. */
  matrix(name: string, ...shape: readonly number[]): WeightPlace {
    return this.#finder.matrix(this.#name(name, "weight"), shape);
  }

  norm(name: string, length: number): WeightPlace {
    return this.#finder.vector(this.#name(name, "weight"), length);
  }

  /** A bias under a key of its own; nothing where it may be missing and is. */
  bias<Key extends string>(
    key: Key,
    name: string,
    length: number,
    isOptional: boolean,
  ): { readonly [K in Key]?: WeightPlace } {
    const full = this.#name(name, "bias");
    if (isOptional && !this.#finder.has(full)) return {};
    return { [key]: this.#finder.vector(full, length) } as { readonly [K in Key]: WeightPlace };
  }

  /** Matrices whose rows lie one behind the other in one tensor. */
  parts(name: string, columns: number, rows: readonly number[]): WeightPlace[] {
    const total = rows.reduce((sum, count) => sum + count, 0);
    const whole = this.matrix(name, total, columns);
    let first = 0;
    return rows.map((count): WeightPlace => {
      const byteLength = (whole.byteLength / total) * count;
      const offset = whole.offset + (whole.byteLength / total) * first;
      first += count;
      return { ...whole, shape: [count, columns], offset, byteLength };
    });
  }

  #name(name: string, kind: "weight" | "bias"): string {
    return `blk.${this.#layer}.${name}.${kind}`;
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
