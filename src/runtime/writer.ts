/** Writes programs: one end of the byte format that bridge/bun_metal.h describes. Nothing else knows the encoding. */
import { abiVersion, programFormat as format, type Handle } from "../ffi/index.ts";
import type { Buffer } from "./buffer.ts";
import { requireBytes, requireSize, requireU32 } from "./check.ts";
import type { ProgramCounts } from "./program.ts";

/** Work items of one grid dimension: a number, or ceil(word / itemsPerGroup) with a dynamic word of the run. */
export type GridDimension = number | { readonly word: number; readonly itemsPerGroup: number };

/** x, and y and z where they are not 1. */
export type Grid = readonly [x: GridDimension, y?: GridDimension, z?: GridDimension];

/** What an argument of a kernel is bound to: a buffer, or the run's dynamic words, from a byte offset on. */
export type BufferBinding<B extends Bindable = Buffer> =
  | { readonly buffer: B; readonly offset?: number }
  | { readonly dynamicWords: number };

/** What a program names by its handle: a buffer, or what stands for one in a program that is not for this process. */
export interface Bindable {
  readonly handle: Handle;
  /** Memory of JavaScript's that the buffer lies in. */
  readonly memory?: object | undefined;
}

/** A kernel, as a program names it. */
export interface Runnable {
  readonly name: string;
  readonly handle: Handle;
}

/** One run of a kernel over a grid. Give `threadgroups` or `threads`. */
export interface Dispatch<B extends Bindable = Buffer> {
  readonly pipeline: Runnable;
  /** By argument index. */
  readonly buffers?: Readonly<Record<number, BufferBinding<B>>> | readonly (BufferBinding<B> | undefined)[];
  /** Inline constants, by argument index: 1 to 4096 bytes each, copied. */
  readonly constants?: Readonly<Record<number, ArrayBufferView>>;
  /** Bytes of threadgroup memory, by threadgroup argument index. */
  readonly threadgroupMemory?: Readonly<Record<number, number>>;
  /** The grid in threadgroups. */
  readonly threadgroups?: Grid;
  /** The grid in threads; threadgroups at its edges may be smaller. */
  readonly threads?: Grid;
  readonly threadsPerThreadgroup: readonly [x: number, y?: number, z?: number];
}

/** Words of the header; the operations follow. */
const headerWords = 4;

/** An operation's first word has 24 bits for its length. */
const mostOperationWords = 2 ** 24 - 1;

/**
 * Writes the operations of a program, in order. Those between two barriers may overlap and run in any order.
 *
 * Buffers and pipelines are written as the handles that they have, whatever those mean to the reader. Checked here is
 * only what could not be written as it was given.
 */
export class ProgramWriter<B extends Bindable = Buffer> {
  /** What messages call the program. */
  protected readonly label: string;
  readonly #dynamicWords: number;
  #words = new Uint32Array(256);
  #length = headerWords;
  #operations = 0;
  #dispatches = 0;
  #barriers = 0;
  readonly #keeps = new Set<object>();

  /** @param dynamicWords 32-bit words that each run brings */
  constructor(dynamicWords: number, label: string) {
    this.label = label;
    this.#dynamicWords = requireU32(dynamicWords, "a number of dynamic words");
  }

  /** Operations so far. */
  get operationCount(): number {
    return this.#operations;
  }

