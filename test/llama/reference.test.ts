// The oracle of this room is itself held to llama.cpp's numbers, without any code of ours in between.
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { openGguf } from "../../src/gguf/index.ts";
import { ReferenceLlama } from "../reference/llama.ts";
import { dequantize, referenceTypes } from "../reference/llama_dequantize.ts";
import { continuationsOf, goldenModels, goldenTypes, readGolden, runsOf } from "./golden.ts";
import { openOracle } from "./oracle.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const prompts = await readGolden();

for (const type of goldenTypes) {
  test(`ReferenceLlama gives llama.cpp's fp32 logits and greedy continuations on the ${type} file`, () => {
    const { config, weights } = openOracle(goldenModels[type]);
    let greedySteps = 0;
    for (const prompt of prompts) {
      const run = new Map(runsOf(prompt)).get(type);
      const oracle = new ReferenceLlama(config, weights);
      let logits = oracle.feed(prompt.ids_bos);
      for (const [token, logit] of run?.fp32_top10 ?? []) {
        // golden.json rounds to five decimals.
        expect(Math.abs(logits[token] - logit), `"${prompt.text}" token ${token}`).toBeLessThan(2e-5);
      }
      for (const token of run?.greedy?.slice(0, 16) ?? []) {
        expect(logits.indexOf(Math.max(...logits)), `"${prompt.text}"`).toBe(token);
        logits = oracle.feed([token]);
        greedySteps++;
      }
    }
    expect(greedySteps).toBe(continuationsOf[type] * 16);
  });
}

test("dequantize() of each quantised file is near the f16 file, as near as the type's bits allow", () => {
  // Root mean squares, of the difference relative to the weights. A block of b bits has steps of its largest magnitude,
  // two to three deviations, over 2^(b - 1); the error is a step over sqrt(12): about 2.5 / 2^(b - 1) / 3.5.
  const bounds: Readonly<Record<string, number>> = {
    f32: 0,
    f16: 0,
    q8_0: 0.01,
    q6_k: 0.04,
    q4_k: 0.15,
    q4_0: 0.15,
  };
  const exact = weightsOf(goldenModels.f16);
  const seen = new Set<string>();
  for (const type of goldenTypes) {
    for (const [name, { type: stored, values }] of weightsOf(goldenModels[type])) {
      const wanted = exact.get(name)?.values ?? new Float64Array();
      expect(values.length).toBe(wanted.length);
      const squares = values.reduce((sum, value, i) => sum + (value - wanted[i]) ** 2, 0);
      const norm = wanted.reduce((sum, value) => sum + value ** 2, 0);
      expect(Math.sqrt(squares / norm), `${name} as ${stored}`).toBeLessThanOrEqual(bounds[stored]);
      seen.add(stored);
    }
  }
  expect([...seen].sort()).toEqual(Object.keys(bounds).sort());
});

/** The tensors of the last layer and those outside of layers: some of each type. */
function weightsOf(path: string): Map<string, { type: string; values: Float64Array }> {
  const bytes = readFileSync(path);
  const tensors = [...openGguf(path).tensors.values()].filter(({ name }) => !/^blk\.[0-4]\./.test(name));
  return new Map(
    tensors.map(({ name, type, offset, byteLength }) => {
      const known = referenceTypes.find((reference) => reference === type);
      if (known === undefined) throw new TypeError(`The reference does not read type "${type}"`);
      return [name, { type, values: dequantize(bytes.subarray(offset, offset + byteLength), known) }];
    }),
  );
}
