import type { KvCache } from "./cache.ts";

/**
 * One text in the KV cache: the tokens that the model has seen, in order. Open one with `llama.sequence()`, feed it with
 * `llama.decode()` or `llama.generate()`, and dispose it to give its blocks back. Belongs to the model that opened it.
 */
export class Sequence implements Disposable {
  /** The page-table row: 0 .. maxSequences - 1. Another sequence may get it once this one is disposed. */
  readonly index: number;
  readonly #cache: KvCache;
  readonly #tokens: number[] = [];
  /** Positions behind the tokens that are taken for steps on their way, whose tokens are not known. */
  #reserved = 0;
  #open = true;
  #claimed = false;

  /** @internal Use `llama.sequence()`. */
  constructor(cache: KvCache) {
    this.#cache = cache;
    this.index = cache.blocks.open();
  }

  /** The tokens at positions 0, 1, 2 ... */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /** Positions that are taken; the next token goes to this one. */
  get length(): number {
    return this.#tokens.length;
  }

  /** Whether the sequence was opened in this cache and not disposed. */
  isOpenIn(cache: KvCache): boolean {
    return this.#open && cache === this.#cache;
  }

  /**
   * Forgets all tokens from position `length` on, so that another continuation can follow.
   *
   * @throws {RangeError} If the sequence is shorter, or was disposed.
   */
  rewind(length: number): void {
    this.#check();
    this.forgetReserved();
    this.#cache.blocks.rewind(this.index, length);
    this.#tokens.length = length;
  }

  /**
   * Opens another sequence that begins with the first `length` tokens of this one. Nothing is computed, and what is
   * shared is stored once until one of the two goes on.
   *
   * @param length Tokens to share; all of them unless told.
   * @throws {RangeError} If this sequence is shorter or was disposed, or all sequences are in use.
   */
  fork(length: number = this.length): Sequence {
    this.#check();
    this.forgetReserved();
    const fork = new Sequence(this.#cache);
    try {
      this.#cache.blocks.share(this.index, fork.index, length);
    } catch (error) {
      fork[Symbol.dispose]();
      throw error;
    }
    for (let i = 0; i < length; i++) fork.#tokens.push(this.#tokens[i]);
    return fork;
  }

  /** @internal Reserves the sequence for one generation, until the claim is disposed. */
  claim(): Disposable {
    this.#check();
    if (this.#claimed) {
      throw new RangeError(
        `Sequence ${this.index} is in use by another generation, wait for its end or fork it`,
      );
    }
    this.#claimed = true;
    return {
      [Symbol.dispose]: () => {
        this.#claimed = false;
      },
    };
  }

  /** @internal Takes the next position for a token and returns the cache slot that its keys and values go to. */
  append(token: number): number {
    this.forgetReserved();
    const slot = this.reserve();
    this.confirm(token);
    return slot;
  }

  /** @internal Positions that are reserved. Whatever else changes the sequence forgets them. */
  get reserved(): number {
    return this.#reserved;
  }

  /** @internal The position that is reserved next. */
  get nextPosition(): number {
    return this.length + this.#reserved;
  }

  /** @internal Whether so many more positions can be reserved. */
  hasRoom(count: number): boolean {
    return this.#cache.blocks.hasRoom(this.index, count);
  }

  /** @internal Takes the next position for a token that is not known yet, and returns its cache slot. */
  reserve(): number {
    this.#check();
    const slot = this.#cache.append(this.index);
    this.#reserved++;
    return slot;
  }

  /** @internal Says which token is at the first reserved position. */
  confirm(token: number): void {
    this.#reserved--;
    this.#tokens.push(token);
  }

  /** @internal Gives up the reserved positions. */
  forgetReserved(): void {
    if (this.#reserved === 0) return;
    this.#reserved = 0;
    this.#cache.blocks.rewind(this.index, this.#tokens.length);
  }

  /** Gives the sequence's blocks back to the cache. Disposing twice is fine. */
  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    this.#reserved = 0;
    this.#cache.blocks.close(this.index);
    this.#tokens.length = 0;
  }

  #check(): void {
    if (!this.#open) throw new RangeError(`Sequence ${this.index} was disposed before this use`);
  }
}
