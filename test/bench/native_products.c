/*
 * native_products: how fast the native kernels multiply a matrix of weights with one row of activations, in bytes of
 * weights per second, beside the speed at which the machine reads memory, measured in the same run; or with many rows, in
 * multiplications and additions per second.
 *
 * Build and run, from the root of the repository, after `make build`:
 *   clang-19 -O2 -D_GNU_SOURCE -Ibridge/linux -Itest/native test/bench/native_products.c \
 *     bridge/linux/cpu/native/levels.c build/native/$(uname -m)/[a-z]*.o -lm -lpthread -static -o build/native_products
 *   build/native_products [--level avx2] [--k 4096] [--megabytes 256] [--rounds 7] [q8_0 q4_k ...]
 *
 *   build/native_products --rows 512 [--n 2048] [--k 2048] [--level amx] [--rounds 7] [q8_0 q4_k ...]
 *
 * Columns of one row: one thread with weights in its cache (a matrix of 256 KiB, again and again: the arithmetic alone, in the processor's
 * time), one thread and two with weights from memory. All types are measured in turn in every round, and the best round counts.
 *
 * Columns of many rows: one thread, at each level that the machine has or the one that is named, in 10^9 products a second of
 * the processor's time, the preparation of the rows included.
 */
#include "driver.h"
#include "cpu/native/levels.h"
#include "weights.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/** What threads share: pieces of a command, or a stretch of memory to read. */
typedef struct Work {
  const NativeKernel *kernel;
  DriverCommand command;
  NativePlan plan;
  atomic_uint next;
  uint32_t repeats;
  uint64_t group;
  const uint8_t *bytes;
  uint64_t length;
  atomic_ulong sum;
} Work;

enum { Threads = 2, ReadChunk = 65536, PartBytes = 256 << 10 /* of weights, which the device's pool gives a thread at a time */ };
static NativeThread memories[Threads];

typedef struct Worker {
  Work *work;
  uint32_t number;
} Worker;

static void *multiply(void *argument) {
  const Worker *worker = argument;
  Work *work = worker->work;
  NativeThread *memory = &memories[worker->number];
  if (work->plan.threadBytes > memory->capacity) {
    *memory = (NativeThread){.capacity = (work->plan.threadBytes + 63) / 64 * 64};
    memory->memory = aligned_alloc(64, memory->capacity);
  }
  const uint32_t pieces = work->plan.phases[0].pieces, parts = (uint32_t)((work->length + PartBytes - 1) / PartBytes);
  const uint32_t each = (pieces + parts - 1) / parts;
  for (;;) {
    const uint32_t i = atomic_fetch_add(&work->next, 1);
    if (i >= parts * work->repeats) return NULL;
    const uint32_t from = i % parts * each, left = from < pieces ? pieces - from : 0;
    const NativeRun run = {&work->command, &work->plan, NULL, memory, work->group};
    work->kernel->run(&run, 0, from, from + (left < each ? left : each));
  }
}

static void *readAll(void *argument) {
  Work *work = ((const Worker *)argument)->work;
  typedef uint64_t Vector __attribute__((vector_size(64)));
  Vector sum = {0};
  for (;;) {
    const uint64_t from = (uint64_t)atomic_fetch_add(&work->next, 1) * ReadChunk;
    if (from + ReadChunk > work->length) break;
    for (uint64_t i = 0; i < ReadChunk; i += sizeof sum) sum += *(const Vector *)(const void *)(work->bytes + from + i);
  }
  atomic_fetch_add(&work->sum, sum[0] + sum[3] + sum[7]);
  return NULL;
}

static double seconds(Work *work, clockid_t clock, uint32_t threads, void *(*body)(void *)) {
  static uint64_t groups;
  pthread_t ids[Threads];
  Worker workers[Threads];
  work->group = ++groups;
  atomic_store(&work->next, 0);
  const double start = now(clock);
  for (uint32_t i = 0; i < threads; i++) {
    workers[i] = (Worker){work, i};
    if (i + 1 < threads) pthread_create(&ids[i], NULL, body, &workers[i]);
    else body(&workers[i]);
  }
  for (uint32_t i = 0; i + 1 < threads; i++) pthread_join(ids[i], NULL);
  return now(clock) - start;
}

static Work product(const NativeKernel *kernel, const WeightType *type, uint8_t *w, uint32_t k, uint64_t bytes, const float *x,
                    float *out, uint32_t *args) {
  Work work = {.kernel = kernel, .repeats = 1};
  const uint64_t rowBytes = (uint64_t)k / type->elements * type->bytes;
  args[0] = (uint32_t)(bytes / rowBytes);
  args[1] = k;
  work.length = args[0] * rowBytes;
  const void *buffers[] = {w, x, out, args};
  const uint64_t lengths[] = {work.length, 4ull * k, 4ull * args[0], 8};
  for (int i = 0; i < 4; i++) {
    work.command.dispatch.buffers[i] = (void *)(uintptr_t)buffers[i];
    work.command.dispatch.bufferLengths[i] = lengths[i];
  }
  work.command.kind = DriverCommandDispatch;
  work.command.dispatch.threads[0] = (args[0] + 3) / 4;
  work.command.dispatch.threads[1] = work.command.dispatch.threads[2] = 1;
  for (int i = 0; i < 3; i++) work.command.dispatch.threadsPerThreadgroup[i] = 1;
  if (!kernel->plan(&work.command, &work.plan)) {
    fprintf(stderr, "%s refuses k %u\n", kernel->name, k);
    exit(1);
  }
  return work;
}

