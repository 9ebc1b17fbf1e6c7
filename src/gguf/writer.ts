/** How a GGUF file is laid out for writing: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. */
import { type GgmlType, ggmlLayout } from "./blocks.ts";
import type { GgufTensor } from "./header.ts";

/** A tensor that is to be written. */
export interface TensorToWrite {
  readonly name: string;
  readonly type: GgmlType;
  /** As in `GgufTensor`: the row's length first. */
  readonly shape: readonly number[];
}

/** A file that is to be written: its first bytes, and where the tensors' data go. Bytes between them are zeros. */
export interface GgufPlan {
  readonly header: Uint8Array;
  /** In the order in which they were given, each behind the one before. */
  readonly tensors: readonly GgufTensor[];
  readonly byteLength: number;
}

/** Number of the value type of 32 unsigned bits. */
const U32 = 4;

const utf8 = new TextEncoder();

/** The bytes of a key with a whole number from 0 to 2^32 - 1. */
export function encodeCount(key: string, value: number): Uint8Array {
  const out = new HeaderWriter();
  out.string(key);
  out.u32(U32);
  out.u32(value);
  return out.finish();
}

/**
 * Lays a file out.
 *
 * @param entries Keys with their values, encoded: as `encodeCount` gives them, or copied from another file.
 * @param alignment What `general.alignment` among the entries says, or 32.
 */
export function planGguf(
  entries: readonly Uint8Array[],
  tensors: readonly TensorToWrite[],
  alignment: number,
): GgufPlan {
  const aligned = (offset: number): number => Math.ceil(offset / alignment) * alignment;
  const out = new HeaderWriter();
  out.bytes(utf8.encode("GGUF"));
  out.u32(3); // version
  out.u64(tensors.length);
  out.u64(entries.length);
  for (const entry of entries) out.bytes(entry);
  const sized: { tensor: TensorToWrite; byteLength: number; offset: number }[] = [];
  let dataLength = 0;
  for (const tensor of tensors) {
    const { blockSize, blockBytes } = ggmlLayout(tensor.type);
    const elements = tensor.shape.reduce((product, length) => product * length, 1);
    const byteLength = (elements / blockSize) * blockBytes;
    sized.push({ tensor, byteLength, offset: dataLength });
    out.string(tensor.name);
    out.u32(tensor.shape.length);
    for (const length of tensor.shape) out.u64(length);
    out.u32(ggmlLayout(tensor.type).id);
    out.u64(dataLength);
    dataLength = aligned(dataLength + byteLength);
  }
  const header = out.finish();
  const dataStart = aligned(header.length); // not padded in memory: a file may ask for any alignment
  return {
    header,
    tensors: sized.map(({ tensor: { name, type, shape }, byteLength, offset }) => ({
      name,
      type,
      shape,
      part: 0,
      offset: dataStart + offset,
      byteLength,
    })),
    byteLength: dataStart + dataLength,
  };
}

/** Collects little-endian values. */
class HeaderWriter {
  #buffer = new Uint8Array(4096);
  #length = 0;

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length - bytes.length);
  }

  u32(value: number): void {
    this.#reserve(4);
    new DataView(this.#buffer.buffer).setUint32(this.#length - 4, value, true);
  }

  /** A whole number from 0 to 2^53 - 1. */
  u64(value: number): void {
    this.u32(value % 2 ** 32);
    this.u32(Math.floor(value / 2 ** 32));
  }

  string(text: string): void {
    const bytes = utf8.encode(text);
    this.u64(bytes.length);
    this.bytes(bytes);
  }

  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  /** Adds that many zeros. */
  #reserve(count: number): void {
    this.#length += count;
    if (this.#length <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.max(this.#length, 2 * this.#buffer.length));
    larger.set(this.#buffer.subarray(0, this.#length - count));
    this.#buffer = larger;
  }
}
