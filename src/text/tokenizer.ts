import { ChatFormatter, type ChatMessage, type ChatOptions, markSpecial, unusedMark } from "./chat.ts";
import { splitAtSpecialTokens } from "./special.ts";
import { StreamDecoder } from "./stream.ts";
import type { AlgorithmTables, TokenizerTables } from "./tables.ts";
import { TokenTable } from "./tokens.ts";
import { tokenTypes, type Vocabulary } from "./vocabulary.ts";

export interface EncodeOptions {
  /** Whether to begin with the BOS token. Default: what the vocabulary asks for. */
  readonly addBos?: boolean | undefined;
  /** Whether to end with the EOS token. Default: what the vocabulary asks for. */
  readonly addEos?: boolean | undefined;
  /**
   * Whether text such as `</s>` becomes the control token of that name. Default: false, so that text from users cannot
   * contain control tokens. User-defined tokens are found in either case.
   */
  readonly parseSpecial?: boolean | undefined;
}

export interface DecodeOptions {
  /**
   * Whether the tokens continue a text. If not, the space that SentencePiece puts before a text is left out again.
   * Default: false.
   */
  readonly continued?: boolean | undefined;
  /** Whether to write control tokens as their names, such as `</s>`. Default: false, they have no text. */
  readonly special?: boolean | undefined;
}

/** Turns text into tokens and back. It holds no state between calls, and no native memory. */
export interface Tokenizer {
  /** Number of tokens; ids are 0 to `vocabSize - 1`. */
  readonly vocabSize: number;
  /** Id of the token that begins a text, if there is one. */
  readonly bos: number | undefined;
  /** Id of the token that ends a text, if there is one. */
  readonly eos: number | undefined;
  /** Whether `encode` begins with BOS unless told otherwise. */
  readonly addBos: boolean;

  /**
   * Returns the ids of a text's tokens. Lone surrogates become U+FFFD.
   *
   * @throws {RangeError} If BOS or EOS is asked for and the vocabulary has none.
   */
  encode(text: string, options?: EncodeOptions): number[];

  /**
   * Returns the text of tokens. Bytes that are not UTF-8 become U+FFFD.
   *
   * @throws {RangeError} If an id is not in the vocabulary.
   */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;

  /**
   * Returns a chat as text, as the model's file says that it is to be written. Where the file has no template, the text
   * is as the model's family writes it. Its special tokens are text: prefer `encodeChat`, which keeps them apart from
   * what the messages say.
   *
   * @throws {ChatTemplateError} If the template cannot be read or applied, or refuses the messages.
   */
  applyChatTemplate(messages: readonly ChatMessage[], options?: ChatOptions): string;

  /**
   * Returns the tokens of a chat, for `Llama.generate`. Control tokens come of the template alone: a message that spells
   * one out stays text. BOS is there once, where the template or the vocabulary asks for it.
   *
   * @throws {ChatTemplateError} If the template cannot be read or applied, or refuses the messages.
   */
  encodeChat(messages: readonly ChatMessage[], options?: ChatOptions): number[];

  /** Returns a decoder for tokens that arrive one at a time. It gives the same text as `decode`, in pieces. */
  stream(options?: DecodeOptions): StreamDecoder;

  /** Returns whether a model that produces this token has finished: EOS, end of turn and their like. */
  isEndOfGeneration(id: number): boolean;

  /**
   * Returns the bytes that a token adds to a text; none for control tokens. They may be part of a character. The array
   * is shared: do not write to it.
   *
   * @throws {RangeError} If the id is not in the vocabulary.
   */
  pieceBytes(id: number): Uint8Array;
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** What all tokenizers share: special tokens, BOS and EOS, and decoding by the bytes of each piece. */
export abstract class BaseTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly addBos: boolean;
  protected readonly table: TokenTable;
  readonly #addEos: boolean;
  readonly #dropsSpace: boolean;
  readonly #chat: ChatFormatter;
  readonly #pieces: (Uint8Array | undefined)[] = [];
  readonly #encoder: TextEncoder = new TextEncoder();

