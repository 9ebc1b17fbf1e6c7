import { describe, expect, test } from "bun:test";
import { GgufError, openGguf, parseGguf } from "../../src/gguf/index.ts";
import { findArchitecture } from "../../src/llama/architectures/index.ts";
import { readConfig } from "../../src/llama/config.ts";
import { ModelError } from "../../src/llama/errors.ts";
import { f32, type WritableValue } from "../reference/gguf_writer.ts";
import { models, putTogether } from "./oracle.ts";
import { tinyModel } from "./tiny_model.ts";
import { type Variant, variantModel } from "./variant_model.ts";

/** An architecture whose layers have no rule for windows. */
const windowedQwen: Variant = {
  name: "qwen2 with a window",
  architecture: "qwen2",
  metadata: { "attention.sliding_window": 16 },
  rules: {},
};

/** An architecture whose layers with a window have no frequencies of their own. */
const turningGemma: Variant = {
  name: "gemma2 with another base in its window",
  architecture: "gemma2",
  normsOutputs: true,
  metadata: { "rope.freq_base_swa": f32(500) },
  rules: {},
};

const windowedPhi: Variant = {
  name: "phi3 with a window",
  architecture: "phi3",
  isFused: true,
  metadata: { "attention.sliding_window": 16 },
  rules: {},
};

function configOf(variant: Variant) {
  return readConfig(parseGguf(putTogether(variantModel(variant, 1).parts)));
}

/** Reads the tiny model's configuration after changes to its metadata; undefined removes a key. */
function configWith(changes: Record<string, WritableValue | undefined>) {
  const parts = tinyModel();
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) parts.metadata.delete(key);
    else parts.metadata.set(key, value);
  }
  return readConfig(parseGguf(putTogether(parts)));
}

/** What the call throws. */
function thrown(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error("Nothing was thrown");
}

