/* The simulator of native kernels, by kernels that use each intrinsic, and by ones that are wrong. */
#include "gpu.h"

#include "intrinsics.cu"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const SimulatedKernel kernels[] = {SIMULATED(sum_parts), SIMULATED(tile_s8),   SIMULATED(tile_u8s8), SIMULATED(tile_s8u8),
                                          SIMULATED(tile_f16),  SIMULATED(tile_bf16), SIMULATED(transpose), SIMULATED(hand_over),
                                          SIMULATED(chain),     SIMULATED(words)};
enum { KernelCount = sizeof kernels / sizeof *kernels };

static Random numbers;

/* A launch of blocks of `threads` threads. */
template <typename P> static CudaNativeLaunch launchOf(const char *kernel, u32 blocks, u32 threads, u32 sharedBytes, const P &p) {
  CudaNativeLaunch launch;
  memset(&launch, 0, sizeof launch);
  launch.kernel = kernel;
  launch.grid[0] = blocks, launch.grid[1] = launch.grid[2] = 1;
  launch.block[0] = threads, launch.block[1] = launch.block[2] = 1;
  launch.sharedBytes = sharedBytes;
  launch.parameterBytes = sizeof p;
  memcpy(launch.parameters, &p, sizeof p);
  return launch;
}

static void run(const CudaNativeLaunch &launch) { simulateLaunch(&launch, kernels, KernelCount, numbers.next()); }

static void sumsOverLanesWarpsAndBlocks() {
  const u32 counts[] = {1, 31, 256, 1000, 5000};
  for (u32 count : counts) {
    SimulatedBuffer<float> x(count), y(1);
    double wanted = 0, size = 0;
    for (u32 i = 0; i < count; i++) {
      x[i] = numbers.number();
      wanted += (double)x[i];
      size += fabs((double)x[i]);
    }
    CudaNativeLaunch launch = launchOf("sum_parts", 7, 256, 80, SumParameters{x.items, y.items, nullptr, nullptr, count});
    launch.scratchBytes = 4;
    launch.scratchOffset = offsetof(SumParameters, done);
    launch.partialBytes = 7 * 4;
    launch.partialOffset = offsetof(SumParameters, partials);
    run(launch);
    CHECK(fabs((double)y[0] - wanted) <= size * 1e-6);
  }
}

/* Bytes of a row, as the product takes them. */
static i32 byteAt(const u8 *bytes, u64 i, bool isUnsigned) { return isUnsigned ? (i32)bytes[i] : (i32)(i8)bytes[i]; }

static void multipliesBytes() {
  const char *names[] = {"tile_s8", "tile_u8s8", "tile_s8u8"};
  for (u32 kind = 0; kind < 3; kind++)
    for (u32 k = 16; k <= 144; k += 64) { /* a last step that is half, and ones that are whole */
      SimulatedBuffer<u8> a(16 * k), b(8 * k);
      SimulatedBuffer<i32> d(16 * 8);
      for (u32 i = 0; i < 16 * k; i++) a[i] = (u8)numbers.next();
      for (u32 i = 0; i < 8 * k; i++) b[i] = (u8)numbers.next();
      run(launchOf(names[kind], 1, 32, 1536, TileParameters{a.items, b.items, d.items, k}));
      for (u32 row = 0; row < 16; row++)
        for (u32 column = 0; column < 8; column++) {
          i32 wanted = 0;
          for (u32 i = 0; i < k; i++) wanted += byteAt(a.items, row * k + i, kind == 1) * byteAt(b.items, column * k + i, kind == 2);
          CHECK_NUMBER(d[row * 8 + column], wanted);
        }
    }
}

static void multipliesHalves() {
  for (u32 isBfloat = 0; isBfloat < 2; isBfloat++)
    for (u32 k = 16; k <= 88; k += 24) {
      SimulatedBuffer<u16> a(16 * k), b(8 * k);
      SimulatedBuffer<float> d(16 * 8);
      for (u32 i = 0; i < 16 * k; i++) a[i] = isBfloat ? floatToBfloat(numbers.number()) : floatToHalf(numbers.number());
      for (u32 i = 0; i < 8 * k; i++) b[i] = isBfloat ? floatToBfloat(numbers.number()) : floatToHalf(numbers.number());
      run(launchOf(isBfloat ? "tile_bf16" : "tile_f16", 1, 32, 1536, TileParameters{a.items, b.items, d.items, k}));
      for (u32 row = 0; row < 16; row++)
        for (u32 column = 0; column < 8; column++) {
          double wanted = 0;
          for (u32 i = 0; i < k; i++) {
            const u16 x = a[row * k + i], y = b[column * k + i];
            wanted += isBfloat ? (double)bfloatToFloat(x) * (double)bfloatToFloat(y) : (double)halfToFloat(x) * (double)halfToFloat(y);
          }
          CHECK(fabs((double)d[row * 8 + column] - wanted) <= 1e-6 * k);
        }
    }
}

