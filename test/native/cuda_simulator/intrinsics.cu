/* intrinsics.cu: kernels that use each kind of intrinsic once, for intrinsics_test.cc. They are not part of the library. */
#include "cuda/native/intrinsics.h"

struct SumParameters {
  const float *x;
  float *y;
  u32 *done;
  float *partials;
  u32 count;
};

/* y[0] = the sum of x: each block that of a part, and the block that is done last that of the parts. */
GLOBAL(256, 2) void sum_parts(const SumParameters p) {
  SHARED_ARENA(arena);
  float *warps = (float *)arena;
  u32 *isLast = (u32 *)(arena + 64);
  const u32 warp = warpIndex();
  float sum = 0;
  for (u32 i = blockIndexX() * threadCount() + threadIndex(); i < p.count; i += blockCountX() * threadCount()) sum += p.x[i];
  sum = reduceAddWarp(sum);
  if (laneIndex() == 0) warps[warp] = sum;
  syncThreads();
  if (threadIndex() == 0) {
    float all = 0;
    for (u32 i = 0; i < threadCount() / 32; i++) all += warps[i];
    p.partials[blockIndexX()] = all;
    fence();
    *isLast = atomicAdd(p.done, 1) == blockCountX() - 1;
  }
  syncThreads();
  if (!*isLast || warp != 0) return;
  fence();
  float all = 0;
  for (u32 i = laneIndex(); i < blockCountX(); i += 32) all += loadShared(p.partials + i);
  all = reduceAddWarp(all);
  if (laneIndex() != 0) return;
  p.y[0] = all;
  *p.done = 0;
}

struct TileParameters {
  const void *a, *b; /* [16, k], [8, k]: bytes, or halves */
  void *d;           /* [16, 8] */
  u32 k;
};

/* One warp: 16 x 8 sums over k, of 32 bytes of a row at a time, two of these under way. */
template <typename T, typename Multiply> DEVICE void multiplyTile(unsigned char *arena, const TileParameters &p, u32 bytesPerRow, Multiply multiply) {
  const u32 lane = laneIndex(), steps = (bytesPerRow + 31) / 32;
  T d[4] = {0, 0, 0, 0};
  auto fetch = [&](u32 step) {
    unsigned char *tile = arena + step % 2 * 768;
    for (u32 i = lane; i < 48; i += 32) {
      const u32 row = i / 2, at = step * 32 + i % 2 * 16;
      const unsigned char *from = (const unsigned char *)(row < 16 ? p.a : p.b) + (row & 15) * bytesPerRow + at;
      const u32 bytes = at >= bytesPerRow ? 0 : minimum(bytesPerRow - at, 16u);
      copyAsync16(tile + row * 32 + i % 2 * 16, bytes ? from : p.a, bytes);
    }
    copyAsyncCommit();
  };
  fetch(0);
  for (u32 step = 0; step < steps; step++) {
    if (step + 1 < steps) fetch(step + 1);
    else copyAsyncCommit();
    copyAsyncWait<1>();
    syncWarp();
    unsigned char *tile = arena + step % 2 * 768;
    u32 a[4], b[2];
    loadMatrix4(a, tile + (lane & 15) * 32 + lane / 16 * 16);
    loadMatrix2(b, tile + 512 + (lane & 7) * 32 + (lane / 8 & 1) * 16);
    multiply(d, a, b);
    syncWarp();
  }
  T *out = (T *)p.d;
  const u32 g = lane / 4, t = lane % 4;
  out[g * 8 + 2 * t] = d[0], out[g * 8 + 2 * t + 1] = d[1];
  out[(g + 8) * 8 + 2 * t] = d[2], out[(g + 8) * 8 + 2 * t + 1] = d[3];
}

#define TILE(name, T, elementBytes, mma)                                                                   \
  GLOBAL(32, 1) void name(const TileParameters p) {                                                        \
    SHARED_ARENA(arena);                                                                                   \
    multiplyTile<T>(arena, p, p.k * elementBytes, [](T(&d)[4], const u32(&a)[4], const u32(&b)[2]) { mma(d, a, b); }); \
  }
