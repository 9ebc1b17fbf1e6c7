/*
 * matmul.cu: matrix-matrix products on tensor cores, in place of shaders/matmul.metal.
 *
 * A block makes a tile of 128 rows by 128 or 64 outputs, or its sums over a part of k, in steps of 64 elements: 8 warps, each of
 * 64 or 32 rows by 32 outputs, whose sums are floats in registers. Tiles of x are copied asynchronously, two steps ahead. So are
 * weights in halves or bfloats. Of quantised ones segments of 256 elements are copied as they are, into one of two places, and
 * while a step is multiplied, the weights of the next become halves, once for the whole block.
 *
 * Quantised weights become halves times a power of two, 2^8 at first: weights up to 128 fit then, and those of 2^-22 or more have
 * all of their bits. A block in whose tile there are larger ones, or only much smaller ones, finds that out by the way, and makes
 * its tile once more with the power that fits its largest.
 */
#include "intrinsics.h"

#include "matmul.h"

#include "matmul_rows.h"
#include "matmul_tile.h"
#include "matmul_weights.h"

constexpr u32 TileBytes = MatmulTileRows * TileRowBytes; /* of x */

/* ---- weights --------------------------------------------------------------------------------------------------------------- */

/** Weights that are multiplied as they are. */
template <bool isBfloat> struct CopiedWeights {
  static constexpr bool IsBfloat = isBfloat;
  static constexpr u32 RowPlanes = isBfloat ? 2 : 1, WeightPlanes = 1;
  static constexpr bool HasPower = false;
};

/** Quantised weights, of which there are two tiles of halves, and two segments. */
template <typename Type> struct QuantisedWeights {
  static constexpr bool IsBfloat = false;
  static constexpr u32 RowPlanes = 1, WeightPlanes = 1;
  static constexpr bool HasPower = true;
  static constexpr u32 Pieces = MATMUL_PIECES(Type::SegmentBytes), Pitch = MATMUL_PITCH(Type::SegmentBytes);
};

/** Weights in floats: two bfloats each. */
struct FloatWeights {
  static constexpr bool IsBfloat = true;
  static constexpr u32 RowPlanes = 2, WeightPlanes = 2;
  static constexpr bool HasPower = false;
};

/** What a block works on. */
struct Tile {
  u32 rows;                   /* of all of x */
  u32 firstRow, firstOutput;
  u32 firstStep, steps;       /* of k */
  u8 *x, *w;                  /* in shared memory */
};

/** Copies step `s` of a plane of 16-bit elements: `count` rows of it, of which those past the last are zero. */
template <u32 count>
DEVICE void copyTile(u8 *to, const u16 *from, u64 rowLength, u32 firstRow, u32 rows, u32 step, u32 lastPiece) {
  const u32 thread = threadIndex(), piece = thread % TilePieces;
  UNROLL for (u32 i = 0; i < count * TilePieces / MatmulBlockThreads; i++) {
    const u32 row = thread / TilePieces + i * (MatmulBlockThreads / TilePieces), there = step * TilePieces + piece;
    const bool isThere = firstRow + row < rows && there < lastPiece;
    const u16 *const at = from + (isThere ? (u64)(firstRow + row) * rowLength + there * 8 : 0);
    copyAsync16(to + placeInTile(row, piece), at, isThere ? 16 : 0);
  }
}

template <u32 planes> DEVICE void copyRows(const MatmulParameters &p, const Tile &tile, u32 step) {
  UNROLL for (u32 plane = 0; plane < planes; plane++)
    copyTile<MatmulTileRows>(tile.x + (step % MatmulStages * planes + plane) * TileBytes,
                             (const u16 *)p.partial + plane * planeLength(p), p.depth, tile.firstRow, tile.rows,
                             tile.firstStep + step, ~0u);
}

/* ---- sources of weights: copy() is called for each step, in order, MatmulStages - 1 ahead; prepare() for the step that is next,
 * and tile() says where that is then ---- */

template <typename Weights, u32 outputs> struct Source;

