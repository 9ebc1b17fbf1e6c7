/**
 * Which tensor of a model gets which type. The rules are those by which llama.cpp makes files of the same names: more bits
 * where errors cost most, which is the output, the values of attention, and the second matrix of some feed-forwards.
 */
import { type GgmlType, type GgufFile, type GgufTensor, ggmlLayout } from "../gguf/index.ts";
import type { EncodableType } from "./encoders.ts";

type Mix =
  | "F32"
  | "F16"
  | "BF16"
  | "Q8_0"
  | "Q4_0"
  | "Q4_1"
  | "Q5_0"
  | "Q5_1"
  | "Q2_K"
  | "Q3_K_S"
  | "Q3_K_M"
  | "Q3_K_L"
  | "Q4_K_S"
  | "Q4_K_M"
  | "Q5_K_S"
  | "Q5_K_M"
  | "Q6_K";

/** Each type of a file: what most matrices get, and its number in `general.file_type` (llama_ftype). */
const mixes: Readonly<Record<Mix, { readonly base: EncodableType; readonly fileType: number }>> = {
  F32: { base: "f32", fileType: 0 },
  F16: { base: "f16", fileType: 1 },
  BF16: { base: "bf16", fileType: 32 },
  Q8_0: { base: "q8_0", fileType: 7 },
  Q4_0: { base: "q4_0", fileType: 2 },
  Q4_1: { base: "q4_1", fileType: 3 },
  Q5_0: { base: "q5_0", fileType: 8 },
  Q5_1: { base: "q5_1", fileType: 9 },
  Q2_K: { base: "q2_k", fileType: 10 },
  Q3_K_S: { base: "q3_k", fileType: 11 },
  Q3_K_M: { base: "q3_k", fileType: 12 },
  Q3_K_L: { base: "q3_k", fileType: 13 },
  Q4_K_S: { base: "q4_k", fileType: 14 },
  Q4_K_M: { base: "q4_k", fileType: 15 },
  Q5_K_S: { base: "q5_k", fileType: 16 },
  Q5_K_M: { base: "q5_k", fileType: 17 },
  Q6_K: { base: "q6_k", fileType: 18 },
};

type Alias = "Q3_K" | "Q4_K" | "Q5_K";

/** The name of a type without a size, which means the middle one. */
const aliases: Readonly<Record<Alias, Mix>> = { Q3_K: "Q3_K_M", Q4_K: "Q4_K_M", Q5_K: "Q5_K_M" };

/**
 * What a model is quantised to. Those that end in `_S`, `_M` or `_L` are mixes, from small to large; `Q3_K`, `Q4_K` and
 * `Q5_K` are the `_M` ones. `COPY` keeps each tensor's type: it makes one file of a model that is split.
 */
export type QuantizeType = Mix | Alias | "COPY";

/** All that a model can be quantised to. */
export const quantizeTypes: readonly QuantizeType[] = [
  ...(Object.keys(mixes) as Mix[]),
  ...(Object.keys(aliases) as Alias[]),
  "COPY",
];

/** What the rules ask of a model. */
export type ModelFacts = {
  readonly blockCount: number;
  /** Query heads for each head of keys and values. */
  readonly headsPerKv: number;
  readonly expertCount: number;
  /** Whether the embedding is the output, too. */
  readonly isTied: boolean;
};

/** Reads what the rules ask. What a file does not say counts as the usual. */
export function readFacts(file: GgufFile): ModelFacts {
  const architecture = file.getString("general.architecture", "");
  const count = (key: string, fallback: number): number => {
    const value = file.metadata.get(`${architecture}.${key}`);
    return typeof value === "number" && value > 0 ? value : fallback;
  };
  const heads = count("attention.head_count", 1);
  return {
    blockCount: count("block_count", 1),
    headsPerKv: heads / count("attention.head_count_kv", heads),
    expertCount: count("expert_count", 0),
    isTied: !file.tensors.has("output.weight"),
  };
}

/** The number of a type for `general.file_type`; undefined for `COPY`, which keeps what was there. */
export function fileTypeOf(type: QuantizeType): number | undefined {
  return type === "COPY" ? undefined : mixes[mixOf(type)].fileType;
}

function mixOf(type: Exclude<QuantizeType, "COPY">): Mix {
  return type === "Q3_K" || type === "Q4_K" || type === "Q5_K" ? aliases[type] : type;
}

/**
 * The type that a tensor gets.
 *
 * @param pure Whether all matrices get the same type.
 */
