/** Small random models of any architecture: as the parts of a file, and as the float64 oracle has them. */
import {
  encodeF16,
  encodeF32,
  encodeQ8_0,
  f32,
  type WritableTensor,
  type WritableValue,
} from "../reference/gguf_writer.ts";
import {
  type ReferenceConfig,
  type ReferenceLayer,
  ReferenceLlama,
  type ReferenceVariant,
  type ReferenceWeights,
} from "../reference/llama.ts";
import { dequantize } from "../reference/llama_dequantize.ts";
import { gaussianArray, mulberry32 } from "../reference/random.ts";
import type { ModelParts } from "./oracle.ts";
import { tokenizerMetadata } from "./tiny_model.ts";

const DIM = 64;
const HIDDEN = 96;
const VOCABULARY = 259;
const CONTEXT = 512;
const EPSILON = 1e-5;

/** A model's file and the rules by which the oracle computes it. */
export type Variant = {
  /** For people. */
  readonly name: string;
  readonly architecture: string;
  readonly type?: "f32" | "f16" | "q8_0";
  readonly layers?: number;
  readonly headCount?: number;
  readonly headCountKv?: number;
  readonly headLength?: number;
  readonly ropeDimensionCount?: number;
  readonly ropeFrequencyBase?: number;
  readonly isTied?: boolean;
  /** Whether Q, K and V are one tensor, and gate and up. */
  readonly isFused?: boolean;
  readonly biases?: "queryKeyValue" | "all";
  readonly normsHeads?: boolean;
  readonly normsOutputs?: boolean;
  /** Experts, and the hidden elements of each. */
  readonly experts?: { readonly count: number; readonly hidden: number };
  /** Tensors of frequency factors. */
  readonly factors?: Readonly<Record<string, readonly number[]>>;
  /** Keys without the architecture's prefix. */
  readonly metadata?: Readonly<Record<string, WritableValue>>;
  /** What the oracle does otherwise than Llama. */
  readonly rules: ReferenceVariant;
};

export type VariantModel = {
  readonly parts: ModelParts;
  /** A fresh oracle, by the variant's rules or by others. */
  readonly oracle: (rules?: ReferenceVariant) => ReferenceLlama;
};

const encoders = { f32: encodeF32, f16: encodeF16, q8_0: encodeQ8_0 } as const;
const typeIds = { f32: 0, f16: 1, q8_0: 8 } as const;

/** Makes tensors, and remembers what is in them. */
class TensorMaker {
  readonly tensors: WritableTensor[] = [];
  readonly #random: () => number;
  readonly #type: "f32" | "f16" | "q8_0";

  constructor(seed: number, type: "f32" | "f16" | "q8_0") {
    this.#random = mulberry32(seed);
    this.#type = type;
  }

