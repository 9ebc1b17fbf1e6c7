/* matmul_block.h: a block of matrix-matrix products, and how kernels are made of it. Part of matmul.cu, which says what it does. */
#ifndef BUN_METAL_CUDA_NATIVE_MATMUL_BLOCK_H
#define BUN_METAL_CUDA_NATIVE_MATMUL_BLOCK_H

#include "exponents.h"

#include "matmul.h"

/* Parts of this file, each of which uses those before it. */
#include "matmul_tile.h"
#include "matmul_rows.h"
#include "matmul_weights.h"
#include "matmul_source.h"

/* ---- a tile ------------------------------------------------------------------------------------------------------ */

template <u32 outputs> DEVICE void clear(TileSums<outputs> &sums) {
  typedef TileShape<outputs> Shape;
  UNROLL for (u32 i = 0; i < Shape::Downs; i++)
    UNROLL for (u32 j = 0; j < Shape::Acrosses; j++)
      UNROLL for (u32 c = 0; c < 4; c++) sums.sums[i][j][c] = 0;
}

/** Begins the copies of a step, if there is one, as a group. */
template <typename Weights, u32 outputs>
DEVICE void copyStep(const WeightSource<Weights, outputs> &weights, const MatmulParameters &p, const Tile &tile, u32 step) {
  if (step < tile.steps) {
    copyRows<Weights>(p, tile, step);
    copyWeights(weights, p, tile, step);
  }
  copyAsyncCommit();
}

/** Begins the products of a step, by four warps together. */
template <typename Weights, u32 outputs>
DEVICE void multiplyStep(TileSums<outputs> &sums, const WeightSource<Weights, outputs> &weights, const Tile &tile, u32 step) {
  const u8 *const x = rowsPlace<Weights>(tile, step), *const w = weightsPlace(weights, tile, step, 0);
  groupBegin();
  multiplyGroup<Weights::IsBfloat>(sums, x, w);
  if constexpr (Weights::RowPlanes == 2) multiplyGroup<Weights::IsBfloat>(sums, x + RowTileBytes, w);
  if constexpr (Weights::WeightPlanes == 2) multiplyGroup<Weights::IsBfloat>(sums, x, weightsPlace(weights, tile, step, 1));
  groupCommit();
}

/** Makes all sums, by threads that do everything. Returns what no quantised weight that this thread has seen is larger than. */
template <typename Weights, u32 outputs>
DEVICE float makeTile(const MatmulParameters &p, const Tile &tile, TileSums<outputs> &sums, float power) {
  constexpr u32 rowPlanes = Weights::RowPlanes;
  WeightSource<Weights, outputs> weights;
  startWeights(weights, p, tile);
  const TileLane<outputs> lane = tileLane<outputs>();
  float largest = 0;
  clear(sums);
  constexpr u32 ahead = Stages<Weights> - 1;
  UNROLL for (u32 step = 0; step < ahead; step++) copyStep(weights, p, tile, step);
  copyAsyncWait<ahead - 1>();
  syncThreads();
  prepareWeights(weights, p, tile, 0, power, largest);

  ROLLED for (u32 step = 0; step < tile.steps; step++) {
    copyAsyncWait<ahead - 1>();
    fenceShared();
    syncThreads();
    if constexpr (HasGroupProducts) {
      multiplyStep(sums, weights, tile, step);
      copyStep(weights, p, tile, step + ahead);
      groupWait<0>();
      continue;
    }
    copyStep(weights, p, tile, step + ahead);
    const u8 *const x = rowsPlace<Weights>(tile, step), *const w = weightsPlace(weights, tile, step, 0);
    UNROLL for (u32 part = 0; part < MatmulTileDepth / 16; part++) {
      multiplyTiles<Weights::IsBfloat>(sums, lane, x, w, part);
      if (rowPlanes == 2) multiplyTiles<Weights::IsBfloat>(sums, lane, x + RowTileBytes, w, part);
      if (Weights::WeightPlanes == 2) multiplyTiles<Weights::IsBfloat>(sums, lane, x, weightsPlace(weights, tile, step, 1), part);
      if (part == 0 && step + 1 < tile.steps) prepareWeights(weights, p, tile, step + 1, power, largest);
    }
  }
  copyAsyncWait<0>();
  syncThreads();
  return largest;
}

