/** What is said of a type of weights in several places: the file format, the tables, the shaders and their references. */

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ggmlLayout, ggmlTypes } from "../../src/gguf/index.ts";
import { Device } from "../../src/runtime/index.ts";
import { dtypes, weightDTypes } from "../../src/tensor/index.ts";
import { blockOf, dequantize, referenceTypes } from "../reference/llama_dequantize.ts";

/** Blocks, and what ggml's own package for Python says that they mean. */
const fixture: {
  readonly blocks: Readonly<Record<string, { readonly bytes: string; readonly values: string }>>;
} = JSON.parse(readFileSync(join(import.meta.dirname, "../fixtures/blocks.json"), "utf8"));

describe("types of weights", () => {
  test("weightDTypes have the layout of the file format and of the reference", () => {
    expect([...referenceTypes].sort()).toEqual([...weightDTypes].sort());
    for (const type of weightDTypes) {
      const { blockLength, blockBytes } = dtypes[type];
      const inFile = ggmlTypes.find((known) => known === type);
      if (inFile === undefined) throw new Error(`GGUF has no type "${type}"`);
      expect(ggmlLayout(inFile), type).toMatchObject({ blockSize: blockLength, blockBytes });
      expect(blockOf(type), type).toMatchObject({ length: blockLength, bytes: blockBytes });
    }
  });

  test("weightDTypes have every kernel that reads weights, and shaders() has none for other types", () => {
    const wanted = weightDTypes.flatMap((type) => [
      ...["matvec", "matvec_tiled", "matvec_rows", "matvec_fused", "matvec_experts", "matmul", "embed"].map(
        (family) => `${family}_${type}`,
      ),
      `convert_${type}_f32`,
      `convert_${type}_f16`,
    ]);
    using device = Device.open();
    const found = device
      .shaders()
      .functionNames.filter((name) => /^(matvec|matmul|embed|convert)_/.test(name));
    expect([...found].sort()).toEqual(wanted.sort());
  });

  test("dequantize(), the reference, gives what ggml's package for Python gives", () => {
    const types = referenceTypes.filter((type) => type !== "f32" && type !== "f16");
    for (const type of types) {
      const { bytes, values } = fixture.blocks[type];
      const meant = dequantize(new Uint8Array(Buffer.from(bytes, "base64")), type);
      const floats = new Float32Array(new Uint8Array(Buffer.from(values, "base64")).buffer);
      expect(meant.length).toBe(floats.length);
      // ggml rounds to F32, after each of up to three operations.
      const largest = Math.max(...floats.map(Math.abs));
      meant.forEach((value, i) => {
        expect(Math.abs(value - floats[i]), `${type} element ${i}`).toBeLessThanOrEqual(largest * 2e-7);
      });
    }
  });
});
