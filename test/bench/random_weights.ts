/**
 * Random weights straight in the blocks of a type, fast enough for files of a gigabyte: random words first, then what
 * must not be any bits. The layouts are those of the block structs in ggml-common.h.
 */
import { type GgmlType, ggmlLayout } from "../../src/gguf/index.ts";

/** Writes what must not be random into the block at a byte. `scale` gives a size around 1. */
type Stamp = (bytes: DataView, at: number, deviation: number, scale: () => number) => void;

/** Types that can be made. */
export type RandomType = "f32" | "f16" | "q4_0" | "q8_0" | "q4_k" | "q6_k";

/** Standard deviations of what a block's integers say before the scale in F16, with all their bits random. */
const deviations = {
  q4_0: 4.6, // q - 8, q from 0 to 15
  q8_0: 73.6, // odd numbers from -127 to 127
  q4_k: 258, // scale * q - 7.5 * minimum, both of six bits
  q6_k: 1365, // scale * (q - 32), the scale of eight bits
} as const;

const blocks: Readonly<Record<Exclude<RandomType, "f32" | "f16">, Stamp>> = {
  // Half of the scales are negative, since the mean of q - 8 is not zero.
  q4_0: (bytes, at, deviation, scale) => {
    const sign = bytes.getUint8(at) & 1 ? -1 : 1;
    bytes.setFloat16(at, (sign * scale() * deviation) / deviations.q4_0, true);
  },
  q8_0: (bytes, at, deviation, scale) => {
    bytes.setFloat16(at, (scale() * deviation) / deviations.q8_0, true);
    // Odd bytes: symmetric, and never -128, which quantisers do not make.
    for (let i = 2; i < 34; i += 4) bytes.setUint32(at + i, bytes.getUint32(at + i, true) | 0x01010101, true);
  },
  q4_k: (bytes, at, deviation, scale) => {
    const d = (scale() * deviation) / deviations.q4_k;
    bytes.setFloat16(at, d, true);
    bytes.setFloat16(at + 2, 7.5 * d, true);
  },
  q6_k: (bytes, at, deviation, scale) => {
    bytes.setFloat16(at + 208, (scale() * deviation) / deviations.q6_k, true);
    for (let i = 192; i < 208; i += 4)
      bytes.setUint32(at + i, bytes.getUint32(at + i, true) | 0x01010101, true);
  },
};

/** A stream of random words: xorshift32 (Marsaglia 2003), good enough for weights, and fast. */
export class RandomWords {
  #state: number;

  /** @param seed Any number but a multiple of 2^32 */
  constructor(seed: number) {
    this.#state = seed | 0;
    for (let i = 0; i < 16; i++) this.next();
  }

  /** 32 random bits, as a signed number. */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x;
  }

  fill(words: Int32Array): void {
    let x = this.#state;
    for (let i = 0; i < words.length; i++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      words[i] = x;
    }
    this.#state = x;
  }
}

/** Fills whole blocks of a type with weights of about this standard deviation and a mean of about zero. */
export function fillRandom(
  type: RandomType,
  bytes: Uint8Array<ArrayBuffer>,
  deviation: number,
  random: RandomWords,
): void {
  const { blockBytes } = ggmlLayout(type);
  if (bytes.length % blockBytes !== 0)
    throw new RangeError(`${bytes.length} bytes are not whole blocks of ${type}`);
  if (bytes.byteOffset % 4 !== 0 || bytes.length % 4 !== 0)
    throw new RangeError("Random words fill whole words");
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  random.fill(words);
  if (type === "f32") {
    const values = new Float32Array(bytes.buffer, bytes.byteOffset, words.length);
    for (let i = 0; i < words.length; i++) values[i] = (words[i] / 2 ** 31) * Math.sqrt(3) * deviation;
    return;
  }
  if (type === "f16") {
    // Sign and fraction are random, the exponent is one: numbers of deviation sqrt(7 / 3) * 2^e.
    const exponent = 15 + Math.round(Math.log2(deviation / Math.sqrt(7 / 3)));
    const both = (exponent << 10) | (exponent << 26);
    for (let i = 0; i < words.length; i++) words[i] = (words[i] & 0x83ff83ff) | both;
    return;
  }
  const stamp = blocks[type];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const scale = (): number => 0.5 + (random.next() >>> 0) / 2 ** 32;
  for (let at = 0; at < bytes.length; at += blockBytes) stamp(view, at, deviation, scale);
}

/** Whether blocks of a type can be made here. */
export function isRandomType(type: GgmlType): type is RandomType {
  return type === "f32" || type === "f16" || type in blocks;
}
