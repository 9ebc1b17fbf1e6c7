// Small random models of every architecture against the float64 oracle: prompts of three lengths, greedy steps, prompts in
// chunks, and going back. A failure names the variant and the seed.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Llama, type Row, type Sequence } from "../../src/llama/index.ts";
import { Device } from "../../src/runtime/index.ts";
import type { ReferenceLlama } from "../reference/llama.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";
import { largestDifference, putTogether } from "./oracle.ts";
import { roundingOfLogits } from "./rounding.ts";
import { TemporaryFolder } from "./temporary.ts";
import type { Variant } from "./variant_model.ts";
import { variantModel } from "./variant_model.ts";
import { variants } from "./variants.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

/** Largest difference of a logit; they lie within about ±4. Only the order of F32 sums differs: 2e-5 were seen. */
const BOUND = 1e-4;
/** What a rule that is left out moves at least one logit by. */
const NOTICED = 1e-3;
const SEEDS = [1, 2];
const GREEDY_STEPS = 16;

const folder = new TemporaryFolder();
let device: Device;

beforeAll(() => {
  device = Device.open();
});

afterAll(() => {
  device[Symbol.dispose]();
  folder[Symbol.dispose]();
});

/** Logits after the last of the tokens, which follow what the sequence holds. */
async function feed(llama: Llama, sequence: Sequence, tokens: readonly number[]): Promise<Float32Array> {
  const rows = tokens.map(
    (token, i): Row => ({
      token,
      position: sequence.length + i,
      sequence,
      wantsLogits: i === tokens.length - 1,
    }),
  );
  const [logits] = await llama.decode(rows);
  return logits;
}

function tokensOf(seed: number, count: number): number[] {
  const random = mulberry32(seed);
  return Array.from({ length: count }, () => randomInteger(random, 259));
}

for (const variant of variants) describe(variant.name, () => judge(variant));

/** The tests of one variant. */
function judge(variant: Variant): void {
  const bound = BOUND + roundingOfLogits(variant.type ?? "f32");
  const { name } = variant;
  // One variant is known by its 46 layers; what it shares with its smaller kin is not computed again.
  const isDeep = (variant.layers ?? 2) > 8;
  const seeds = isDeep ? SEEDS.slice(1) : SEEDS;
  const rules = isDeep ? ["scoreFactor"] : Object.keys(variant.rules);

  test.each(seeds)("gives the oracle's logits with seed %d", async (seed) => {
    const { parts, oracle } = variantModel(variant, seed);
    const path = folder.write(`${name} ${seed}.gguf`, putTogether(parts));
    using llama = await Llama.load(path, { device, batchSize: 32 });
    const prompt = tokensOf(seed + 100, 64);
    using sequence = llama.sequence();

    const compare = async (reference: ReferenceLlama, tokens: readonly number[], what: string) => {
      const expected = reference.feed(tokens);
      const logits = await feed(llama, sequence, tokens);
      expect(largestDifference(logits, expected), `seed ${seed}, ${what}`).toBeLessThan(bound);
      return expected;
    };

    await compare(oracle(), prompt.slice(0, 1), "1 token");
    sequence.rewind(0);
    const seven = oracle();
    let logits = await compare(seven, prompt.slice(0, 7), "7 tokens");
    for (let step = 0; step < GREEDY_STEPS; step++) {
      const best = logits.indexOf(Math.max(...logits));
      logits = await compare(seven, [best], `greedy step ${step}`);
    }
    // Back to a prefix, and on another way; 57 rows are two steps.
    sequence.rewind(7);
    seven.rewind(7);
    const whole = await compare(seven, prompt.slice(7), "64 tokens after going back");

    sequence.rewind(0);
    for (let start = 0; start < 64; start += 9) {
      const chunk = await feed(llama, sequence, prompt.slice(start, start + 9));
      if (start + 9 >= 64)
        expect(largestDifference(chunk, whole), `seed ${seed}, chunks`).toBeLessThan(bound);
    }
  });

  test.each(rules)("is not the same without its %s", (rule) => {
    const { oracle } = variantModel(variant, 1);
    const prompt = tokensOf(101, 32); // more than any window
    const without = { ...variant.rules, [rule]: undefined };
    const difference = largestDifference(oracle(without).feed(prompt), oracle().feed(prompt));
    expect(difference).toBeGreaterThan(NOTICED);
  });
}
