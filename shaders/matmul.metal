/*
 * matmul.metal: matrix-matrix products, out[r, o] = sum_i x[r, i] w[o, i]: the work of a prompt.
 */
#include "common.h"

/**
 * A threadgroup of four SIMD groups makes a tile of MatmulRows rows by MatmulOutputs outputs, in steps of MatmulDepth
 * along k: all threads stage one tile of each matrix in threadgroup memory as F32, zeros past k, then each SIMD group
 * multiplies its half of the rows with its half of the outputs, 2 x 2 matrices of 8 x 8. Rows and outputs past the last
 * repeat the last one: multiplied, but not written. Needs simdgroup_matrix (Apple7 and later).
 * Reads w [n, k], x [rows, k] and rowCount[0] = rows, writes out [rows, n]. n and k are any numbers of whole blocks.
 */
template <typename Block>
[[kernel]] void matmul(device const Block *w [[buffer(0)]],
                       device const F32 *x [[buffer(1)]],
                       device float *out [[buffer(2)]],
                       device const uint *rowCount [[buffer(3)]],
                       constant MatrixArgs &args [[buffer(4)]],
                       uint2 group [[threadgroup_position_in_grid]],
                       uint index [[thread_index_in_threadgroup]],
                       uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  threadgroup float xTile[MatmulRows * MatmulStride];    // [row, depth]; in the end [row, output]
  threadgroup float wTile[MatmulOutputs * MatmulStride]; // [output, depth]

  const uint rows = rowCount[0];
  const uint firstRow = group.y * MatmulRows;
  const uint firstOutput = group.x * MatmulOutputs;

  // Staging: threads 0..63 load x and 64..127 load w, each one chunk of 16; two chunks are a row of a tile.
  const bool stagesX = index < MatmulThreads / 2;
  const uint stagedRow = index % (MatmulThreads / 2) / 2;
  const uint stagedDepth = index % 2 * ChunkSize;
  device const F32 *xRow = row_of(x, min(firstRow + stagedRow, rows - 1), args.k);
  device const Block *wRow = row_of(w, min(firstOutput + stagedRow, args.n - 1), args.k);
  threadgroup float *staged = (stagesX ? xTile : wTile) + stagedRow * MatmulStride + stagedDepth;

  // This SIMD group's quarter.
  const uint rowInTile = simdgroup / 2 * 16;
  const uint outputInTile = simdgroup % 2 * 16;
  simdgroup_float8x8 sums[2][2];
  for (uint r = 0; r < 2; ++r) {
    for (uint o = 0; o < 2; ++o) sums[r][o] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  }

  for (uint start = 0; start < args.k; start += MatmulDepth) {
    const Chunk chunk = stagesX ? load16(xRow, start + stagedDepth, args.k) : load16(wRow, start + stagedDepth, args.k);
    for (uint c = 0; c < ChunkSize; ++c) staged[c] = chunk.scale * chunk.values[c / 4][c % 4];
    threadgroup_barrier(mem_flags::mem_threadgroup);

    for (uint depth = 0; depth < MatmulDepth; depth += 8) {
      simdgroup_float8x8 a[2]; // [row, depth]
      simdgroup_float8x8 b[2]; // [depth, output]: read from [output, depth], transposed
      for (uint r = 0; r < 2; ++r) {
        simdgroup_load(a[r], xTile + (rowInTile + 8 * r) * MatmulStride + depth, MatmulStride);
      }
      for (uint o = 0; o < 2; ++o) {
        simdgroup_load(b[o], wTile + (outputInTile + 8 * o) * MatmulStride + depth, MatmulStride, ulong2(0), true);
      }
      for (uint r = 0; r < 2; ++r) {
        for (uint o = 0; o < 2; ++o) simdgroup_multiply_accumulate(sums[r][o], a[r], b[o], sums[r][o]);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }

  // Matrices are stored whole, so they go through threadgroup memory, and from there only what exists is written.
  for (uint r = 0; r < 2; ++r) {
    for (uint o = 0; o < 2; ++o) {
      simdgroup_store(sums[r][o], xTile + (rowInTile + 8 * r) * MatmulStride + outputInTile + 8 * o, MatmulStride);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = index; i < MatmulRows * MatmulOutputs; i += MatmulThreads) {
    const uint row = firstRow + i / MatmulOutputs;
    const uint output = firstOutput + i % MatmulOutputs;
    if (row < rows && output < args.n) {
      out[ulong(row) * args.n + output] = xTile[i / MatmulOutputs * MatmulStride + i % MatmulOutputs];
    }
  }
}

#define MATMUL(Block, name) template [[host_name("matmul_" #name)]] [[kernel]] decltype(matmul<Block>) matmul<Block>;
WEIGHT_TYPES(MATMUL)
