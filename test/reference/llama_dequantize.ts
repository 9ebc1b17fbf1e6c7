/**
 * The meaning of the weights in a GGUF file, as float64: for each type one function that says what element i of a block
 * is, from the format's definition. Independent of src/ and of the shaders, which take sixteen elements at once.
 */

/** A block of a type: how long it is, what it means, and how random bytes become a block with values of moderate size. */
type BlockFormat = {
  /** Elements in a block. */
  readonly length: number;
  /** Bytes in a block. */
  readonly bytes: number;
  /** Element `i` of a block. */
  readonly value: (block: DataView, i: number) => number;
  /** Where a block has half floats, and by what each of them is multiplied, typically. */
  readonly halves: readonly (readonly [offset: number, factor: number])[];
};

/** Half float at a byte. */
const half = (block: DataView, at: number): number => halfToNumber(block.getUint16(at, true));

/** `count` bits of a byte from bit `from` on. */
const bits = (block: DataView, at: number, from: number, count: number): number =>
  Math.floor(block.getUint8(at) / 2 ** from) % 2 ** count;

/** Element i of 32 four-bit numbers: the low halves of 16 bytes, then the high ones. */
const nibble = (block: DataView, at: number, i: number): number =>
  bits(block, at + (i % 16), i < 16 ? 0 : 4, 4);

/** Bit i of a string of bytes, lowest first. */
const bit = (block: DataView, at: number, i: number): number => bits(block, at + Math.floor(i / 8), i % 8, 1);

/**
 * Element i of numbers of `count` bits in stripes: 32 bytes have the lowest bits of 32 elements, then the next bits of the
 * next 32; 32 more bytes follow once all their bits are taken.
 */
function striped(block: DataView, at: number, i: number, count: number): number {
  const stripe = Math.floor(i / 32);
  const perByte = 8 / count;
  return bits(block, at + 32 * Math.floor(stripe / perByte) + (i % 32), count * (stripe % perByte), count);
}

/** What the 16 codes of IQ4_NL stand for. */
const nonLinear = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const;

/** What the 16 codes of a float of four bits stand for. */
const e2m1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6] as const;

/** Scale and minimum k of eight. Of 4 .. 7 the low four bits are in bytes 8 .. 11, the high two on top of bytes 0 .. 7. */
function sixBits(block: DataView, at: number, k: number): readonly [scale: number, minimum: number] {
  if (k < 4) return [bits(block, at + k, 0, 6), bits(block, at + 4 + k, 0, 6)];
  return [
    bits(block, at + 4 + k, 0, 4) + 16 * bits(block, at + k - 4, 6, 2),
    bits(block, at + 4 + k, 4, 4) + 16 * bits(block, at + k, 6, 2),
  ];
}

export type ReferenceType =
  | "f32"
  | "f16"
  | "bf16"
  | "q4_0"
  | "q4_1"
  | "q5_0"
  | "q5_1"
  | "q8_0"
  | "q2_k"
  | "q3_k"
  | "q4_k"
  | "q5_k"
  | "q6_k"
  | "iq4_nl"
  | "iq4_xs"
  | "mxfp4";

