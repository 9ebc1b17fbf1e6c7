/*
 * common.h: element formats, and how their values are read.
 *
 * A tensor is rows of blocks. A format is a struct for one block, with the number of its elements, and two functions:
 * element() reads one value, load16() reads 16 consecutive ones. Kernels are templates over the format, so a new one is
 * added here and instantiated where it is wanted.
 */
#ifndef BUN_METAL_COMMON_H
#define BUN_METAL_COMMON_H

#include <metal_stdlib>
using namespace metal;

#include "args.h"
#include "tiles.h"

// ---- formats -------------------------------------------------------------------------------------------------------

struct F32 {
  enum : uint { elements = 1 };
  float value;
};

struct F16 {
  enum : uint { elements = 1 };
  half value;
};

/** Eight-bit blocks as in GGUF, 34 bytes, aligned to 2: element i is scale * quants[i]. */
struct Q8_0 {
  enum : uint { elements = 32 };
  half scale;
  char quants[32];
};

/** Where row `row` of a tensor with rows of `n` elements starts. */
template <typename Block> inline device const Block *row_of(device const Block *tensor, uint row, uint n) {
  return tensor + ulong(row) * (n / Block::elements);
}

// ---- one element ---------------------------------------------------------------------------------------------------

inline float element(device const F32 *row, uint i) { return row[i].value; }
inline float element(device const F16 *row, uint i) { return float(row[i].value); }
inline float element(device const Q8_0 *row, uint i) { return float(row[i / 32].scale) * float(row[i / 32].quants[i % 32]); }

inline void store(device F32 *row, uint i, float value) { row[i].value = value; }
inline void store(device F16 *row, uint i, float value) { row[i].value = half(value); }

// ---- sixteen elements ----------------------------------------------------------------------------------------------

/** Sixteen consecutive elements: scale * values. Formats without a scale have 1, and the product folds away. */
struct Chunk {
  float4 values[4];
  float scale;
};

inline float4 load4(device const F32 *row, uint i) { return float4(*(device const packed_float4 *)(row + i)); }

inline Chunk load16(device const F32 *row, uint i) {
  return {{load4(row, i), load4(row, i + 4), load4(row, i + 8), load4(row, i + 12)}, 1.0f};
}

inline Chunk load16(device const F16 *row, uint i) {
  device const packed_half4 *x = (device const packed_half4 *)(row + i);
  return {{float4(half4(x[0])), float4(half4(x[1])), float4(half4(x[2])), float4(half4(x[3]))}, 1.0f};
}

/** `i` is a multiple of 16: the sixteen are in one block. */
inline Chunk load16(device const Q8_0 *row, uint i) {
  device const packed_char4 *q = (device const packed_char4 *)(row[i / 32].quants + i % 32);
  return {{float4(char4(q[0])), float4(char4(q[1])), float4(char4(q[2])), float4(char4(q[3]))}, float(row[i / 32].scale)};
}

/** As load16 in a row of `n` elements: those past its end are 0, and are not read. */
template <typename Block> inline Chunk load16(device const Block *row, uint i, uint n) {
  if (Block::elements > 1 || i + 16 <= n) return load16(row, i);
  Chunk chunk = {{0.0f, 0.0f, 0.0f, 0.0f}, 1.0f};
  for (uint j = 0; j < 16; ++j) {
    if (i + j < n) chunk.values[j / 4][j % 4] = element(row, i + j);
  }
  return chunk;
}

/** sum + w * x, element by element, as four partial sums. The scale of `x` is 1. */
inline float4 multiply_accumulate(Chunk w, Chunk x, float4 sum) {
  float4 products = w.values[0] * x.values[0];
  products = fma(w.values[1], x.values[1], products);
  products = fma(w.values[2], x.values[2], products);
  products = fma(w.values[3], x.values[3], products);
  return fma(float4(w.scale), products, sum);
}

inline float sum_of(float4 v) { return (v.x + v.y) + (v.z + v.w); }

#endif
