// The oracle of this room is itself held to llama.cpp's numbers, without any code of ours in between.
import { expect, setDefaultTimeout, test } from "bun:test";
import { ReferenceLlama } from "../reference/llama.ts";
import { readGolden, runsOf } from "./golden.ts";
import { models, openOracle } from "./oracle.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const prompts = await readGolden();

for (const type of ["f16", "q8_0"] as const) {
  test(`ReferenceLlama gives llama.cpp's fp32 logits and greedy continuations on the ${type} file`, () => {
    const { config, weights } = openOracle(models[type]);
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
    expect(greedySteps).toBe(3 * 16);
  });
}