const formats: Readonly<Record<ReferenceType, BlockFormat>> = {
  f32: { length: 1, bytes: 4, value: (b) => b.getFloat32(0, true), halves: [] },
  f16: { length: 1, bytes: 2, value: (b) => half(b, 0), halves: [[0, 1]] },
  bf16: { length: 1, bytes: 2, value: (b) => bfloatToNumber(b.getUint16(0, true)), halves: [] },
  // half d; 16 bytes
  q4_0: { length: 32, bytes: 18, value: (b, i) => half(b, 0) * (nibble(b, 2, i) - 8), halves: [[0, 5]] },
  // half d, m; 16 bytes
  q4_1: {
    length: 32,
    bytes: 20,
    value: (b, i) => half(b, 0) * nibble(b, 4, i) + half(b, 2),
    halves: [
      [0, 9],
      [2, 1],
    ],
  },
  // half d; 32 fifth bits; 16 bytes
  q5_0: {
    length: 32,
    bytes: 22,
    value: (b, i) => half(b, 0) * (nibble(b, 6, i) + 16 * bit(b, 2, i) - 16),
    halves: [[0, 9]],
  },
  // half d, m; 32 fifth bits; 16 bytes
  q5_1: {
    length: 32,
    bytes: 24,
    value: (b, i) => half(b, 0) * (nibble(b, 8, i) + 16 * bit(b, 4, i)) + half(b, 2),
    halves: [
      [0, 18],
      [2, 1],
    ],
  },
  // half d; 32 signed bytes
  q8_0: { length: 32, bytes: 34, value: (b, i) => half(b, 0) * b.getInt8(2 + i), halves: [[0, 74]] },
  // 16 bytes: scale below, minimum above; 64 bytes of two bits each; half d, m
  q2_k: {
    length: 256,
    bytes: 84,
    value: (b, i) => {
      const sub = Math.floor(i / 16);
      const scale = half(b, 80) * bits(b, sub, 0, 4);
      return scale * striped(b, 16, i, 2) - half(b, 82) * bits(b, sub, 4, 4);
    },
    halves: [
      [80, 14],
      [82, 8],
    ],
  },
  // 32 bytes of third bits; 64 bytes of two bits each; 12 bytes of scales; half d
  q3_k: {
    length: 256,
    bytes: 110,
    value: (b, i) => {
      const sub = Math.floor(i / 16);
      const low = bits(b, 96 + (sub % 8), sub < 8 ? 0 : 4, 4);
      const high = bits(b, 104 + (sub % 4), 2 * Math.floor(sub / 4), 2);
      const quant = striped(b, 32, i, 2) + 4 * striped(b, 0, i, 1) - 4;
      return half(b, 108) * (low + 16 * high - 32) * quant;
    },
    halves: [[108, 42]],
  },
  // half d, m; 12 bytes of scales and minimums; 128 bytes of four bits each
  q4_k: {
    length: 256,
    bytes: 144,
    value: (b, i) => {
      const [scale, minimum] = sixBits(b, 4, Math.floor(i / 32));
      return half(b, 0) * scale * striped(b, 16, i, 4) - half(b, 2) * minimum;
    },
    halves: [
      [0, 330],
      [2, 36],
    ],
  },
  // half d, m; 12 bytes of scales and minimums; 32 bytes of fifth bits; 128 bytes of four bits each
  q5_k: {
    length: 256,
    bytes: 176,
    value: (b, i) => {
      const [scale, minimum] = sixBits(b, 4, Math.floor(i / 32));
      const quant = striped(b, 48, i, 4) + 16 * striped(b, 16, i, 1);
      return half(b, 0) * scale * quant - half(b, 2) * minimum;
    },
    halves: [
      [0, 660],
      [2, 36],
    ],
  },
  // 128 bytes of four bits; 64 bytes of two bits; 16 signed scales; half d
  q6_k: {
    length: 256,
    bytes: 210,
    value: (b, i) => {
      const within = i % 128;
      const low = bits(b, 64 * Math.floor(i / 128) + (within % 64), within < 64 ? 0 : 4, 4);
      const quant = low + 16 * striped(b, 128, i, 2) - 32;
      return half(b, 208) * b.getInt8(192 + Math.floor(i / 16)) * quant;
    },
    halves: [[208, 1370]],
  },
  // half d; 16 bytes
  iq4_nl: {
    length: 32,
    bytes: 18,
    value: (b, i) => half(b, 0) * nonLinear[nibble(b, 2, i)],
    halves: [[0, 68]],
  },
  // half d; 8 times two bits; 4 bytes of four bits each; 8 times 16 bytes
  iq4_xs: {
    length: 256,
    bytes: 136,
    value: (b, i) => {
      const sub = Math.floor(i / 32);
      const low = bits(b, 4 + Math.floor(sub / 2), 4 * (sub % 2), 4);
      const high = bits(b, 2 + Math.floor(sub / 4), 2 * (sub % 4), 2);
      return half(b, 0) * (low + 16 * high - 32) * nonLinear[nibble(b, 8 + 16 * sub, i % 32)];
    },
    halves: [[0, 1260]],
  },
  // an exponent; 16 bytes
  mxfp4: {
    length: 32,
    bytes: 17,
    value: (b, i) => e2m1[nibble(b, 1, i)] * 2 ** (b.getUint8(0) - 127),
    halves: [],
  },
};

/** All types that there is a reference for. */
export const referenceTypes: readonly ReferenceType[] = Object.keys(formats) as ReferenceType[];

/** Elements and bytes of a block. */
export function blockOf(type: ReferenceType): { readonly length: number; readonly bytes: number } {
  return formats[type];
}

/** What the bytes of whole blocks mean. */
export function dequantize(bytes: Uint8Array, type: ReferenceType): Float64Array {
  const format = formats[type];
  const out = new Float64Array((bytes.length / format.bytes) * format.length);
  for (let b = 0; b * format.bytes < bytes.length; b++) {
    const block = new DataView(bytes.buffer, bytes.byteOffset + b * format.bytes, format.bytes);
    for (let i = 0; i < format.length; i++) out[b * format.length + i] = format.value(block, i);
  }
  return out;
}

/**
 * Blocks of random bits, whose elements have about the given magnitude: any bits are a block, except for scales that are
 * no numbers, so those are made. Some are negative, some zero, and some subnormal.
 */
export function randomBlocks(
  type: ReferenceType,
  random: () => number,
  elements: number,
  magnitude: number,
): Uint8Array {
  const format = formats[type];
  const bytes = new Uint8Array((elements / format.length) * format.bytes);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(random() * 256);
  const view = new DataView(bytes.buffer);
  for (let b = 0; b * format.bytes < bytes.length; b++) {
    const at = b * format.bytes;
    for (const [offset, factor] of format.halves) {
      const kind = format.length === 1 ? 1 : random();
      const scale = kind < 0.02 ? 0 : kind < 0.04 ? 2 ** -20 : (magnitude / factor) * (0.5 + random());
      view.setFloat16(at + offset, random() < 0.5 ? scale : -scale, true);
    }
    if (type === "f32") view.setFloat32(at, magnitude * (2 * random() - 1), true);
    if (type === "mxfp4") bytes[at] = 127 + Math.round(Math.log2(magnitude)) - Math.floor(random() * 4);
    if (type === "bf16")
      view.setUint16(at, (random() < 0.5 ? 0x8000 : 0) + bfloatBits(magnitude * random()), true);
  }
  return bytes;
}

/** 1 sign bit, 5 exponent bits with bias 15, 10 fraction bits. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** 1 sign bit, 8 exponent bits with bias 127, 7 fraction bits. */
function bfloatToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 7) & 0xff;
  const fraction = bits & 0x7f;
  if (exponent === 0) return sign * fraction * 2 ** -133;
  if (exponent === 255) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 128) * 2 ** (exponent - 127);
}

/** The bits of a positive number, cut off after 7 fraction bits. */
function bfloatBits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0] >>> 16;
}
