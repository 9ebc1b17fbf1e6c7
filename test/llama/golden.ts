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
  readonly runs: { readonly "austen-5m-f16.gguf": GoldenRun; readonly "austen-5m-q8_0.gguf": GoldenRun };
};

export async function readGolden(): Promise<readonly GoldenPrompt[]> {
  const golden: { prompts: GoldenPrompt[] } = JSON.parse(
    readFileSync(join(import.meta.dirname, "../golden.json"), "utf8"),
  );
  return golden.prompts;
}

/** The runs of a prompt by weight type. */
export function runsOf(prompt: GoldenPrompt): readonly (readonly ["f16" | "q8_0", GoldenRun])[] {
  return [
    ["f16", prompt.runs["austen-5m-f16.gguf"]],
    ["q8_0", prompt.runs["austen-5m-q8_0.gguf"]],
  ];
}

/** `length` tokens of real text: the prompts one after the other, again and again. */
export function goldenTokens(prompts: readonly GoldenPrompt[], length: number): number[] {
  const text = prompts.flatMap(({ ids_bos }) => ids_bos.slice(1));
  return Array.from({ length }, (_, i) => (i === 0 ? 1 : text[(i - 1) % text.length]));
}
