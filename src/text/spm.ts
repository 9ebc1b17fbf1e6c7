import { MergeQueue } from "./merge_queue.ts";
import type { SentencePieceTables } from "./tables.ts";
import { BaseTokenizer } from "./tokenizer.ts";
import { byteOfToken } from "./tokens.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** SentencePiece writes spaces as U+2581, "lower one eighth block". */
const SPACE_MARK = "\u2581";

const NO_KEY: Uint8Array = new Uint8Array(0);

/**
 * SentencePiece's BPE as Llama 2 uses it (Kudo and Richardson, https://arxiv.org/abs/1808.06226). Text starts as single
 * characters. As long as two neighbours together are a token, the two whose token has the highest score (of equals the
 * leftmost) are merged. What is no token in the end is written as its UTF-8 bytes.
 */
export class SentencePieceTokenizer extends BaseTokenizer {
  readonly #scores: Float32Array;
  /** Tokens of the 256 bytes; -1 where the vocabulary lacks one. */
  readonly #byteIds: Int32Array;
  readonly #unknown: number | undefined;
  readonly #addSpacePrefix: boolean;
  readonly #utf8: TextEncoder = new TextEncoder();

  /** @throws {RangeError} If the vocabulary contradicts itself. */
  constructor(vocabulary: Vocabulary) {
    const addSpacePrefix = vocabulary.addSpacePrefix ?? true;
    super(vocabulary, { addBos: true, hasSpacePrefix: addSpacePrefix });
    this.#addSpacePrefix = addSpacePrefix;
    this.#scores = new Float32Array(vocabulary.tokens.length);
    if (vocabulary.scores !== undefined) this.#scores.set(vocabulary.scores);
    if (this.#scores.includes(Number.NaN)) {
      const bad = this.#scores.findIndex(Number.isNaN);
      throw new RangeError(`Cannot make a tokenizer: the score of token ${bad} is not a number`);
    }
    this.#unknown = vocabulary.unknown;
    this.#byteIds = Int32Array.from({ length: 256 }, (_, byte) => this.#findByte(byte) ?? -1);
  }

  protected override encodeText(text: string, isFirst: boolean, output: number[]): void {
    const prefix = isFirst && this.#addSpacePrefix ? SPACE_MARK : "";
    const marked = prefix + text.replaceAll(" ", SPACE_MARK);
    const lengths = this.#merge(marked);
    for (let at = 0; at < marked.length; at += lengths[at] as number) {
      const symbol = marked.slice(at, at + (lengths[at] as number));
      const id = this.table.textId(symbol);
      if (id !== undefined) output.push(id);
      else for (const byte of this.#utf8.encode(symbol)) output.push(this.#byteId(byte));
    }
  }

  /** Returns the length of the symbol that starts at each place of the text; 0 where none starts any more. */
  #merge(text: string): Int32Array {
    const lengths = new Int32Array(text.length);
    /** Where the symbol before the one that starts here starts; -1 before the first. */
    const previous = new Int32Array(text.length);
    const queue = new MergeQueue(text.length);
    const consider = (left: number): void => {
      const right = left + (lengths[left] as number);
      if (right >= text.length) return;
      const length = right + (lengths[right] as number) - left;
      if (length > this.table.longest) return;
      const id = this.table.textId(text.slice(left, left + length));
      if (id !== undefined) queue.push(-(this.#scores[id] as number), left, length);
    };

    let before = -1;
    for (let at = 0; at < text.length; ) {
      const length = (text.codePointAt(at) as number) > 0xffff ? 2 : 1;
      lengths[at] = length;
      previous[at] = before;
      before = at;
      at += length;
    }
    for (let at = 0; at < text.length; at += lengths[at] as number) consider(at);

    while (queue.pop()) {
      const left = queue.left;
      const right = left + (lengths[left] as number);
      // The candidate is out of date if either symbol has since become part of, or grown into, another.
      if (lengths[left] === 0 || right >= text.length) continue;
      if (right + (lengths[right] as number) - left !== queue.tag) continue;
      lengths[left] = queue.tag;
      lengths[right] = 0;
      const next = left + queue.tag;
      if (next < text.length) previous[next] = left;
      if ((previous[left] as number) >= 0) consider(previous[left] as number);
      consider(left);
    }
    return lengths;
  }

  protected override algorithmTables(): SentencePieceTables {
    const keys = this.table.texts.map((text, id) =>
      this.table.textId(text) === id ? this.#utf8.encode(text) : NO_KEY,
    );
    const bytes = this.#byteIds.map((id) => (id >= 0 ? id : (this.#unknown ?? -1)));
    return {
      algorithm: "sentencepiece",
      keys,
      scores: this.#scores,
      bytes,
      addSpacePrefix: this.#addSpacePrefix,
    };
  }

  protected override normalPiece(text: string): Uint8Array {
    return this.#utf8.encode(text.replaceAll(SPACE_MARK, " "));
  }

  protected override bytePiece(text: string): number {
    return byteOfToken(text);
  }

  #findByte(byte: number): number | undefined {
    const hex = byte.toString(16).toUpperCase().padStart(2, "0");
    return (
      this.table.idOf(`<0x${hex}>`) ??
      (byte < 0x80 ? this.table.textId(String.fromCharCode(byte)) : undefined)
    );
  }

  #byteId(byte: number): number {
    const id = this.#byteIds[byte] as number;
    if (id >= 0) return id;
    if (this.#unknown !== undefined) return this.#unknown;
    const hex = byte.toString(16).padStart(2, "0");
    throw new RangeError(
      `Cannot encode the byte 0x${hex}: the vocabulary has no token for it and none for unknown text`,
    );
  }
}
