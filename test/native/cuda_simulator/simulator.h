/*
 * simulator.h: the side of bridge/linux/cuda/native/intrinsics.h that runs on the CPU, without a GPU; run.h starts kernels.
 *
 * Each thread of a block is a fiber. What a warp does together (shuffles, votes, matrices) is done when all of its 32 lanes have
 * come there; in between, threads run in a random order, each as far as it can, so that what lacks a barrier fails. Shared memory
 * ends at a page that cannot be touched, and begins as bytes of 0xff: NaN, and -1. Asynchronous copies arrive when they are waited
 * for, and not before.
 */
#ifndef TEST_NATIVE_CUDA_SIMULATOR_H
#define TEST_NATIVE_CUDA_SIMULATOR_H

#include <math.h>
#include <string.h>

#define DEVICE static __attribute__((unused)) inline
#define DEVICE_MEMBER inline
#define DEVICE_CALLED static __attribute__((unused))
#define GLOBAL(threads, blocksPerSM) static
#define SHARED_ARENA(name) unsigned char *const name = simulatedArena()
#define CONSTANT_TABLE static const
#define UNROLL /* it would take compilers long, and gain nothing */
#define ROLLED

/* ---- simulator.cc ----------------------------------------------------------------------------------------------------- */

typedef struct SimulatedPlace {
  u32 thread, threads, block[3], blocks[3];
} SimulatedPlace;
const SimulatedPlace *simulatedPlace();
unsigned char *simulatedArena();

/** Brings what this lane gives, and gets, together with what the others do; `combine` sees that of all 32 lanes, in order. All
 * lanes have to come with the same one. */
typedef void SimulatedCombine(void **lanes);
void simulatedCollective(const char *name, SimulatedCombine *combine, void *lane);