export function chooseType(
  tensor: GgufTensor,
  type: QuantizeType,
  facts: ModelFacts,
  pure: boolean,
): GgmlType {
  if (type === "COPY" || !isMatrix(tensor)) return tensor.type;
  const mix = mixOf(type);
  const { base } = mixes[mix];
  const isFloat = base === "f32" || base === "f16" || base === "bf16";
  return fitting(isFloat || pure ? base : preferred(tensor.name, mix, facts), tensor.shape[0]);
}

/** Norms, biases, routers of experts and factors of frequencies stay as they are: they are small, and errors cost a lot. */
function isMatrix({ name, shape }: GgufTensor): boolean {
  return (
    shape.length >= 2 &&
    name.endsWith("weight") &&
    !name.includes("_norm.weight") &&
    !name.includes("ffn_gate_inp.weight")
  );
}

/** The next type up where a row is not whole blocks of the one that is wanted. */
function fitting(wanted: EncodableType, rowLength: number): EncodableType {
  const fits = (type: EncodableType): boolean => rowLength % ggmlLayout(type).blockSize === 0;
  const larger: Partial<Record<EncodableType, EncodableType>> = {
    q2_k: "q4_0",
    q3_k: "q4_0",
    q4_k: "q5_0",
    q5_k: "q5_1",
    q6_k: "q8_0",
  };
  const type = fits(wanted) ? wanted : (larger[wanted] ?? wanted);
  return fits(type) ? type : "f16";
}

function preferred(name: string, mix: Mix, facts: ModelFacts): EncodableType {
  const { base } = mixes[mix];
  if (name === "output.weight" || (facts.isTied && name === "token_embd.weight")) {
    return base === "q8_0" ? base : "q6_k";
  }
  const layer = Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? 0);
  // Fused queries, keys and values go by the values.
  if (/attn_(v|qkv)\.weight/.test(name)) return forValues(mix, layer, facts);
  if (name.includes("ffn_down")) return forDown(mix, layer, facts);
  if (name.includes("attn_output.weight")) return forAttentionOutput(mix, facts);
  if (name.includes("attn_k.weight") && facts.expertCount === 8) return "q8_0";
  return base;
}

function forValues(
  mix: Mix,
  layer: number,
  { blockCount, headsPerKv, expertCount }: ModelFacts,
): EncodableType {
  if (expertCount === 8) return "q8_0"; // shared by all experts, so small beside them
  const { base } = mixes[mix];
  let type: EncodableType = base;
  if (mix === "Q2_K") type = headsPerKv >= 4 ? "q4_k" : "q3_k";
  if (mix === "Q3_K_M") type = layer < 2 ? "q5_k" : "q4_k";
  if (mix === "Q3_K_L") type = "q5_k";
  if (mix === "Q4_K_S" && layer < 4) type = "q5_k";
  if ((mix === "Q4_K_M" || mix === "Q5_K_M") && getsMoreBits(layer, blockCount)) type = "q6_k";
  // Llama 70B: eight query heads share these values.
  const isShared = blockCount === 80 && headsPerKv > 1;
  return isShared && (type === "q3_k" || type === "q4_k") ? "q5_k" : type;
}

function forDown(mix: Mix, layer: number, { blockCount }: ModelFacts): EncodableType {
  const { base } = mixes[mix];
  if (mix === "Q2_K") return "q3_k";
  if (mix === "Q3_K_M") return layer < Math.floor(blockCount / 16) ? "q5_k" : "q4_k";
  if (mix === "Q3_K_L") return "q5_k";
  if (mix === "Q4_K_S" && layer < Math.floor(blockCount / 8)) return "q5_k";
  if ((mix === "Q4_K_M" || mix === "Q5_K_M") && getsMoreBits(layer, blockCount)) return "q6_k";
  return base;
}

function forAttentionOutput(mix: Mix, { expertCount }: ModelFacts): EncodableType {
  const { base } = mixes[mix];
  if (expertCount === 8) {
    const isSmall = base === "q2_k" || base === "q3_k" || base === "q4_k";
    return isSmall && mix !== "Q3_K_L" ? "q5_k" : base;
  }
  if (mix === "Q2_K") return "q3_k";
  if (mix === "Q3_K_M") return "q4_k";
  if (mix === "Q3_K_L") return "q5_k";
  return base;
}

/** The first eighth of the layers, the last, and every third between them. */
function getsMoreBits(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}
