/**
 * The paged KV cache on the device: keys and values of all layers in one private buffer, handed out in blocks of
 * positions. Kernels find position p of a sequence in slot entries[sequence, p / blockSize] * blockSize + p % blockSize
 * of each layer, so sequences can share blocks and no sequence needs memory in one piece.
 */
import type { Buffer, Device } from "../runtime/index.ts";
import { BlockTable } from "./blocks.ts";
import type { LlamaConfig } from "./config.ts";

/** How keys and values are stored. */
export type KvType = "f16" | "f32";

/** Positions in a block: small enough that a short sequence wastes little, large enough for a short page table. */
export const BLOCK_SIZE = 32;

export type KvCacheOptions = {
  readonly contextLength: number;
  readonly maxSequences: number;
  readonly kvType: KvType;
};

/** Where one layer's keys and values lie in the cache's buffer, each [slots, kvHeads * headLength]. */
export type KvLayerOffsets = { readonly keys: number; readonly values: number };

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
  /** By layer, in bytes. */
  readonly layers: readonly KvLayerOffsets[];
  readonly byteLength: number;
};

/** The layout of a cache with room for `maxSequences` full contexts. */
export function layoutCache(config: LlamaConfig, options: KvCacheOptions): KvLayout {
  const blocksPerSequence = Math.ceil(options.contextLength / BLOCK_SIZE);
  const blockCount = blocksPerSequence * options.maxSequences;
  const slots = blockCount * BLOCK_SIZE;
  const slotBytes = config.headCountKv * config.headLength * (options.kvType === "f16" ? 2 : 4);
  const part = slots * slotBytes; // the keys or the values of one layer
  const layers = Array.from({ length: config.blockCount }, (_, i) => ({
    keys: 2 * i * part,
    values: (2 * i + 1) * part,
  }));
  return {
    blocksPerSequence,
    blockCount,
    slots,
    slotBytes,
    layers,
    byteLength: 2 * config.blockCount * part,
  };
}

export class KvCache implements Disposable {
  readonly type: KvType;
  readonly blocks: BlockTable;
  readonly layout: KvLayout;
  readonly buffer: Buffer;

  /** Allocates room for `maxSequences` full contexts. Dispose it after all that uses it. */
  constructor(device: Device, config: LlamaConfig, options: KvCacheOptions) {
    this.type = options.kvType;
    this.layout = layoutCache(config, options);
    const { blocksPerSequence, blockCount, byteLength } = this.layout;
    this.blocks = new BlockTable({
      blockSize: BLOCK_SIZE,
      blockCount,
      sequenceCount: options.maxSequences,
      blocksPerSequence,
      contextLength: options.contextLength,
    });
    if (byteLength > device.info.maxBufferLength) {
      throw new RangeError(
        `Cannot hold a KV cache of ${byteLength} bytes: the device's largest buffer has ${device.info.maxBufferLength}, load with a smaller contextLength or maxSequences`,
      );
    }
    this.buffer = device.buffer(byteLength, { storage: "private", label: "KV cache" });
  }

  get byteLength(): number {
    return this.buffer.byteLength;
  }

  /** Adds the next position of the sequence and returns its slot. A block shared with another sequence is copied first. */
  append(sequence: number): number {
    return this.blocks.append(sequence, this.#copyBlock);
  }

  readonly #copyBlock = (from: number, to: number): void => {
    const length = BLOCK_SIZE * this.layout.slotBytes;
    for (const { keys, values } of this.layout.layers) {
      for (const part of [keys, values]) {
        this.buffer.copyFrom(this.buffer, part + from * length, part + to * length, length);
      }
    }
  };

  [Symbol.dispose](): void {
    this.buffer[Symbol.dispose]();
  }
}
