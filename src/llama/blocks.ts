/**
 * The page table of the KV cache: which block of cache slots holds which positions of which sequence. Bookkeeping
 * only, no device: `cache.ts` owns the memory. Blocks are counted, so that sequences can share a prefix; whoever writes
 * into a shared block gets a copy of its own first.
 */
import { ContextFullError } from "./errors.ts";

export type BlockTableOptions = {
  /** Positions in a block. */
  readonly blockSize: number;
  /** Blocks in the cache. */
  readonly blockCount: number;
  /** Sequences that can be open at once. */
  readonly sequenceCount: number;
  /** Blocks that one sequence can hold: its context length in blocks. */
  readonly blocksPerSequence: number;
  /** The most positions of one sequence. */
  readonly contextLength: number;
};

export class BlockTable {
  readonly options: BlockTableOptions;
  /** [sequenceCount, blocksPerSequence]; position p of sequence s is in block entries[s, floor(p / blockSize)]. */
  readonly entries: Uint32Array;
  readonly #references: Uint32Array; // [blockCount]
  readonly #free: number[]; // a stack; its top is taken first
  readonly #lengths: (number | undefined)[]; // positions by sequence, undefined while it is closed

  constructor(options: BlockTableOptions) {
    this.options = options;
    this.entries = new Uint32Array(options.sequenceCount * options.blocksPerSequence);
    this.#references = new Uint32Array(options.blockCount);
    this.#free = Array.from({ length: options.blockCount }, (_, i) => options.blockCount - 1 - i);
    this.#lengths = new Array(options.sequenceCount).fill(undefined);
  }

  get freeBlocks(): number {
    return this.#free.length;
  }

  get openSequences(): number {
    return this.#lengths.filter((length) => length !== undefined).length;
  }

  /** Opens an empty sequence and returns its number. */
  open(): number {
    const sequence = this.#lengths.indexOf(undefined);
    if (sequence < 0) {
      throw new RangeError(
        `Cannot open a sequence: all ${this.options.sequenceCount} are in use, dispose one or load with a larger maxSequences`,
      );
    }
    this.#lengths[sequence] = 0;
    return sequence;
  }

  /** Closes a sequence; blocks that no other one shares are free again. */
  close(sequence: number): void {
    this.rewind(sequence, 0);
    this.#lengths[sequence] = undefined;
  }

  /** Positions that the sequence holds. */
  length(sequence: number): number {
    const length = this.#lengths[sequence];
    if (length === undefined) throw new RangeError(`Sequence ${sequence} is not open`);
    return length;
  }

  /** Forgets all positions from `length` on. */
  rewind(sequence: number, length: number): void {
    const before = this.length(sequence);
    if (!Number.isInteger(length) || length < 0 || length > before) {
      throw new RangeError(`Cannot rewind sequence ${sequence} to ${length}: it holds ${before} positions`);
    }
    for (let index = this.#blocks(length); index < this.#blocks(before); index++) {
      this.#release(this.#block(sequence, index));
    }
    this.#lengths[sequence] = length;
  }

  /** Lets the empty sequence `target` share the first `length` positions of `source`, without a copy. */
  share(source: number, target: number, length: number): void {
    if (this.length(target) !== 0) throw new RangeError(`Sequence ${target} is not empty`);
    if (!Number.isInteger(length) || length < 0 || length > this.length(source)) {
      throw new RangeError(
        `Cannot share ${length} positions: sequence ${source} holds ${this.length(source)}`,
      );
    }
    for (let index = 0; index < this.#blocks(length); index++) {
      const block = this.#block(source, index);
      this.entries[target * this.options.blocksPerSequence + index] = block;
      this.#references[block] = this.#references[block] + 1;
    }
    this.#lengths[target] = length;
  }

  /** New blocks that `count` more positions of the sequence would take. */
  blocksNeeded(sequence: number, count: number): number {
    const length = this.length(sequence);
    if (count === 0) return 0;
    const copied = this.#writesShared(sequence) ? 1 : 0;
    return this.#blocks(length + count) - this.#blocks(length) + copied;
  }

  /** Whether the sequence has room for so many more positions, and their blocks are free. */
  hasRoom(sequence: number, count: number): boolean {
    return (
      this.length(sequence) + count <= this.options.contextLength &&
      this.blocksNeeded(sequence, count) <= this.freeBlocks
    );
  }

  /** Throws a ContextFullError unless the sequence has room for `count` more positions. */
  checkRoom(sequence: number, count: number): void {
    const used = this.length(sequence);
    const limit = this.options.contextLength;
    if (used + count > limit) {
      throw new ContextFullError(
        `Cannot add ${count} positions to a sequence of ${used}: the context holds ${limit}, rewind or load with a larger contextLength`,
        { used, requested: count, limit },
      );
    }
  }

  /** Throws a ContextFullError unless `blocks` blocks are free. */
  checkFree(blocks: number): void {
    if (blocks <= this.#free.length) return;
    const { blockCount, blockSize } = this.options;
    const used = blockCount - this.#free.length;
    throw new ContextFullError(
      `Cannot take ${blocks} cache blocks of ${blockSize} positions: ${used} of ${blockCount} are in use, rewind or dispose a sequence`,
      { used: used * blockSize, requested: blocks * blockSize, limit: blockCount * blockSize },
    );
  }

  /**
   * Adds the next position of the sequence and returns its cache slot.
   *
   * @param copy Called when the block to write to is shared: it must copy the slots of block `from` to block `to`.
   */
  append(sequence: number, copy: (from: number, to: number) => void): number {
    this.checkRoom(sequence, 1);
    const { blockSize, blocksPerSequence } = this.options;
    const position = this.length(sequence);
    const entry = sequence * blocksPerSequence + Math.floor(position / blockSize);
    if (position % blockSize === 0) {
      this.entries[entry] = this.#take();
    } else if (this.#writesShared(sequence)) {
      const shared = this.entries[entry];
      const own = this.#take();
      try {
        copy(shared, own);
      } catch (error) {
        this.#release(own);
        throw error;
      }
      this.#release(shared);
      this.entries[entry] = own;
    }
    this.#lengths[sequence] = position + 1;
    return this.entries[entry] * blockSize + (position % blockSize);
  }

  /** Whether the next position falls into a block that another sequence holds too. */
  #writesShared(sequence: number): boolean {
    const length = this.length(sequence);
    if (length % this.options.blockSize === 0) return false;
    return this.#references[this.#block(sequence, this.#blocks(length) - 1)] > 1;
  }

  #blocks(length: number): number {
    return Math.ceil(length / this.options.blockSize);
  }

  #block(sequence: number, index: number): number {
    return this.entries[sequence * this.options.blocksPerSequence + index];
  }

  #take(): number {
    this.checkFree(1);
    const block = this.#free.pop() as number;
    this.#references[block] = 1;
    return block;
  }

  #release(block: number): void {
    const references = this.#references[block] - 1;
    this.#references[block] = references;
    if (references === 0) this.#free.push(block);
  }
}
