import { byteLetters, bytesOfLetters } from "./byte_letters.ts";
import { MergeQueue } from "./merge_queue.ts";
import { PairTable } from "./pair_table.ts";
import { findPreTokenizer, type PreTokenizer, Splitter } from "./split.ts";
import type { BytePairTables } from "./tables.ts";
import { BaseTokenizer } from "./tokenizer.ts";
import { byteOfToken } from "./tokens.ts";
import type { Vocabulary } from "./vocabulary.ts";

const NO_KEY: Uint8Array = new Uint8Array(0);

/** Words up to this many bytes are merged by plain search, which is faster for them than a queue. */
const SHORT_WORD = 24;

/**
 * Byte-level byte pair encoding (Sennrich et al., https://arxiv.org/abs/1508.07909; GPT-2). Text is cut into words by the
 * family's rules, a word into bytes. As long as two neighbours are in the list of merges, the two of the lowest rank (of
 * equals the leftmost) are merged.
 */
export class BytePairTokenizer extends BaseTokenizer {
  readonly #splitter: Splitter;
  readonly #preTokenizer: PreTokenizer;
  readonly #merges: PairTable;
  /** Symbols of the 256 bytes. Symbols that are tokens have the token's id; the others follow after the last token. */
  readonly #byteSymbols: Int32Array;
  /** Letters of the symbols that are no tokens. */
  readonly #extraSymbols: string[] = [];
  readonly #unknown: number | undefined;
  readonly #utf8: TextEncoder = new TextEncoder();
  readonly #word: Int32Array = new Int32Array(SHORT_WORD);

  /** @throws {RangeError} If the vocabulary contradicts itself, or its pre-tokenizer is unknown. */
  constructor(vocabulary: Vocabulary) {
    const preTokenizer: PreTokenizer = findPreTokenizer(vocabulary.pre || "default");
    super(vocabulary, { addBos: preTokenizer.addBos, hasSpacePrefix: false });
    if (vocabulary.merges === undefined) {
      throw new RangeError("Cannot make a tokenizer: a byte-level BPE vocabulary needs merges, and has none");
    }
    this.#splitter = new Splitter(preTokenizer.expressions);
    this.#preTokenizer = preTokenizer;
    this.#unknown = vocabulary.unknown;

    const extra = new Map<string, number>();
    const symbol = (letters: string): number => {
      const known = this.table.textId(letters) ?? extra.get(letters);
      if (known !== undefined) return known;
      const added = this.vocabSize + this.#extraSymbols.push(letters) - 1;
      extra.set(letters, added);
      return added;
    };
    this.#byteSymbols = Int32Array.from(byteLetters, symbol);
    this.#merges = new PairTable(vocabulary.merges.length);
    const ids = new Int32Array(3);
    vocabulary.merges.forEach((merge, rank) => {
      // Searched from the second character on, since the left half is never empty.
      const space = merge.indexOf(" ", 1);
      if (space < 0 || space === merge.length - 1) {
        const which = `merge ${rank} is ${JSON.stringify(merge.slice(0, 80))}, not two parts with a space between`;
        throw new RangeError(`Cannot make a tokenizer: ${which}`);
      }
      this.table.mergeIds(merge, space, ids);
      let [left, right, merged] = [ids[0] as number, ids[1] as number, ids[2] as number];
      // Nearly all are tokens. Others get their numbers in this order.
      if (left < 0) left = symbol(merge.slice(0, space));
      if (right < 0) right = symbol(merge.slice(space + 1));
      if (merged < 0) merged = symbol(merge.slice(0, space) + merge.slice(space + 1));
      this.#merges.add(left, right, merged, rank);
    });
  }

  protected override encodeText(text: string, _isFirst: boolean, output: number[]): void {
    for (const word of this.#splitter.split(text)) {
      const bytes = this.#utf8.encode(word);
      if (this.#preTokenizer.ignoresMerges) {
        const id = this.table.textId(lettersOf(bytes));
        if (id !== undefined) {
          output.push(id);
          continue;
        }
      }
      if (bytes.length <= SHORT_WORD) this.#encodeShort(bytes, output);
      else this.#encodeLong(bytes, output);
    }
  }

