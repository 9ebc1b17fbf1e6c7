/** The models that are measured: real shapes and types. What their files hold is in model_files.ts. */
import { type GgmlType, type GgufTensor, planGguf } from "../../src/gguf/index.ts";
import { chooseType, type QuantizeType } from "../../src/quantize/mix.ts";

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

/** By size: 1.1b is that of TinyLlama, 8b that of Llama 3. */
export const shapes: Readonly<Record<"110m" | "1.1b" | "8b", Shape>> = {
  "110m": {
    dim: 768,
    layers: 12,
    heads: 12,
    kvHeads: 12,
    headLength: 64,
    hidden: 2048,
    vocabulary: 32000,
  },
  "1.1b": {
    dim: 2048,
    layers: 22,
    heads: 32,
    kvHeads: 4,
    headLength: 64,
    hidden: 5632,
    vocabulary: 32000,
  },
  "8b": {
    dim: 4096,
    layers: 32,
    heads: 32,
    kvHeads: 8,
    headLength: 128,
    hidden: 14336,
    vocabulary: 128256,
  },
};

/** All that can be measured beside llama.cpp, in the order in which they are. */
export const benchModels: readonly BenchModel[] = [
  { name: "110m-f16", shape: shapes["110m"], type: "F16" },
  { name: "110m-q8_0", shape: shapes["110m"], type: "Q8_0" },
  { name: "1.1b-q8_0", shape: shapes["1.1b"], type: "Q8_0" },
  { name: "1.1b-q4_0", shape: shapes["1.1b"], type: "Q4_0" },
  { name: "1.1b-q4_k_m", shape: shapes["1.1b"], type: "Q4_K_M" },
  { name: "1.1b-q6_k", shape: shapes["1.1b"], type: "Q6_K" },
];

/** Small enough to try the programs themselves with. */
export const tinyModel: BenchModel = {
  name: "tiny-q4_k_m",
  shape: { dim: 256, layers: 4, heads: 4, kvHeads: 2, headLength: 64, hidden: 512, vocabulary: 600 },
  type: "Q4_K_M",
};

const deviceTypes = ["F16", "Q8_0", "Q4_0", "Q4_K_M"] as const;

/** Those that are measured on a device alone. */
export const deviceModels: readonly BenchModel[] = [
  ...deviceTypes.map((type) => ({ name: `1.1b-${type.toLowerCase()}`, shape: shapes["1.1b"], type })),
  ...deviceTypes.map((type) => ({ name: `8b-${type.toLowerCase()}`, shape: shapes["8b"], type })),
];

/** All there are. */
export const knownModels: readonly BenchModel[] = [
  ...benchModels,
  ...deviceModels.filter(({ name }) => !benchModels.some((other) => other.name === name)),
  tinyModel,
];

/** The one of this name, if there is one. */
export function knownModel(name: string): BenchModel | undefined {
  return knownModels.find((model) => model.name === name);
}

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
  const weights = planGguf([], tensorsOf(model), 1)
    .tensors.filter(({ name }) => name !== "token_embd.weight")
    .reduce((sum, { byteLength }) => sum + byteLength, 0);
  return weights + depth * layers * kvHeads * headLength * 2 * 2;
}

/** Multiplications and additions with the weights of the layers, for a row. */
export function operationsPerRow(model: BenchModel): number {
  const matrices = tensorsOf(model).filter(({ name, shape }) => name.startsWith("blk.") && shape.length > 1);
  return matrices.reduce((sum, { shape: [columns, rows] }) => sum + 2 * columns * rows, 0);
}
