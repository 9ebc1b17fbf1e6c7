/*
 * blocks.h: the types of weights, as GGUF stores them: one struct for a block, and one function that makes numbers of it.
 *
 * A row of a tensor is blocks of `elements` consecutive elements. Kernels take them in chunks of sixteen: in a type with
 * blocks, dequantize(block, c) gives the elements 16 c .. 16 c + 15 of a block. Sixteen bytes become four vectors of four
 * there, which compilers for the CPU vectorise as they stand. docs/adding-a-type.md shows how to add a type.
 *
 * Blocks are aligned to 2 bytes or less, so that their bytes are read one by one or as packed vectors.
 */
#ifndef BUN_METAL_BLOCKS_H
#define BUN_METAL_BLOCKS_H

#include <metal_stdlib>
using namespace metal;

#include "tiles.h"

/** All types: LINE(struct, name in host names). A type that is not listed here has no kernels. */
#define WEIGHT_TYPES(LINE)                                                                                             \
  LINE(F32, f32)                                                                                                       \
  LINE(F16, f16)                                                                                                       \
  LINE(BF16, bf16)                                                                                                     \
  LINE(Q4_0, q4_0)                                                                                                     \
  LINE(Q4_1, q4_1)                                                                                                     \
  LINE(Q5_0, q5_0)                                                                                                     \
  LINE(Q5_1, q5_1)                                                                                                     \
  LINE(Q8_0, q8_0)                                                                                                     \
  LINE(Q2_K, q2_k)                                                                                                     \
  LINE(Q3_K, q3_k)                                                                                                     \
  LINE(Q4_K, q4_k)                                                                                                     \
  LINE(Q5_K, q5_k)                                                                                                     \
  LINE(Q6_K, q6_k)                                                                                                     \
  LINE(IQ4_NL, iq4_nl)                                                                                                 \
  LINE(IQ4_XS, iq4_xs)                                                                                                 \
  LINE(MXFP4, mxfp4)

// ---- chunks --------------------------------------------------------------------------------------------------------

/** Sixteen consecutive elements: scale * values. Types without a scale have 1, and the product folds away. */
struct Chunk {
  float4 values[4];
  float scale;
};

/** Sixteen whole numbers: what is stored of the elements of a chunk, or a part of it. */
struct Quants {
  int4 values[4];
};

/** (bytes[i] >> shift) & mask */
inline Quants bits_of(device const uchar *bytes, uint shift, int mask) {
  Quants quants;
  for (uint j = 0; j < 4; ++j) {
    const int4 four = int4(uchar4(((device const packed_uchar4 *)bytes)[j]));
    quants.values[j] = (four >> int4(int(shift))) & int4(mask);
  }
  return quants;
}

/** Bit i of sixteen bits, as 0 or 1. */
inline Quants bits_of(device const uchar *two) {
  const int bits = int(two[0]) | int(two[1]) << 8;
  Quants quants;
  for (int j = 0; j < 4; ++j) quants.values[j] = (int4(bits) >> int4(4 * j, 4 * j + 1, 4 * j + 2, 4 * j + 3)) & int4(1);
  return quants;
}

/** low[i] + high[i] * weight */
inline Quants join(Quants low, Quants high, int weight) {
  for (uint j = 0; j < 4; ++j) low.values[j] += high.values[j] * weight;
  return low;
}

/** scale * (quants - zero) */
inline Chunk centred(Quants quants, int zero, float scale) {
  Chunk chunk;
  for (uint j = 0; j < 4; ++j) chunk.values[j] = float4(quants.values[j] - int4(zero));
  chunk.scale = scale;
  return chunk;
}

/** scale * quants + minimum */
inline Chunk shifted(Quants quants, float scale, float minimum) {
  Chunk chunk;
  for (uint j = 0; j < 4; ++j) chunk.values[j] = fma(float4(quants.values[j]), float4(scale), float4(minimum));
  chunk.scale = 1.0f;
  return chunk;
}

