/** The architectures and their variations, each with the rules of its paper or configuration as the oracle knows them. */
import { f32 } from "../reference/gguf_writer.ts";
import { gelu } from "../reference/llama.ts";
import { plainFrequencies, yarnFrequencies } from "../reference/llama_rope.ts";
import type { Variant } from "./variant_model.ts";

const factors = [1, 1, 1, 1.5, 3, 6, 8, 8]; // as Llama 3.1's: fast pairs stay, slow ones get slower
const shortFactors = [1, 1.05, 1.1, 1.1, 1.2, 1.3, 1.4, 1.5];
const longFactors = [1.1, 1.5, 2, 3, 5, 9, 12, 20];
const divided = (by: readonly number[]): number[] => plainFrequencies(10000, 16).map((f, i) => f / by[i]);

const gemma = { embeddingFactor: 8, activation: gelu, pairs: "halves" } as const; // 8 = sqrt(64)

export const variants: readonly Variant[] = [
  { name: "llama", architecture: "llama", isTied: false, rules: {} },
  {
    name: "llama 1, whose heads share no keys",
    architecture: "llama",
    headCountKv: 4,
    isTied: false,
    rules: {},
  },
  {
    name: "llama with biases everywhere",
    architecture: "llama",
    type: "f16",
    biases: "all",
    rules: {},
  },
  {
    name: "llama 3.1 with frequency factors",
    architecture: "llama",
    factors: { "rope_freqs.weight": factors },
    rules: { frequencies: () => divided(factors) },
  },
  {
    name: "llama with linear scaling",
    architecture: "llama",
    metadata: { "rope.scaling.type": "linear", "rope.scaling.factor": f32(4) },
    rules: { frequencies: () => plainFrequencies(10000, 16).map((frequency) => frequency / 4) },
  },
  {
    name: "llama with a scale and no type",
    architecture: "llama",
    metadata: { "rope.scale_linear": f32(2) },
    rules: { frequencies: () => plainFrequencies(10000, 16).map((frequency) => frequency / 2) },
  },
  {
    name: "llama with YaRN",
    architecture: "llama",
    headLength: 32,
    ropeFrequencyBase: 500,
    metadata: {
      "rope.scaling.type": "yarn",
      "rope.scaling.factor": f32(4),
      "rope.scaling.original_context_length": 400,
    },
    rules: { frequencies: () => yarnFrequencies(500, 32, 4, 400), magnitude: 0.1 * Math.log(4) + 1 },
  },
  {
    name: "mistral with a window",
    architecture: "llama",
    headCountKv: 1,
    metadata: { "attention.sliding_window": 11 },
    rules: { window: () => 11 },
  },
  {
    name: "qwen2",
    architecture: "qwen2",
    type: "q8_0",
    biases: "queryKeyValue",
    ropeFrequencyBase: 1e6,
    rules: { pairs: "halves" },
  },
  {
    name: "qwen3",
    architecture: "qwen3",
    headLength: 32, // heads * headLength is not the embedding's length
    normsHeads: true,
    rules: { pairs: "halves" },
  },
  {
    name: "qwen3 with YaRN",
    architecture: "qwen3",
    headLength: 32,
    ropeFrequencyBase: 1e6,
    normsHeads: true,
    metadata: {
      "rope.scaling.type": "yarn",
      "rope.scaling.factor": f32(4),
      "rope.scaling.original_context_length": 128,
    },
    rules: {
      pairs: "halves",
      frequencies: () => yarnFrequencies(1e6, 32, 4, 128),
      magnitude: 0.1 * Math.log(4) + 1,
    },
  },
  { name: "gemma", architecture: "gemma", headCountKv: 1, headLength: 32, rules: gemma },
  {
    name: "gemma2",
    architecture: "gemma2",
    layers: 4,
    normsOutputs: true,
    metadata: {
      "attention.sliding_window": 6,
      attn_logit_softcapping: f32(2.5),
      final_logit_softcapping: f32(1.5),
    },
    rules: {
      ...gemma,
      scoreCap: 2.5,
      logitCap: 1.5,
      window: (layer) => (layer % 2 === 0 ? 6 : Number.POSITIVE_INFINITY),
    },
  },
  {
    name: "gemma2 of what files may leave out",
    architecture: "gemma2",
    normsOutputs: true,
    rules: { ...gemma, scoreCap: 50, logitCap: 30 },
  },
  {
    name: "gemma2 of 27 billion weights",
    architecture: "gemma2",
    layers: 46,
    headLength: 32,
    headCountKv: 1,
    normsOutputs: true,
    rules: { ...gemma, scoreCap: 50, logitCap: 30, scoreFactor: 1 / 4 }, // sqrt(64 / 4)
  },
  {
    name: "gemma3",
    architecture: "gemma3",
    layers: 7,
    headLength: 32,
    ropeFrequencyBase: 1e6,
    normsHeads: true,
    normsOutputs: true,
    metadata: {
      "attention.sliding_window": 9,
      "rope.scaling.type": "linear",
      "rope.scaling.factor": f32(8),
    },
    rules: {
      ...gemma,
      window: (layer) => (layer === 5 ? Number.POSITIVE_INFINITY : 9),
      frequencies: (layer) =>
        layer === 5
          ? plainFrequencies(1e6, 32).map((frequency) => frequency / 8)
          : plainFrequencies(10000, 32),
    },
  },
  {
    name: "gemma3 with another pattern and local base",
    architecture: "gemma3",
    layers: 4,
    headLength: 32,
    ropeFrequencyBase: 1e6,
    normsHeads: true,
    normsOutputs: true,
    metadata: {
      "attention.sliding_window": 17,
      "attention.sliding_window_pattern": 3,
      "rope.freq_base_swa": f32(500),
      final_logit_softcapping: f32(2),
    },
    rules: {
      ...gemma,
      window: (layer) => (layer === 2 ? Number.POSITIVE_INFINITY : 17),
      frequencies: (layer) => plainFrequencies(layer === 2 ? 1e6 : 500, 32),
      logitCap: 2,
    },
  },
  {
    name: "mixtral",
    architecture: "llama",
    type: "q8_0",
    isTied: false,
    experts: { count: 8, hidden: 96 },
    metadata: { expert_used_count: 2 },
    rules: { expertsUsed: 2 },
  },
  {
    name: "qwen3moe",
    architecture: "qwen3moe",
    headLength: 32,
    normsHeads: true,
    experts: { count: 16, hidden: 32 },
    metadata: { expert_used_count: 4 },
    rules: { pairs: "halves", expertsUsed: 4 },
  },
  {
    name: "qwen3moe of all experts",
    architecture: "qwen3moe",
    type: "f16",
    normsHeads: true,
    experts: { count: 3, hidden: 64 },
    metadata: { expert_used_count: 3 },
    rules: { pairs: "halves" },
  },
  {
    name: "phi3 with a window that does not count",
    architecture: "phi3",
    isTied: false,
    isFused: true,
    type: "q8_0",
    metadata: { "attention.sliding_window": 20 },
    rules: { pairs: "halves" },
  },
  {
    name: "phi3 with short factors and heads that turn in part",
    architecture: "phi3",
    ropeDimensionCount: 8,
    isFused: true,
    factors: {
      "rope_factors_short.weight": shortFactors.slice(4),
      "rope_factors_long.weight": longFactors.slice(4),
    },
    metadata: { "rope.scaling.original_context_length": 512, "rope.scaling.attn_factor": f32(1.25) },
    rules: {
      pairs: "halves",
      magnitude: 1.25,
      frequencies: () => plainFrequencies(10000, 8).map((frequency, i) => frequency / shortFactors[i + 4]),
    },
  },
  {
    name: "phi3 with long factors",
    architecture: "phi3",
    isFused: true,
    factors: { "rope_factors_short.weight": shortFactors, "rope_factors_long.weight": longFactors },
    metadata: { "rope.scaling.original_context_length": 64, "rope.scaling.attn_factor": f32(1.25) },
    rules: { pairs: "halves", magnitude: 1.25, frequencies: () => divided(longFactors) },
  },
];
