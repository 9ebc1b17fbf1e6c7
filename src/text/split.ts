/**
 * How byte-level BPE cuts text into words before merging. Each model family has its own rules, named in GGUF files by
 * `tokenizer.ggml.pre`. The expressions are those of the models' own tokenizers in the form that llama.cpp gives them.
 */
export interface PreTokenizer {
  /** Applied one after the other, each to the pieces that the one before left; what does not match is a piece too. */
  readonly expressions: readonly ExpressionName[];
  /** Whether a word that is a token as a whole becomes that token without merging. */
  readonly ignoresMerges: boolean;
  /** Whether texts begin with BOS if the vocabulary does not say. */
  readonly addBos: boolean;
}

// White space is Unicode's property: JavaScript's own \s lacks U+0085 and has U+FEFF.
const S = "\\p{White_Space}";
const notBeforeText = `(?!\\P{White_Space})`;
const contractions = "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]";

/** The expression of Llama 3 and its descendants, which differ in how many digits stay together. */
const llama3 = (digits: string): string =>
  `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^${S}\\p{L}\\p{N}]+[\\r\\n]*|` +
  `${S}*[\\r\\n]+|${S}+${notBeforeText}|${S}+`;

export type ExpressionName =
  | "gpt2"
  | "llama3"
  | "qwen2"
  | "number"
  | "punctuation"
  | "numbers"
  | "threeDigits";

/** The expressions by name. bridge/model/pre_tokenizer.c matches the same by hand. */
const expressions: Readonly<Record<ExpressionName, string>> = {
  gpt2: `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${S}\\p{L}\\p{N}]+|${S}+${notBeforeText}|${S}+`,
  llama3: llama3("\\p{N}{1,3}"),
  qwen2: llama3("\\p{N}"),
  number: "\\p{N}",
  punctuation: "[\\p{P}$+<=>^~|]+",
  numbers: "\\p{N}+",
  threeDigits: "[0-9][0-9][0-9]",
};

const families: readonly (PreTokenizer & { readonly names: readonly string[] })[] = [
  {
    names: ["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"],
    expressions: ["llama3"],
    ignoresMerges: true,
    addBos: true,
  },
  { names: ["dbrx", "smaug-bpe"], expressions: ["llama3"], ignoresMerges: false, addBos: false },
  {
    names: ["qwen2", "deepseek-r1-qwen", "megrez", "stablelm2"],
    expressions: ["qwen2"],
    ignoresMerges: false,
    addBos: false,
  },
  { names: ["gpt-2", "phi-2", "mpt", "olmo"], expressions: ["gpt2"], ignoresMerges: false, addBos: false },
  {
    names: ["smollm", "starcoder", "refact", "command-r", "codeshell"],
    expressions: ["number", "gpt2"],
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
    this.#expressions = names.map((name) => new RegExp(expressions[name], "gu"));
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