  /** Adds a run of a kernel. */
  dispatch(dispatch: Dispatch<B>): this {
    const { threadgroups, threads, threadsPerThreadgroup: perGroup } = dispatch;
    const grid = threads ?? threadgroups;
    if (grid === undefined || (threads !== undefined && threadgroups !== undefined)) {
      throw new TypeError(
        `Cannot dispatch "${dispatch.pipeline.name}": give its grid as either "threadgroups" or "threads"`,
      );
    }
    return this.#operation(format.dispatch, () => {
      this.#write(dispatch.pipeline.handle);
      this.#write(threads === undefined ? 0 : format.dispatchThreads);
      for (let axis = 0; axis < 3; axis++) this.#writeDimension(grid[axis] ?? 1);
      for (let axis = 0; axis < 3; axis++) this.#writeU32(perGroup[axis] ?? 1, "threads per threadgroup");
      this.#writeList(dispatch.buffers, this.#writeBinding);
      this.#writeList(dispatch.constants, this.#writeConstant);
      this.#writeList(dispatch.threadgroupMemory, this.#writeThreadgroupMemory);
      this.#dispatches++;
    });
  }

  /**
   * Adds a copy between buffers, or within one where the ranges do not overlap. Offsets and length in bytes, multiples
   * of 4 (Metal's rule for what the device does; `Buffer.copyFrom` takes any).
   */
  copy(source: B, sourceOffset: number, destination: B, destinationOffset: number, length: number): this {
    return this.#operation(format.copy, () => {
      this.#writeBuffer(source);
      this.#writeSize(sourceOffset, "a copy's source offset");
      this.#writeBuffer(destination);
      this.#writeSize(destinationOffset, "a copy's destination offset");
      this.#writeSize(length, "a copy's length");
    });
  }

  /** Adds a fill: sets bytes of a buffer to `value`, 0 to 255. Offset and length are multiples of 4. */
  fill(buffer: B, offset: number, length: number, value: number): this {
    return this.#operation(format.fill, () => {
      this.#writeBuffer(buffer);
      this.#writeSize(offset, "a fill's offset");
      this.#writeSize(length, "a fill's length");
      this.#writeU32(value, "a byte to fill with");
    });
  }

  /** What is added after it sees all writes of what was added before. */
  barrier(): this {
    return this.#operation(format.barrier, () => {
      this.#barriers++;
    });
  }

  /** The program's bytes, as the bridge reads them. */
  encode(): Uint8Array {
    this.#words.set([format.magic, abiVersion, this.#dynamicWords, this.#operations]);
    return new Uint8Array(this.#words.buffer, 0, this.#length * 4).slice();
  }

  /** What has been written so far. */
  protected get counts(): Omit<ProgramCounts, "byteLength"> {
    return { wordCount: this.#dynamicWords, dispatchCount: this.#dispatches, barrierCount: this.#barriers };
  }

  /** Memory of JavaScript's that the program's buffers lie in. */
  protected get keeps(): readonly object[] {
    return [...this.#keeps];
  }

  /** Writes one operation, whole or, where an argument is refused, not at all. */
  #operation(opcode: number, write: () => void): this {
    const start = this.#length;
    try {
      this.#write(opcode);
      write();
      const words = this.#length - start;
      if (words > mostOperationWords) throw new RangeError(`Cannot write an operation of ${words} words`);
      // A shift would make it negative, which a Uint32Array takes all the same; this says what is meant.
      this.#words[start] = opcode + words * 256;
    } catch (error) {
      this.#length = start;
      throw error;
    }
    this.#operations++;
    return this;
  }

  #writeDimension(dimension: GridDimension): void {
    if (typeof dimension === "object") {
      const { word, itemsPerGroup } = dimension;
      if (requireU32(word, "a grid's dynamic word") >= this.#dynamicWords) {
        throw new RangeError(
          `Cannot use dynamic word ${word} as a grid: ${this.label} has ${this.#dynamicWords}`,
        );
      }
      this.#writeU32(itemsPerGroup, "items per group");
      this.#write(word + 1);
      return;
    }
    this.#writeU32(dimension, "a grid's size");
    this.#write(0);
  }

  readonly #writeBinding = (index: number, binding: BufferBinding<B>): void => {
    this.#writeU32(index, "a buffer's index");
    if ("buffer" in binding) {
      this.#writeBuffer(binding.buffer);
      this.#writeSize(binding.offset ?? 0, "a buffer's offset");
    } else {
      this.#write(format.dynamicWords);
      this.#writeSize(binding.dynamicWords, "an offset into the dynamic words");
    }
  };

  readonly #writeConstant = (index: number, value: ArrayBufferView): void => {
    const bytes = requireBytes(value, "an inline constant");
    this.#writeU32(index, "an inline constant's index");
    this.#write(bytes.byteLength);
    const start = this.#length;
    const words = Math.ceil(bytes.byteLength / 4);
    this.#reserve(words);
    this.#words.fill(0, start, start + words);
    new Uint8Array(this.#words.buffer).set(bytes, start * 4);
    this.#length += words;
  };

  readonly #writeThreadgroupMemory = (index: number, length: number): void => {
    this.#writeU32(index, "a threadgroup memory's index");
    this.#writeU32(length, "a threadgroup memory's length");
  };

  /** Writes a count, then each entry that there is. */
  #writeList<T>(
    entries: Readonly<Record<number, T>> | readonly (T | undefined)[] | undefined,
    write: (index: number, entry: T) => void,
  ): void {
    const count = this.#length;
    this.#write(0);
    if (entries === undefined) return;
    for (const [index, entry] of Array.isArray(entries) ? entries.entries() : Object.entries(entries)) {
      if (entry === undefined) continue;
      write(Number(index), entry);
      this.#words[count]++;
    }
  }

  #writeBuffer(buffer: B): void {
    this.#write(buffer.handle);
    if (buffer.memory !== undefined) this.#keeps.add(buffer.memory);
  }

  #writeU32(value: number, name: string): void {
    this.#write(requireU32(value, name));
  }

  /** A size is two words, the low one first. */
  #writeSize(value: number, name: string): void {
    requireSize(value, name);
    this.#write(value % 2 ** 32);
    this.#write(Math.floor(value / 2 ** 32));
  }

  #write(word: number): void {
    this.#reserve(1);
    this.#words[this.#length++] = word;
  }

  #reserve(words: number): void {
    const needed = this.#length + words;
    if (needed <= this.#words.length) return;
    const larger = new Uint32Array(Math.max(needed, 2 * this.#words.length));
    larger.set(this.#words);
    this.#words = larger;
  }
}
