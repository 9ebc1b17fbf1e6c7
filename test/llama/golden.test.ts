// The same file, the same prompts: llama.cpp's token ids, logits and greedy continuations.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { Llama, type Row } from "../../src/llama/index.ts";
import {
  continuationsOf,
  type GoldenPrompt,
  goldenModels,
  goldenTypes,
  readGolden,
  runsOf,
} from "./golden.ts";
import { expectNoMoreThan, liveObjects } from "./live.ts";
import { roundingOfLogits } from "./rounding.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const prompts = await readGolden();

/**
 * How far a logit may be from llama.cpp's, which rounds activations to F16, or to blocks of eight bits for files of
 * quantised weights. Ours stay in F32, so we are much nearer to `fp32_top10`.
 */
const bounds = { f16: 2e-2, q8_0: 1e-1, q4_0: 1e-1, q4_k_m: 1e-1 } as const;
const FP32_BOUND = 4e-3; // what rounding keys and values to F16 makes of it

function argmax(logits: Float32Array): number {
  return logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
}

/** Feeds tokens behind what the sequence holds; returns the last logits. */
async function feed(
  llama: Llama,
  sequence: Row["sequence"],
  tokens: readonly number[],
): Promise<Float32Array> {
  const [logits] = await llama.decode(
    tokens.map((token, i) => ({
      token,
      position: sequence.length + i,
      sequence,
      wantsLogits: i === tokens.length - 1,
    })),
  );
  return logits;
}

/** Steps of a greedy continuation that gave another token than llama.cpp: both logits, where the two were nearly equal. */
async function greedyFlips(llama: Llama, prompt: GoldenPrompt, greedy: readonly number[]): Promise<string[]> {
  using sequence = llama.sequence();
  let logits = await feed(llama, sequence, prompt.ids_bos);
  const flips: string[] = [];
  for (const [step, token] of greedy.entries()) {
    const ours = argmax(logits);
    if (ours !== token) {
      const gap = logits[ours] - logits[token];
      flips.push(`step ${step}: ours ${ours} (${logits[ours]}), llama.cpp's ${token} (${logits[token]})`);
      expect(gap, `"${prompt.text}" ${flips.at(-1)} is no near tie`).toBeLessThan(bounds.f16);
    }
    logits = await feed(llama, sequence, [token]);
  }
  return flips;
}

for (const type of goldenTypes) {
  describe(`Llama on the ${type} file`, () => {
    test(`Llama.tokenizer, decode() and generate() give what llama.cpp gives on ${type}`, async () => {
      const before = await liveObjects();
      {
        using llama = await Llama.load(goldenModels[type]);
        let continuations = 0;
        for (const prompt of prompts) {
          const run = new Map(runsOf(prompt)).get(type);
          if (run === undefined) throw new Error(`golden.json lacks ${type}`);
          expect(llama.tokenizer.encode(prompt.text)).toEqual([...prompt.ids_bos]);

          using sequence = llama.sequence();
          const logits = await feed(llama, sequence, prompt.ids_bos);
          sequence[Symbol.dispose]();
          for (const [token, logit] of run.top10) {
            const label = `"${prompt.text}" token ${token}`;
            expect(Math.abs(logits[token] - logit), label).toBeLessThan(bounds[type]);
          }
          for (const [token, logit] of run.fp32_top10) {
            const label = `"${prompt.text}" token ${token}, fp32`;
            expect(Math.abs(logits[token] - logit), label).toBeLessThan(FP32_BOUND + roundingOfLogits(type));
          }
          if (run.greedy === undefined) continue;
          expect(await greedyFlips(llama, prompt, run.greedy)).toEqual([]);
          const maxTokens = run.greedy.length;
          let text = "";
          for await (const piece of llama.generate(prompt.text, { temperature: 0, maxTokens })) text += piece;
          // llama.cpp decoded the continuation alone, without the space before its first word.
          expect(text.trimStart()).toBe(run.greedy_text?.trimStart() ?? "");
          continuations++;
        }
        expect(continuations).toBe(continuationsOf[type]);
      }
      await expectNoMoreThan(before);
    });
  });
}
