/**
 * Writes `.bmplan` files: sections of little-endian numbers behind a header with a digest. bridge/model/format.h
 * describes the format and is its other end.
 */
import { createHash } from "node:crypto";

/** "BMPL" */
const MAGIC = 0x4c504d42;
/** PLAN_VERSION of bridge/model/format.h. */
const VERSION = 1;
const HEADER_BYTES = 56;
const SECTION_BYTES = 24;
const ALIGNMENT = 16;
/** Where the digest lies; it covers all that follows it. */
const DIGEST_AT = 16;
const DIGEST_BYTES = 32;

/** PLAN_SECTION_* of bridge/model/format.h. */
export const sectionKinds = {
  model: 1,
  kernels: 2,
  buffers: 3,
  data: 4,
  programs: 5,
  tokenizer: 6,
} as const;

export type SectionName = keyof typeof sectionKinds;

/** What stands in the format for "there is none". */
export const NONE = 0xffffffff;

/** Collects numbers and bytes in the order in which a section has them. */
export class SectionWriter {
  #bytes = new Uint8Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u32(...values: readonly number[]): this {
    const view = this.#reserve(values.length * 4);
    values.forEach((value, i) => {
      view.setUint32(i * 4, value, true);
    });
    return this;
  }

  /** A whole number from 0 to 2^53 - 1. */
  u64(value: number): this {
    return this.u32(value % 2 ** 32, Math.floor(value / 2 ** 32));
  }

  /** The elements of a typed array, as they are in memory: every machine that runs this is little-endian. */
  array(values: ArrayBufferView): this {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const view = this.#reserve(bytes.length);
    new Uint8Array(view.buffer, view.byteOffset, bytes.length).set(bytes);
    return this;
  }

  /** Its length, the UTF-8 of a text, and zeros up to a whole word. */
  text(text: string): this {
    const bytes = new TextEncoder().encode(text);
    return this.u32(bytes.length).array(bytes).align(4);
  }

  /** For n strings of bytes: n + 1 offsets into their concatenation, which `pool` collects. */
  offsets(strings: readonly Uint8Array[], pool: Uint8Array[]): this {
    let offset = pool.reduce((sum, bytes) => sum + bytes.length, 0);
    const offsets = new Uint32Array(strings.length + 1);
    strings.forEach((bytes, i) => {
      offsets[i] = offset;
      offset += bytes.length;
      pool.push(bytes);
    });
    offsets[strings.length] = offset;
    return this.array(offsets);
  }

  align(unit: number): this {
    this.#reserve((unit - (this.#length % unit)) % unit);
    return this;
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Adds that many zeros and returns a view of them. */
  #reserve(count: number): DataView {
    const start = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, start));
      this.#bytes = larger;
    }
    return new DataView(this.#bytes.buffer, start, count);
  }
}

/** The bytes of a plan file with these sections. */
export function encodePlanFile(sections: Readonly<Record<SectionName, Uint8Array>>): Uint8Array {
  const names = Object.keys(sectionKinds) as SectionName[];
  const header = new SectionWriter();
  let end = HEADER_BYTES + names.length * SECTION_BYTES;
  const offsets = names.map((name) => {
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    end = offset + sections[name].length;
    return offset;
  });
  header.u32(MAGIC, VERSION).u64(end).array(new Uint8Array(DIGEST_BYTES)).u32(names.length, 0);
  names.forEach((name, i) => {
    header.u32(sectionKinds[name], 0).u64(offsets[i]).u64(sections[name].length);
  });
  const file = new Uint8Array(end);
  file.set(header.finish());
  names.forEach((name, i) => {
    file.set(sections[name], offsets[i]);
  });
  file.set(sha256(file.subarray(DIGEST_AT + DIGEST_BYTES)), DIGEST_AT);
  return file;
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}