template <bool isBfloat, u32 outputs> struct Source<CopiedWeights<isBfloat>, outputs> {
  DEVICE void copy(const MatmulParameters &p, const Tile &tile, u32 step) {
    copyTile<outputs>(tile.w + step % MatmulStages * (outputs * TileRowBytes), (const u16 *)p.w, p.k, tile.firstOutput, p.n,
                      tile.firstStep + step, p.k / 8);
  }
  DEVICE void prepare(const MatmulParameters &, const Tile &, u32, float, float &) {}
  DEVICE const u8 *place(const Tile &tile, u32 step, u32) { return tile.w + step % MatmulStages * (outputs * TileRowBytes); }
};

/** Runs of 32 weights of a step, two of each output: those of one half of the threads, or of two. */
template <u32 outputs> DEVICE bool findRun(u32 &output, u32 &half) {
  const u32 thread = threadIndex();
  output = thread % outputs;
  half = thread / outputs;
  return half < 2;
}
DEVICE void storeRun(u8 *tile, u32 output, u32 half, const u32 (&halves)[16]) {
  UNROLL for (u32 i = 0; i < 4; i++)
    *(u32x4 *)(tile + placeInTile(output, 4 * half + i)) =
        u32x4{halves[4 * i], halves[4 * i + 1], halves[4 * i + 2], halves[4 * i + 3]};
}

template <typename Type, u32 outputs> struct Source<QuantisedWeights<Type>, outputs> {
  typedef QuantisedWeights<Type> Weights;
  static constexpr u32 SegmentSteps = MatmulSegment / MatmulTileDepth;
  static constexpr u32 SegmentPlace = outputs * Weights::Pitch;

  DEVICE u64 address(const MatmulParameters &p, const Tile &tile, u32 output, u32 segment) {
    const u32 row = minimum(tile.firstOutput + output, p.n - 1);
    return p.w + (u64)row * p.rowBytes + (u64)(tile.firstStep / SegmentSteps + segment) * Type::SegmentBytes;
  }
  DEVICE u8 *segmentPlace(const Tile &tile, u32 segment) {
    return tile.w + 2 * outputs * TileRowBytes + segment % 2 * SegmentPlace;
  }

  /** Some of a segment's pieces of 16 bytes. Bytes past the row's end become zero, which is the weight zero in all types. */
  template <u32 parts> DEVICE void copySegment(const MatmulParameters &p, const Tile &tile, u32 segment, u32 part) {
    constexpr u32 pieces = outputs * Weights::Pieces, share = (pieces + parts - 1) / parts;
    u8 *const to = segmentPlace(tile, segment);
    for (u32 i = part * share + threadIndex(); i < minimum((part + 1) * share, pieces); i += MatmulBlockThreads) {
      const u32 output = i / Weights::Pieces, piece = i % Weights::Pieces;
      const u64 from = address(p, tile, output, segment), aligned = from & ~(u64)15;
      const u64 end = minimum(tile.firstOutput + output, p.n - 1) * (u64)p.rowBytes + p.rowBytes + p.w;
      const u64 last = from + Type::SegmentBytes < end ? from + Type::SegmentBytes : end, at = aligned + 16 * piece;
      const u32 bytes = at >= last ? 0 : last - at < 16 ? (u32)(last - at) : 16;
      copyAsync16(to + output * Weights::Pitch + 16 * piece, (const void *)(bytes ? at : aligned), bytes);
    }
  }
  /** Segment s + 1 goes where s - 1 is, whose last weights are prepared at step 4 s - 2. With step i go the copies that are begun
   * at step i - 2, behind a barrier: so they may be those of steps 4 s + 1 .. 4 s + 3. */
  DEVICE void copy(const MatmulParameters &p, const Tile &tile, u32 step) {
    static_assert(MatmulStages == 3 && SegmentSteps == 4, "a segment must not be copied before the last but one is used up");
    const u32 inSegment = step % SegmentSteps, next = step / SegmentSteps + 1;
    if (step == 0) copySegment<1>(p, tile, 0, 0);
    else if (inSegment > 0 && next * SegmentSteps < tile.steps) copySegment<3>(p, tile, next, inSegment - 1);
  }
  DEVICE void prepare(const MatmulParameters &p, const Tile &tile, u32 step, float power, float &largest) {
    u32 output, half;
    if (!findRun<outputs>(output, half)) return;
    const u32 segment = step / SegmentSteps;
    const u32 misaligned = (u32)address(p, tile, output, segment) & 15;
    WeightRun run;
    Type{}.read(run, segmentPlace(tile, segment) + output * Weights::Pitch + misaligned, step % SegmentSteps * 2 + half);
    u32 halves[16];
    largest = maximum(largest, makeHalves<Type>(halves, run, power));
    storeRun(tile.w + step % 2 * (outputs * TileRowBytes), output, half, halves);
  }
  DEVICE const u8 *place(const Tile &tile, u32 step, u32) { return tile.w + step % 2 * (outputs * TileRowBytes); }
};