// ---- types without blocks ------------------------------------------------------------------------------------------

struct F32 {
  enum : uint { elements = 1 };
  float value;
};

struct F16 {
  enum : uint { elements = 1 };
  half value;
};

/** The upper half of an F32: a sign bit, 8 exponent bits, 7 fraction bits. (MSL 3.0 has no type for it.) */
struct BF16 {
  enum : uint { elements = 1 };
  ushort bits;
};

inline float value_of(F32 element) { return element.value; }
inline float value_of(F16 element) { return float(element.value); }
inline float value_of(BF16 element) { return as_type<float>(uint(element.bits) << 16); }

inline float4 load4(device const F32 *x) { return float4(*(device const packed_float4 *)x); }
inline float4 load4(device const F16 *x) { return float4(half4(*(device const packed_half4 *)x)); }
inline float4 load4(device const BF16 *x) {
  return as_type<float4>(uint4(ushort4(*(device const packed_ushort4 *)x)) << uint4(16));
}

// ---- blocks of 32 --------------------------------------------------------------------------------------------------

/** Four bits: scale * (q - 8). Byte i holds element i below and element i + 16 above. */
struct Q4_0 {
  enum : uint { elements = 32 };
  half scale;
  uchar quants[16];
};

inline Chunk dequantize(device const Q4_0 &block, uint chunk) {
  return centred(bits_of(block.quants, 4 * chunk, 15), 8, float(block.scale));
}

/** Four bits: scale * q + minimum. */
struct Q4_1 {
  enum : uint { elements = 32 };
  half scale;
  half minimum;
  uchar quants[16];
};

inline Chunk dequantize(device const Q4_1 &block, uint chunk) {
  return shifted(bits_of(block.quants, 4 * chunk, 15), float(block.scale), float(block.minimum));
}

/** Five bits: scale * (q - 16). The fifth bit of element i is bit i of `high`. */
struct Q5_0 {
  enum : uint { elements = 32 };
  half scale;
  uchar high[4];
  uchar quants[16];
};

inline Chunk dequantize(device const Q5_0 &block, uint chunk) {
  const Quants quants = join(bits_of(block.quants, 4 * chunk, 15), bits_of(block.high + 2 * chunk), 16);
  return centred(quants, 16, float(block.scale));
}

/** Five bits: scale * q + minimum. */
struct Q5_1 {
  enum : uint { elements = 32 };
  half scale;
  half minimum;
  uchar high[4];
  uchar quants[16];
};

inline Chunk dequantize(device const Q5_1 &block, uint chunk) {
  const Quants quants = join(bits_of(block.quants, 4 * chunk, 15), bits_of(block.high + 2 * chunk), 16);
  return shifted(quants, float(block.scale), float(block.minimum));
}

/** Eight bits: scale * q. */
struct Q8_0 {
  enum : uint { elements = 32 };
  half scale;
  char quants[32];
};

inline Chunk dequantize(device const Q8_0 &block, uint chunk) {
  device const packed_char4 *q = (device const packed_char4 *)(block.quants + 16 * chunk);
  return {{float4(char4(q[0])), float4(char4(q[1])), float4(char4(q[2])), float4(char4(q[3]))}, float(block.scale)};
}

/** What four bits mean in IQ4_NL and IQ4_XS: steps that are finer near zero, where most weights are. */
constant float UnevenSteps[16] = {-127.0f, -104.0f, -83.0f, -65.0f, -49.0f, -35.0f, -22.0f, -10.0f,
                                  1.0f,    13.0f,   25.0f,  38.0f,  53.0f,  69.0f,  89.0f,  113.0f};

/** scale * UnevenSteps[quants] */
inline Chunk uneven(Quants quants, float scale) {
  Chunk chunk;
  for (uint j = 0; j < 4; ++j) {
    const int4 q = quants.values[j];
    chunk.values[j] = float4(UnevenSteps[q.x], UnevenSteps[q.y], UnevenSteps[q.z], UnevenSteps[q.w]);
  }
  chunk.scale = scale;
  return chunk;
}

