/**
 * Reads GGUF tensor bytes as float64, independently of src/gguf and of the shaders: F32 and F16 are little-endian
 * IEEE 754; a Q8_0 block is a half scale d and 32 signed bytes q, its values d * q.
 */

export type ReferenceType = "f32" | "f16" | "q8_0";

const Q8_0_VALUES = 32;
const Q8_0_BYTES = 34;

export function dequantize(bytes: Uint8Array, type: ReferenceType): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (type) {
    case "f32":
      return Float64Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(i * 4, true));
    case "f16":
      return Float64Array.from({ length: bytes.length / 2 }, (_, i) =>
        halfToNumber(view.getUint16(i * 2, true)),
      );
    case "q8_0": {
      const out = new Float64Array((bytes.length / Q8_0_BYTES) * Q8_0_VALUES);
      for (let block = 0; block * Q8_0_BYTES < bytes.length; block++) {
        const d = halfToNumber(view.getUint16(block * Q8_0_BYTES, true));
        for (let i = 0; i < Q8_0_VALUES; i++) {
          out[block * Q8_0_VALUES + i] = d * view.getInt8(block * Q8_0_BYTES + 2 + i);
        }
      }
      return out;
    }
    default:
      throw new TypeError(`Cannot dequantise type "${type satisfies never}"`);
  }
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