  #encodeShort(bytes: Uint8Array, output: number[]): void {
    const symbols = this.#word;
    let length = bytes.length;
    for (let i = 0; i < length; i++) symbols[i] = this.#byteSymbols[bytes[i] as number] as number;
    for (;;) {
      let best = -1;
      let bestRank = Number.POSITIVE_INFINITY;
      let bestSlot = -1;
      for (let i = 0; i + 1 < length; i++) {
        const slot = this.#merges.find(symbols[i] as number, symbols[i + 1] as number);
        if (slot < 0 || this.#merges.rank(slot) >= bestRank) continue;
        best = i;
        bestRank = this.#merges.rank(slot);
        bestSlot = slot;
      }
      if (best < 0) break;
      symbols[best] = this.#merges.merged(bestSlot);
      symbols.copyWithin(best + 1, best + 2, length);
      length--;
    }
    for (let i = 0; i < length; i++) this.#emit(symbols[i] as number, output);
  }

  /** The same in O(n log n): symbols form a linked list, candidates a queue. */
  #encodeLong(bytes: Uint8Array, output: number[]): void {
    const end = bytes.length;
    const symbols = Int32Array.from(bytes, (byte) => this.#byteSymbols[byte] as number);
    const next = Int32Array.from(bytes, (_, i) => i + 1);
    const previous = Int32Array.from(bytes, (_, i) => i - 1);
    const queue = new MergeQueue(end);
    const consider = (left: number): void => {
      const right = next[left] as number;
      if (right === end) return;
      const slot = this.#merges.find(symbols[left] as number, symbols[right] as number);
      if (slot >= 0) queue.push(this.#merges.rank(slot), left, slot);
    };
    for (let i = 0; i < end; i++) consider(i);
    while (queue.pop()) {
      const left = queue.left;
      const right = next[left] as number;
      // Out of date if the left symbol is gone (-1) or this pair is no longer what was queued.
      if (symbols[left] === -1 || right === end) continue;
      if (this.#merges.find(symbols[left] as number, symbols[right] as number) !== queue.tag) continue;
      symbols[left] = this.#merges.merged(queue.tag);
      symbols[right] = -1;
      next[left] = next[right] as number;
      if (next[left] !== end) previous[next[left] as number] = left;
      if (previous[left] !== -1) consider(previous[left] as number);
      consider(left);
    }
    for (let i = 0; i < end; i = next[i] as number) this.#emit(symbols[i] as number, output);
  }

  #emit(symbol: number, output: number[]): void {
    if (symbol < this.vocabSize) {
      output.push(symbol);
      return;
    }
    // Some vocabularies lack bytes that no text has, or a step between merges. What has no token at all is dropped, as
    // llama.cpp and the models' own tokenizers do.
    for (const letter of this.#extraSymbols[symbol - this.vocabSize] as string) {
      const letterId = this.table.textId(letter) ?? this.#unknown;
      if (letterId !== undefined) output.push(letterId);
    }
  }

  protected override algorithmTables(): BytePairTables {
    const keys = this.table.texts.map((text, id) =>
      this.table.textId(text) === id ? wordBytes(text) : NO_KEY,
    );
    const extraSymbols = this.#extraSymbols.map((_, i) => {
      const tokens: number[] = [];
      this.#emit(this.vocabSize + i, tokens);
      return tokens;
    });
    return {
      algorithm: "bytePair",
      keys,
      bytes: this.#byteSymbols,
      merges: this.#merges.triples(),
      extraSymbols,
      expressions: this.#preTokenizer.expressions,
      ignoresMerges: this.#preTokenizer.ignoresMerges,
    };
  }

  protected override normalPiece(text: string): Uint8Array {
    return bytesOfLetters(text);
  }

  protected override bytePiece(text: string): number {
    return byteOfToken(text);
  }
}

function lettersOf(bytes: Uint8Array): string {
  let letters = "";
  for (const byte of bytes) letters += byteLetters[byte] as string;
  return letters;
}

/** The word that becomes the token of these letters; none where some of them stand for no byte. */
function wordBytes(letters: string): Uint8Array {
  const bytes = bytesOfLetters(letters);
  return lettersOf(bytes) === letters ? bytes : NO_KEY;
}