TILE(tile_s8, i32, 1, mmaS8)
TILE(tile_u8s8, i32, 1, mmaU8S8)
TILE(tile_s8u8, i32, 1, mmaS8U8)
TILE(tile_f16, float, 2, mmaF16)
TILE(tile_bf16, float, 2, mmaBF16)

struct TransposeParameters {
  const u16 *x;
  u16 *y;
};

/* y = the transpose of x, 16 x 16. */
GLOBAL(32, 1) void transpose(const TransposeParameters p) {
  SHARED_ARENA(arena);
  const u32 lane = laneIndex();
  copyAsync16(arena + lane * 16, p.x + lane * 8);
  copyAsyncCommit();
  copyAsyncWait<0>();
  syncWarp();
  u32 r[4]; /* of x: rows 0.., columns 0..; rows 8.., columns 0..; rows 0.., columns 8..; rows 8.., columns 8.. */
  loadMatrix4Transposed(r, arena + (lane & 15) * 32 + lane / 16 * 16);
  u32 *y = (u32 *)p.y;
  const u32 g = lane / 4, t = lane % 4;
  y[g * 8 + t] = r[0], y[g * 8 + 4 + t] = r[1];
  y[(g + 8) * 8 + t] = r[2], y[(g + 8) * 8 + 4 + t] = r[3];
}

struct HandOverParameters {
  const u32 *x;
  u32 *y;
  u32 rounds;
};

/* Warp 0 hands numbers to warp 1 through one place, by two barriers of the two. */
GLOBAL(64, 1) void hand_over(const HandOverParameters p) {
  SHARED_ARENA(arena);
  u32 *place = (u32 *)arena;
  const u32 lane = laneIndex(), warp = warpIndex();
  for (u32 i = 0; i < p.rounds; i++) {
    if (warp == 0) {
      if (i > 0) syncThreads(2, 64);
      place[lane] = loadStreaming4(p.x + 32 * i + lane);
      arriveThreads(1, 64);
    } else {
      syncThreads(1, 64);
      p.y[32 * i + lane] = place[lane ^ 1];
      if (i + 1 < p.rounds) arriveThreads(2, 64);
    }
  }
}

struct ChainParameters {
  u32 *turn, *y;
};

/* Blocks one after the other, whatever order they start in. */
GLOBAL(32, 1) void chain(const ChainParameters p) {
  const u32 mine = blockCountX() - 1 - blockIndexX();
  if (laneIndex() == 0) {
    while (loadAcquire(p.turn) != mine) {}
    p.y[mine] = mine == 0 ? 1 : p.y[mine - 1] * 3;
  }
  syncWarp();
  if (laneIndex() == 0) storeRelease(p.turn, mine + 1 == blockCountX() ? 0 : mine + 1);
}

struct WordParameters {
  const u32 *a, *b, *c;
  u32 *y;
};

/* y[16 i ..] = what functions of words give. */
GLOBAL(32, 1) void words(const WordParameters p) {
  const u32 i = laneIndex();
  const u32 a = p.a[i], b = p.b[i], c = p.c[i];
  u32 *y = p.y + 16 * i;
  y[0] = funnelShift(a, b, c & 31);
  y[1] = permuteBytes(a, b, c);
  y[2] = (u32)dotS8(a, b, (i32)c);
  y[3] = (u32)dotU8S8(a, b, (i32)c);
  y[4] = ballot(a & 1);
  y[5] = shuffle(a, b);
  y[6] = shuffleDown(a, 3u);
  y[7] = reduceMaxWarp(a);
  y[8] = multiplyAddHalves(a, b, c);
  y[9] = floatsToHalves(floatOf(a), floatOf(b));
  y[10] = floatsToBfloats(floatOf(a), floatOf(b));
  y[11] = bitsOf(halvesToFloats(a).y);
  y[12] = (u32)roundToInt(floatOf(a));
  y[13] = addHalves(a, b);
  y[14] = subtractHalves(a, b);
  y[15] = multiplyHalves(a, b);
}