/** Four bits: scale * UnevenSteps[q]. Bytes as in Q4_0. */
struct IQ4_NL {
  enum : uint { elements = 32 };
  half scale;
  uchar quants[16];
};

inline Chunk dequantize(device const IQ4_NL &block, uint chunk) {
  return uneven(bits_of(block.quants, 4 * chunk, 15), float(block.scale));
}

/**
 * Four bits, each a float of a sign bit, two exponent bits and one fraction bit: 0, 0.5, 1, 1.5, 2, 3, 4, 6; times
 * 2^(exponent - 127). Bytes as in Q4_0. (The OCP's MX format, in which exponent 255 is NaN.)
 */
struct MXFP4 {
  enum : uint { elements = 32 };
  uchar exponent;
  uchar quants[16];
};

inline Chunk dequantize(device const MXFP4 &block, uint chunk) {
  const Quants magnitudes = bits_of(block.quants, 4 * chunk, 7);
  const Quants signs = bits_of(block.quants, 4 * chunk + 3, 1);
  // Twice the magnitude m is 0, 1, 2, 3, 4, 6, 8, 12: m + max(m - 4, 0) + 2 max(m - 6, 0).
  Chunk result;
  for (uint j = 0; j < 4; ++j) {
    const int4 m = magnitudes.values[j];
    const int4 twice = m + max(m - int4(4), int4(0)) + int4(2) * max(m - int4(6), int4(0));
    result.values[j] = 0.5f * float4(twice - int4(2) * twice * signs.values[j]);
  }
  // 2^-127 has no exponent in an F32, but is half of 2^-126.
  const uint exponent = block.exponent;
  result.scale = exponent == 0 ? as_type<float>(1u << 22) : as_type<float>(exponent << 23);
  return result;
}

// ---- blocks of 256 -------------------------------------------------------------------------------------------------

/*
 * Sub-blocks of 16 or 32 elements have small whole numbers as scales, which a half float of the block multiplies. The
 * bits of quants lie in stripes: of two-bit quants, 32 bytes hold elements 0 .. 31 in their lowest bits, 32 .. 63 in the
 * next ones, and so on; of four-bit quants, 32 bytes hold elements 0 .. 31 below and 32 .. 63 above.
 */

/** The two bits of a chunk in stripes of 32 bytes. */
inline Quants stripes_of_two(device const uchar *bytes, uint chunk) {
  return bits_of(bytes + chunk / 8 * 32 + chunk % 2 * 16, chunk % 8 / 2 * 2, 3);
}

/** The four bits of a chunk in stripes of 32 bytes. */
inline Quants stripes_of_four(device const uchar *bytes, uint chunk) {
  return bits_of(bytes + chunk / 4 * 32 + chunk % 2 * 16, chunk % 4 / 2 * 4, 15);
}

/**
 * Scale and minimum of sub-block `s` of eight, six bits each, in twelve bytes: those of the first four are the low bits
 * of bytes 0 .. 3 and 4 .. 7; of the others, bytes 8 .. 11 have the low four bits, and bytes 0 .. 7 the high two on top.
 */
inline float2 scale_and_minimum(device const uchar *bytes, uint s) {
  if (s < 4) return float2(float(bytes[s] & 63), float(bytes[s + 4] & 63));
  const uint low = bytes[s + 4];
  return float2(float((low & 15) | uint(bytes[s - 4] >> 6) << 4), float(low >> 4 | uint(bytes[s] >> 6) << 4));
}

/** Two bits, sub-blocks of 16: scale * (scales[s] & 15) * q - minimum * (scales[s] >> 4). */
struct Q2_K {
  enum : uint { elements = 256 };
  uchar scales[16];
  uchar quants[64];
  half scale;
  half minimum;
};

inline Chunk dequantize(device const Q2_K &block, uint chunk) {
  const uint both = block.scales[chunk];
  const float scale = float(block.scale) * float(both & 15);
  const float minimum = float(block.minimum) * float(both >> 4);
  return shifted(stripes_of_two(block.quants, chunk), scale, -minimum);
}

