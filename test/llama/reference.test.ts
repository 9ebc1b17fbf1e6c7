// The oracle of this room is itself held to llama.cpp's numbers, without any code of ours in between.
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ReferenceLlama } from "../reference/llama.ts";
import { readGolden, runsOf } from "./golden.ts";
import { models, openOracle } from "./oracle.ts";
import { variantModel } from "./variant_model.ts";
import { variants } from "./variants.ts";

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

/** llama.cpp's cache is in F16, which moves logits: 7e-3 were seen, in 46 layers. */
const CACHE_BOUND = 1e-2;

const architectures: {
  readonly runs: Readonly<Record<string, readonly (readonly [token: number, logProbability: number])[]>>;
} = JSON.parse(readFileSync(join(import.meta.dirname, "../fixtures/architectures.json"), "utf8"));

test.each(Object.keys(architectures.runs))(
  "ReferenceLlama gives llama.cpp's probabilities for %s",
  (name) => {
    const variant = variants.find((each) => each.name === name);
    if (variant === undefined) throw new Error(`There is no variant "${name}"`);
    const tokens = Array.from({ length: 64 }, (_, i) => 3 + ((i * i * 7 + 11 * i) % 256));
    const logits = variantModel({ ...variant, type: "f32" }, 1)
      .oracle()
      .feed(tokens);
    const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    for (const [token, logProbability] of architectures.runs[name]) {
      expect(Math.abs(logits[token] - total - logProbability), `token ${token}`).toBeLessThan(CACHE_BOUND);
    }
  },
);