static const NativeKernel *kernelOf(const NativeLevel *level, const char *family, const WeightType *type) {
  char name[32];
  snprintf(name, sizeof name, "%s_%s", family, type->name);
  for (uint32_t i = 0; i < level->count; i++)
    if (strcmp(level->kernels[i].name, name) == 0) return &level->kernels[i];
  return NULL;
}

/** out[rows, n] = x[rows, k] times the transpose of w[n, k]. */
typedef struct Matmul {
  uint32_t rows, args[2]; /* n, k */
  uint8_t *w;
  float *x, *out;
} Matmul;

/** Runs all phases, all pieces after one another. The seconds of the processor. */
static double multiplyRows(const NativeKernel *kernel, const WeightType *type, Matmul *m) {
  const uint32_t n = m->args[0], k = m->args[1];
  const uint64_t lengths[] = {(uint64_t)n * (k / type->elements) * type->bytes, 4ull * m->rows * k, 4ull * m->rows * n, 4, 8};
  void *buffers[] = {m->w, m->x, m->out, &m->rows, m->args};
  DriverCommand command = {.kind = DriverCommandDispatch};
  for (int i = 0; i < 5; i++) {
    command.dispatch.buffers[i] = buffers[i];
    command.dispatch.bufferLengths[i] = lengths[i];
  }
  const uint32_t grid[] = {(n + 31) / 32 * 128, (m->rows + 31) / 32, 1}, threadgroup[] = {128, 1, 1};
  for (int i = 0; i < 3; i++) {
    command.dispatch.threads[i] = grid[i];
    command.dispatch.threadsPerThreadgroup[i] = threadgroup[i];
  }
  NativePlan plan = {0};
  if (!kernel->plan(&command, &plan)) {
    fprintf(stderr, "%s refuses rows %u, n %u, k %u\n", kernel->name, m->rows, n, k);
    exit(1);
  }
  NativeThread thread = {.memory = aligned_alloc(64, (plan.threadBytes + 63) / 64 * 64), .capacity = plan.threadBytes};
  void *shared = aligned_alloc(64, (plan.sharedBytes + 63) / 64 * 64);
  memset(shared, 0, plan.sharedBytes); /* so that there are pages */
  const NativeRun run = {&command, &plan, shared, &thread, 1};
  const double start = now(CLOCK_THREAD_CPUTIME_ID);
  for (uint32_t phase = 0; phase < plan.phaseCount; phase++)
    for (uint32_t piece = 0; piece < plan.phases[phase].pieces; piece++) kernel->run(&run, phase, piece, piece + 1);
  const double taken = now(CLOCK_THREAD_CPUTIME_ID) - start;
  free(shared);
  free(thread.memory);
  return taken;
}

/** All types that are wanted with many rows, at all levels or the named one. */
static int compareLevels(const char *levelName, uint32_t rows, uint32_t n, uint32_t k, uint32_t rounds, const bool *isWanted) {
  enum { MostLevels = 8 };
  const NativeLevel *levels[MostLevels];
  uint32_t levelCount = 0;
  for (uint32_t i = 0; nativeLevels[i] && levelCount < MostLevels; i++)
    if ((!levelName || strcmp(nativeLevels[i]->name, levelName) == 0) && nativeLevels[i]->isThere()) levels[levelCount++] = nativeLevels[i];
  if (levelCount == 0 || n == 0 || k == 0 || k % 256 != 0) {
    fprintf(stderr, "this machine has no such level, or n is 0, or k is no multiple of 256\n");
    return 1;
  }
  Random random = {1};
  Matmul m = {rows, {n, k}, malloc(4ull * n * k), malloc(4ull * rows * k), malloc(4ull * rows * n)};
  for (uint64_t i = 0; i < (uint64_t)rows * k; i++) m.x[i] = randomFloat(&random);
  printf("rows %u, n %u, k %u; one thread, 10^9 products per second\n%-8s", rows, n, k, "type");
  for (uint32_t i = 0; i < levelCount; i++) printf(" %12s", levels[i]->name);
  printf("\n");
  for (uint32_t t = 0; t < WeightTypes; t++) {
    if (!isWanted[t]) continue;
    double best[MostLevels];
    for (uint32_t i = 0; i < levelCount; i++) best[i] = NAN;
    randomWeights(&weightTypes[t], m.w, (uint64_t)n * (k / weightTypes[t].elements), -4, &random);
    for (uint32_t round = 0; round < rounds; round++)
      for (uint32_t i = 0; i < levelCount; i++) {
        const NativeKernel *kernel = kernelOf(levels[i], "matmul", &weightTypes[t]);
        if (kernel) best[i] = fmin(best[i], multiplyRows(kernel, &weightTypes[t], &m));
      }
    printf("%-8s", weightTypes[t].name);
    for (uint32_t i = 0; i < levelCount; i++) printf(" %12.1f", (double)rows * n * k / best[i] / 1e9);
    printf("\n");
    fflush(stdout);
  }
  free(m.w), free(m.x), free(m.out);
  return 0;
}