template <u32 outputs> struct Source<FloatWeights, outputs> {
  DEVICE void copy(const MatmulParameters &, const Tile &, u32) {}
  DEVICE void prepare(const MatmulParameters &p, const Tile &tile, u32 step, float, float &) {
    u32 output, half;
    if (!findRun<outputs>(output, half)) return;
    const u32 row = minimum(tile.firstOutput + output, p.n - 1), first = (tile.firstStep + step) * MatmulTileDepth + 32 * half;
    const float *const from = (const float *)p.w + (u64)row * p.k + first;
    u32 highs[16], lows[16];
    UNROLL for (u32 i = 0; i < 8; i++) {
      const f32x4 v = first + 4 * i < p.k ? *(const f32x4 *)(from + 4 * i) : f32x4{0, 0, 0, 0};
      const BfloatParts a = bfloatParts(v.x), b = bfloatParts(v.y), c = bfloatParts(v.z), d = bfloatParts(v.w);
      highs[2 * i] = floatsToBfloats(a.high, b.high), highs[2 * i + 1] = floatsToBfloats(c.high, d.high);
      lows[2 * i] = floatsToBfloats(a.low, b.low), lows[2 * i + 1] = floatsToBfloats(c.low, d.low);
    }
    u8 *const to = tile.w + step % 2 * (2 * outputs * TileRowBytes);
    storeRun(to, output, half, highs);
    storeRun(to + outputs * TileRowBytes, output, half, lows);
  }
  DEVICE const u8 *place(const Tile &tile, u32 step, u32 plane) {
    return tile.w + (step % 2 * 2 + plane) * (outputs * TileRowBytes);
  }
};

/* ---- a tile --------------------------------------------------------------------------------------------------------------------- */

/** Makes all sums. Returns what no quantised weight that this thread has seen is larger than. */
template <typename Weights, u32 outputs>
DEVICE float makeTile(const MatmulParameters &p, const Tile &tile, TileSums<outputs> &sums, float power) {
  typedef TileShape<outputs> Shape;
  Source<Weights, outputs> source;
  constexpr u32 rowPlanes = Weights::RowPlanes;
  const TileLane<outputs> lane = tileLane<outputs>();
  float largest = 0;
  UNROLL for (u32 i = 0; i < Shape::Downs; i++)
    UNROLL for (u32 j = 0; j < Shape::Acrosses; j++)
      UNROLL for (u32 c = 0; c < 4; c++) sums.sums[i][j][c] = 0;

  UNROLL for (u32 step = 0; step < MatmulStages - 1; step++) {
    if (step < tile.steps) {
      copyRows<rowPlanes>(p, tile, step);
      source.copy(p, tile, step);
    }
    copyAsyncCommit();
  }
  copyAsyncWait<MatmulStages - 2>();
  syncThreads();
  source.prepare(p, tile, 0, power, largest);

  _Pragma("unroll 1") for (u32 step = 0; step < tile.steps; step++) {
    copyAsyncWait<MatmulStages - 2>();
    syncThreads();
    if (step + MatmulStages - 1 < tile.steps) {
      copyRows<rowPlanes>(p, tile, step + MatmulStages - 1);
      source.copy(p, tile, step + MatmulStages - 1);
    }
    copyAsyncCommit();
    const u8 *const x = tile.x + step % MatmulStages * (rowPlanes * TileBytes);
    UNROLL for (u32 part = 0; part < MatmulTileDepth / 16; part++) {
      multiplyTiles<Weights::IsBfloat>(sums, lane, x, source.place(tile, step, 0), part);
      if (rowPlanes == 2) multiplyTiles<Weights::IsBfloat>(sums, lane, x + TileBytes, source.place(tile, step, 0), part);
      if (Weights::WeightPlanes == 2) multiplyTiles<Weights::IsBfloat>(sums, lane, x, source.place(tile, step, 1), part);
      if (part == 0 && step + 1 < tile.steps) source.prepare(p, tile, step + 1, power, largest);
    }
  }
  copyAsyncWait<0>();
  syncThreads();
  return largest;
}

