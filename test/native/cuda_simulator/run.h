/*
 * run.h: runs kernels of bridge/linux/cuda/native in the simulator, as their plans want them run.
 *
 * A test includes the kernels' file itself (#include "cuda/native/rows.cu"), lists them, makes commands as a program would have
 * them, and hands them to the plan:
 *
 *   static const SimulatedKernel kernels[] = {SIMULATED(sum_rows)};
 *   SimulatedBuffer<float> x(n), y(m);
 *   SimulatedCommand command("sum_rows");
 *   command.bind(0, x), command.bind(1, y), command.constant(2, arguments);
 *   command.dispatch(threads, 1, 1, threadsPerThreadgroup, 1, 1);
 *   CHECK_NUMBER(simulatePlan(sumRowsPlan, &simulatedH200, &command.command, 1, kernels, seed), 1);
 */
#ifndef TEST_NATIVE_CUDA_SIMULATOR_RUN_H
#define TEST_NATIVE_CUDA_SIMULATOR_RUN_H

#include "cuda/native/intrinsics.h"
#include "cuda/native/native.h"

#include <stdio.h>
#include <stdlib.h>

/** A kernel that can be started by its name. */
struct SimulatedKernel {
  const char *name;
  void (*call)(const void *parameters);
  u32 parameterBytes;
};