static void loadsMatricesTransposed() {
  SimulatedBuffer<u16> x(256), y(256);
  for (u32 i = 0; i < 256; i++) x[i] = (u16)i;
  run(launchOf("transpose", 1, 32, 512, TransposeParameters{x.items, y.items}));
  for (u32 i = 0; i < 256; i++) CHECK_NUMBER(y[i], x[i % 16 * 16 + i / 16]);
}

static void barriersJoinSomeOfTheThreads() {
  const u32 rounds = 9;
  SimulatedBuffer<u32> x(32 * rounds), y(32 * rounds);
  for (u32 i = 0; i < 32 * rounds; i++) x[i] = i;
  run(launchOf("hand_over", 1, 64, 128, HandOverParameters{x.items, y.items, rounds}));
  for (u32 i = 0; i < 32 * rounds; i++) CHECK_NUMBER(y[i], i ^ 1);
}

static void blocksMayWaitForEachOther() {
  SimulatedBuffer<u32> y(12);
  CudaNativeLaunch launch = launchOf("chain", 12, 32, 0, ChainParameters{nullptr, y.items});
  launch.scratchBytes = 4;
  launch.scratchOffset = offsetof(ChainParameters, turn);
  run(launch);
  for (u32 i = 0, power = 1; i < 12; i++, power *= 3) CHECK_NUMBER(y[i], power);
}

static void wordsAreAsThePtxIsaHasThem() {
  SimulatedBuffer<u32> a(32), b(32), c(32), y(512);
  for (u32 i = 0; i < 32; i++) a[i] = numbers.next(), b[i] = numbers.next(), c[i] = numbers.next();
  /* By hand: bytes of 0x89abcdef 0x01234567, halves 1.5 and -2, floats that are ties. */
  a[0] = 0x01234567, b[0] = 0x89abcdef, c[0] = 0xf704;
  a[1] = 0xc0003e00, b[1] = 0x40004000, c[1] = 0x3c003c00; /* (1.5, -2) (2, 2) + (1, 1) = (4, -3) */
  a[2] = 0x3f801000, b[2] = 0x3f803000;                    /* 1 + 2^-11: to even, 1; 1 + 3 2^-11: to even, 1 + 2^-9 */
  a[3] = 0x3f808000, b[3] = 0x3f818000;                    /* 1 + 2^-8 is 1 in bfloat; 1 + 3 2^-8 is 1 + 2^-6 */
  a[4] = 0x477ff000, b[4] = 0x33000000;                    /* 65520 is infinity in half; 2^-25 is 0 */
  a[5] = 0xc0200000;                                       /* -2.5 is -2 */
  run(launchOf("words", 1, 32, 0, WordParameters{a.items, b.items, c.items, y.items}));
  u32 votes = 0, most = 0;
  for (u32 i = 0; i < 32; i++) {
    votes |= (a[i] & 1) << i;
    if (a[i] > most) most = a[i];
  }
  for (u32 i = 0; i < 32; i++) {
    CHECK_NUMBER(y[16 * i], (u32)(((u64)b[i] << 32 | a[i]) >> (c[i] & 31)));
    i32 signedSum = (i32)c[i], mixedSum = (i32)c[i];
    for (u32 k = 0; k < 32; k += 8) {
      signedSum = (i32)((u32)signedSum + (u32)((i8)(a[i] >> k) * (i8)(b[i] >> k)));
      mixedSum = (i32)((u32)mixedSum + (u32)((u8)(a[i] >> k) * (i8)(b[i] >> k)));
    }
    CHECK_NUMBER((i32)y[16 * i + 2], signedSum);
    CHECK_NUMBER((i32)y[16 * i + 3], mixedSum);
    CHECK_NUMBER(y[16 * i + 4], votes);
    CHECK_NUMBER(y[16 * i + 5], a[b[i] % 32]);
    CHECK_NUMBER(y[16 * i + 6], a[i + 3 < 32 ? i + 3 : i]);
    CHECK_NUMBER(y[16 * i + 7], most);
  }
  CHECK_NUMBER(y[1] & 0xff, 0xef);              /* digit 4 */
  CHECK_NUMBER(y[1] >> 8 & 0xff, 0x67);         /* digit 0 */
  CHECK_NUMBER(y[1] >> 16 & 0xff, 0x89);        /* digit 7 */
  CHECK_NUMBER(y[1] >> 24, 0xff);               /* digit f: the sign of byte 7 */
  CHECK_NUMBER(y[16 + 8], 0xc2004400);
  CHECK_NUMBER(y[16 + 13], 0x00004300 | 0);     /* 3.5, 0 */
  CHECK_NUMBER(y[16 + 14], 0xc400b800);         /* -0.5, -4 */
  CHECK_NUMBER(y[16 + 15], 0xc4004200);         /* 3, -4 */
  CHECK_NUMBER(y[32 + 9], 0x3c023c00);
  CHECK_NUMBER(y[48 + 10], 0x3f823f80);
  CHECK_NUMBER(y[64 + 9], 0x00007c00);
  CHECK_NUMBER((i32)y[80 + 12], -2);
}

