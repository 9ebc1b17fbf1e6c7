// Frequencies of pairs against the papers' formulas, and files with frequency factors that cannot be used.
import { afterAll, describe, expect, test } from "bun:test";
import { parseGguf } from "../../src/gguf/index.ts";
import { readConfig } from "../../src/llama/config.ts";
import { ModelError } from "../../src/llama/errors.ts";
import { readModelFile } from "../../src/llama/load.ts";
import { packTables, ropeTables } from "../../src/llama/rope_tables.ts";
import { encodeF16, encodeF32, f32, type WritableValue } from "../reference/gguf_writer.ts";
import { plainFrequencies, yarnFrequencies } from "../reference/llama_rope.ts";
import { putTogether } from "./oracle.ts";
import { TemporaryFolder } from "./temporary.ts";
import { tinyModel } from "./tiny_model.ts";

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());

/** The configuration of a model of heads of 128, as Llama 3's. */
function configWith(metadata: Readonly<Record<string, WritableValue>>) {
  const parts = tinyModel({ headLength: 128, ropeDimensionCount: 128 });
  for (const [key, value] of Object.entries(metadata)) parts.metadata.set(`llama.${key}`, value);
  return readConfig(parseGguf(putTogether(parts)));
}

describe("ropeTables", () => {
  test("ropeTables() are powers of the base where nothing is scaled", () => {
    const { global, local } = ropeTables(configWith({ "rope.freq_base": f32(500000) }), {}, 96);
    expect(global.frequencies).toEqual(Float32Array.from(plainFrequencies(500000, 128)));
    expect(global.magnitude).toBe(1);
    expect(local).toBe(global);
  });

  test("ropeTables() are those of YaRN's authors", () => {
    const cases: readonly (readonly [base: number, factor: number, trained: number])[] = [
      [10000, 16, 4096],
      [1000000, 4, 32768],
      [500, 4, 400],
      [10000, 8, 7], // no pair makes a turn
    ];
    for (const [base, factor, trained] of cases) {
      const config = configWith({
        "rope.freq_base": f32(base),
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": f32(factor),
        "rope.scaling.original_context_length": trained,
      });
      const { frequencies, magnitude } = ropeTables(config, {}, 96).global;
      expect(frequencies).toEqual(Float32Array.from(yarnFrequencies(base, 128, factor, trained)));
      expect(magnitude).toBeCloseTo(0.1 * Math.log(factor) + 1, 12);
    }
  });

  test("ropeTables() choose between long and short factors by the context", () => {
    const config = configWith({ "rope.scaling.original_context_length": 64 });
    const factors = { short: new Float32Array(64).fill(2), long: new Float32Array(64).fill(4) };
    expect(ropeTables(config, factors, 64).global.frequencies[0]).toBe(0.5);
    expect(ropeTables(config, factors, 65).global.frequencies[0]).toBe(0.25);
  });

  test("packTables() puts the table of layers with a window behind that of the others", () => {
    const global = { frequencies: Float32Array.of(1, 2), magnitude: 1 };
    const local = { frequencies: Float32Array.of(3, 4), magnitude: 1 };
    expect(packTables({ global, local: global })).toEqual(Float32Array.of(1, 2));
    expect(packTables({ global, local })).toEqual(Float32Array.of(1, 2, 3, 4));
  });
});

describe("frequency factors", () => {
  /** What reading a model with these tensors throws; none are for heads of 16. */
  function refusal(...added: readonly [name: string, type: number, values: Uint8Array, count: number][]) {
    const parts = tinyModel();
    for (const [name, type, data, count] of added) parts.tensors.push({ name, type, shape: [count], data });
    const path = folder.write("factors.gguf", putTogether(parts));
    try {
      readModelFile(path);
    } catch (error) {
      return error;
    }
    throw new Error("Nothing was thrown");
  }

  test("readModelFile() refuses factors of another length or type", () => {
    const seven = refusal(["rope_freqs.weight", 0, encodeF32(new Float32Array(7).fill(1)), 7]);
    expect(seven).toBeInstanceOf(ModelError);
    expect(String(seven)).toContain(
      'tensor "rope_freqs.weight": it must be 8 frequency factors in f32, not f32 [7]',
    );
    const half = refusal(["rope_freqs.weight", 1, encodeF16(new Float32Array(8).fill(1)), 8]);
    expect(String(half)).toContain("it must be 8 frequency factors in f32, not f16 [8]");
  });

  test("readModelFile() refuses factors that no frequency can be divided by", () => {
    for (const wrong of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      const error = refusal(["rope_freqs.weight", 0, encodeF32(new Float32Array(8).fill(wrong)), 8]);
      expect(error).toMatchObject({
        field: "rope_freqs.weight",
        message: expect.stringContaining("must be above 0"),
      });
    }
  });

  test("readModelFile() refuses long factors without short ones", () => {
    const data = encodeF32(new Float32Array(8).fill(1));
    expect(refusal(["rope_factors_long.weight", 0, data, 8])).toMatchObject({
      field: "rope_factors_short.weight",
      message: 'Cannot run the model: the file lacks tensor "rope_factors_short.weight"',
    });
  });
});