describe("readConfig", () => {
  test("readConfig() reads every number of the repository's model", () => {
    expect(readConfig(openGguf(models.q8_0))).toEqual({
      architecture: "llama",
      name: "Austen 5M",
      embeddingLength: 256,
      feedForwardLength: 768,
      blockCount: 6,
      headCount: 8,
      headCountKv: 4,
      headLength: 32,
      ropeDimensionCount: 32,
      ropeFrequencyBase: 10000,
      ropeScaling: {
        type: "none",
        factor: 1,
        originalContextLength: 512,
        magnitude: 1,
        betaFast: 32,
        betaSlow: 1,
      },
      attentionScale: 1 / Math.sqrt(32),
      attentionSoftCap: 0,
      finalSoftCap: 0,
      slidingWindow: 0,
      globalEvery: 0,
      expertCount: 0,
      expertUsedCount: 0,
      rmsEpsilon: Math.fround(1e-5),
      vocabularySize: 4096,
      contextLength: 512,
    });
  });

  test("readConfig() fills in what the format makes optional", () => {
    const config = configWith({
      "llama.attention.head_count_kv": undefined,
      "llama.attention.key_length": undefined,
      "llama.rope.dimension_count": undefined,
      "llama.rope.freq_base": undefined,
    });
    expect(config).toMatchObject({
      headCountKv: 4,
      headLength: 16,
      ropeDimensionCount: 16,
      ropeFrequencyBase: 10000,
      name: "",
    });
  });

  test("readConfig() names the metadata that is missing", () => {
    for (const key of [
      "general.architecture",
      "llama.context_length",
      "llama.embedding_length",
      "llama.feed_forward_length",
      "llama.block_count",
      "llama.attention.head_count",
      "llama.attention.layer_norm_rms_epsilon",
      "tokenizer.ggml.tokens",
    ]) {
      const error = thrown(() => configWith({ [key]: undefined }));
      expect(error, key).toBeInstanceOf(GgufError);
      expect(error, key).toMatchObject({ field: key, message: expect.stringContaining(key) });
    }
  });

  test("readConfig() lists the architectures that it knows", () => {
    const error = thrown(() => configWith({ "general.architecture": "mamba" }));
    expect(error).toBeInstanceOf(ModelError);
    expect(String(error)).toContain(
      'Cannot run a model of architecture "mamba": the known ones are "llama", "qwen2", "qwen3", "qwen3moe", "gemma", "gemma2", "gemma3", "phi3"',
    );
  });

  test("readConfig() refuses numbers of the wrong kind, out of range or at odds with each other", () => {
    const cases: [string, WritableValue, string][] = [
      ["llama.embedding_length", "64", "not a whole number"],
      ["llama.embedding_length", f32(64.5), "not a whole number"],
      ["llama.embedding_length", 0, "must be from 1"],
      ["llama.block_count", { type: "u64", value: 2n ** 63n }, "not a whole number"],
      ["llama.block_count", { type: "u64", value: 2n ** 40n }, "must be from 1"],
      ["llama.attention.head_count_kv", 3, "4 query heads cannot share 3 key-value heads evenly"],
      ["llama.attention.head_count_kv", 0, "must be from 1"],
      ["llama.attention.value_length", 8, "values of 8 elements beside keys of 16"],
      ["llama.rope.dimension_count", 15, "15 rotated dimensions"],
      ["llama.rope.dimension_count", 18, "18 rotated dimensions"],
      ["llama.block_count", 30, "30 layers need more than the 20 tensors of the file"],
      ["llama.rope.freq_base", f32(0), "must be a positive number"],
      ["llama.rope.scaling.factor", f32(-2), "must be a positive number"],
      ["llama.attention.scale", f32(Number.POSITIVE_INFINITY), "must be a positive number"],
      ["llama.final_logit_softcapping", f32(-1), "must not be negative"],
      ["llama.attention.sliding_window", { type: "u64", value: 2n ** 40n }, "must be at most"],
      ["llama.attention.layer_norm_rms_epsilon", f32(Number.NaN), "must be a positive number"],
      ["llama.vocab_size", 300, "a vocabulary of 300 tokens does not fit the tokenizer's 259"],
    ];
    for (const [key, value, message] of cases) {
      const error = thrown(() => configWith({ [key]: value }));
      expect(error, key).toMatchObject({ field: key, message: expect.stringContaining(message) });
    }
    const uneven = thrown(() =>
      configWith({ "llama.attention.key_length": undefined, "llama.attention.head_count": 6 }),
    );
    expect(String(uneven)).toContain("an embedding of 64 does not divide into 6 heads");
  });

  test("findArchitecture() scales scores as each size of Gemma does", () => {
    // query_pre_attn_scalar of the configurations of Gemma 2 2B and 27B, and of Gemma 3 4B and 27B
    const sizes = [
      ["gemma2", 2304, 26, 8, 256, 256],
      ["gemma2", 4608, 46, 32, 128, 144],
      ["gemma3", 2560, 34, 8, 256, 256],
      ["gemma3", 5376, 62, 32, 128, 168],
    ] as const;
    for (const [name, embeddingLength, blockCount, headCount, headLength, scalar] of sizes) {
      const size = { embeddingLength, blockCount, headCount, headLength };
      expect(findArchitecture(name, 0).attentionScale?.(size)).toBeCloseTo(1 / Math.sqrt(scalar), 12);
    }
  });

  test("readConfig() keeps the window of a Llama, and none of a Phi", () => {
    expect(configWith({ "llama.attention.sliding_window": 16 }).slidingWindow).toBe(16);
    expect(configOf(windowedPhi).slidingWindow).toBe(0);
  });

  test("readConfig() refuses variants that would change the numbers", () => {
    const cases: [string, WritableValue][] = [
      ["llama.rope.scaling.type", "ntk"],
      ["llama.attention.key_length", 512],
    ];
    expect(thrown(() => configOf(windowedQwen))).toMatchObject({ field: "qwen2.attention.sliding_window" });
    expect(thrown(() => configOf(turningGemma))).toMatchObject({ field: "gemma2.rope.freq_base_swa" });
    for (const [key, value] of cases) {
      const error = thrown(() => configWith({ [key]: value }));
      expect(error, key).toBeInstanceOf(ModelError);
      expect(error, key).toMatchObject({ field: key, message: expect.stringContaining("not supported") });
    }
    expect(configWith({ "llama.rope.scaling.type": "none" }).headLength).toBe(16);
  });
});
