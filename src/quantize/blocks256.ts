/** How the K types lie in memory. Source: the block structs in ggml-common.h. */
import type { Encoder } from "./blocks32.ts";
import { AffineBlock, SUPERBLOCK, SymmetricBlock } from "./superblocks.ts";

/** Q2_K: 16 bytes of scale and minimum, 64 of 2-bit numbers, d and dmin. */
export function createQ2K(): Encoder {
  const block = new AffineBlock(16, 3, 15);
  return each(84, (x, start, view, at) => {
    block.encode(x, start);
    for (let part = 0; part < 16; part++) {
      view.setUint8(at + part, block.scales[part] | (block.mins[part] << 4));
    }
    packPairs(block.q, view, at + 16);
    view.setFloat16(at + 80, block.d, true);
    view.setFloat16(at + 82, block.dmin, true);
  });
}

/** Q3_K: 32 bytes of third bits, 64 of the lower two, 12 of 6-bit scales, d. Numbers are stored from 0 on: q + 4. */
export function createQ3K(): Encoder {
  const block = new SymmetricBlock(16, 4, 32);
  const q = new Uint8Array(SUPERBLOCK);
  return each(110, (x, start, view, at) => {
    block.encode(x, start);
    for (let i = 0; i < SUPERBLOCK; i++) q[i] = block.q[i] + 4;
    for (let byte = 0; byte < 32; byte++) {
      let third = 0;
      for (let bit = 0; bit < 8; bit++) third |= (q[byte + 32 * bit] >> 2) << bit;
      view.setUint8(at + byte, third);
    }
    packPairs(q, view, at + 32);
    for (let i = 0; i < 12; i++) view.setUint8(at + 96 + i, 0);
    for (let part = 0; part < 16; part++) {
      const scale = block.scales[part] + 32;
      // Low nibbles of part 0 to 7 and 8 to 15 share eight bytes; the upper two bits go by fours into the last four.
      orUint8(view, at + 96 + (part % 8), (scale & 15) << (part < 8 ? 0 : 4));
      orUint8(view, at + 104 + (part % 4), (scale >> 4) << (2 * Math.floor(part / 4)));
    }
    view.setFloat16(at + 108, block.d, true);
  });
}

/** Q4_K: d and dmin, 12 bytes of 6-bit scales and minimums, 128 of nibbles. */
export function createQ4K(): Encoder {
  const block = new AffineBlock(32, 15, 63);
  return each(144, (x, start, view, at) => {
    block.encode(x, start);
    packScales(block, view, at);
    packNibbles(block.q, view, at + 16);
  });
}

/** Q5_K: as Q4_K, with 32 bytes of fifth bits before the nibbles. */
export function createQ5K(): Encoder {
  const block = new AffineBlock(32, 31, 63);
  return each(176, (x, start, view, at) => {
    block.encode(x, start);
    packScales(block, view, at);
    for (let byte = 0; byte < 32; byte++) {
      let fifth = 0;
      for (let bit = 0; bit < 8; bit++) fifth |= (block.q[byte + 32 * bit] >> 4) << bit;
      view.setUint8(at + 16 + byte, fifth);
    }
    packNibbles(block.q, view, at + 48);
  });
}

/** Q6_K: 128 bytes of low nibbles, 64 of the upper two bits, 16 scales of a signed byte, d. Stored are q + 32. */
export function createQ6K(): Encoder {
  const block = new SymmetricBlock(16, 32, 128);
  return each(210, (x, start, view, at) => {
    block.encode(x, start);
    for (let half = 0; half < 2; half++) {
      for (let i = 0; i < 32; i++) {
        const q = (quarter: number): number => block.q[half * 128 + quarter * 32 + i] + 32;
        view.setUint8(at + half * 64 + i, (q(0) & 15) | ((q(2) & 15) << 4));
        view.setUint8(at + half * 64 + 32 + i, (q(1) & 15) | ((q(3) & 15) << 4));
        const upper = (q(0) >> 4) | ((q(1) >> 4) << 2) | ((q(2) >> 4) << 4) | ((q(3) >> 4) << 6);
        view.setUint8(at + 128 + half * 32 + i, upper);
      }
    }
    for (let part = 0; part < 16; part++) view.setInt8(at + 192 + part, block.scales[part]);
    view.setFloat16(at + 208, block.d, true);
  });
}

type BlockEncoder = (x: Float32Array, start: number, view: DataView, at: number) => void;

function each(blockBytes: number, encode: BlockEncoder): Encoder {
  return (x, out) => {
    const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
    for (let start = 0, at = 0; start < x.length; start += SUPERBLOCK, at += blockBytes) {
      encode(x, start, view, at);
    }
  };
}

function orUint8(view: DataView, at: number, bits: number): void {
  view.setUint8(at, view.getUint8(at) | bits);
}

/** The lower two bits of 256 numbers: in each half, byte i has those of the numbers i, i + 32, i + 64 and i + 96. */
function packPairs(q: Uint8Array, view: DataView, at: number): void {
  for (let half = 0; half < 2; half++) {
    for (let i = 0; i < 32; i++) {
      let byte = 0;
      for (let quarter = 0; quarter < 4; quarter++) {
        byte |= (q[half * 128 + quarter * 32 + i] & 3) << (2 * quarter);
      }
      view.setUint8(at + half * 32 + i, byte);
    }
  }
}

/** The lower four bits of 256 numbers: of each 64, byte i has the numbers i and i + 32. */
function packNibbles(q: Uint8Array, view: DataView, at: number): void {
  for (let group = 0; group < 4; group++) {
    for (let i = 0; i < 32; i++) {
      const first = group * 64 + i;
      view.setUint8(at + group * 32 + i, (q[first] & 15) | ((q[first + 32] & 15) << 4));
    }
  }
}

/**
 * d, dmin, and eight 6-bit scales and minimums in 12 bytes: those of the parts 0 to 3 in bytes 0 to 3 and 4 to 7; of the
 * parts 4 to 7 the low nibbles in bytes 8 to 11, and the upper two bits above the 6 bits of the first eight bytes.
 */
function packScales({ d, dmin, scales, mins }: AffineBlock, view: DataView, at: number): void {
  view.setFloat16(at, d, true);
  view.setFloat16(at + 2, dmin, true);
  for (let part = 0; part < 4; part++) {
    view.setUint8(at + 4 + part, scales[part] | ((scales[part + 4] >> 4) << 6));
    view.setUint8(at + 8 + part, mins[part] | ((mins[part + 4] >> 4) << 6));
    view.setUint8(at + 12 + part, (scales[part + 4] & 15) | ((mins[part + 4] & 15) << 4));
  }
}
