import { Buffer } from "node:buffer";
import { GgufError } from "./errors.ts";
import type { ByteSource } from "./source.ts";

const WINDOW_BYTES = 1 << 20;

/**
 * The most bytes that the part before the tensor data may have. The largest vocabularies in use need about 20 MB; the
 * limit keeps a hostile file, which can be sparse and claim any size, from filling memory.
 */
export const MAX_HEADER_BYTES: number = 128 << 20;

/**
 * Reads little-endian values one after another from a source, through a window of about 1 MiB. Every read is checked
 * against the end of the source first, and memory grows only with bytes that are really there.
 */
export class Cursor {
  readonly #source: ByteSource;
  readonly #decoder: TextDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #window: Buffer = Buffer.alloc(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  /** File offset of the window's first byte. */
  #windowStart = 0;
  /** Next byte to read, relative to the window. */
  #at = 0;
  /** Number of valid bytes in the window. */
  #filled = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** File offset of the next byte to read. */
  get offset(): number {
    return this.#windowStart + this.#at;
  }

  /** Number of bytes between the next byte to read and the end of the file. */
  get remaining(): number {
    return this.#source.size - this.offset;
  }

  u8(field: string): number {
    const at = this.#take(1, field);
    return this.#view.getUint8(at);
  }

  i8(field: string): number {
    const at = this.#take(1, field);
    return this.#view.getInt8(at);
  }

  u16(field: string): number {
    const at = this.#take(2, field);
    return this.#view.getUint16(at, true);
  }

  i16(field: string): number {
    const at = this.#take(2, field);
    return this.#view.getInt16(at, true);
  }

  u32(field: string): number {
    const at = this.#take(4, field);
    return this.#view.getUint32(at, true);
  }

  i32(field: string): number {
    const at = this.#take(4, field);
    return this.#view.getInt32(at, true);
  }

  f32(field: string): number {
    const at = this.#take(4, field);
    return this.#view.getFloat32(at, true);
  }

  f64(field: string): number {
    const at = this.#take(8, field);
    return this.#view.getFloat64(at, true);
  }

  u64(field: string): bigint {
    const at = this.#take(8, field);
    return this.#view.getBigUint64(at, true);
  }

  i64(field: string): bigint {
    const at = this.#take(8, field);
    return this.#view.getBigInt64(at, true);
  }

  /** Reads a 64-bit count, length or offset as a number. Values above 2^53 describe nothing that can exist. */
  size(field: string): number {
    const at = this.#take(8, field);
    const value = this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
    if (value > Number.MAX_SAFE_INTEGER) {
      const offset = this.#windowStart + at;
      throw new GgufError(`Cannot read ${field} at byte ${offset}: ${value} is larger than any file`, {
        offset,
        field,
      });
    }
    return value;
  }

  /** Reads a string: a 64-bit length in bytes, then UTF-8 text, which is not terminated. */
  string(field: string): string {
    const length = this.size(field);
    const start = this.#take(length, field);
    const end = start + length;
    // Several times faster than the decoder, but it replaces what is not UTF-8. The decoder tells whether it did.
    const text = this.#window.toString("utf8", start, end);
    if (!text.includes("\ufffd")) return text;
    try {
      return this.#decoder.decode(this.#window.subarray(start, end));
    } catch {
      const offset = this.#windowStart + start;
      throw new GgufError(`Cannot read ${field} at byte ${offset}: the text is not UTF-8`, { offset, field });
    }
  }

  /** Reads `count` strings. A vocabulary has very many short ones: those that the window has as a whole take a short way. */
  strings(count: number, field: string): string[] {
    const strings: string[] = []; // grows with what is read: a count alone reserves nothing
    while (strings.length < count) {
      const [window, view, filled] = [this.#window, this.#view, this.#filled];
      let at = this.#at;
      while (strings.length < count && at + 8 <= filled) {
        const start = at + 8;
        const end = start + view.getUint32(at, true);
        if (end > filled || view.getUint32(at + 4, true) !== 0) break;
        const text = window.toString("utf8", start, end);
        if (text.includes("\ufffd")) break;
        strings.push(text);
        at = end;
      }
      this.#at = at;
      if (strings.length < count) strings.push(this.string(field));
    }
    return strings;
  }

  /** Reads `count` elements of `elementBytes` each and returns a copy, which is aligned for any typed array. */
  copy(count: number, elementBytes: number, field: string): ArrayBuffer {
    const start = this.#take(count * elementBytes, field);
    const copy = new ArrayBuffer(count * elementBytes);
    new Uint8Array(copy).set(this.#window.subarray(start, start + copy.byteLength));
    return copy;
  }

  /** Makes the next `length` bytes available, moves past them, and returns their place in the window. */
  #take(length: number, field: string): number {
    if (this.#at + length > this.#filled) this.#fill(length, field);
    const start = this.#at;
    this.#at += length;
    return start;
  }

  #fill(length: number, field: string): void {
    const offset = this.offset;
    if (length > this.remaining) throw this.#truncated(length, field);
    if (offset + length > MAX_HEADER_BYTES) {
      const limit = `more than the ${MAX_HEADER_BYTES} bytes that this reader accepts before the tensor data`;
      throw new GgufError(`Cannot read ${field} at byte ${offset}: ${length} bytes here make ${limit}`, {
        offset,
        field,
      });
    }
    const wanted = Math.min(Math.max(length, WINDOW_BYTES), this.remaining);
    const kept = this.#window.subarray(this.#at, this.#filled);
    const window = wanted <= this.#window.length ? this.#window : Buffer.allocUnsafeSlow(wanted);
    window.set(kept);
    let filled = kept.length;
    while (filled < length) {
      const read = this.#source.read(window.subarray(filled, wanted), offset + filled);
      if (read === 0) throw this.#truncated(length, field);
      filled += read;
    }
    this.#window = window;
    this.#view = new DataView(window.buffer, window.byteOffset, window.length);
    this.#windowStart = offset;
    this.#at = 0;
    this.#filled = filled;
  }

  #truncated(length: number, field: string): GgufError {
    const offset = this.offset;
    const there = `the file has ${this.#source.size} bytes and ends before the ${length} needed here`;
    return new GgufError(`Cannot read ${field} at byte ${offset}: ${there}; is the download complete?`, {
      offset,
      field,
    });
  }
}
