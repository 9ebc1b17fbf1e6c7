/** Turns steps of the model into streamed text: sampling, stop strings, clean UTF-8, and the rules for ending. */
import { createSampler, type Sampler, type SamplerOptions } from "../sample/index.ts";
import { StopMatcher, type Tokenizer } from "../text/index.ts";
import type { Row } from "./batch.ts";
import { ContextFullError } from "./errors.ts";
import type { Lookahead } from "./lookahead.ts";
import type { Sequence } from "./sequence.ts";

export type GenerateOptions = SamplerOptions & {
  /** Tokens to generate at most. Default: as many as the context has room for. */
  readonly maxTokens?: number;
  /** Generation ends before the first of these strings, which is not part of the text. Default: none. */
  readonly stop?: string | readonly string[];
  /** Whether texts as `<s>` in the prompt stand for special tokens. Default: false, they are plain text. */
  readonly parseSpecial?: boolean;
  /**
   * A sequence to go on in. The prompt is the whole text so far; what the sequence holds of its beginning is not computed
   * again, and the rest of it is forgotten. It keeps what was generated. Default: a new one that is disposed at the end.
   */
  readonly sequence?: Sequence;
  /** Ends generation with the signal's reason, between two tokens. */
  readonly signal?: AbortSignal;
};

/** Why a generation ended, and what it took: the return value of the generator. */
export type GenerateResult = {
  readonly reason: "endOfText" | "stopString" | "maxTokens";
  readonly promptTokens: number;
  /** Tokens of the prompt that the sequence held already. */
  readonly reusedTokens: number;
  readonly generatedTokens: number;
};

/** What generation needs of the model. */
export type StepRunner = {
  readonly tokenizer: Tokenizer;
  readonly contextLength: number;
  openSequence(): Sequence;
  /** Throws unless the sequence is open and this model's. */
  checkSequence(sequence: Sequence): void;
  /** Runs the rows; hands each wanted row of logits, valid during the call only, to `onLogits`. */
  run(rows: readonly Row[], onLogits: (logits: Float32Array) => void, signal?: AbortSignal): Promise<void>;
  /**
   * What has the device choose the tokens of a generation, where it can; its owner disposes it.
   *
   * @param last The last position whose token's step may be needed.
   */
  lookahead(sequence: Sequence, sampler: Sampler, last: number): Lookahead | undefined;
  countPrompt(tokens: number, seconds: number): void;
  countGenerated(tokens: number, seconds: number): void;
};

/** Streams the continuation of a prompt, given as text or as token ids. See `Llama.generate`. */
export async function* generate(
  model: StepRunner,
  prompt: string | readonly number[],
  options: GenerateOptions,
): AsyncGenerator<string, GenerateResult, void> {
  const { tokenizer } = model;
  const { signal } = options;
  const sampler = createSampler(options);
  const stops = new StopMatcher(typeof options.stop === "string" ? [options.stop] : (options.stop ?? []));
  const tokens = promptTokens(model, prompt, options.parseSpecial ?? false);
  const maxTokens = options.maxTokens ?? model.contextLength - tokens.length;
  if (!(maxTokens >= 0)) throw new RangeError(`maxTokens must be a number from 0 on, not ${maxTokens}`);
  signal?.throwIfAborted();

  using owned = new DisposableStack();
  const sequence = options.sequence ?? owned.use(model.openSequence());
  model.checkSequence(sequence);
  owned.use(sequence.claim());
  const reusedTokens = rewindToCommonPrefix(sequence, tokens);

  let generatedTokens = 0;
  const result = (reason: GenerateResult["reason"]): GenerateResult => ({
    reason,
    promptTokens: tokens.length,
    reusedTokens,
    generatedTokens,
  });
  let next = -1;
  const sample = (logits: Float32Array): void => {
    next = sampler.sample(logits, sequence.tokens);
  };
  const text = tokenizer.stream({ continued: true });
  const last = Math.min(model.contextLength, tokens.length + maxTokens - 1) - 1; // no step follows the last token
  const lookahead = model.lookahead(sequence, sampler, last);
  if (lookahead !== undefined) owned.use(lookahead);

  const promptStart = performance.now();
  await model.run(promptRows(sequence, tokens), sample, signal);
  model.countPrompt(tokens.length - reusedTokens, (performance.now() - promptStart) / 1e3);

  while (generatedTokens < maxTokens) {
    if (tokenizer.isEndOfGeneration(next)) {
      yield* remaining(stops.push(text.end()).text + stops.end());
      return result("endOfText");
    }
    generatedTokens++;
    const shown = stops.push(text.push(next));
    if (shown.text !== "") yield shown.text;
    if (shown.stop !== undefined) return result("stopString");
    if (generatedTokens === maxTokens) break;

    signal?.throwIfAborted();
    // Not sequence.length: where somebody rewound the sequence meanwhile, this has to fail.
    const position = tokens.length + generatedTokens - 1;
    if (lookahead !== undefined) {
      const chosen = await lookahead.next(next, position);
      next = chosen.token;
      model.countGenerated(1, chosen.seconds);
    } else {
      const start = performance.now();
      await model.run([{ token: next, position, sequence, wantsLogits: true }], sample, signal);
      model.countGenerated(1, (performance.now() - start) / 1e3);
    }
  }
  yield* remaining(stops.push(text.end()).text + stops.end());
  return result("maxTokens");
}

function* remaining(text: string): Generator<string> {
  if (text !== "") yield text;
}

function promptTokens(
  model: StepRunner,
  prompt: string | readonly number[],
  parseSpecial: boolean,
): readonly number[] {
  const tokens =
    typeof prompt === "string" ? model.tokenizer.encode(prompt, { parseSpecial, addEos: false }) : prompt;
  if (tokens.length === 0)
    throw new RangeError("Cannot generate from an empty prompt: this model has no start token");
  if (tokens.length > model.contextLength) {
    throw new ContextFullError(
      `Cannot take a prompt of ${tokens.length} tokens: the context holds ${model.contextLength}, shorten it or load with a larger contextLength`,
      { used: 0, requested: tokens.length, limit: model.contextLength },
    );
  }
  return tokens;
}

/** Keeps what the sequence holds of the prompt, but its last token: that one has to give logits. */
function rewindToCommonPrefix(sequence: Sequence, tokens: readonly number[]): number {
  const held = sequence.tokens;
  let common = 0;
  while (common < held.length && common < tokens.length - 1 && held[common] === tokens[common]) common++;
  sequence.rewind(common);
  return common;
}

function promptRows(sequence: Sequence, tokens: readonly number[]): Row[] {
  const rows: Row[] = [];
  for (let position = sequence.length; position < tokens.length; position++) {
    const wantsLogits = position === tokens.length - 1;
    rows.push({ token: tokens[position], position, sequence, wantsLogits });
  }
  return rows;
}
