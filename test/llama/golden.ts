/** What llama.cpp gives for the repository's model: test/golden.json. Its `note` says how each number was made. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export type GoldenRun = {
  /** [token, logit] of the ten largest, llama.cpp's own arithmetic. */
  readonly top10: readonly (readonly [number, number])[];
  /** The same in fp32 arithmetic over the dequantised weights. */
  readonly fp32_top10: readonly (readonly [number, number])[];
  readonly greedy?: readonly number[];
  readonly greedy_text?: string;
};

export type GoldenPrompt = {
  readonly text: string;
  readonly ids_bos: readonly number[];
  readonly runs: Readonly<Record<string, GoldenRun>>;
};

const folders = {
  fixtures: join(import.meta.dirname, "../fixtures"),
  examples: join(import.meta.dirname, "../../examples/models"),
};

/**
 * The model's files. What llama.cpp calls Q4_0 and Q4_K_M are mixtures: both have a Q6_K embedding, and the latter Q4_K
 * and Q6_K matrices.
 */
export const goldenModels: Readonly<Record<"f16" | "q8_0" | "q4_0" | "q4_k_m", string>> = {
  f16: join(folders.fixtures, "austen-5m-f16.gguf"),
  q8_0: join(folders.examples, "austen-5m-q8_0.gguf"),
  q4_0: join(folders.fixtures, "austen-5m-q4_0.gguf"),
  q4_k_m: join(folders.fixtures, "austen-5m-q4_k_m.gguf"),
};

export type GoldenModel = keyof typeof goldenModels;

/** Prompts with a greedy continuation in which no step is a near tie. */
export const continuationsOf: Readonly<Record<GoldenModel, number>> = { f16: 3, q8_0: 3, q4_0: 1, q4_k_m: 3 };

/** All of the model's files. */
export const goldenTypes: readonly GoldenModel[] = Object.keys(goldenModels) as GoldenModel[];

export async function readGolden(): Promise<readonly GoldenPrompt[]> {
  const golden: { prompts: GoldenPrompt[] } = JSON.parse(
    readFileSync(join(import.meta.dirname, "../golden.json"), "utf8"),
  );
  return golden.prompts;
}

/** The runs of a prompt by file. */
export function runsOf(prompt: GoldenPrompt): readonly (readonly [GoldenModel, GoldenRun])[] {
  return goldenTypes.map((type) => [type, prompt.runs[`austen-5m-${type}.gguf`]] as const);
}

/** `length` tokens of real text: the prompts one after the other, again and again. */
export function goldenTokens(prompts: readonly GoldenPrompt[], length: number): number[] {
  const text = prompts.flatMap(({ ids_bos }) => ids_bos.slice(1));
  return Array.from({ length }, (_, i) => (i === 0 ? 1 : text[(i - 1) % text.length]));
}
