/*
 * common.h: how the values of a row are read, whatever its type. Kernels are templates over the types of blocks.h.
 */
#ifndef BUN_METAL_COMMON_H
#define BUN_METAL_COMMON_H

#include <metal_stdlib>
using namespace metal;

#include "args.h"
#include "blocks.h"
#include "tiles.h"

/** Where row `row` of a tensor with rows of `n` elements starts. */
template <typename Block> inline device const Block *row_of(device const Block *tensor, uint row, uint n) {
  return tensor + ulong(row) * (n / Block::elements);
}

// ---- one element ---------------------------------------------------------------------------------------------------

/** Of a type with blocks it costs as much as sixteen: kernels take whole chunks of those. */
template <typename Block> inline float element(device const Block *row, uint i) {
  const Chunk chunk = dequantize(row[i / Block::elements], i % Block::elements / ChunkSize);
  return chunk.scale * chunk.values[i % ChunkSize / 4][i % 4];
}

inline float element(device const F32 *row, uint i) { return value_of(row[i]); }
inline float element(device const F16 *row, uint i) { return value_of(row[i]); }
inline float element(device const BF16 *row, uint i) { return value_of(row[i]); }

inline void store(device F32 *row, uint i, float value) { row[i].value = value; }
inline void store(device F16 *row, uint i, float value) { row[i].value = half(value); }

// ---- sixteen elements ----------------------------------------------------------------------------------------------

inline float4 load4(device const F32 *row, uint i) { return load4(row + i); }

/** `i` is a multiple of 16, so that the sixteen are in one block. */
template <typename Block> inline Chunk load16(device const Block *row, uint i) {
  return dequantize(row[i / Block::elements], i % Block::elements / ChunkSize);
}

inline Chunk load16(device const F32 *row, uint i) {
  return {{load4(row + i), load4(row + i + 4), load4(row + i + 8), load4(row + i + 12)}, 1.0f};
}

inline Chunk load16(device const F16 *row, uint i) {
  return {{load4(row + i), load4(row + i + 4), load4(row + i + 8), load4(row + i + 12)}, 1.0f};
}

inline Chunk load16(device const BF16 *row, uint i) {
  return {{load4(row + i), load4(row + i + 4), load4(row + i + 8), load4(row + i + 12)}, 1.0f};
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

/** Elements that a thread makes where each makes few: a chunk of a type with blocks, else one. */
template <typename Block> inline uint elements_per_thread() { return Block::elements > 1 ? uint(ChunkSize) : 1u; }

/** out[i] = row[i], for the elements of one thread from `first` on. */
template <typename Block, typename To> inline void copy_elements(device const Block *row, device To *out, uint first) {
  if (Block::elements == 1) {
    store(out, first, element(row, first));
  } else {
    const Chunk chunk = load16(row, first);
    for (uint i = 0; i < ChunkSize; ++i) store(out, first + i, chunk.scale * chunk.values[i / 4][i % 4]);
  }
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
