/*
 * bridge_fixture.h: what the tests of the C ABI share. They see nothing but bun_metal.h.
 */
#ifndef TEST_NATIVE_BRIDGE_FIXTURE_H
#define TEST_NATIVE_BRIDGE_FIXTURE_H

#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bun_metal.h"

static atomic_int failures;

#define CHECK(condition)                                             \
  do {                                                               \
    if (!(condition)) {                                              \
      atomic_fetch_add(&failures, 1);                                \
      printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                \
  } while (0)

#define CHECK_NUMBER(actual, expected)                                                                    \
  do {                                                                                                    \
    double checkActual = (double)(actual), checkExpected = (double)(expected);                            \
    if (checkActual != checkExpected && !(isnan(checkActual) && isnan(checkExpected))) {                  \
      atomic_fetch_add(&failures, 1);                                                                     \
      printf("%s:%d: %s is %.17g, not %.17g\n", __FILE__, __LINE__, #actual, checkActual, checkExpected); \
    }                                                                                                     \
  } while (0)

#define CHECK_OK(call)                                                            \
  do {                                                                            \
    if ((call) != BM_OK) {                                                        \
      atomic_fetch_add(&failures, 1);                                             \
      printf("%s:%d: %s failed: %s\n", __FILE__, __LINE__, #call, lastMessage()); \
    }                                                                             \
  } while (0)

/* The call must have failed with that status and a message that has `fragment` in it. */
#define CHECK_FAILS(failed, status, fragment)                                                                    \
  do {                                                                                                           \
    if (!(failed) || bm_error_code() != (status) || !strstr(lastMessage(), fragment)) {                          \
      atomic_fetch_add(&failures, 1);                                                                            \
      printf("%s:%d: %s: status %u, \"%s\", not %s with \"%s\"\n", __FILE__, __LINE__, #failed, bm_error_code(), \
             lastMessage(), #status, fragment);                                                                  \
    }                                                                                                            \
  } while (0)

static inline const char *lastMessage(void) {
  static _Thread_local char text[2048];
  bm_error_message(text, sizeof text);
  return text;
}

static const char kernelSource[] =
    "#include <metal_stdlib>\n"
    "using namespace metal;\n"
    "struct ScaleAddArgs { uint n; float scale; };\n"
    "kernel void scale_add(device const float *a [[buffer(0)]], device const float *b [[buffer(1)]],\n"
    "                      device float *out [[buffer(2)]], constant ScaleAddArgs &args [[buffer(3)]],\n"
    "                      uint i [[thread_position_in_grid]]) {\n"
    "  if (i < args.n) out[i] = args.scale * (a[i] + b[i]);\n"
    "}\n"
    "[[max_total_threads_per_threadgroup(512)]]\n"
    "kernel void increment(device uint *x [[buffer(0)]], constant uint &by [[buffer(1)]],\n"
    "                      uint i [[thread_position_in_grid]]) {\n"
    "  x[i] += by;\n"
    "}\n"
    "kernel void group_sum(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]],\n"
    "                      threadgroup uint *partial [[threadgroup(0)]], uint i [[thread_position_in_grid]],\n"
    "                      uint t [[thread_index_in_threadgroup]], uint group [[threadgroup_position_in_grid]],\n"
    "                      uint threads [[threads_per_threadgroup]]) {\n"
    "  partial[t] = x[i];\n"
    "  threadgroup_barrier(mem_flags::mem_threadgroup);\n"
    "  if (t != 0) return;\n"
    "  uint sum = 0;\n"
    "  for (uint k = 0; k < threads; k++) sum += partial[k];\n"
    "  out[group] = sum;\n"
    "}\n";

static inline bm_handle openDevice(void) {
  bm_handle device = bm_device_open(0, 0);
  if (!device) {
    printf("no device: %s\n", lastMessage());
    exit(1);
  }
  return device;
}

static inline bm_handle compileKernels(bm_handle device) {
  bm_handle library = bm_library_from_source(device, kernelSource, sizeof kernelSource - 1, "fixture.metal");
  if (!library) {
    printf("the kernels do not compile: %s\n", lastMessage());
    exit(1);
  }
  return library;
}

/* ---- programs, word by word -------------------------------------------------------------------------------------- */

typedef struct Words {
  uint32_t at[4096];
  uint32_t count;
  uint32_t operationStart;
} Words;

static inline void put(Words *words, uint32_t word) {
  words->at[words->count++] = word;
}

static inline void putLong(Words *words, uint64_t value) {
  put(words, (uint32_t)value);
  put(words, (uint32_t)(value >> 32));
}

static inline void startProgram(Words *words, uint32_t dynamicWords) {
  words->count = 0;
  put(words, BM_PROGRAM_MAGIC);
  put(words, BM_ABI_VERSION);
  put(words, dynamicWords);
  put(words, 0);
}

static inline void startOperation(Words *words, uint32_t opcode) {
  words->operationStart = words->count;
  put(words, opcode);
  words->at[3]++;
}

static inline void endOperation(Words *words) {
  words->at[words->operationStart] |= (words->count - words->operationStart) << 8;
}

/* A one-dimensional dispatch up to its bindings; `word` is 1-based, 0 for a fixed grid. */
static inline void startDispatch(Words *words, bm_handle pipeline, uint32_t flags, uint32_t grid, uint32_t word,
                                 uint32_t threads) {
  startOperation(words, BM_OP_DISPATCH);
  put(words, pipeline);
  put(words, flags);
  const uint32_t sizes[] = {grid, word, 1, 0, 1, 0, threads, 1, 1};
  for (int i = 0; i < 9; i++) put(words, sizes[i]);
}

static inline void putBinding(Words *words, uint32_t index, bm_handle buffer, uint64_t offset) {
  put(words, index);
  put(words, buffer);
  putLong(words, offset);
}

static inline void putFill(Words *words, bm_handle buffer, uint64_t offset, uint64_t length, uint32_t value) {
  startOperation(words, BM_OP_FILL);
  put(words, buffer);
  putLong(words, offset);
  putLong(words, length);
  put(words, value);
  endOperation(words);
}

static inline void putCopy(Words *words, bm_handle source, uint64_t from, bm_handle destination, uint64_t to,
                           uint64_t length) {
  startOperation(words, BM_OP_COPY);
  put(words, source);
  putLong(words, from);
  put(words, destination);
  putLong(words, to);
  putLong(words, length);
  endOperation(words);
}

static inline void putBarrier(Words *words) {
  startOperation(words, BM_OP_BARRIER);
  endOperation(words);
}

/* increment(x, by): `by` is a constant where byWord is 0, else dynamic word byWord - 1. */
static inline void putIncrement(Words *words, bm_handle pipeline, bm_handle x, uint32_t count, uint32_t countWord,
                                uint32_t by, uint32_t byWord) {
  startDispatch(words, pipeline, BM_DISPATCH_THREADS, count, countWord, 64);
  put(words, byWord ? 2 : 1);
  putBinding(words, 0, x, 0);
  if (byWord) putBinding(words, 1, BM_DYNAMIC_WORDS, (byWord - 1) * 4);
  put(words, byWord ? 0 : 1);
  if (!byWord) {
    put(words, 1);
    put(words, 4);
    put(words, by);
  }
  put(words, 0);
  endOperation(words);
}

static inline bm_handle makeProgram(bm_handle device, const Words *words) {
  return bm_program_new(device, words->at, words->count * 4.0);
}

/* ---- counts ------------------------------------------------------------------------------------------------------ */

typedef struct Counts {
  double handles[BM_KIND_COUNT];
  double statistics[BM_STATISTIC_COUNT];
} Counts;

static inline Counts readCounts(void) {
  Counts counts;
  bm_live_handles(counts.handles, BM_KIND_COUNT);
  bm_statistics(counts.statistics, BM_STATISTIC_COUNT);
  return counts;
}

/* Equal too where the platform cannot tell either. */
static inline bool sameNumber(double a, double b) {
  return a == b || (isnan(a) && isnan(b));
}

static inline bool sameCounts(const Counts *a, const Counts *b) {
  const int steady[] = {BM_STATISTIC_BUFFER_BYTES, BM_STATISTIC_IN_FLIGHT, BM_STATISTIC_OBJECTS};
  for (int i = 0; i < 3; i++)
    if (!sameNumber(a->statistics[steady[i]], b->statistics[steady[i]])) return false;
  return memcmp(a->handles, b->handles, sizeof a->handles) == 0;
}

/* A case must leave the counts as it found them; a thread of the device may take a moment to drop its last object. */
static inline void runCase(const char *name, void (*body)(void)) {
  Counts before = readCounts();
  int failuresBefore = failures;
  body();
  Counts after = readCounts();
  for (int i = 0; i < 2000 && !sameCounts(&before, &after); i++) {
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    after = readCounts();
  }
  for (int kind = 0; kind < BM_KIND_COUNT; kind++) CHECK_NUMBER(after.handles[kind], before.handles[kind]);
  for (int i = 0; i < BM_STATISTIC_COUNT; i++)
    if (i != BM_STATISTIC_PEAK_BUFFER_BYTES) CHECK_NUMBER(after.statistics[i], before.statistics[i]);
  if (!sameCounts(&before, &after)) {
    static char lines[16384];
    bm_live_objects(lines, sizeof lines);
    printf("Live after %s:\n%s", name, lines);
  }
  printf("%s %s\n", failures == failuresBefore ? "ok  " : "FAIL", name);
}

#define RUN_CASE(body) runCase(#body, body)

static inline int finishCases(void) {
  if (failures > 0) printf("%d checks failed\n", failures);
  return failures > 0 ? 1 : 0;
}

#endif