constexpr float FirstPower = 0x1p8f;

/** The power of two that weights have to be multiplied with, where the one that they were multiplied with does not suit the largest:
 * halves end at 2^16, and have all bits from 2^-14 on. Else 0. In all threads. */
DEVICE float betterPower(float largest, float power, float *control) {
  largest = reduceMaxWarp(largest);
  if (laneIndex() == 0) control[warpIndex()] = largest;
  syncThreads();
  for (u32 i = 0; i < MatmulBlockThreads / 32; i++) largest = maximum(largest, control[i]);
  const u32 bits = bitsOf(largest);
  if (bits == 0 || bits >= 0x7f800000) return 0; /* what is infinite stays so */
  const float scaled = largest * power;
  if (scaled <= 32000.0f && scaled >= 0x1p-6f) return 0;
  return powerOfTwo(minimum(13 - ((i32)(bits >> 23) - 127), 126));
}

/** Adds the sums of all parts of k in the last of their blocks to come here, always in the same order. False in the others. */
template <u32 outputs> DEVICE bool joinParts(const MatmulParameters &p, TileSums<outputs> &sums, u32 *counters, u32 *control) {
  typedef TileShape<outputs> Shape;
  constexpr u32 pieces = Shape::Downs * Shape::Acrosses;
  const u32 parts = blockCountZ(), tile = blockIndexY() * blockCountX() + blockIndexX();
  f32x4 *const places = (f32x4 *)(p.partial + p.partsOffset) + (u64)tile * parts * pieces * MatmulBlockThreads + threadIndex();
  UNROLL for (u32 i = 0; i < pieces; i++) {
    const float(&s)[4] = sums.sums[i / Shape::Acrosses][i % Shape::Acrosses];
    places[(u64)(blockIndexZ() * pieces + i) * MatmulBlockThreads] = f32x4{s[0], s[1], s[2], s[3]};
  }
  syncThreads();
  if (threadIndex() == 0) {
    u32 *const counter = counters + MatmulFirstCounter + blockCountX() + tile;
    fence();
    control[0] = atomicAdd(counter, 1);
    if (control[0] == parts - 1) *counter = 0;
    fence();
  }
  syncThreads();
  if (control[0] != parts - 1) return false;
  UNROLL for (u32 i = 0; i < pieces; i++) {
    float(&s)[4] = sums.sums[i / Shape::Acrosses][i % Shape::Acrosses];
    UNROLL for (u32 c = 0; c < 4; c++) s[c] = 0;
    for (u32 part = 0; part < parts; part++) {
      const u32x4 v = loadShared16(places + (u64)(part * pieces + i) * MatmulBlockThreads);
      s[0] += floatOf(v.x), s[1] += floatOf(v.y), s[2] += floatOf(v.z), s[3] += floatOf(v.w);
    }
  }
  return true;
}

template <u32 outputs> DEVICE void storeTile(const MatmulParameters &p, const Tile &tile, const TileSums<outputs> &sums, bool hasFactors) {
  typedef TileShape<outputs> Shape;
  const u32 lane = laneIndex(), warp = warpIndex();
  const bool arePairs = p.n % 2 == 0;
  UNROLL for (u32 i = 0; i < 2 * Shape::Downs; i++) {
    const u32 row = tile.firstRow + warp / Shape::WarpsAcross * Shape::WarpRows + 8 * i + lane / 4;
    if (row >= tile.rows) continue;
    const float factor = hasFactors ? loadShared(rowFactors(p) + row) : 1;
    float *const out = (float *)p.out + (u64)row * p.n;
    UNROLL for (u32 j = 0; j < Shape::Acrosses; j++) {
      const u32 output = tile.firstOutput + warp % Shape::WarpsAcross * Shape::WarpOutputs + 8 * j + lane % 4 * 2;
      const float first = sums.sums[i / 2][j][i % 2 * 2] * factor, second = sums.sums[i / 2][j][i % 2 * 2 + 1] * factor;
      if (arePairs) {
        if (output < p.n) *(f32x2 *)(out + output) = f32x2{first, second};
      } else {
        if (output < p.n) out[output] = first;
        if (output + 1 < p.n) out[output + 1] = second;
      }
    }
  }
}