/**
 * Three bits, sub-blocks of 16: scale * (s - 32) * (q - 4). `high` has the third bits: bit b of byte i is that of element
 * 32 b + i. A scale s has its low four bits in the first eight bytes, as in stripes, and its high two in the others.
 */
struct Q3_K {
  enum : uint { elements = 256 };
  uchar high[32];
  uchar quants[64];
  uchar scales[12];
  half scale;
};

inline Chunk dequantize(device const Q3_K &block, uint chunk) {
  const uint low = block.scales[chunk % 8] >> (chunk / 8 * 4) & 15;
  const uint high = block.scales[8 + chunk % 4] >> (chunk / 4 * 2) & 3;
  const float scale = float(block.scale) * float(int(low | high << 4) - 32);
  const Quants third = bits_of(block.high + chunk % 2 * 16, chunk / 2, 1);
  return centred(join(stripes_of_two(block.quants, chunk), third, 4), 4, scale);
}

/** Four bits, sub-blocks of 32: scale * s * q - minimum * m. */
struct Q4_K {
  enum : uint { elements = 256 };
  half scale;
  half minimum;
  uchar scales[12];
  uchar quants[128];
};

inline Chunk dequantize(device const Q4_K &block, uint chunk) {
  const float2 factors = scale_and_minimum(block.scales, chunk / 2) * float2(float(block.scale), float(block.minimum));
  return shifted(stripes_of_four(block.quants, chunk), factors.x, -factors.y);
}

/** Five bits, otherwise as Q4_K. Bit b of byte i of `high` is the fifth one of element 32 b + i. */
struct Q5_K {
  enum : uint { elements = 256 };
  half scale;
  half minimum;
  uchar scales[12];
  uchar high[32];
  uchar quants[128];
};

inline Chunk dequantize(device const Q5_K &block, uint chunk) {
  const float2 factors = scale_and_minimum(block.scales, chunk / 2) * float2(float(block.scale), float(block.minimum));
  const Quants fifth = bits_of(block.high + chunk % 2 * 16, chunk / 2, 1);
  return shifted(join(stripes_of_four(block.quants, chunk), fifth, 16), factors.x, -factors.y);
}

/**
 * Six bits, sub-blocks of 16: scale * scales[s] * (q - 32). The low four are in stripes of 64 bytes, elements 0 .. 63
 * below and 64 .. 127 above; the high two are in stripes of 32.
 */
struct Q6_K {
  enum : uint { elements = 256 };
  uchar low[128];
  uchar high[64];
  char scales[16];
  half scale;
};

inline Chunk dequantize(device const Q6_K &block, uint chunk) {
  const Quants low = bits_of(block.low + chunk / 8 * 64 + chunk % 4 * 16, chunk % 8 / 4 * 4, 15);
  const Quants quants = join(low, stripes_of_two(block.high, chunk), 16);
  return centred(quants, 32, float(block.scale) * float(block.scales[chunk]));
}

/**
 * Four bits, sub-blocks of 32: scale * (s - 32) * UnevenSteps[q]. Each 16 bytes are a sub-block, as in Q4_0. Of a scale s
 * the low four bits are half a byte of `low`, and the high two are bits 2 s .. 2 s + 1 of `high`.
 */
struct IQ4_XS {
  enum : uint { elements = 256 };
  half scale;
  ushort high;
  uchar low[4];
  uchar quants[128];
};

inline Chunk dequantize(device const IQ4_XS &block, uint chunk) {
  const uint s = chunk / 2;
  const uint low = block.low[s / 2] >> (s % 2 * 4) & 15;
  const uint high = block.high >> (2 * s) & 3;
  const float scale = float(block.scale) * float(int(low | high << 4) - 32);
  return uneven(bits_of(block.quants + 16 * s, chunk % 2 * 4, 15), scale);
}

#endif