  protected constructor(vocabulary: Vocabulary, defaults: { addBos: boolean; hasSpacePrefix: boolean }) {
    this.table = new TokenTable(vocabulary);
    this.vocabSize = this.table.size;
    this.bos = vocabulary.bos;
    this.eos = vocabulary.eos;
    this.addBos = vocabulary.addBos ?? (defaults.addBos && this.bos !== undefined);
    this.#addEos = vocabulary.addEos ?? false;
    this.#dropsSpace = defaults.hasSpacePrefix;
    this.#chat = new ChatFormatter(vocabulary.chatTemplate, {
      bos: this.bos === undefined ? undefined : this.table.texts[this.bos],
      eos: this.eos === undefined ? undefined : this.table.texts[this.eos],
      has: (text) => this.table.idOf(text) !== undefined,
    });
    if ((this.addBos && this.bos === undefined) || (this.#addEos && this.eos === undefined)) {
      throw new RangeError(
        "Cannot make a tokenizer: the vocabulary asks for BOS or EOS around texts and has none",
      );
    }
  }

  /** What is known of the tokens, as plain tables. */
  tables(): TokenizerTables {
    return {
      ...this.algorithmTables(),
      pieces: Array.from({ length: this.vocabSize }, (_, id) => this.pieceBytes(id)),
      special: this.table.special,
      endOfGeneration: [...this.table.endOfGeneration],
      bos: this.bos,
      eos: this.eos,
      addBos: this.addBos,
      addEos: this.#addEos,
    };
  }

  /** The part of the tables that depends on the algorithm. */
  protected abstract algorithmTables(): AlgorithmTables;

  /** Appends the tokens of text that has no special tokens in it. `isFirst`: at the start or after a special token. */
  protected abstract encodeText(text: string, isFirst: boolean, output: number[]): void;

  /** Returns the bytes of a token of type normal. */
  protected abstract normalPiece(text: string): Uint8Array;

  /** Returns the byte that a token of type byte stands for. */
  protected abstract bytePiece(text: string): number;

  encode(text: string, options: EncodeOptions = {}): number[] {
    const output: number[] = [];
    if (options.addBos ?? this.addBos) output.push(this.#boundary("BOS", this.bos));
    this.#encodeParts(text, options.parseSpecial ?? false, "", output);
    if (options.addEos ?? this.#addEos) output.push(this.#boundary("EOS", this.eos));
    return output;
  }

  /** Appends the tokens of a text. `mark` is left out of it, once special tokens have been found. */
  #encodeParts(text: string, parseSpecial: boolean, mark: string, output: number[]): void {
    let isFirst = true;
    for (const part of splitAtSpecialTokens(text.toWellFormed(), this.table.special, parseSpecial)) {
      if (typeof part === "number") output.push(part);
      else this.encodeText(mark === "" ? part : part.replaceAll(mark, ""), isFirst, output);
      isFirst = typeof part === "number";
    }
  }

  applyChatTemplate(messages: readonly ChatMessage[], options: ChatOptions = {}): string {
    return this.#chat.format(messages, options);
  }

  encodeChat(messages: readonly ChatMessage[], options: ChatOptions = {}): number[] {
    const control = this.table.special.filter(({ isControl }) => isControl).map(({ text }) => text);
    const mark = unusedMark(messages);
    const text = this.#chat.format(markSpecial(messages, control, mark), options);
    const output: number[] = [];
    this.#encodeParts(text, true, mark, output);
    if (this.addBos && this.bos !== undefined && output[0] !== this.bos) output.unshift(this.bos);
    return output;
  }

  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    const stream = this.stream(options);
    let text = "";
    for (const id of ids) text += stream.push(id);
    return text + stream.end();
  }

  stream(options: DecodeOptions = {}): StreamDecoder {
    const bytesOf = (id: number): Uint8Array => {
      const bytes = this.pieceBytes(id);
      return options.special && bytes.length === 0 ? this.#encoder.encode(this.table.texts[id]) : bytes;
    };
    return new StreamDecoder(bytesOf, this.#dropsSpace && !options.continued);
  }

  isEndOfGeneration(id: number): boolean {
    return this.table.endOfGeneration.has(id);
  }

  pieceBytes(id: number): Uint8Array {
    let piece = this.#pieces[id];
    if (piece === undefined) {
      piece = this.#makePiece(id);
      this.#pieces[id] = piece;
    }
    return piece;
  }

  #makePiece(id: number): Uint8Array {
    const text = this.table.texts[id];
    if (text === undefined) {
      throw new RangeError(`Cannot decode token ${id}: the vocabulary has ${this.vocabSize} tokens`);
    }
    switch (this.table.type(id)) {
      case tokenTypes.normal:
        return this.normalPiece(text);
      case tokenTypes.userDefined:
        return this.#encoder.encode(text);
      case tokenTypes.byte:
        return Uint8Array.of(this.bytePiece(text));
      default:
        return NO_BYTES;
    }
  }

  #boundary(name: string, id: number | undefined): number {
    if (id !== undefined) return id;
    throw new RangeError(`Cannot add ${name} to the text: the vocabulary has no such token`);
  }
}