void simulatedBarrier(u32 barrier, u32 threads, bool waits);
/** Lets others run: in loops that wait for another block. */
void simulatedPause();
/** Ends the process, with a message that says which thread of which kernel it was. */
void simulatedFailure(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/** Checks that bytes are the block's shared memory, and aligned. */
void simulatedShared(const char *what, const void *at, u32 bytes, u32 alignment);
void simulatedAligned(const char *what, const void *at, u32 alignment);
void simulatedCopy(void *shared, const void *from, u32 bytes, u32 size);
void simulatedCommit();
void simulatedWait(u32 groups);

/* ---- where a thread is ---------------------------------------------------------------------------------------------------- */

DEVICE u32 threadIndex() { return simulatedPlace()->thread; }
DEVICE u32 threadCount() { return simulatedPlace()->threads; }
DEVICE u32 blockIndexX() { return simulatedPlace()->block[0]; }
DEVICE u32 blockIndexY() { return simulatedPlace()->block[1]; }
DEVICE u32 blockIndexZ() { return simulatedPlace()->block[2]; }
DEVICE u32 blockCountX() { return simulatedPlace()->blocks[0]; }
DEVICE u32 blockCountY() { return simulatedPlace()->blocks[1]; }
DEVICE u32 blockCountZ() { return simulatedPlace()->blocks[2]; }
DEVICE u32 laneIndex() { return threadIndex() & 31; }

/* ---- waiting for each other ----------------------------------------------------------------------------------------------- */

DEVICE void syncThreads() { simulatedBarrier(0, 0, true); }
DEVICE void syncThreads(u32 barrier, u32 threads) { simulatedBarrier(barrier, threads, true); }
DEVICE void arriveThreads(u32 barrier, u32 threads) { simulatedBarrier(barrier, threads, false); }
DEVICE void syncWarp() {
  simulatedCollective("syncWarp", [](void **) {}, nullptr);
}
/** It is a shuffle on GPUs: all lanes come, or it waits for ever. */
DEVICE u32 warpIndex() {
  simulatedCollective("warpIndex", [](void **) {}, nullptr);
  return threadIndex() >> 5;
}
DEVICE void waitForPrevious() {}
DEVICE void allowNext() {}

/* ---- between the lanes of a warp -------------------------------------------------------------------------------------------- */

struct SimulatedShuffle {
  u32 value, lane, got;
};
DEVICE u32 simulatedShuffle(const char *name, u32 value, u32 lane) {
  SimulatedShuffle mine = {value, lane, 0};
  simulatedCollective(
      name,
      [](void **lanes) {
        for (u32 i = 0; i < 32; i++) {
          SimulatedShuffle *lane = (SimulatedShuffle *)lanes[i];
          lane->got = ((SimulatedShuffle *)lanes[lane->lane & 31])->value;
        }
      },
      &mine);
  return mine.got;
}
template <typename T> DEVICE T shuffleXor(T v, u32 mask) {
  return __builtin_bit_cast(T, simulatedShuffle("shuffleXor", __builtin_bit_cast(u32, v), laneIndex() ^ mask));
}
template <typename T> DEVICE T shuffle(T v, u32 lane) {
  return __builtin_bit_cast(T, simulatedShuffle("shuffle", __builtin_bit_cast(u32, v), lane));
}
template <typename T> DEVICE T shuffleDown(T v, u32 delta) {
  const u32 lane = laneIndex() + delta < 32 ? laneIndex() + delta : laneIndex();
  return __builtin_bit_cast(T, simulatedShuffle("shuffleDown", __builtin_bit_cast(u32, v), lane));
}
DEVICE u32 maximumWarp(u32 v) {
  for (u32 mask = 16; mask > 0; mask >>= 1) {
    const u32 other = shuffleXor(v, mask);
    v = v > other ? v : other;
  }
  return v;
}
DEVICE u32 ballot(bool p) {
  u32 mine = p;
  simulatedCollective(
      "ballot",
      [](void **lanes) {
        u32 all = 0;
        for (u32 i = 0; i < 32; i++) all |= *(u32 *)lanes[i] << i;
        for (u32 i = 0; i < 32; i++) *(u32 *)lanes[i] = all;
      },
      &mine);
  return mine;
}

/* ---- numbers -------------------------------------------------------------------------------------------------------------- */

DEVICE u32 bitsOf(float x) { return __builtin_bit_cast(u32, x); }
DEVICE float floatOf(u32 bits) { return __builtin_bit_cast(float, bits); }
/** Denormal numbers are 0 in what GPUs approximate. */
DEVICE float simulatedFlush(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }
DEVICE float fastExp2(float x) { return simulatedFlush((float)exp2((double)simulatedFlush(x))); }
DEVICE float fastReciprocal(float x) { return simulatedFlush((float)(1.0 / (double)simulatedFlush(x))); }
DEVICE float fastReciprocalSqrt(float x) { return (float)(1.0 / sqrt((double)simulatedFlush(x))); }
DEVICE float fastDivide(float a, float b) { return a * fastReciprocal(b); }
DEVICE float absolute(float x) { return __builtin_fabsf(x); }
DEVICE float multiplyAdd(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
DEVICE float maximum(float a, float b) { return fmaxf(a, b); }
DEVICE float minimum(float a, float b) { return fminf(a, b); }
DEVICE i32 maximum(i32 a, i32 b) { return a > b ? a : b; }
DEVICE i32 minimum(i32 a, i32 b) { return a < b ? a : b; }
DEVICE u32 maximum(u32 a, u32 b) { return a > b ? a : b; }
DEVICE u32 minimum(u32 a, u32 b) { return a < b ? a : b; }
DEVICE i32 roundToInt(float x) {
  if (x != x) return 0;
  return x >= 0x1p31f ? 0x7fffffff : x < -0x1p31f ? -0x7fffffff - 1 : (i32)__builtin_rint((double)x);
}

/* ---- bits and bytes --------------------------------------------------------------------------------------------------------- */

DEVICE u32 funnelShift(u32 lo, u32 hi, u32 bits) { return (u32)(((u64)hi << 32 | lo) >> (bits & 31)); }
DEVICE u32 permuteBytes(u32 a, u32 b, u32 selector) {
  const u64 all = (u64)b << 32 | a;
  u32 d = 0;
  for (u32 k = 0; k < 4; k++) {
    const u32 digit = selector >> (4 * k) & 15;
    u32 byte = (u32)(all >> (8 * (digit & 7))) & 0xff;
    if (digit & 8) byte = byte & 0x80 ? 0xff : 0;
    d |= byte << (8 * k);
  }
  return d;
}
DEVICE i32 simulatedS8(u32 word, u32 k) { return (i8)(word >> (8 * k)); }
DEVICE i32 simulatedU8(u32 word, u32 k) { return (u8)(word >> (8 * k)); }
DEVICE i32 dotS8(u32 a, u32 b, i32 c) {
  for (u32 k = 0; k < 4; k++) c += simulatedS8(a, k) * simulatedS8(b, k);
  return c;
}
DEVICE i32 dotU8S8(u32 a, u32 b, i32 c) {
  for (u32 k = 0; k < 4; k++) c += simulatedU8(a, k) * simulatedS8(b, k);
  return c;
}

/* ---- half and bfloat -------------------------------------------------------------------------------------------------------- */

float simulatedHalfToFloat(u16 h);
/** Rounds once. */
u16 simulatedHalf(double d);
u16 simulatedBfloat(double d);
DEVICE float halfToFloat(u16 h) { return simulatedHalfToFloat(h); }
DEVICE u16 floatToHalf(float f) { return simulatedHalf((double)f); }
DEVICE f32x2 halvesToFloats(u32 pair) { return f32x2{halfToFloat((u16)pair), halfToFloat((u16)(pair >> 16))}; }
DEVICE u32 floatsToHalves(float first, float second) { return floatToHalf(first) | (u32)floatToHalf(second) << 16; }
DEVICE float bfloatToFloat(u16 b) { return floatOf((u32)b << 16); }
DEVICE u16 floatToBfloat(float f) { return simulatedBfloat((double)f); }
DEVICE f32x2 bfloatsToFloats(u32 pair) { return f32x2{floatOf(pair << 16), floatOf(pair & 0xffff0000)}; }
DEVICE u32 floatsToBfloats(float first, float second) { return floatToBfloat(first) | (u32)floatToBfloat(second) << 16; }
DEVICE u32 multiplyAddHalves(u32 a, u32 b, u32 c) {
  const f32x2 x = halvesToFloats(a), y = halvesToFloats(b), z = halvesToFloats(c);
  return simulatedHalf((double)x.x * y.x + z.x) | (u32)simulatedHalf((double)x.y * y.y + z.y) << 16;
}
DEVICE u32 addHalves(u32 a, u32 b) { return multiplyAddHalves(a, 0x3c003c00, b); }
DEVICE u32 subtractHalves(u32 a, u32 b) { return multiplyAddHalves(b, 0xbc00bc00, a); }
DEVICE u32 multiplyHalves(u32 a, u32 b) { return multiplyAddHalves(a, b, 0x80008000); }

/* ---- device memory ------------------------------------------------------------------------------------------------------------ */

template <typename T> DEVICE T simulatedLoad(const char *name, const void *from) {
  simulatedAligned(name, from, sizeof(T));
  T v;
  memcpy(&v, from, sizeof v);
  return v;
}
DEVICE u32x4 loadStreaming16(const void *from) { return simulatedLoad<u32x4>("loadStreaming16", from); }
DEVICE u32 loadStreaming4(const void *from) { return simulatedLoad<u32>("loadStreaming4", from); }
DEVICE u32x4 loadOnce16(const void *from) { return simulatedLoad<u32x4>("loadOnce16", from); }
DEVICE u32x2 loadOnce8(const void *from) { return simulatedLoad<u32x2>("loadOnce8", from); }

/* ---- between blocks ------------------------------------------------------------------------------------------------------------- */

DEVICE u32 atomicAdd(u32 *at, u32 v) {
  const u32 old = simulatedLoad<u32>("atomicAdd", at);
  *at = old + v;
  return old;
}
DEVICE void fence() {}
DEVICE u32 loadAcquire(const u32 *from) {
  simulatedPause();
  return simulatedLoad<u32>("loadAcquire", from);
}
DEVICE void storeRelease(u32 *to, u32 v) {
  simulatedAligned("storeRelease", to, 4);
  *to = v;
}
DEVICE float loadShared(const float *from) { return simulatedLoad<float>("loadShared", from); }
DEVICE u32x4 loadShared16(const void *from) { return simulatedLoad<u32x4>("loadShared16", from); }

/* ---- asynchronous copies ---------------------------------------------------------------------------------------------------------- */

DEVICE void copyAsync16(void *shared, const void *from, u32 bytes = 16) { simulatedCopy(shared, from, bytes, 16); }
DEVICE void copyAsync4(void *shared, const void *from, u32 bytes = 4) { simulatedCopy(shared, from, bytes, 4); }
DEVICE void copyAsyncCommit() { simulatedCommit(); }
template <int N> DEVICE void copyAsyncWait() { simulatedWait(N); }

/* ---- matrices ------------------------------------------------------------------------------------------------------------------------ */

void simulatedLoadMatrix(u32 *r, const void *shared, u32 count, bool transposed);
enum SimulatedBytes { SimulatedS8S8, SimulatedU8S8, SimulatedS8U8 };
void simulatedMmaBytes(i32 *d, const u32 *a, const u32 *b, SimulatedBytes kind);
void simulatedMmaFloats(float *d, const u32 *a, const u32 *b, bool isBfloat);

DEVICE void loadMatrix4(u32 (&r)[4], const void *shared) { simulatedLoadMatrix(r, shared, 4, false); }
DEVICE void loadMatrix4Transposed(u32 (&r)[4], const void *shared) { simulatedLoadMatrix(r, shared, 4, true); }
DEVICE void loadMatrix2(u32 (&r)[2], const void *shared) { simulatedLoadMatrix(r, shared, 2, false); }
DEVICE void mmaS8(i32 (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { simulatedMmaBytes(d, a, b, SimulatedS8S8); }
DEVICE void mmaU8S8(i32 (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { simulatedMmaBytes(d, a, b, SimulatedU8S8); }
DEVICE void mmaS8U8(i32 (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { simulatedMmaBytes(d, a, b, SimulatedS8U8); }
DEVICE void mmaS8Half(i32 (&d)[4], u32 a0, u32 a1, u32 b) {
  const u32 a[4] = {a0, a1, 0, 0}, column[2] = {b, 0};
  simulatedMmaBytes(d, a, column, SimulatedS8S8);
}
DEVICE void mmaF16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { simulatedMmaFloats(d, a, b, false); }
DEVICE void mmaBF16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { simulatedMmaFloats(d, a, b, true); }

/* ---- matrices, four warps at a time: here they are multiplied at once, by each warp for itself --------------------------------------- */

#ifdef SIMULATED_GROUP_PRODUCTS
constexpr bool HasGroupProducts = true;
#else
constexpr bool HasGroupProducts = false;
#endif

DEVICE u64 groupMatrix(const void *shared) {
  if (((u64)(uintptr_t)shared & 1023) != 0) simulatedFailure("a matrix of groups does not begin at a multiple of 1024 bytes");
  return (u64)(uintptr_t)shared;
}
DEVICE u64 groupColumns(u64 matrix, u32 columns) { return matrix + 2 * columns; }
DEVICE void fenceShared() {}
DEVICE void groupBegin() {}
DEVICE void groupCommit() {}
template <int N> DEVICE void groupWait() {}

/** Two halves of a matrix: addresses are exchanged as the machine does it. */
DEVICE u32 simulatedGroupWord(u64 matrix, u32 row, u32 column) {
  const u64 at = matrix + row * 128 + column * 2;
  const void *const place = (const void *)(uintptr_t)(at ^ (at >> 7 & 7) << 4);
  simulatedShared("a matrix of groups", place, 4, 4);
  u32 word;
  memcpy(&word, place, sizeof word);
  return word;
}
template <u32 matrices> DEVICE void simulatedGroup(float (&d)[matrices][4], u64 a, u64 b, bool isBfloat) {
  const u32 g = laneIndex() / 4, t = laneIndex() % 4, row = warpIndex() % 4 * 16 + g;
  const u32 left[4] = {simulatedGroupWord(a, row, 2 * t), simulatedGroupWord(a, row + 8, 2 * t), simulatedGroupWord(a, row, 2 * t + 8),
                       simulatedGroupWord(a, row + 8, 2 * t + 8)};
  for (u32 j = 0; j < matrices; j++) {
    const u32 right[2] = {simulatedGroupWord(b, 8 * j + g, 2 * t), simulatedGroupWord(b, 8 * j + g, 2 * t + 8)};
    simulatedMmaFloats(d[j], left, right, isBfloat);
  }
}
template <u32 matrices> DEVICE void groupF16(float (&d)[matrices][4], u64 a, u64 b) { simulatedGroup(d, a, b, false); }
template <u32 matrices> DEVICE void groupBF16(float (&d)[matrices][4], u64 a, u64 b) { simulatedGroup(d, a, b, true); }

#endif