/* ---- a tile by threads that multiply and threads that prepare what is multiplied --------------------------------- */

/** Barriers, the last two for steps in turn: a step is prepared; a step is multiplied, and what it took may be written. */
enum Barriers : u32 { Multiplying = 1, Preparing = 2, Prepared = 3, Multiplied = 5 };

/** Prepares all steps, two ahead of those that multiply at most. Returns what no weight that this thread sees is larger than. */
template <typename Weights, u32 outputs> DEVICE float prepareTile(const MatmulParameters &p, const Tile &tile, float power) {
  static_assert(Stages<Weights> >= 4, "x of a step is copied two steps ahead, while that of two is multiplied");
  WeightSource<Weights, outputs> weights;
  startWeights(weights, p, tile);
  float largest = 0;
  copyStep(weights, p, tile, 0);
  copyStep(weights, p, tile, 1);
  ROLLED for (u32 step = 0; step < tile.steps; step++) {
    copyAsyncWait<1>();
    if (step < 2) syncThreads(Preparing, MatmulThreads);
    else syncThreads(Multiplied + step % 2, 2 * MatmulThreads);
    prepareWeights(weights, p, tile, step, power, largest);
    fenceShared(); /* it waits for copies, too: of these, new ones are not among them yet */
    arriveThreads(Prepared + step % 2, 2 * MatmulThreads);
    copyStep(weights, p, tile, step + 2);
  }
  copyAsyncWait<0>();
  return largest;
}

template <typename Weights, u32 outputs> DEVICE void multiplyTile(const Tile &tile, TileSums<outputs> &sums) {
  const WeightSource<Weights, outputs> weights = {};
  clear(sums);
  ROLLED for (u32 step = 0; step < tile.steps; step++) {
    syncThreads(Prepared + step % 2, 2 * MatmulThreads);
    multiplyStep(sums, weights, tile, step);
    if (step == 0) continue;
    groupWait<1>();
    if (step + 1 < tile.steps) arriveThreads(Multiplied + (step + 1) % 2, 2 * MatmulThreads);
  }
  groupWait<0>();
}

constexpr float FirstPower = 0x1p4f;

/** The power of two that weights have to be multiplied with, where the one that they were multiplied with does not suit the
 * largest: halves end at 2^16, and have all bits from 2^-14 on. Else 0. In all threads. */
DEVICE float betterPower(float largest, float power, float *control) {
  const u32 warp = warpIndex();
  largest = reduceMaxWarp(largest);
  if (laneIndex() == 0) control[warp] = largest;
  syncThreads();
  for (u32 i = 0; i < threadCount() / 32; i++) largest = maximum(largest, control[i]);
  const u32 bits = bitsOf(largest);
  if (bits == 0 || bits >= 0x7f800000) return 0; /* what is infinite stays so */
  const float scaled = largest * power;
  if (scaled <= 32000.0f && scaled >= 0x1p-10f) return 0;
  return powerOfTwo(minimum(13 - ((i32)(bits >> 23) - 127), 126));
}

/** What a thread asks for at once of the sums of a part: it takes as long as one. */
constexpr u32 PiecesAtOnce = 8;

