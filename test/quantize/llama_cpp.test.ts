// The repository's model as llama.cpp quantised it, and as we do: the same types, the same bytes where the rule is
// simple, and no larger error where a search decides.
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Buffer } from "node:buffer";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type GgufFile, openGguf } from "../../src/gguf/index.ts";
import { type QuantizeType, quantize } from "../../src/quantize/index.ts";
import { dequantize, type ReferenceType, referenceTypes } from "../reference/llama_dequantize.ts";

// A search over millions of values, on a machine that may be busy.
setDefaultTimeout(120_000);

const root = join(import.meta.dirname, "../..");
const original = join(root, "test/fixtures/austen-5m-f16.gguf");
const directory = mkdtempSync(join(tmpdir(), "bun-metal-quantize-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** How much larger than llama.cpp's our error may be in any one tensor. */
const WORST_RATIO = 1.02;
/** Values of a tensor that are compared. */
const MOST_VALUES = 1 << 14;

type Opened = { readonly file: GgufFile; readonly bytes: Buffer };

function opened(path: string): Opened {
  return { file: openGguf(path), bytes: readFileSync(path) };
}

function dataOf({ file, bytes }: Opened, name: string): Buffer {
  const { offset, byteLength } = file.getTensor(name);
  return bytes.subarray(offset, offset + byteLength);
}

/** The first values of a tensor. */
function valuesOf(model: Opened, name: string): Float64Array {
  const { type, shape, byteLength } = model.file.getTensor(name);
  const known = referenceTypes.find((reference): reference is ReferenceType => reference === type);
  if (known === undefined) throw new TypeError(`There is no reference for ${type}`);
  const elements = shape.reduce((product, length) => product * length, 1);
  const share = Math.min(1, MOST_VALUES / elements);
  return dequantize(dataOf(model, name).subarray(0, byteLength * share), known);
}

function rmse(a: Float64Array, b: Float64Array): number {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.length);
}

const files: readonly (readonly [QuantizeType, string])[] = [
  ["Q8_0", "examples/models/austen-5m-q8_0.gguf"],
  ["Q4_0", "test/fixtures/austen-5m-q4_0.gguf"],
  ["Q4_K_M", "test/fixtures/austen-5m-q4_k_m.gguf"],
];

describe("quantize() beside llama.cpp", () => {
  for (const [type, path] of files) {
    test(`quantize() to ${type} gives llama.cpp's types, and its bytes or no larger error`, async () => {
      const output = join(directory, `${type}.gguf`);
      await quantize(original, output, type);
      const [source, ours, theirs] = [original, output, join(root, path)].map(opened);
      expect(ours.file.fileSize).toBe(theirs.file.fileSize);
      expect(new Map(ours.file.metadata)).toEqual(new Map(theirs.file.metadata));
      const ratios = new Map<string, number[]>();
      for (const { name, type: stored, shape } of theirs.file.tensors.values()) {
        expect(ours.file.getTensor(name)).toMatchObject({ type: stored, shape });
        if (!stored.endsWith("_k")) {
          expect(Buffer.compare(dataOf(ours, name), dataOf(theirs, name)), name).toBe(0);
          continue;
        }
        const exact = valuesOf(source, name);
        const ratio = rmse(valuesOf(ours, name), exact) / rmse(valuesOf(theirs, name), exact);
        expect(ratio, name).toBeLessThanOrEqual(WORST_RATIO);
        ratios.set(stored, [...(ratios.get(stored) ?? []), ratio]);
      }
      for (const [stored, all] of ratios) {
        const mean = all.reduce((sum, ratio) => sum + ratio, 0) / all.length;
        const numbers = `mean ${mean.toFixed(4)}, worst ${Math.max(...all).toFixed(4)}`;
        console.log(`${type}: error of ${stored} over llama.cpp's, ${all.length} tensors: ${numbers}`);
      }
    });
  }
});
