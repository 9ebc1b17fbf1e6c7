const SPACE = 0x20;

/** Turns tokens into text as they arrive. Made by `Tokenizer.stream()`; one for each text. */
export class StreamDecoder {
  readonly #bytesOf: (id: number) => Uint8Array;
  // A byte order mark is a character like any other here, and text begins with one now and then.
  readonly #decoder: TextDecoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #dropsSpace: boolean;

  /**
   * @param bytesOf Returns the bytes that a token adds to the text.
   * @param dropsSpace Whether a space at the very start is the tokenizer's own and is left out.
   */
  constructor(bytesOf: (id: number) => Uint8Array, dropsSpace: boolean) {
    this.#bytesOf = bytesOf;
    this.#dropsSpace = dropsSpace;
  }

  /**
   * Returns the text that this token completes. The bytes of an incomplete character are held back until a later token
   * completes it, or shows that it never will be, when they become U+FFFD.
   *
   * @throws {RangeError} If there is no such token.
   */
  push(id: number): string {
    let bytes = this.#bytesOf(id);
    if (bytes.length === 0) return "";
    if (this.#dropsSpace && bytes[0] === SPACE) bytes = bytes.subarray(1);
    this.#dropsSpace = false;
    return this.#decoder.decode(bytes, { stream: true });
  }

  /** Ends the text: returns U+FFFD for a character that is still incomplete, or nothing. */
  end(): string {
    return this.#decoder.decode();
  }
}