/** Adds the sums of all parts of k in the last of their blocks to come here, always in the same order. False in the others. */
template <u32 outputs> DEVICE bool joinParts(const MatmulParameters &p, TileSums<outputs> &sums, u32 *counters, u32 *control) {
  typedef TileShape<outputs> Shape;
  constexpr u32 pieces = Shape::Downs * Shape::Acrosses;
  const u32 parts = blockCountZ(), tile = blockIndexY() * blockCountX() + blockIndexX();
  f32x4 *const places = (f32x4 *)(p.partial + p.partsOffset) + (u64)tile * parts * pieces * MatmulThreads + threadIndex();
  UNROLL for (u32 i = 0; i < pieces; i++) {
    const float(&s)[4] = sums.sums[i / Shape::Acrosses][i % Shape::Acrosses];
    places[(u64)(blockIndexZ() * pieces + i) * MatmulThreads] = f32x4{s[0], s[1], s[2], s[3]};
  }
  syncThreads(Multiplying, MatmulThreads);
  if (threadIndex() == 0) {
    u32 *const counter = counters + MatmulFirstCounter + blockCountX() + tile;
    fence();
    control[0] = atomicAdd(counter, 1);
    if (control[0] == parts - 1) *counter = 0;
    fence();
  }
  syncThreads(Multiplying, MatmulThreads);
  if (control[0] != parts - 1) return false;
  ROLLED for (u32 part = 0; part < parts; part++)
    UNROLL for (u32 first = 0; first < pieces; first += PiecesAtOnce) {
      u32x4 loaded[PiecesAtOnce];
      UNROLL for (u32 i = 0; i < PiecesAtOnce; i++)
        loaded[i] = loadShared16(places + (u64)(part * pieces + first + i) * MatmulThreads);
      UNROLL for (u32 i = 0; i < PiecesAtOnce; i++) {
        float(&s)[4] = sums.sums[(first + i) / Shape::Acrosses][(first + i) % Shape::Acrosses];
        UNROLL for (u32 c = 0; c < 4; c++) s[c] = floatOf(loaded[i][c]) + (part > 0 ? s[c] : 0);
      }
    }
  return true;
}

template <u32 outputs>
DEVICE void storeTile(const MatmulParameters &p, const Tile &tile, const TileSums<outputs> &sums, bool hasFactors) {
  typedef TileShape<outputs> Shape;
  const u32 lane = laneIndex(), warp = warpIndex();
  const bool arePairs = tile.n % 2 == 0;
  UNROLL for (u32 i = 0; i < 2 * Shape::Downs; i++) {
    const u32 row = tile.firstRow + warp / Shape::WarpsAcross * Shape::WarpRows + 8 * i + lane / 4;
    if (row >= tile.rows) continue;
    const float factor = hasFactors ? loadShared(rowFactors(p) + row) : 1;
    float *const out = (float *)tile.out + (u64)row * tile.n;
    UNROLL for (u32 j = 0; j < Shape::Acrosses; j++) {
      const u32 output = tile.firstOutput + warp % Shape::WarpsAcross * Shape::WarpOutputs + 8 * j + lane % 4 * 2;
      const float first = sums.sums[i / 2][j][i % 2 * 2] * factor, second = sums.sums[i / 2][j][i % 2 * 2 + 1] * factor;
      if (arePairs) {
        if (output < tile.n) *(f32x2 *)(out + output) = f32x2{first, second};
      } else {
        if (output < tile.n) out[output] = first;
        if (output + 1 < tile.n) out[output + 1] = second;
      }
    }
  }
}

/** The job that this block's tile is of. firstOutput is the number of its tile there. */
DEVICE Tile findJob(const MatmulParameters &p) {
  Tile tile;
  UNROLL for (u32 i = 0; i < MatmulMostJobs; i++) {
    const MatmulJob &job = p.jobs[i];
    if (blockIndexY() < job.firstTile) break;
    tile.w = job.w;
    tile.out = job.out;
    tile.n = job.n;
    tile.firstOutput = blockIndexY() - job.firstTile;
  }
  return tile;
}