/* ---- what no kernel may do ---------------------------------------------------------------------------------------------- */

struct WrongParameters {
  u32 *y;
  u32 *scratch;
};
GLOBAL(64, 1) void lacks_barrier(const WrongParameters p) {
  SHARED_ARENA(arena);
  ((u32 *)arena)[threadIndex()] = threadIndex();
  p.y[threadIndex()] = ((u32 *)arena)[63 - threadIndex()];
}
GLOBAL(64, 1) void lacks_wait(const WrongParameters p) {
  SHARED_ARENA(arena);
  copyAsync4(arena + 4 * threadIndex(), p.y + threadIndex());
  copyAsyncCommit();
  syncThreads();
  p.y[threadIndex()] = ((u32 *)arena)[threadIndex()];
}
GLOBAL(64, 1) void leaves_lane(const WrongParameters p) {
  if (laneIndex() == 7) return;
  p.y[threadIndex()] = ballot(true);
}
GLOBAL(64, 1) void parts_warp(const WrongParameters p) {
  if (laneIndex() < 16) p.y[threadIndex()] = ballot(true);
  else p.y[threadIndex()] = shuffle(1u, 0);
}
GLOBAL(64, 1) void leaves_arena(const WrongParameters) {
  SHARED_ARENA(arena);
  ((volatile u32 *)arena)[threadIndex() + 1] = 1;
}
GLOBAL(64, 1) void misaligns(const WrongParameters p) { p.y[threadIndex()] = loadStreaming16(p.y + 1).x; }
GLOBAL(64, 1) void leaves_scratch(const WrongParameters p) { p.scratch[0] = 1; }
GLOBAL(64, 1) void waits_for_ever(const WrongParameters p) {
  while (loadAcquire(p.scratch) == 0) {}
}
static const SimulatedKernel wrongKernels[] = {SIMULATED(lacks_barrier), SIMULATED(lacks_wait),     SIMULATED(leaves_lane),
                                               SIMULATED(parts_warp),    SIMULATED(leaves_arena),   SIMULATED(misaligns),
                                               SIMULATED(leaves_scratch), SIMULATED(waits_for_ever)};

/* Whether a process ends otherwise than by giving the numbers that the kernel was meant to give. */
static bool fails(const SimulatedKernel *kernel) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    if (!freopen("/dev/null", "w", stdout)) _Exit(0);
    SimulatedBuffer<u32> y(64);
    for (u32 i = 0; i < 64; i++) y[i] = i;
    CudaNativeLaunch launch = launchOf(kernel->name, 1, 64, 256, WrongParameters{y.items, nullptr});
    launch.scratchBytes = 8;
    launch.scratchOffset = offsetof(WrongParameters, scratch);
    simulateLaunch(&launch, kernel, 1, numbers.next());
    bool isRight = true;
    for (u32 i = 0; i < 64; i++) isRight = isRight && y[i] == (kernel->call == wrongKernels[0].call ? 63 - i : i);
    _Exit(isRight ? 0 : 2);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status != 0;
}

static void wrongKernelsFail() {
  for (const SimulatedKernel &kernel : wrongKernels) {
    const bool isSeen = fails(&kernel);
    if (!isSeen) printf("kernel %s passes\n", kernel.name);
    CHECK(isSeen);
  }
}

int main(int count, char **arguments) {
  numbers.state = seedOf(count, arguments, (u64)time(nullptr));
  RUN_CASE(sumsOverLanesWarpsAndBlocks);
  RUN_CASE(multipliesBytes);
  RUN_CASE(multipliesHalves);
  RUN_CASE(loadsMatricesTransposed);
  RUN_CASE(barriersJoinSomeOfTheThreads);
  RUN_CASE(blocksMayWaitForEachOther);
  RUN_CASE(wordsAreAsThePtxIsaHasThem);
  if (!simulatorIsGpu()) RUN_CASE(wrongKernelsFail);
  return finishCases();
}
