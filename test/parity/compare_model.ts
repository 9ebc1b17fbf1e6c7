/**
 * Logits and greedy tokens of a model file beside llama.cpp's.
 *
 * llama.cpp rounds: keys and values to F16, and the other factor of a product with quantised weights to 8 bits. So there
 * are two yardsticks. One is the same weights written as F32, with keys and values in F32, where llama.cpp rounds nothing:
 * ours must be nearer to that than llama.cpp's own settings are to each other. The other is the file itself, from which
 * ours may differ by what llama.cpp's rounding costs llama.cpp.
 */
import { expect } from "bun:test";
import { Llama } from "../../src/llama/index.ts";
import { largestDifference } from "../llama/oracle.ts";
import { mulberry32 } from "../reference/random.ts";
import { type ContextSettings, LlamaCpp, largest } from "./llama_cpp_logits.ts";
import { vocabulary } from "./random_model.ts";

/** `make parity-quick`: fewer models and settings of llama.cpp's, shorter prompts, fewer steps. */
export const isQuick: boolean = process.env.QUICK === "1";

const LENGTHS = isQuick ? [1, 7, 64] : [1, 7, 64, 300];
const STEPS = isQuick ? 8 : 32;
/** Prompts of other lengths than this one are compared at their end alone. */
const GREEDY_LENGTH = 64;
/** Positions of ours and of llama.cpp's: which of Phi's two sets of frequency factors are used depends on it. */
const CONTEXT = 512;

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
  ...(isQuick ? [] : [{ threads: 2 }, { batchSize: 32 }]),
  { flashAttention: true },
];
/**
 * Ours against the exact model, logits up to 5: sums of 512 products with activations that the CPU device's native kernels
 * round to 16 bits (test/llama/rounding.ts). It is less than half of what llama.cpp's own settings differ by there, which is
 * checked, too.
 */
const SUMS = 2e-3;
/** Ours against the file (and against a table of llama.cpp's), over what rounding costs llama.cpp at these settings or others. */
const ROUNDING = 1.25;

function prompts(seed: number): readonly number[][] {
  const random = mulberry32(seed);
  return LENGTHS.map((length) =>
    Array.from({ length }, (_, i) => (i === 0 ? 1 : 3 + Math.floor(random() * (vocabulary.length - 3)))),
  );
}

/** Our logits after each of the texts that follow each other. */
async function ours(llama: Llama, texts: readonly (readonly number[])[]): Promise<Float32Array[]> {
  using sequence = llama.sequence();
  const all: Float32Array[] = [];
  for (const tokens of texts) {
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

/** llama.cpp's logits after the longest prompt. */
export async function logitsOfLlamaCpp(path: string): Promise<Float32Array> {
  await using model = await LlamaCpp.load(path);
  const [logits] = await model.logits(prompts(0)[LENGTHS.length - 1], 0, plain);
  return logits;
}

export type ModelFiles = {
  /** The model. */
  readonly path: string;
  /** The same weights in F32. */
  readonly meant: string;
};

/**
 * llama.cpp's GELU is a table from halves to halves, also where it rounds nothing else. Then float64 says what is exact,
 * and what the table costs in float64 is how far llama.cpp may be from it.
 */
export type Float64Judges = {
  readonly exact: () => Judge;
  readonly tabulated: () => Judge;
};

type Judge = {
  /** Logits after the last of the tokens that follow. */
  feed(tokens: readonly number[]): Float64Array;
};

/** Compares, prints a line of maxima, and expects them within the bounds. */
export async function compareModel(
  name: string,
  seed: number,
  { path, meant }: ModelFiles,
  judges?: Float64Judges,
): Promise<void> {
  await using file = await LlamaCpp.load(path);
  await using exactly = await LlamaCpp.load(meant);
  using llama = await Llama.load(path, { contextLength: CONTEXT });

  const most = { exact: 0, spread: 0, file: 0, rounding: 0, fileSpread: 0, tabulated: 0, table: 0 };
  const note = (field: keyof typeof most, a: ArrayLike<number>, b: ArrayLike<number>): void => {
    most[field] = Math.max(most[field], largestDifference(a, b));
  };
  let flips = 0;
  for (const prompt of prompts(seed)) {
    const steps = prompt.length === GREEDY_LENGTH ? STEPS : 0;
    const unrounded = await exactly.logits(prompt, steps, exact);
    const next = unrounded.slice(0, -1).map(largest);
    const feeds = [prompt, ...next.map((token) => [token])];
    const found = await ours(llama, feeds);
    const judge = judges?.exact();
    const truth = judge === undefined ? unrounded : feeds.map((tokens) => judge.feed(tokens));
    const tabulated = judges?.tabulated();

    const theirs = await file.logits(prompt, 0, plain);
    note("rounding", theirs[0], truth[0]);
    note("file", found[0], theirs[0]);
    for (const variation of variations) {
      const [other] = await exactly.logits(prompt, 0, { ...exact, ...variation });
      note("spread", other, unrounded[0]);
      const [otherFile] = await file.logits(prompt, 0, { ...plain, ...variation });
      note("fileSpread", otherFile, theirs[0]);
      note("rounding", otherFile, truth[0]);
    }
    expect(found.length).toBe(truth.length);
    found.forEach((logits, i) => {
      note("exact", logits, truth[i]);
      if (tabulated !== undefined) {
        note("table", tabulated.feed(feeds[i]), truth[i]);
        note("tabulated", logits, unrounded[i]);
      }
      if (largest(logits) === largest(truth[i])) return;
      flips++;
      const gap = logits[largest(logits)] - logits[largest(truth[i])];
      expect(gap, `step ${i} of ${name} chooses another token, and it is no near tie`).toBeLessThan(2 * SUMS);
    });
  }
  const show = (value: number): string => value.toExponential(1);
  const table =
    judges === undefined
      ? ""
      : `; from its exact logits ${show(most.tabulated)} (what its table costs ${show(most.table)})`;
  console.log(
    `${name.padEnd(6)} seed ${seed}: ours from exact ${show(most.exact)} (llama.cpp's settings ${show(most.spread)}); from llama.cpp ${show(most.file)} (its rounding ${show(most.rounding)}, its settings ${show(most.fileSpread)})${table}; ${flips} of ${STEPS} greedy tokens flipped`,
  );
  expect(most.exact).toBeLessThanOrEqual(Math.min(SUMS, most.spread / 2));
  expect(most.tabulated).toBeLessThanOrEqual(ROUNDING * most.table);
  expect(most.file).toBeLessThanOrEqual(ROUNDING * most.rounding);
  expect(flips).toBe(0);
}
