/**
 * The types of 32 values to a block: one scale, and a minimum in those called _1. The rules are ggml's, in its arithmetic
 * of 32 bits, so the bytes are the same. Source: the block structs in ggml-common.h.
 */

/** Writes the blocks of `x`, whose length is a multiple of a block's, into `out`. */
export type Encoder = (x: Float32Array, out: Uint8Array) => void;

const BLOCK = 32;
const HALF = BLOCK / 2;
const { fround } = Math;

/** d = max |x| / 127 in F16, then 32 bytes round(x / d). */
export function encodeQ8_0(x: Float32Array, out: Uint8Array): void {
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  for (let start = 0, at = 0; start < x.length; start += BLOCK, at += 34) {
    let most = 0;
    for (let i = start; i < start + BLOCK; i++) most = Math.max(most, Math.abs(x[i]));
    const scale = fround(most / 127);
    const inverse = scale === 0 ? 0 : fround(1 / scale);
    view.setFloat16(at, scale, true);
    for (let i = 0; i < BLOCK; i++) {
      const value = fround(x[start + i] * inverse);
      // Halves go away from zero.
      out[at + 2 + i] = value < 0 ? -Math.floor(0.5 - value) : Math.floor(value + 0.5);
    }
  }
}

/** Q4_0 and Q5_0: x = d (q - 2^(bits - 1)), where the value farthest from zero gets q = 0. */
function encodeSymmetric(bits: 4 | 5): Encoder {
  const zero = 2 ** (bits - 1);
  const most = 2 ** bits - 1;
  const q = new Uint8Array(BLOCK);
  return (x, out) => {
    const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
    for (let start = 0, at = 0; start < x.length; start += BLOCK) {
      let farthest = 0;
      for (let i = start; i < start + BLOCK; i++) {
        if (Math.abs(x[i]) > Math.abs(farthest)) farthest = x[i];
      }
      const scale = fround(farthest / -zero);
      const inverse = scale === 0 ? 0 : fround(1 / scale);
      for (let i = 0; i < BLOCK; i++) {
        q[i] = Math.min(most, fround(fround(x[start + i] * inverse) + zero + 0.5));
      }
      view.setFloat16(at, scale, true);
      at = pack(view, at + 2, q, bits);
    }
  };
}

/** Q4_1 and Q5_1: x = d q + m, from the smallest value to the largest. */
function encodeAffine(bits: 4 | 5): Encoder {
  const most = 2 ** bits - 1;
  const q = new Uint8Array(BLOCK);
  return (x, out) => {
    const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
    for (let start = 0, at = 0; start < x.length; start += BLOCK) {
      let low = x[start];
      let high = x[start];
      for (let i = start; i < start + BLOCK; i++) {
        low = Math.min(low, x[i]);
        high = Math.max(high, x[i]);
      }
      const scale = fround(fround(high - low) / most);
      const inverse = scale === 0 ? 0 : fround(1 / scale);
      for (let i = 0; i < BLOCK; i++) {
        q[i] = Math.min(most, fround(fround(fround(x[start + i] - low) * inverse) + 0.5));
      }
      view.setFloat16(at, scale, true);
      view.setFloat16(at + 2, low, true);
      at = pack(view, at + 4, q, bits);
    }
  };
}

/**
 * Writes the fifth bits of 32 numbers as one word, if they have any, then nibbles: number i low and number i + 16 high in
 * byte i. Returns where that ends.
 */
function pack(view: DataView, at: number, q: Uint8Array, bits: 4 | 5): number {
  let end = at;
  if (bits === 5) {
    let fifth = 0;
    for (let i = 0; i < BLOCK; i++) fifth |= (q[i] >> 4) << i;
    view.setUint32(end, fifth >>> 0, true);
    end += 4;
  }
  for (let i = 0; i < HALF; i++) view.setUint8(end + i, (q[i] & 15) | ((q[i + HALF] & 15) << 4));
  return end + HALF;
}

export const encodeQ4_0: Encoder = encodeSymmetric(4);
export const encodeQ5_0: Encoder = encodeSymmetric(5);
export const encodeQ4_1: Encoder = encodeAffine(4);
export const encodeQ5_1: Encoder = encodeAffine(5);
