import { type ExpressionName, expressions } from "./expressions.ts";

/**
 * How byte-level BPE cuts text into words before merging. Each model family has its own rules, named in GGUF files by
 * `tokenizer.ggml.pre`.
 */
export interface PreTokenizer {
  /** Applied one after the other, each to the pieces that the one before left; what does not match is a piece too. */
  readonly expressions: readonly ExpressionName[];
  /** Whether a word that is a token as a whole becomes that token without merging. */
  readonly ignoresMerges: boolean;
  /** Whether texts begin with BOS if the vocabulary does not say. */
  readonly addBos: boolean;
}

const families: readonly (PreTokenizer & { readonly names: readonly string[] })[] = [
  {
    names: ["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "midm-2.0"],
    expressions: ["llama3"],
    ignoresMerges: true,
    addBos: true,
  },
  { names: ["dbrx", "smaug-bpe"], expressions: ["llama3"], ignoresMerges: false, addBos: false },
  {
    names: ["qwen2", "deepseek-r1-qwen", "kormo", "megrez", "stablelm2"],
    expressions: ["qwen2"],
    ignoresMerges: false,
    addBos: false,
  },
  {
    names: ["gpt-2", "phi-2", "mpt", "olmo", "gigachat", "a.x-4.0", "mellum", "trillion"],
    expressions: ["gpt2"],
    ignoresMerges: false,
    addBos: false,
  },
  {
    names: ["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
    expressions: ["number", "gpt2"],
    ignoresMerges: false,
    addBos: false,
  },
  { names: ["tekken"], expressions: ["tekken"], ignoresMerges: true, addBos: true },
  { names: ["gpt-4o", "llama4"], expressions: ["gpt4o"], ignoresMerges: false, addBos: false },
  { names: ["seed-coder"], expressions: ["seedCoder"], ignoresMerges: false, addBos: false },
  {
    names: ["deepseek-llm"],
    expressions: ["lineEnd", "alphabetWord", "markedWord", "trailingSpace", "eastAsian", "numbers"],
    ignoresMerges: false,
    addBos: false,
  },
  {
    names: ["deepseek-coder"],
    expressions: ["lineEnd", "spacedLetters", "spacedPunctuation", "eastAsian", "number"],
    ignoresMerges: false,
    addBos: false,
  },
  {
    names: ["deepseek-v3"],
    expressions: ["upToThreeNumbers", "hanAndKana", "deepseek3"],
    ignoresMerges: false,
    addBos: false,
  },
  {
    names: ["default"],
    expressions: ["punctuation", "gpt2", "numbers", "threeDigits"],
    ignoresMerges: false,
    addBos: false,
  },
];

/**
 * Returns the rules of this name.
 *
 * @throws {RangeError} If there are none; the message lists the known names.
 */
export function findPreTokenizer(name: string): PreTokenizer {
  const family = families.find(({ names }) => names.includes(name));
  if (family !== undefined) return family;
  const known = families.flatMap(({ names }) => names).join(", ");
  throw new RangeError(
    `Cannot make a tokenizer: the pre-tokenizer ${JSON.stringify(name.slice(0, 80))} is unknown; known are ${known}`,
  );
}

/** Cuts text into words by a pre-tokenizer's rules. */
export class Splitter {
  readonly #expressions: readonly RegExp[];

  constructor(names: readonly ExpressionName[]) {
    this.#expressions = names.map((name) => new RegExp(expressions[name], "gv"));
  }

  /** Returns the words of a text. Joined, they are the text again. */
  split(text: string): string[] {
    let pieces = [text];
    for (const expression of this.#expressions) pieces = pieces.flatMap((piece) => cut(piece, expression));
    return pieces;
  }
}

function cut(text: string, expression: RegExp): string[] {
  const pieces: string[] = [];
  let from = 0;
  for (const match of text.matchAll(expression)) {
    if (match.index > from) pieces.push(text.slice(from, match.index));
    pieces.push(match[0]);
    from = match.index + match[0].length;
  }
  if (from < text.length) pieces.push(text.slice(from));
  return pieces;
}