template <typename T> struct SimulatedParameters;
template <typename P> struct SimulatedParameters<void (*)(P)> {
  typedef P Type;
};
template <auto kernel> static void simulatedCall(const void *parameters) {
  kernel(*(const typename SimulatedParameters<decltype(kernel)>::Type *)parameters);
}
#define SIMULATED(kernel) \
  {#kernel, simulatedCall<kernel>, (u32)sizeof(typename SimulatedParameters<decltype(&kernel)>::Type)}

/** A GPU to plan for. */
static const CudaNativeDevice simulatedH200 = {132, 90, 227 << 10};

/** Runs a launch, on scratch memory that it brings: it has to be zero again behind it. Ends the process where a kernel does what
 * none may; orders are of the seed. */
void simulateLaunch(const CudaNativeLaunch *launch, const SimulatedKernel *kernels, u32 kernelCount, u64 seed);

/** Memory between pages that cannot be touched: it ends less than 16 bytes before one. Bytes are 0xff at first. */
unsigned char *simulatedAllocate(u64 bytes);
void simulatedFree(unsigned char *memory, u64 bytes);

template <typename T> struct SimulatedBuffer {
  T *items;
  u64 count;
  explicit SimulatedBuffer(u64 n) : items((T *)simulatedAllocate(n * sizeof(T))), count(n) {}
  ~SimulatedBuffer() { simulatedFree((unsigned char *)items, count * sizeof(T)); }
  SimulatedBuffer(const SimulatedBuffer &) = delete;
  SimulatedBuffer &operator=(const SimulatedBuffer &) = delete;
  T &operator[](u64 i) { return items[i]; }
  const T &operator[](u64 i) const { return items[i]; }
};

/** A command as a program has it. */
struct SimulatedCommand {
  DriverFunction function;
  CudaNativeCommand command;

  explicit SimulatedCommand(const char *name) {
    memset((void *)this, 0, sizeof *this);
    function.name = name;
    command.function = &function;
  }
  SimulatedCommand(const SimulatedCommand &) = delete;
  SimulatedCommand &operator=(const SimulatedCommand &) = delete;

  template <typename T> void bind(u32 index, const SimulatedBuffer<T> &buffer, u64 from = 0) {
    command.buffers[index] = (u64)(uintptr_t)(buffer.items + from);
    command.bufferLengths[index] = (buffer.count - from) * sizeof(T);
  }
  /** What stays as it is, and as long as this: kernels of MSL read it in memory, too. */
  template <typename T> void constant(u32 index, const T &value) {
    command.buffers[index] = (u64)(uintptr_t)&value;
    command.bufferLengths[index] = sizeof value;
    command.constants[index] = &value;
  }
  void dispatch(u64 x, u64 y, u64 z, u32 groupX, u32 groupY, u32 groupZ) {
    const u64 threads[] = {x, y, z};
    const u32 group[] = {groupX, groupY, groupZ};
    memcpy(command.threads, threads, sizeof threads);
    memcpy(command.threadsPerThreadgroup, group, sizeof group);
  }
};

/* ---- what tests are made of ------------------------------------------------------------------------------------------------ */

static int checkFailures;

#define CHECK(condition)                                             \
  do {                                                               \
    if (!(condition)) {                                              \
      checkFailures++;                                               \
      printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                \
  } while (0)

#define CHECK_NUMBER(actual, expected)                                                                      \
  do {                                                                                                      \
    const double checkActual = (double)(actual), checkExpected = (double)(expected);                        \
    if (!(checkActual == checkExpected)) {                                                                  \
      checkFailures++;                                                                                      \
      printf("%s:%d: %s is %.17g, not %.17g\n", __FILE__, __LINE__, #actual, checkActual, checkExpected);   \
    }                                                                                                       \
  } while (0)

/** Asks a plan: how many commands it takes. */
static inline u32 askPlan(CudaNativePlan *plan, const CudaNativeDevice *device, const CudaNativeCommand *commands, u32 count,
                          CudaNativeLaunch *launch) {
  static const CudaNativeLaunch untouched = {};
  memset(launch, 0, sizeof *launch);
  const u32 taken = plan(device, commands, count, launch);
  CHECK(taken > 0 || memcmp(launch, &untouched, sizeof untouched) == 0);
  return taken;
}
/** The same of an H200, where nothing is to run. */
static inline u32 takenBy(CudaNativePlan *plan, const CudaNativeCommand *commands, u32 count) {
  CudaNativeLaunch launch;
  return askPlan(plan, &simulatedH200, commands, count, &launch);
}
/** Asks a plan, and runs what it says. Returns how many commands it took. */
template <u32 kernelCount>
static u32 simulatePlan(CudaNativePlan *plan, const CudaNativeDevice *device, const CudaNativeCommand *commands, u32 count,
                        const SimulatedKernel (&kernels)[kernelCount], u64 seed) {
  CudaNativeLaunch launch;
  const u32 taken = askPlan(plan, device, commands, count, &launch);
  if (taken > 0) simulateLaunch(&launch, kernels, kernelCount, seed);
  return taken;
}

/** Whether errors are to be told, also where they are within bounds. */
static inline bool tellsErrors() { return getenv("BUN_METAL_TEST_ERRORS") != nullptr; }

static inline void runCase(const char *name, void (*body)()) {
  const int failures = checkFailures;
  body();
  printf("%s %s\n", checkFailures == failures ? "ok  " : "FAIL", name);
  fflush(stdout);
}
#define RUN_CASE(body) runCase(#body, body)

static inline int finishCases() {
  if (checkFailures > 0) printf("%d checks failed\n", checkFailures);
  return checkFailures > 0 ? 1 : 0;
}

/** The seed that a program was given, or else another one; says which it is. */
static inline u64 seedOf(int count, char **arguments, u64 otherwise) {
  const u64 seed = count > 1 ? strtoull(arguments[1], nullptr, 10) : otherwise;
  printf("seed %llu\n", (unsigned long long)seed);
  return seed;
}

/** Numbers of a seed. */
struct Random {
  u64 state;
  u32 next() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (u32)(state >> 32);
  }
  u32 below(u32 n) { return (u32)((u64)next() * n >> 32); }
  /** In [-1, 1). */
  float number() { return (float)(i32)next() * 0x1p-31f; }
  /** A sum of 12 numbers, which is nearly normal. */
  float normal() {
    float sum = 0;
    for (u32 i = 0; i < 12; i++) sum += number() * 0.5f;
    return sum;
  }
  /** 0 .. count - 1 in any order. */
  void order(u32 *items, u32 count) {
    for (u32 i = 0; i < count; i++) items[i] = i;
    for (u32 i = count - 1; i > 0; i--) {
      const u32 other = below(i + 1), kept = items[i];
      items[i] = items[other], items[other] = kept;
    }
  }
};

#endif