  /** Rows of unit length on average, so that the residual stream keeps its size. `shape`: rows first. */
  matrix(name: string, ...shape: readonly number[]): Float64Array {
    const columns = shape[shape.length - 1];
    const count = shape.reduce((product, size) => product * size, 1);
    const data = encoders[this.#type](gaussianArray(this.#random, count, 1 / Math.sqrt(columns)));
    this.tensors.push({ name, type: typeIds[this.#type], shape: shape.toReversed(), data });
    return dequantize(data, this.#type);
  }

  /** Numbers around `mean`, always in F32. */
  vector(name: string, length: number, mean: number, deviation: number): Float64Array {
    return this.values(
      name,
      gaussianArray(this.#random, length, deviation).map((x) => mean + x),
    );
  }

  values(name: string, values: Float32Array): Float64Array {
    this.tensors.push({ name, type: typeIds.f32, shape: [values.length], data: encodeF32(values) });
    return Float64Array.from(values);
  }
}

export function variantModel(variant: Variant, seed: number): VariantModel {
  const { architecture, experts, rules } = variant;
  const config: ReferenceConfig = {
    embeddingLength: DIM,
    feedForwardLength: HIDDEN,
    blockCount: variant.layers ?? 2,
    headCount: variant.headCount ?? 4,
    headCountKv: variant.headCountKv ?? 2,
    headLength: variant.headLength ?? 16,
    ropeDimensionCount: variant.ropeDimensionCount ?? variant.headLength ?? 16,
    ropeFrequencyBase: variant.ropeFrequencyBase ?? 10000,
    rmsEpsilon: EPSILON,
    vocabularySize: VOCABULARY,
  };
  const maker = new TensorMaker(seed, variant.type ?? "f32");
  const embedding = maker.matrix("token_embd.weight", VOCABULARY, DIM);
  const outputNorm = maker.vector("output_norm.weight", DIM, 1, 0.1);
  const output = variant.isTied === false ? maker.matrix("output.weight", VOCABULARY, DIM) : embedding;
  const layers = Array.from({ length: config.blockCount }, (_, i) => makeLayer(maker, variant, config, i));
  const weights: ReferenceWeights = { embedding, layers, outputNorm, output };
  for (const [name, factors] of Object.entries(variant.factors ?? {})) {
    maker.values(name, Float32Array.from(factors));
  }
  const own: Record<string, WritableValue> = {
    context_length: CONTEXT,
    embedding_length: DIM,
    feed_forward_length: HIDDEN,
    block_count: config.blockCount,
    "attention.head_count": config.headCount,
    "attention.head_count_kv": config.headCountKv,
    "attention.key_length": config.headLength,
    "attention.value_length": config.headLength,
    "attention.layer_norm_rms_epsilon": f32(EPSILON),
    "rope.dimension_count": config.ropeDimensionCount,
    "rope.freq_base": f32(config.ropeFrequencyBase),
    ...(experts && { expert_count: experts.count, expert_feed_forward_length: experts.hidden }),
    ...variant.metadata,
  };
  const metadata = new Map<string, WritableValue>([
    ["general.architecture", architecture],
    ...Object.entries(own).map(([key, value]) => [`${architecture}.${key}`, value] as const),
    ...tokenizerMetadata(),
  ]);
  return {
    parts: { metadata, tensors: maker.tensors },
    oracle: (others = rules) => new ReferenceLlama(config, weights, undefined, others),
  };
}

function makeLayer(
  maker: TensorMaker,
  variant: Variant,
  config: ReferenceConfig,
  index: number,
): ReferenceLayer {
  const name = (tensor: string): string => `blk.${index}.${tensor}`;
  const { headLength } = config;
  const queries = config.headCount * headLength;
  const keys = config.headCountKv * headLength;
  const bias = (tensor: string, length: number) => maker.vector(name(`${tensor}.bias`), length, 0, 0.5);
  const norm = (tensor: string, length = DIM) => maker.vector(name(`${tensor}.weight`), length, 1, 0.2);
  return {
    ...projections(maker, variant, name, queries, keys),
    ...feedForward(maker, variant, name),
    attentionNorm: norm("attn_norm"),
    attentionOutput: maker.matrix(name("attn_output.weight"), DIM, queries),
    feedForwardNorm: norm("ffn_norm"),
    ...(variant.biases !== undefined && {
      qBias: bias("attn_q", queries),
      kBias: bias("attn_k", keys),
      vBias: bias("attn_v", keys),
    }),
    ...(variant.biases === "all" && {
      attentionOutputBias: bias("attn_output", DIM),
      gateBias: bias("ffn_gate", HIDDEN),
      upBias: bias("ffn_up", HIDDEN),
      downBias: bias("ffn_down", DIM),
    }),
    ...(variant.normsHeads && {
      qNorm: norm("attn_q_norm", headLength),
      kNorm: norm("attn_k_norm", headLength),
    }),
    ...(variant.normsOutputs && {
      postAttentionNorm: norm("post_attention_norm"),
      postFeedForwardNorm: norm("post_ffw_norm"),
    }),
  };
}

function projections(
  maker: TensorMaker,
  { isFused }: Variant,
  name: (tensor: string) => string,
  queries: number,
  keys: number,
): Pick<ReferenceLayer, "q" | "k" | "v"> {
  if (!isFused) {
    return {
      q: maker.matrix(name("attn_q.weight"), queries, DIM),
      k: maker.matrix(name("attn_k.weight"), keys, DIM),
      v: maker.matrix(name("attn_v.weight"), keys, DIM),
    };
  }
  const all = maker.matrix(name("attn_qkv.weight"), queries + 2 * keys, DIM);
  return {
    q: all.slice(0, queries * DIM),
    k: all.slice(queries * DIM, (queries + keys) * DIM),
    v: all.slice((queries + keys) * DIM),
  };
}

function feedForward(
  maker: TensorMaker,
  { isFused, experts }: Variant,
  name: (tensor: string) => string,
): Pick<ReferenceLayer, "gate" | "up" | "down" | "router"> {
  if (experts !== undefined) {
    const { count, hidden } = experts;
    return {
      // Scores apart from each other, so that rounding does not choose.
      router: maker.matrix(name("ffn_gate_inp.weight"), count, DIM),
      gate: maker.matrix(name("ffn_gate_exps.weight"), count, hidden, DIM),
      up: maker.matrix(name("ffn_up_exps.weight"), count, hidden, DIM),
      down: maker.matrix(name("ffn_down_exps.weight"), count, DIM, hidden),
    };
  }
  const down = maker.matrix(name("ffn_down.weight"), DIM, HIDDEN);
  if (!isFused) {
    const gate = maker.matrix(name("ffn_gate.weight"), HIDDEN, DIM);
    return { gate, up: maker.matrix(name("ffn_up.weight"), HIDDEN, DIM), down };
  }
  const both = maker.matrix(name("ffn_up.weight"), 2 * HIDDEN, DIM);
  return { gate: both.slice(0, HIDDEN * DIM), up: both.slice(HIDDEN * DIM), down };
}