template <typename Weights, u32 outputs>
DEVICE void makeOutputs(const MatmulParameters &p, u8 *arena, u32 rows, u32 *counters) {
  typedef TileShape<outputs> Shape;
  u32 *const control = (u32 *)arena;
  Tile tile;
  tile.rows = rows;
  tile.firstRow = blockIndexX() * MatmulTileRows;
  tile.firstOutput = blockIndexY() * outputs;
  tile.firstStep = blockIndexZ() * p.stepsOfPart;
  tile.steps = minimum(p.stepsOfPart, p.depth / MatmulTileDepth - tile.firstStep);
  tile.x = arena + MatmulControlBytes;
  tile.w = tile.x + MatmulStages * Weights::RowPlanes * TileBytes;
  waitForRows(rows, blockIndexX(), counters);

  TileSums<outputs> sums;
  float power = FirstPower;
  if (!Weights::HasPower) {
    makeTile<Weights>(p, tile, sums, 1.0f);
  } else {
    _Pragma("unroll 1") for (;;) {
      const float largest = makeTile<Weights>(p, tile, sums, power), better = betterPower(largest, power, (float *)control);
      if (better == 0 || better == power) break;
      power = better;
      syncThreads();
    }
    const float less = 1.0f / power;
    UNROLL for (u32 i = 0; i < Shape::Downs; i++)
      UNROLL for (u32 j = 0; j < Shape::Acrosses; j++)
        UNROLL for (u32 c = 0; c < 4; c++) sums.sums[i][j][c] *= less;
  }
  if (blockCountZ() > 1) {
    syncThreads();
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
    convertRows<Weights::RowPlanes>(p, rows, counters, (u32 *)arena);
    makeOutputs<Weights, outputs>(p, arena, rows, counters);
  }
  allowNext();
  endBlock(counters);
}

/* A kernel's name says how many outputs its tiles have. Of the smaller ones a multiprocessor has two blocks. */
#define MATMUL(name, Weights, outputs, blocks)                                                  \
  GLOBAL(MatmulBlockThreads, blocks) void matmul_##name##_##outputs(const MatmulParameters p) { \
    SHARED_ARENA(arena);                                                                        \
    matmul<Weights, outputs>(p, arena);                                                         \
  }
#define MATMUL_BOTH(name, Weights) MATMUL(name, Weights, 64, 2) MATMUL(name, Weights, 128, 1)

MATMUL(f32, FloatWeights, 64, 1)
MATMUL(bf16, CopiedWeights<true>, 64, 1)
MATMUL(bf16, CopiedWeights<true>, 128, 1)
MATMUL_BOTH(f16, CopiedWeights<false>)
MATMUL_BOTH(q4_0, QuantisedWeights<Q4_0>)
MATMUL_BOTH(q4_1, QuantisedWeights<Q4_1>)
MATMUL_BOTH(q5_0, QuantisedWeights<Q5_0>)
MATMUL_BOTH(q5_1, QuantisedWeights<Q5_1>)
MATMUL_BOTH(q8_0, QuantisedWeights<Q8_0>)
MATMUL_BOTH(q2_k, QuantisedWeights<Q2_K>)
MATMUL_BOTH(q3_k, QuantisedWeights<Q3_K>)
MATMUL_BOTH(q4_k, QuantisedWeights<Q4_K>)
MATMUL_BOTH(q5_k, QuantisedWeights<Q5_K>)
MATMUL_BOTH(q6_k, QuantisedWeights<Q6_K>)
MATMUL_BOTH(iq4_nl, QuantisedWeights<IQ4_NL>)
MATMUL_BOTH(iq4_xs, QuantisedWeights<IQ4_XS>)
MATMUL_BOTH(mxfp4, QuantisedWeights<MXFP4>)
