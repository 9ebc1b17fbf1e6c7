import { TextIndex } from "./text_index.ts";
import { tokenTypes, type Vocabulary } from "./vocabulary.ts";

/**
 * Tokens that end generation are known by their text, since few files name more than one of them. The list is that of
 * llama.cpp (`special_eog_ids`).
 */
const endTexts: readonly string[] = [
  "<|eot_id|>",
  "<|eom_id|>",
  "<|im_end|>",
  "<|end|>",
  "<|return|>",
  "<|call|>",
  "<end_of_turn>",
  "<|endoftext|>",
  "<|end_of_text|>",
  "</s>",
  "<EOT>",
  "_<EOT>",
  "[EOT]",
  "[EOS]",
  "<eos>",
  "<｜end▁of▁sentence｜>",
  "<end_of_utterance>",
];

/** Around the gap that a code model fills. Like those below, converted models often call them user-defined. */
const gapTexts: readonly string[] = [
  ...[
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<PRE>",
    "▁<PRE>",
    "<｜fim▁begin｜>",
    "<|code_prefix|>",
  ],
  ...[
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<SUF>",
    "▁<SUF>",
    "<｜fim▁hole｜>",
    "<|code_suffix|>",
  ],
  ...[
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<MID>",
    "▁<MID>",
    "<｜fim▁end｜>",
    "<|code_middle|>",
  ],
];

/** Padding and file separators of code models: where one appears, the text before it is complete. */
const separatorTexts: readonly string[] = [
  "<|fim_pad|>",
  "<fim-pad>",
  "<fim_pad>",
  "<PAD>",
  "[PAD]",
  "<|fim_repo|>",
  "<|repo_name|>",
  "<fim-repo>",
  "<REPO>",
  "<reponame>",
  "<|file_sep|>",
];

/** Special tokens of Phi 3 that do not take the white space after them. */
const keepsSpace: readonly string[] = ["<unk>", "<s>", "<|endoftext|>"];

/** A token that is found in text as a whole, before the tokenizer's own rules apply. */
export interface SpecialToken {
  readonly id: number;
  readonly text: string;
  /** Whether it is found only if the caller asks for special tokens. */
  readonly isControl: boolean;
  /** Whether white space after it belongs to it. */
  readonly stripsAfter: boolean;
}

/** A vocabulary's tokens, checked and indexed. */
export class TokenTable {
  readonly texts: readonly string[];
  /** Special tokens, the longest first. */
  readonly special: readonly SpecialToken[];
  readonly endOfGeneration: ReadonlySet<number>;
  /** Longest text in UTF-16 units: nothing longer needs to be looked up. */
  readonly longest: number;
  readonly #types: Uint8Array;
  readonly #ids: TextIndex;

  /**
   * @throws {RangeError} If arrays differ in length, a token is there twice, or an id is out of range.
   */
  constructor(vocabulary: Vocabulary) {
    const { tokens, types, scores } = vocabulary;
    if (tokens.length === 0) throw new RangeError("Cannot make a tokenizer: the vocabulary has no tokens");
    for (const [name, array] of Object.entries({ types, scores })) {
      if (array === undefined || array.length === tokens.length) continue;
      const lengths = `${array.length} ${name} for ${tokens.length} tokens`;
      throw new RangeError(`Cannot make a tokenizer: the vocabulary has ${lengths}`);
    }
    for (const name of ["bos", "eos", "eot", "eom", "unknown"] as const) {
      const id = vocabulary[name];
      if (id === undefined || (Number.isInteger(id) && id >= 0 && id < tokens.length)) continue;
      throw new RangeError(
        `Cannot make a tokenizer: the ${name} token ${id} is not among ${tokens.length} tokens`,
      );
    }

    this.texts = tokens;
    this.#types = new Uint8Array(tokens.length);
    if (types === undefined) this.#types.fill(tokenTypes.normal);
    else this.#types.set(types);
    // Empty tokens only fill gaps in the numbering; there can be several.
    this.#ids = new TextIndex(tokens);
    const { repeated } = this.#ids;
    if (repeated !== undefined) {
      const [first, second] = repeated;
      const which = `${JSON.stringify((tokens[first] as string).slice(0, 80))} is both token ${first} and token ${second}`;
      throw new RangeError(`Cannot make a tokenizer: ${which}`);
    }
    this.longest = this.#ids.longest;
    this.endOfGeneration = this.#findEndTokens(vocabulary);
    this.special = this.#findSpecialTokens(vocabulary.stripsAfterControl ?? false);
  }

