// The random models: what is written is what the library reads, the same each time, and of the size that is promised.
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type GgmlType, ggmlLayout, openGguf } from "../../src/gguf/index.ts";
import { dequantize } from "../reference/llama_dequantize.ts";
import { modelFile } from "./model_files.ts";
import { benchModels, tensorsOf, tinyModel } from "./models.ts";
import { fillRandom, type RandomType, RandomWords } from "./random_weights.ts";

const types: readonly RandomType[] = ["f32", "f16", "q4_0", "q8_0", "q4_k", "q6_k"];
const DEVIATION = 0.02;

describe.each(types)("random %s", (type) => {
  const bytes = new Uint8Array(4096 * ggmlLayout(type).blockBytes);
  fillRandom(type, bytes, DEVIATION, new RandomWords(1));
  const values = dequantize(bytes, type);

  test("has the mean and the deviation that were asked for, about", () => {
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
    expect(Math.abs(mean)).toBeLessThan(0.1 * DEVIATION);
    expect(deviation).toBeGreaterThan(0.7 * DEVIATION);
    expect(deviation).toBeLessThan(1.5 * DEVIATION);
  });
  test("is the same for the same seed, and another for another", () => {
    const [same, another] = [new Uint8Array(bytes.length), new Uint8Array(bytes.length)];
    fillRandom(type, same, DEVIATION, new RandomWords(1));
    fillRandom(type, another, DEVIATION, new RandomWords(2));
    expect(same).toEqual(bytes);
    expect(another).not.toEqual(bytes);
  });
});

test("random weights are whole blocks", () => {
  expect(() => fillRandom("q8_0", new Uint8Array(36), 1, new RandomWords(1))).toThrow(RangeError);
});

test("a file has the tensors and metadata of its shape, and is made once", () => {
  const model = tinyModel;
  const directory = mkdtempSync(join(tmpdir(), "bench-models-"));
  try {
    const lines: string[] = [];
    const path = modelFile(model, directory, (line) => lines.push(line));
    const file = openGguf(path);
    expect(
      [...file.tensors.values()].map(({ name, shape, type }) => ({ name, shape: [...shape], type })),
    ).toEqual(tensorsOf(model));
    expect(file.metadata.get("llama.attention.head_count_kv")).toBe(2);
    expect(file.getString("general.architecture", "")).toBe("llama");
    const bytes = readFileSync(path);
    const end = file.tensors.get("output.weight");
    expect(end).toBeDefined();
    if (end === undefined) return;
    // Its first rows, of the end token and others without text, are zeros: no generation ends early.
    const values = dequantize(bytes.subarray(end.offset, end.offset + end.byteLength), "q6_k");
    expect(values.findIndex((x) => x !== 0)).toBe(259 * 256);
    expect(values.every(Number.isFinite)).toBe(true);
    expect(lines.length).toBe(1);
    expect(modelFile(model, directory, (line) => lines.push(line))).toBe(path);
    expect(lines.length).toBe(1);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("the shapes have the types that files of these names have", () => {
  const counts = (name: string): Record<string, number> => {
    const found = benchModels.find((model) => model.name === name);
    const counted: Partial<Record<GgmlType, number>> = {};
    for (const { type } of found === undefined ? [] : tensorsOf(found))
      counted[type] = (counted[type] ?? 0) + 1;
    return counted;
  };
  // As llama.cpp makes them of TinyLlama: 45 norms; in Q4_K_M the output, and values and the second matrix of some layers in Q6_K.
  expect(counts("1.1b-q4_k_m")).toEqual({ f32: 45, q4_k: 135, q6_k: 21 });
  expect(counts("1.1b-q4_0")).toEqual({ f32: 45, q4_0: 155, q6_k: 1 });
  expect(counts("1.1b-q8_0")).toEqual({ f32: 45, q8_0: 156 });
  expect(counts("110m-f16")).toEqual({ f32: 25, f16: 86 });
});