template <typename Weights, u32 outputs>
DEVICE void makeOutputs(const MatmulParameters &p, u8 *arena, u32 rows, u32 *counters) {
  typedef TileShape<outputs> Shape;
  u32 *const control = (u32 *)arena;
  Tile tile = findJob(p);
  tile.rows = rows;
  tile.firstRow = blockIndexX() * MatmulTileRows;
  tile.firstOutput *= outputs;
  tile.firstStep = blockIndexZ() * p.stepsOfPart;
  tile.steps = minimum(p.stepsOfPart, p.depth / MatmulTileDepth - tile.firstStep);
  u8 *const tiles = arena + MatmulControlBytes;
  tile.rowsStaged = tiles + (MatmulTileAlignment - (u32)(u64)tiles) % MatmulTileAlignment;
  tile.weightsStaged = tile.rowsStaged + Stages<Weights> * Weights::RowPlanes * RowTileBytes;
  waitForRows(blockIndexX(), counters);

  TileSums<outputs> sums;
  float power = FirstPower;
  ROLLED for (;;) {
    float largest = 0;
    if constexpr (HasPreparers<Weights>) {
      if (threadIndex() < MatmulThreads) multiplyTile<Weights>(tile, sums);
      else largest = prepareTile<Weights, outputs>(p, tile, power);
    } else {
      largest = makeTile<Weights>(p, tile, sums, power);
    }
    if (!Weights::HasPower) break;
    const float better = betterPower(largest, power, (float *)control);
    if (better == 0 || better == power) break;
    power = better;
    syncThreads();
  }
  if (HasPreparers<Weights> && threadIndex() >= MatmulThreads) return;
  if (Weights::HasPower) {
    const float less = 1.0f / power;
    UNROLL for (u32 i = 0; i < Shape::Downs; i++)
      UNROLL for (u32 j = 0; j < Shape::Acrosses; j++)
        UNROLL for (u32 c = 0; c < 4; c++) sums.sums[i][j][c] *= less;
  }
  if (blockCountZ() > 1) {
    syncThreads(Multiplying, MatmulThreads);
    if (!joinParts(p, sums, counters, control)) return;
  }
  storeTile(p, tile, sums, Weights::RowPlanes == 1);
}

/** The last block to end leaves all counters zero. */
DEVICE void endBlock(u32 *counters) {
  syncThreads();
  if (threadIndex() != 0) return;
  fence();
  if (atomicAdd(counters + MatmulEnded, 1) + 1 < blockCountX() * blockCountY() * blockCountZ()) return;
  counters[MatmulClaims] = 0;
  counters[MatmulEnded] = 0;
  for (u32 i = 0; i < blockCountX(); i++) counters[MatmulFirstCounter + i] = 0;
}

template <typename Weights, u32 outputs> DEVICE void matmul(const MatmulParameters &p, u8 *arena) {
  waitForPrevious();
  u32 *const counters = (u32 *)p.counters;
  const u32 rows = minimum(*(const u32 *)p.rowCount, p.mostRows);
  if (blockIndexX() * MatmulTileRows < rows) {
    convertRows<Weights::RowPlanes, BlockThreads<Weights>>(p, rows, (u32 *)arena);
    makeOutputs<Weights, outputs>(p, arena, rows, counters);
  }
  allowNext();
  endBlock(counters);
}

/* A kernel's name says how many outputs its tiles have. Of the smaller ones a multiprocessor has two blocks, where all threads
 * multiply. Types that few files have do without large ones. */
#define MATMUL(name, Weights, outputs, blocks)                                                                                \
  GLOBAL(BlockThreads<Weights>, HasPreparers<Weights> ? 1 : blocks) void matmul_##name##_##outputs(const MatmulParameters p) { \
    SHARED_ARENA(arena);                                                                                                      \
    matmul<Weights, outputs>(p, arena);                                                                                       \
  }
/* Kernels of four warps at a time alone. */
#define MATMUL_GROUPS(name, Weights, outputs, blocks)                                                \
  GLOBAL(BlockThreads<Weights>, blocks) void matmul_##name##_##outputs(const MatmulParameters p) {   \
    SHARED_ARENA(arena);                                                                             \
    if constexpr (HasGroupProducts) matmul<Weights, outputs>(p, arena);                              \
  }
#define MATMUL_BOTH(name, Weights) MATMUL(name, Weights, 64, 2) MATMUL(name, Weights, 128, 1)

#endif
