/**
 * Stored tensors for kernel tests: half floats and Q8_0 blocks made from numbers, other blocks from random bits.
 *
 * Independent of the library: nothing here is shared with the readers or shaders that it judges.
 */

import { dequantize, type ReferenceType, randomBlocks } from "./llama_dequantize.ts";
import { gaussianArray } from "./random.ts";

/** How the elements of a tensor are stored. */
export type Format = "f32" | "f16" | "q8_0";

/** A stored tensor: what a kernel reads, and the exact values that those bytes mean. */
export interface Stored {
  readonly bytes: Uint8Array;
  readonly values: Float64Array;
}

/** Returns the bits of the half float nearest to `value`, ties to even (IEEE 754 binary16). */
export function encodeF16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  // 65520 lies halfway between the largest half, 65504, and the next power of two.
  if (magnitude >= 65520) return sign | 0x7c00;

  // The exponent of the leading bit; below 2^-14 the spacing stays that of 2^-14 (subnormals).
  let exponent = -14;
  while (2 ** (exponent + 1) <= magnitude) exponent++;
  const spacings = magnitude / 2 ** (exponent - 10);
  let rounded = Math.floor(spacings);
  const rest = spacings - rounded;
  if (rest > 0.5 || (rest === 0.5 && rounded % 2 === 1)) rounded++;
  // A normal number has 1024 <= rounded; 2048 carries into the exponent by itself.
  return sign | (rounded < 1024 ? rounded : ((exponent + 15) << 10) + (rounded - 1024));
}

/** Returns the value of a half float's bits. */
export function decodeF16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function storeF32(values: ArrayLike<number>): Stored {
  const floats = Float32Array.from(values);
  return { bytes: new Uint8Array(floats.buffer), values: Float64Array.from(floats) };
}

function storeF16(values: ArrayLike<number>): Stored {
  const halves = Uint16Array.from(values, encodeF16);
  return { bytes: new Uint8Array(halves.buffer), values: Float64Array.from(halves, decodeF16) };
}

/**
 * Quantises to Q8_0: blocks of 32 elements, a half-float scale of largest magnitude / 127 and then 32 signed bytes.
 * The length is a multiple of 32.
 */
function storeQ8_0(values: ArrayLike<number>): Stored {
  const blocks = values.length / 32;
  const bytes = new Uint8Array(blocks * 34);
  const view = new DataView(bytes.buffer);
  const meant = new Float64Array(values.length);
  for (let b = 0; b < blocks; b++) {
    let largest = 0;
    for (let i = 0; i < 32; i++) largest = Math.max(largest, Math.abs(values[b * 32 + i] ?? NaN));
    const scale = largest / 127;
    const stored = encodeF16(scale);
    view.setUint16(b * 34, stored, true);
    for (let i = 0; i < 32; i++) {
      const quant = scale === 0 ? 0 : Math.round((values[b * 32 + i] ?? NaN) / scale);
      view.setInt8(b * 34 + 2 + i, quant);
      meant[b * 32 + i] = decodeF16(stored) * quant;
    }
  }
  return { bytes, values: meant };
}

/** A tensor of weights of any type: normally distributed where the type is plain or Q8_0, else blocks of random bits. */
export function randomWeights(
  type: ReferenceType,
  random: () => number,
  length: number,
  deviation: number,
): Stored {
  if (type === "f32" || type === "f16" || type === "q8_0") {
    return storeAs(type, gaussianArray(random, length, deviation));
  }
  const bytes = randomBlocks(type, random, length, deviation);
  return { bytes, values: dequantize(bytes, type) };
}

/** Stores `values` in a format. */
export function storeAs(format: Format, values: ArrayLike<number>): Stored {
  switch (format) {
    case "f32":
      return storeF32(values);
    case "f16":
      return storeF16(values);
    case "q8_0":
      return storeQ8_0(values);
    default:
      return format satisfies never;
  }
}
