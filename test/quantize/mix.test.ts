// Which tensor gets which type. The mixes of a real model are compared in llama_cpp.test.ts; here is what it has none of.
import { describe, expect, test } from "bun:test";
import { type GgufTensor, parseGguf } from "../../src/gguf/index.ts";
import {
  chooseType,
  fileTypeOf,
  type ModelFacts,
  type QuantizeType,
  quantizeTypes,
  readFacts,
} from "../../src/quantize/mix.ts";
import { writeGguf } from "../reference/gguf_writer.ts";

const usual: ModelFacts = { blockCount: 32, headsPerKv: 1, expertCount: 0, isTied: false };

function matrix(name: string, shape: readonly number[] = [4096, 4096]): GgufTensor {
  return { name, type: "f16", shape, part: 0, offset: 0, byteLength: 0 };
}

function typeOf(name: string, type: QuantizeType, facts: Partial<ModelFacts> = {}): string {
  return chooseType(matrix(name), type, { ...usual, ...facts }, false);
}

describe("chooseType", () => {
  test("chooseType() leaves what is no matrix, and routers, as it is", () => {
    for (const type of quantizeTypes) {
      for (const tensor of [
        { ...matrix("blk.0.attn_norm.weight", [4096]), type: "f32" as const },
        { ...matrix("blk.0.attn_q_norm.weight", [128, 8]), type: "f32" as const },
        { ...matrix("blk.0.attn_q.bias", [4096]), type: "f32" as const },
        { ...matrix("rope_freqs.weight", [64]), type: "f32" as const },
        { ...matrix("blk.0.ffn_gate_inp.weight", [4096, 8]), type: "f32" as const },
      ]) {
        expect(chooseType(tensor, type, usual, true), `${tensor.name} to ${type}`).toBe("f32");
      }
    }
  });

  test("chooseType() gives the output more bits, which is the embedding where they are tied", () => {
    for (const type of ["Q2_K", "Q4_0", "Q4_K_S", "Q5_K_M", "Q6_K"] as const) {
      expect(typeOf("output.weight", type)).toBe("q6_k");
      expect(typeOf("token_embd.weight", type, { isTied: true })).toBe("q6_k");
      expect(typeOf("token_embd.weight", type)).toBe(type.toLowerCase().replace(/_[sm]$/, ""));
    }
    expect(typeOf("output.weight", "Q8_0")).toBe("q8_0");
    expect(typeOf("output.weight", "F16")).toBe("f16");
  });

  test("chooseType() gives some layers' values and second matrices more bits in the middle mixes", () => {
    const layers = (name: string, type: QuantizeType): string =>
      Array.from({ length: 32 }, (_, i) => typeOf(`blk.${i}.${name}.weight`, type)[1]).join("");
    // The first eighth, the last, and every third between them.
    const more = (few: string, many: string): string =>
      Array.from({ length: 32 }, (_, i) => (i < 4 || i >= 28 || (i - 4) % 3 === 2 ? many : few)).join("");
    for (const name of ["attn_v", "attn_qkv", "ffn_down"]) {
      expect(layers(name, "Q4_K_M")).toBe(more("4", "6"));
      expect(layers(name, "Q5_K_M")).toBe(more("5", "6"));
      expect(layers(name, "Q5_K_S")).toBe("5".repeat(32));
      expect(layers(name, "Q4_K_S")).toBe("5555".padEnd(32, "4"));
    }
    expect(layers("attn_qkv", "Q3_K_M")).toBe("55".padEnd(32, "4"));
    expect(layers("attn_v", "Q3_K_M")).toBe("55".padEnd(32, "4"));
    expect(layers("ffn_down", "Q3_K_M")).toBe("55".padEnd(32, "4"));
    expect(layers("ffn_down", "Q3_K_S")).toBe("3".repeat(32));
    expect(layers("attn_q", "Q4_K_M")).toBe("4".repeat(32));
    expect(typeOf("blk.3.attn_output.weight", "Q3_K_M")).toBe("q4_k");
    expect(typeOf("blk.3.attn_output.weight", "Q2_K")).toBe("q3_k");
  });

  test("chooseType() gives what many heads or experts share more bits", () => {
    expect(typeOf("blk.9.attn_v.weight", "Q2_K", { headsPerKv: 4 })).toBe("q4_k");
    expect(typeOf("blk.9.attn_v.weight", "Q2_K", { headsPerKv: 1 })).toBe("q3_k");
    expect(typeOf("blk.10.attn_v.weight", "Q4_K_M", { blockCount: 80, headsPerKv: 8 })).toBe("q5_k");
    expect(typeOf("blk.9.attn_k.weight", "Q4_K_M", { expertCount: 8 })).toBe("q8_0");
    expect(typeOf("blk.9.attn_v.weight", "Q4_K_M", { expertCount: 8 })).toBe("q8_0");
    expect(typeOf("blk.9.attn_output.weight", "Q4_K_M", { expertCount: 8 })).toBe("q5_k");
    expect(typeOf("blk.9.attn_output.weight", "Q3_K_L", { expertCount: 8 })).toBe("q3_k");
    expect(typeOf("blk.0.ffn_down_exps.weight", "Q4_K_M", { expertCount: 8 })).toBe("q6_k");
    expect(typeOf("blk.5.ffn_up_exps.weight", "Q4_K_M", { expertCount: 8 })).toBe("q4_k");
  });

  test("chooseType() takes a type whose blocks fit the rows", () => {
    const fitting: readonly (readonly [QuantizeType, string, string])[] = [
      ["Q2_K", "q4_0", "f16"],
      ["Q3_K_S", "q4_0", "f16"],
      ["Q4_K_S", "q5_0", "f16"],
      ["Q5_K_S", "q5_1", "f16"],
      ["Q6_K", "q8_0", "f16"],
      ["Q8_0", "q8_0", "f16"],
      ["BF16", "bf16", "bf16"],
    ];
    for (const [type, of32, of1] of fitting) {
      expect(chooseType(matrix("blk.9.ffn_up.weight", [96, 4]), type, usual, true)).toBe(of32 as "f16");
      expect(chooseType(matrix("blk.9.ffn_up.weight", [100, 4]), type, usual, false)).toBe(of1 as "f16");
    }
  });

  test("chooseType() gives all matrices the same type when told to, and none another for COPY", () => {
    for (const name of ["output.weight", "blk.0.attn_v.weight", "blk.0.ffn_down.weight"]) {
      expect(chooseType(matrix(name), "Q4_K", usual, true)).toBe("q4_k");
      expect(chooseType(matrix(name), "COPY", usual, false)).toBe("f16");
    }
    expect(fileTypeOf("COPY")).toBeUndefined();
    expect(fileTypeOf("Q4_K")).toBe(fileTypeOf("Q4_K_M"));
  });

  test("readFacts() reads the architecture's counts, and takes the usual where there are none", () => {
    const facts = (metadata: Parameters<typeof writeGguf>[0]): ModelFacts =>
      readFacts(parseGguf(writeGguf(metadata)));
    expect(facts({})).toEqual({ blockCount: 1, headsPerKv: 1, expertCount: 0, isTied: true });
    expect(
      facts({
        "general.architecture": "qwen3moe",
        "qwen3moe.block_count": 48,
        "qwen3moe.attention.head_count": 32,
        "qwen3moe.attention.head_count_kv": 4,
        "qwen3moe.expert_count": 128,
      }),
    ).toEqual({ blockCount: 48, headsPerKv: 8, expertCount: 128, isTied: true });
    expect(facts({ "general.architecture": "llama", "llama.block_count": "many" }).blockCount).toBe(1);
  });
});