  get size(): number {
    return this.texts.length;
  }

  /** Returns the token's type; 0 if there is no such token. */
  type(id: number): number {
    return this.#types[id] ?? 0;
  }

  /** Returns the id of the token with this text, of whatever type. */
  idOf(text: string): number | undefined {
    const id = this.#ids.find(text);
    return id < 0 ? undefined : id;
  }

  /**
   * Returns the id of the token that ordinary text may become. Control tokens are not among them: text that a user typed
   * must never steer the model, even if a vocabulary's pieces happen to add up to a control token.
   */
  textId(text: string): number | undefined {
    const id = this.#ids.find(text);
    return id < 0 || !this.#isOrdinary(id) ? undefined : id;
  }

  /**
   * What `textId` returns for the parts of a merge, before and behind the space at `space`, and for both of them joined; -1
   * for undefined.
   */
  mergeIds(merge: string, space: number, out: Int32Array): void {
    this.#ids.findParts(merge, space, out);
    for (let i = 0; i < 3; i++) {
      const id = out[i] as number;
      if (id >= 0 && !this.#isOrdinary(id)) out[i] = -1;
    }
  }

  #isOrdinary(id: number): boolean {
    const type = this.#types[id];
    return type !== tokenTypes.control && type !== tokenTypes.unknown && type !== tokenTypes.byte;
  }

  #findEndTokens(vocabulary: Vocabulary): ReadonlySet<number> {
    const ends = new Set<number>();
    for (const id of [vocabulary.eos, vocabulary.eot, vocabulary.eom]) if (id !== undefined) ends.add(id);
    for (const text of [...gapTexts, ...separatorTexts, ...endTexts]) {
      const id = this.#ids.find(text);
      if (id < 0) continue;
      if (!gapTexts.includes(text)) ends.add(id);
      // Some converted models call these normal, and would print them.
      this.#types[id] = tokenTypes.control;
    }
    return ends;
  }

  #findSpecialTokens(stripsAfter: boolean): SpecialToken[] {
    const special: SpecialToken[] = [];
    const types = this.#types;
    for (let id = 0; id < types.length; id++) {
      const type = types[id];
      if (type === tokenTypes.normal) continue; // nearly all
      const text = this.texts[id] as string;
      const isControl = type === tokenTypes.control || type === tokenTypes.unknown;
      if (text !== "" && (isControl || type === tokenTypes.userDefined))
        special.push({ id, text, isControl, stripsAfter: stripsAfter && !keepsSpace.includes(text) });
    }
    const encoder = new TextEncoder();
    const byteLengths = new Map(special.map(({ id, text }) => [id, encoder.encode(text).length]));
    return special.sort((a, b) => (byteLengths.get(b.id) ?? 0) - (byteLengths.get(a.id) ?? 0));
  }
}

/**
 * Returns the byte that a byte token stands for.
 *
 * @throws {RangeError} If the token's text is not `<0xNN>`.
 */
export function byteOfToken(text: string): number {
  const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(text)?.[1];
  if (hex === undefined) {
    throw new RangeError(
      `Cannot decode byte token ${JSON.stringify(text.slice(0, 80))}: its text is not "<0xNN>"`,
    );
  }
  return Number.parseInt(hex, 16);
}
