import { describe, expect, test } from "bun:test";
import { openGguf, parseGguf } from "../../src/gguf/index.ts";
import { readConfig } from "../../src/llama/config.ts";
import { ModelError } from "../../src/llama/errors.ts";
import { bindWeights, findWeights, weightBytes } from "../../src/llama/weights.ts";
import { type ModelParts, models, putTogether } from "./oracle.ts";
import { tinyModel } from "./tiny_model.ts";
import { variantModel } from "./variant_model.ts";

function find(parts: ModelParts) {
  const file = parseGguf(putTogether(parts));
  return findWeights(file, readConfig(file));
}

/** The tiny model with one tensor changed, or removed. */
function changed(name: string, change: object | undefined): ModelParts {
  const { metadata, tensors } = tinyModel();
  return {
    metadata,
    tensors: tensors.flatMap((tensor) => {
      if (tensor.name !== name) return [tensor];
      return change === undefined ? [] : [{ ...tensor, ...change }];
    }),
  };
}

describe("findWeights", () => {
  test("findWeights() finds every tensor of the repository's models once", () => {
    for (const [type, path] of Object.entries(models)) {
      const file = openGguf(path);
      const weights = findWeights(file, readConfig(file));
      expect(weights.output).toBe(weights.embedding);
      expect(weights.layers.length).toBe(6);
      expect(weights.embedding).toMatchObject({ type, shape: [4096, 256] });
      expect(weights.layers[5].down).toMatchObject({ type, shape: [256, 768] });
      expect(weights.layers[0].k.offset).toBe(file.getTensor("blk.0.attn_k.weight").offset);
      const bytes = [...file.tensors.values()].reduce((sum, tensor) => sum + tensor.byteLength, 0);
      expect(weightBytes(weights)).toBe(bytes);
    }
  });

  test("findWeights() takes an output matrix of its own where there is one", () => {
    const weights = find(tinyModel({ isTied: false }));
    expect(weights.output).not.toBe(weights.embedding);
    expect(weights.output.shape).toEqual([259, 64]);
  });

  test("findWeights() names the tensors that are missing", () => {
    const parts = tinyModel();
    expect(() => find(changed("blk.1.ffn_up.weight", undefined))).toThrow(
      'Cannot run the model: the file lacks tensor "blk.1.ffn_up.weight"',
    );
    const layer = parts.tensors.filter(({ name }) => !name.startsWith("blk.1."));
    expect(() => find({ ...parts, tensors: layer })).toThrow(
      /lacks tensors "blk.1.attn_norm.weight".* and 4 more/,
    );
  });

  test("findWeights() names a tensor of another shape or type, with both", () => {
    expect(() => find(changed("blk.0.attn_k.weight", { shape: [32, 64] }))).toThrow(
      'Cannot use tensor "blk.0.attn_k.weight": its shape is [64, 32], the configuration asks for [32, 64]',
    );
    expect(() => find(changed("blk.0.attn_norm.weight", { type: 1 }))).toThrow(
      'Cannot use tensor "blk.0.attn_norm.weight": its type is f16, supported are f32',
    );
    // 34 is TQ1_0
    const quantised = find.bind(undefined, changed("blk.0.ffn_down.weight", { type: 34, shape: [256, 24] }));
    expect(quantised).toThrow(/its type is tq1_0, supported are f32, f16, bf16, q4_0, .*q8_0/);
    expect(quantised).toThrow(ModelError);
  });

  test("findWeights() refuses tensors that it would ignore", () => {
    const parts = tinyModel();
    const bias = { ...parts.tensors[1], name: "blk.0.attn_q_norm.weight" };
    expect(() => find({ ...parts, tensors: [...parts.tensors, bias] })).toThrow(
      'its architecture has no use for tensor "blk.0.attn_q_norm.weight"',
    );
  });

  test("findWeights() cuts a fused tensor into its rows", () => {
    const variant = { name: "", architecture: "phi3", type: "q8_0", isFused: true, rules: {} } as const;
    const { layers } = find(variantModel(variant, 1).parts);
    const { q, k, v, gate, up } = layers[1];
    const rowBytes = 68; // 64 elements in two blocks of 34
    expect([q.shape, k.shape, v.shape]).toEqual([
      [64, 64],
      [32, 64],
      [32, 64],
    ]);
    expect([k.offset - q.offset, v.offset - k.offset, up.offset - gate.offset]).toEqual([
      64 * rowBytes,
      32 * rowBytes,
      96 * rowBytes,
    ]);
    expect(v.byteLength).toBe(32 * rowBytes);
  });

  test("findWeights() names what an architecture must have, and what it has no use for", () => {
    const without = (parts: ModelParts, pattern: RegExp): ModelParts => ({
      ...parts,
      tensors: parts.tensors.filter(({ name }) => !pattern.test(name)),
    });
    const qwen2 = { name: "", architecture: "qwen2", biases: "queryKeyValue", rules: {} } as const;
    expect(() => find(without(variantModel(qwen2, 1).parts, /attn_k.bias/))).toThrow(
      'lacks tensors "blk.0.attn_k.bias", "blk.1.attn_k.bias"',
    );
    const mixtral = {
      name: "",
      architecture: "llama",
      experts: { count: 4, hidden: 96 },
      metadata: { expert_used_count: 2 },
      rules: {},
    } as const;
    const parts = variantModel(mixtral, 1).parts;
    expect(() => find(without(parts, /blk.1.ffn_gate_inp/))).toThrow(
      'lacks tensor "blk.1.ffn_gate_inp.weight"',
    );
    const bias = { ...parts.tensors[1], name: "blk.0.ffn_gate.bias" };
    expect(() => find({ ...parts, tensors: [...parts.tensors, bias] })).toThrow(
      'has no use for tensor "blk.0.ffn_gate.bias"',
    );
    parts.metadata.set("llama.expert_used_count", 5);
    expect(() => find(parts)).toThrow("a row cannot use 5 of 4 experts");
  });

  test("bindWeights() binds each place once", () => {
    const places: number[] = [];
    const file = openGguf(models.q8_0);
    const bound = bindWeights(findWeights(file, readConfig(file)), ({ offset }) => places.push(offset));
    expect(places.length).toBe(file.tensors.size);
    expect(new Set(places).size).toBe(places.length);
    expect(bound.output).toBe(bound.embedding);
  });
});
