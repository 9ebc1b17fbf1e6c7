/*
 * norm.cu: rows times one over the root of their mean square, as shaders/norm.metal, for rows of any number. All that a thread has
 * of a row is asked for at once, sixteen bytes at a time, and stays in registers.
 */
#include "intrinsics.h"

#include "norm.h"

template <u32 RowThreads, u32 Fours> DEVICE void normalise(const NormParameters &p, float *partials) {
  const u32 row = blockIndexX() * (NormThreads / RowThreads) + threadIndex() / RowThreads, first = threadIndex() % RowThreads;
  const u64 begin = (u64)row * p.fours;
  const u32 fours = row < p.rows ? p.fours : 0; // where a warp has a row to itself, there may be one too many
  const f32x4 *x = (const f32x4 *)p.x + begin, *added = (const f32x4 *)p.added + begin;
  f32x4 values[Fours], weights[Fours];
  const auto readWeights = [&] {
    UNROLL for (u32 i = 0; i < Fours; ++i) {
      const u32 at = first + i * RowThreads;
      if (at < fours) weights[i] = ((const f32x4 *)p.weight)[at];
    }
  };
  allowNext();
  if (p.readsEarly) readWeights();
  waitForPrevious();
  UNROLL for (u32 i = 0; i < Fours; ++i) {
    const u32 at = first + i * RowThreads;
    values[i] = at < fours ? x[at] : f32x4{0.0f, 0.0f, 0.0f, 0.0f};
  }
  if (p.added != 0)
    UNROLL for (u32 i = 0; i < Fours; ++i) {
      const u32 at = first + i * RowThreads;
      if (at < fours) values[i] += added[at];
    }
  if (!p.readsEarly) readWeights();
  float squares = 0.0f;
  UNROLL for (u32 i = 0; i < Fours; ++i)
    UNROLL for (u32 c = 0; c < 4; ++c) squares = multiplyAdd(values[i][c], values[i][c], squares);
  squares = reduceAddWarp(squares);
  if constexpr (RowThreads > 32) {
    const u32 own = warpIndex();
    if (laneIndex() == 0) partials[own] = squares;
    syncThreads();
    squares = 0.0f;
    UNROLL for (u32 warp = 0; warp < RowThreads / 32; ++warp) squares += partials[warp];
  }
  const float scale = fastReciprocalSqrt(squares / (float)(4 * p.fours) + p.eps);
  f32x4 *sum = (f32x4 *)p.sum + begin, *out = (f32x4 *)p.out + begin;
  UNROLL for (u32 i = 0; i < Fours; ++i) {
    const u32 at = first + i * RowThreads;
    if (at >= fours) continue;
    if (p.sum != 0) sum[at] = values[i];
    out[at] = values[i] * scale * weights[i];
  }
}

#define KERNEL(threads, fours)                                                          \
  GLOBAL(NormThreads, 1) void norm_rows_##threads##_##fours(const NormParameters p) {   \
    SHARED_ARENA(arena);                                                                \
    normalise<threads, fours>(p, (float *)arena);                                       \
  }
NORM_KERNELS(KERNEL)
#undef KERNEL
