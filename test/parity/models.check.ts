/**
 * Logits and greedy tokens of small random models, one of each type, beside llama.cpp's.
 *
 * llama.cpp rounds: keys and values to F16, and the other factor of a product with quantised weights to 8 bits. So there
 * are two yardsticks. One is the same weights written as F32, with keys and values in F32, where llama.cpp rounds nothing:
 * ours must be nearer to that than llama.cpp's own settings are to each other. The other is the file itself, from which
 * ours may differ by what llama.cpp's rounding costs llama.cpp.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Llama } from "../../src/llama/index.ts";
import { type QuantizeType, quantize } from "../../src/quantize/index.ts";
import { mulberry32 } from "../reference/random.ts";
import { type ContextSettings, LlamaCpp, largest } from "./llama_cpp_logits.ts";
import { vocabulary, writeDequantized, writeRandomModel } from "./random_model.ts";

setDefaultTimeout(300_000);

const SEED = 4;
const LENGTHS = [1, 7, 64, 300] as const;
const STEPS = 32;
/** Prompts of other lengths than this one are compared at their end alone. */
const GREEDY_LENGTH = 64;

/** Types that are quantised to, and those of which there are random blocks. */
const types: readonly (QuantizeType | "iq4_nl" | "iq4_xs" | "mxfp4")[] = [
  "F32",
  "F16",
  "BF16",
  "Q8_0",
  "Q4_0",
  "Q4_1",
  "Q5_0",
  "Q5_1",
  "Q2_K",
  "Q3_K",
  "Q4_K",
  "Q5_K",
  "Q6_K",
  "iq4_nl",
  "iq4_xs",
  "mxfp4",
];

const F16 = 1;
const plain: ContextSettings = {
  threads: 1,
  batchSize: 512,
  flashAttention: false,
  kvCacheKeyType: F16,
  kvCacheValueType: F16,
};
const exact: ContextSettings = { ...plain, kvCacheKeyType: 0, kvCacheValueType: 0 };
const variations: readonly Partial<ContextSettings>[] = [
  { threads: 2 },
  { batchSize: 32 },
  { flashAttention: true },
];
/**
 * Ours against the exact model: numbers of 24 bits, sums of 512 terms, logits up to 5. It is a fraction of what
 * llama.cpp's own settings differ by there, which is checked, too.
 */
const SUMS = 1e-4;
/** Ours against the file, over what rounding costs llama.cpp at these settings or others. */
const ROUNDING = 1.25;

const directory = mkdtempSync(join(tmpdir(), "bun-metal-parity-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function difference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) throw new RangeError(`Cannot compare ${a.length} logits with ${b.length}`);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
}

function prompts(): readonly number[][] {
  const random = mulberry32(SEED);
  return LENGTHS.map((length) =>
    Array.from({ length }, (_, i) => (i === 0 ? 1 : 3 + Math.floor(random() * (vocabulary.length - 3)))),
  );
}

/** Our logits after a prompt, and after each of the tokens behind it. */
async function ours(
  llama: Llama,
  prompt: readonly number[],
  next: readonly number[],
): Promise<Float32Array[]> {
  using sequence = llama.sequence();
  const all: Float32Array[] = [];
  for (const tokens of [prompt, ...next.map((token) => [token])]) {
    const start = sequence.length;
    all.push(
      ...(await llama.decode(
        tokens.map((token, i) => ({
          token,
          position: start + i,
          sequence,
          wantsLogits: i === tokens.length - 1,
        })),
      )),
    );
  }
  return all;
}

for (const type of types) {
  test(`a random model in ${type} gives the logits that llama.cpp gives`, async () => {
    const [source, path, meant] = ["f32", type, `${type}-meant`].map((name) =>
      join(directory, `${name}.gguf`),
    );
    if (type === "iq4_nl" || type === "iq4_xs" || type === "mxfp4") {
      writeRandomModel(path, SEED, type);
    } else {
      writeRandomModel(source, SEED);
      await quantize(source, path, type, { pure: true });
    }
    writeDequantized(meant, path);
    await using file = await LlamaCpp.load(path);
    await using exactly = await LlamaCpp.load(meant);
    using llama = await Llama.load(path, { contextLength: 512 });

    const most = { exact: 0, spread: 0, file: 0, rounding: 0, fileSpread: 0 };
    let flips = 0;
    for (const prompt of prompts()) {
      const steps = prompt.length === GREEDY_LENGTH ? STEPS : 0;
      const truth = await exactly.logits(prompt, steps, exact);
      const next = truth.slice(0, -1).map(largest);
      const found = await ours(llama, prompt, next);
      const theirs = await file.logits(prompt, 0, plain);
      for (const variation of variations) {
        const [other] = await exactly.logits(prompt, 0, { ...exact, ...variation });
        most.spread = Math.max(most.spread, difference(other, truth[0]));
        const [otherFile] = await file.logits(prompt, 0, { ...plain, ...variation });
        most.fileSpread = Math.max(most.fileSpread, difference(otherFile, theirs[0]));
        most.rounding = Math.max(most.rounding, difference(otherFile, truth[0]));
      }
      most.rounding = Math.max(most.rounding, difference(theirs[0], truth[0]));
      most.file = Math.max(most.file, difference(found[0], theirs[0]));
      expect(found.length).toBe(truth.length);
      found.forEach((logits, i) => {
        most.exact = Math.max(most.exact, difference(logits, truth[i]));
        if (largest(logits) === largest(truth[i])) return;
        flips++;
        const gap = logits[largest(logits)] - logits[largest(truth[i])];
        expect(gap, `step ${i} of ${type} chooses another token, and it is no near tie`).toBeLessThan(
          2 * SUMS,
        );
      });
    }
    const show = (value: number): string => value.toExponential(1);
    console.log(
      `${type.padEnd(5)} seed ${SEED}: ours from exact ${show(most.exact)} (llama.cpp's settings ${show(most.spread)}); from llama.cpp ${show(most.file)} (its rounding ${show(most.rounding)}, its settings ${show(most.fileSpread)}); ${flips} of ${STEPS} greedy tokens flipped`,
    );
    expect(most.exact).toBeLessThanOrEqual(Math.min(SUMS, most.spread));
    expect(most.file).toBeLessThanOrEqual(ROUNDING * most.rounding);
    expect(flips).toBe(0);
  });
}
