/**
 * The paged KV cache on the device: keys and values of all layers in private buffers, handed out in blocks of
 * positions. Kernels find position p of a sequence in slot entries[sequence, p / blockSize] * blockSize + p % blockSize
 * of each layer, so sequences can share blocks and no sequence needs memory in one piece.
 */
import type { Buffer, Device } from "../runtime/index.ts";
import { dtypes, rowBytes } from "../tensor/index.ts";
import { BlockTable } from "./blocks.ts";
import type { LlamaConfig } from "./config.ts";
import { MemoryError } from "./errors.ts";

/** How keys and values are stored. */
export type KvType = "f16" | "f32" | "q8_0";

/** All of them. */
export const kvTypes: readonly KvType[] = ["f16", "f32", "q8_0"];

/** Positions in a block: small enough that a short sequence wastes little, large enough for a short page table. */
export const BLOCK_SIZE = 32;

export type KvCacheOptions = {
  readonly contextLength: number;
  readonly maxSequences: number;
  readonly kvType: KvType;
};

/** Where the keys, or the values, of one layer lie: [slots, kvHeads * headLength]. */
export type KvPlace = {
  /** Index into `KvLayout.buffers`. */
  readonly buffer: number;
  readonly offset: number; // bytes from the start of the buffer
};

/** Where all layers' keys and values lie. */
export type KvLayout = {
  /** Blocks of one sequence. */
  readonly blocksPerSequence: number;
  /** Blocks of the cache. */
  readonly blockCount: number;
  /** Cache slots in each layer. */
  readonly slots: number;
  /** Bytes of the keys, or the values, of one slot of a layer. */
  readonly slotBytes: number;
  /** By layer. */
  readonly layers: readonly { readonly keys: KvPlace; readonly values: KvPlace }[];
  /** Bytes of each buffer. */
  readonly buffers: readonly number[];
  /** Bytes of all buffers. */
  readonly byteLength: number;
};

/**
 * The layout of a cache with room for `maxSequences` full contexts. The keys of a layer lie in one piece, and so do its
 * values; as many of these as fit share a buffer.
 *
 * @param maxBufferLength Bytes of the largest buffer.
 * @throws {MemoryError} If the keys of one layer are over it.
 */
export function layoutCache(
  config: LlamaConfig,
  options: KvCacheOptions,
  maxBufferLength: number = Number.POSITIVE_INFINITY,
): KvLayout {
  const blocksPerSequence = Math.ceil(options.contextLength / BLOCK_SIZE);
  const blockCount = blocksPerSequence * options.maxSequences;
  const slots = blockCount * BLOCK_SIZE;
  const slotBytes = rowBytes(options.kvType, config.headCountKv * config.headLength);
  const part = slots * slotBytes; // the keys or the values of one layer
  const partCount = 2 * config.blockCount;
  const perBuffer = Math.min(partCount, Math.floor(maxBufferLength / part));
  if (perBuffer === 0) {
    throw new MemoryError(
      `Cannot hold a KV cache of ${partCount * part} bytes: the keys of one layer take ${part}, and the device's largest buffer has ${maxBufferLength}; load with a smaller contextLength or maxSequences`,
      { needed: part, available: maxBufferLength },
    );
  }
  const place = (index: number): KvPlace => ({
    buffer: Math.floor(index / perBuffer),
    offset: (index % perBuffer) * part,
  });
  return {
    blocksPerSequence,
    blockCount,
    slots,
    slotBytes,
    layers: Array.from({ length: config.blockCount }, (_, i) => ({
      keys: place(2 * i),
      values: place(2 * i + 1),
    })),
    buffers: Array.from(
      { length: Math.ceil(partCount / perBuffer) },
      (_, i) => Math.min(perBuffer, partCount - i * perBuffer) * part,
    ),
    byteLength: partCount * part,
  };
}

/** @throws {RangeError} If keys and values of the model cannot be stored so. */
export function checkKvType(kvType: KvType, config: LlamaConfig): void {
  if (!kvTypes.includes(kvType)) {
    throw new RangeError(`kvType must be "f16", "f32" or "q8_0", not "${kvType}"`);
  }
  const { blockLength } = dtypes[kvType];
  if (config.headLength % blockLength !== 0) {
    throw new RangeError(
      `kvType "${kvType}" needs heads of whole blocks of ${blockLength} elements, and those of the model have ${config.headLength}: use "f16"`,
    );
  }
}

export class KvCache implements Disposable {
  readonly type: KvType;
  readonly blocks: BlockTable;
  readonly layout: KvLayout;
  /** As `layout.buffers`. */
  readonly buffers: readonly Buffer[];
  readonly #owned: DisposableStack;

  /** Allocates what `layoutCache` made of the options. Dispose it after all that uses it. */
  constructor(device: Device, layout: KvLayout, options: KvCacheOptions) {
    this.type = options.kvType;
    this.layout = layout;
    const { blocksPerSequence, blockCount } = this.layout;
    this.blocks = new BlockTable({
      blockSize: BLOCK_SIZE,
      blockCount,
      sequenceCount: options.maxSequences,
      blocksPerSequence,
      contextLength: options.contextLength,
    });
    using owned = new DisposableStack();
    this.buffers = this.layout.buffers.map((byteLength, i) =>
      owned.use(device.buffer(byteLength, { storage: "private", label: `KV cache ${i}` })),
    );
    this.#owned = owned.move();
  }

  get byteLength(): number {
    return this.layout.byteLength;
  }

  /** Adds the next position of the sequence and returns its slot. A block shared with another sequence is copied first. */
  append(sequence: number): number {
    return this.blocks.append(sequence, this.#copyBlock);
  }

  readonly #copyBlock = (from: number, to: number): void => {
    const length = BLOCK_SIZE * this.layout.slotBytes;
    for (const { keys, values } of this.layout.layers) {
      for (const { buffer: index, offset } of [keys, values]) {
        const buffer = this.buffers[index];
        buffer.copyFrom(buffer, offset + from * length, offset + to * length, length);
      }
    }
  };

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}
