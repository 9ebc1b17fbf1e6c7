/** Types that are no blocks: F32, F16 and BF16, read and written. */
import type { GgmlType } from "../gguf/index.ts";
import type { Encoder } from "./blocks32.ts";

/** Types whose values can be read. */
export type FloatType = "f32" | "f16" | "bf16";

export const floatTypes: readonly FloatType[] = ["f32", "f16", "bf16"];

/** Whether values of this type can be read. */
export function isFloatType(type: GgmlType): type is FloatType {
  return floatTypes.some((known) => known === type);
}

/** Fills `into` with the values of as many elements. Both arrays begin at a multiple of 4 bytes. */
export function readFloats(type: FloatType, bytes: Uint8Array, into: Float32Array): void {
  const { buffer, byteOffset } = bytes;
  if (type === "f32") {
    into.set(new Float32Array(buffer, byteOffset, into.length));
  } else if (type === "f16") {
    into.set(new Float16Array(buffer, byteOffset, into.length));
  } else {
    const halves = new Uint16Array(buffer, byteOffset, into.length);
    const words = new Uint32Array(into.buffer, into.byteOffset, into.length);
    for (let i = 0; i < words.length; i++) words[i] = halves[i] << 16; // the upper half of an F32
  }
}

/** As they are in memory: every machine that runs this is little-endian. */
export const encodeF32: Encoder = (x, out) => {
  out.set(new Uint8Array(x.buffer, x.byteOffset, x.byteLength));
};

export const encodeF16: Encoder = (x, out) => {
  new Float16Array(out.buffer, out.byteOffset, x.length).set(x);
};

/** The upper half of an F32, rounded to the nearest, halves to even. Takes finite values. */
export const encodeBf16: Encoder = (x, out) => {
  const words = new Uint32Array(x.buffer, x.byteOffset, x.length);
  const halves = new Uint16Array(out.buffer, out.byteOffset, x.length);
  for (let i = 0; i < words.length; i++) halves[i] = (words[i] + 0x7fff + ((words[i] >>> 16) & 1)) >>> 16;
};