int main(int count, char **arguments) {
  const char *levelName = NULL;
  uint32_t rows = 1, n = 2048, k = 0, megabytes = 256, rounds = 7;
  bool isWanted[WeightTypes] = {false}, isAnyWanted = false;
  for (int i = 1; i < count; i++) {
    const char *value = i + 1 < count ? arguments[i + 1] : "";
    if (strcmp(arguments[i], "--level") == 0) levelName = value, i++;
    else if (strcmp(arguments[i], "--k") == 0) k = (uint32_t)atoi(value), i++;
    else if (strcmp(arguments[i], "--rows") == 0) rows = (uint32_t)atoi(value), i++;
    else if (strcmp(arguments[i], "--n") == 0) n = (uint32_t)atoi(value), i++;
    else if (strcmp(arguments[i], "--megabytes") == 0) megabytes = (uint32_t)atoi(value), i++;
    else if (strcmp(arguments[i], "--rounds") == 0) rounds = (uint32_t)atoi(value), i++;
    else
      for (uint32_t t = 0; t < WeightTypes; t++)
        if (strcmp(arguments[i], weightTypes[t].name) == 0) isWanted[t] = isAnyWanted = true;
  }
  for (uint32_t t = 0; t < WeightTypes; t++) isWanted[t] = isWanted[t] || !isAnyWanted;
  if (rows > 1) return compareLevels(levelName, rows, n, k ? k : 2048, rounds, isWanted);
  if (k == 0) k = 4096;
  const NativeLevel *level = NULL;
  for (uint32_t i = 0; nativeLevels[i]; i++)
    if (levelName ? strcmp(nativeLevels[i]->name, levelName) == 0 : nativeLevels[i]->isThere()) level = nativeLevels[i];
  if (!level || k == 0 || k % 256 != 0 || megabytes == 0) {
    fprintf(stderr, "no such level, or k is no multiple of 256\n");
    return 1;
  }
  const uint64_t bytes = (uint64_t)megabytes << 20, nearBytes = 256 << 10;
  uint8_t *w = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  float *x = malloc(4ull * k), *out = malloc(bytes);
  Random random = {1};
  for (uint32_t i = 0; i < k; i++) x[i] = randomFloat(&random);
  for (uint64_t i = 0; i < bytes; i++) w[i] = 0; /* so that there are pages */
  double best[WeightTypes][3], reads[Threads] = {1e9, 1e9};
  uint64_t lengths[WeightTypes][3];
  for (uint32_t t = 0; t < WeightTypes; t++) best[t][0] = best[t][1] = best[t][2] = 1e9;
  for (uint32_t round = 0; round < rounds; round++) {
    Work all = {.bytes = w, .length = bytes};
    for (uint32_t threads = 1; threads <= Threads; threads++) reads[threads - 1] = fmin(reads[threads - 1], seconds(&all, CLOCK_MONOTONIC, threads, readAll));
    for (uint32_t t = 0; t < WeightTypes; t++) {
      const NativeKernel *kernel = isWanted[t] ? kernelOf(level, "matvec", &weightTypes[t]) : NULL;
      if (!kernel) continue;
      uint32_t args[2];
      randomWeights(&weightTypes[t], w, bytes / weightTypes[t].bytes, -4, &random); /* as numbers below 2^-126 are slow */
      for (uint32_t column = 0; column < 3; column++) {
        Work work = product(kernel, &weightTypes[t], w, k, column ? bytes : nearBytes, x, out, args);
        if (column == 0) work.repeats = 64;
        lengths[t][column] = work.length * work.repeats;
        best[t][column] = fmin(best[t][column], seconds(&work, column ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, column == 2 ? 2 : 1, multiply));
      }
    }
  }
  printf("%s, k %u; reading alone: %.1f GB/s with one thread, %.1f with two\n", level->name, k, (double)bytes / reads[0] / 1e9,
         (double)bytes / reads[1] / 1e9);
  printf("%-8s %12s %12s %12s %10s\n", "type", "near GB/s", "one thread", "two threads", "of reading");
  for (uint32_t t = 0; t < WeightTypes; t++) {
    if (!isWanted[t]) continue;
    double speed[3];
    for (int i = 0; i < 3; i++) speed[i] = (double)lengths[t][i] / best[t][i] / 1e9;
    printf("%-8s %12.1f %12.1f %12.1f %9.0f%%\n", weightTypes[t].name, speed[0], speed[1], speed[2],
           100 * speed[2] * reads[1] / (double)bytes * 1e9);
  }
  return 0;
}
