// The whole model against the float64 oracle: weights in three types, prompts of 1, 7 and 200 tokens, three ways to feed
// them. The oracle runs once for each set of weights and prompt.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type KvType, Llama, type Row } from "../../src/llama/index.ts";
import { goldenTokens, readGolden } from "./golden.ts";
import { expectNoMoreThan, liveObjects } from "./live.ts";
import {
  largestDifference,
  models,
  type OracleModel,
  openOracle,
  oracleLogits,
  putTogether,
  roundToBlocks,
  roundToHalf,
  takeApart,
  widened,
} from "./oracle.ts";
import { roundingOfLogits } from "./rounding.ts";
import { TemporaryFolder } from "./temporary.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

/**
 * Largest differences of a last-position logit; logits of this model lie within ±15. With an F32 cache only the order of
 * F32 sums differs (6e-6 were seen; 2e-3 is what has to hold). An F16 cache rounds keys and values, which moves logits
 * by 2.7e-3 at most here; against an oracle that rounds them too it is 1.2e-3, where a sum lies next to a rounding edge.
 * A Q8_0 cache keeps the sign and seven bits of each element relative to the largest of 32, errors 16 times as large as of
 * F16: that moves logits by 6e-2 here; and next to rounding edges by up to 3.5e-2.
 */
const BOUNDS: Record<KvType, { readonly rounded: number; readonly exact: number }> = {
  f32: { rounded: 1e-4, exact: 1e-4 },
  f16: { rounded: 2e-3, exact: 5e-3 },
  q8_0: { rounded: 5e-2, exact: 0.15 },
};

const lengths = [1, 7, 200];
const prompts = await readGolden();

/** `rounded`: by an oracle that keeps keys and values as the cache does. */
type Expected = { readonly exact: Float64Array; readonly rounded: Record<KvType, Float64Array> };

const folder = new TemporaryFolder();
/** By weight type. F32 weights are the F16 file's, widened, and share its oracle. */
const paths: Record<string, string> = { ...models };
const expected: Record<string, Expected[]> = {};

beforeAll(() => {
  paths.f32 = folder.write("f32.gguf", putTogether(widened(takeApart(models.f16))));
  for (const type of ["f16", "q8_0"] as const) {
    const oracle: OracleModel = openOracle(models[type]);
    expected[type] = lengths.map((length) => {
      const tokens = goldenTokens(prompts, length);
      const exact = oracleLogits(oracle, tokens);
      const rounded = {
        f32: exact,
        f16: oracleLogits(oracle, tokens, roundToHalf),
        q8_0: oracleLogits(oracle, tokens, roundToBlocks),
      };
      return { exact, rounded };
    });
  }
  expected.f32 = expected.f16;
});

afterAll(() => folder[Symbol.dispose]());

/** Feeds the tokens in calls of `chunk` rows; returns the last logits. */
async function lastLogits(llama: Llama, tokens: readonly number[], chunk: number): Promise<Float32Array> {
  using sequence = llama.sequence();
  let logits: Float32Array[] = [];
  for (let start = 0; start < tokens.length; start += chunk) {
    const rows = tokens.slice(start, start + chunk).map((token, i): Row => {
      const position = start + i;
      return { token, position, sequence, wantsLogits: position === tokens.length - 1 };
    });
    logits = await llama.decode(rows);
  }
  expect(logits.length).toBe(1);
  return logits[0];
}

const ways = [
  ["in one batch", 256],
  ["in chunks of 33", 33],
  ["token by token", 1],
] as const;

for (const type of ["f32", "f16", "q8_0"]) {
  const rounding = roundingOfLogits(type);
  describe(`Llama.decode() on ${type} weights`, () => {
    for (const kvType of ["f32", "f16", "q8_0"] satisfies KvType[]) {
      test(`Llama.decode() gives the oracle's logits with a cache of ${kvType}`, async () => {
        const before = await liveObjects();
        {
          using llama = await Llama.load(paths[type], { batchSize: 256, kvType });
          for (const [i, length] of lengths.entries()) {
            const { exact, rounded } = expected[type][i];
            for (const [way, chunk] of ways) {
              const logits = await lastLogits(llama, goldenTokens(prompts, length), chunk);
              const label = `${length} tokens ${way}`;
              expect(largestDifference(logits, rounded[kvType]), label).toBeLessThan(
                BOUNDS[kvType].rounded + rounding,
              );
              expect(largestDifference(logits, exact), label).toBeLessThan(BOUNDS[kvType].exact + rounding);
            }
          }
        }
        await expectNoMoreThan(before);
      });
    }
  });
}
