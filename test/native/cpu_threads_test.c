/*
 * cpu_threads: the pool of threads, in processes of their own with one thread, few, and many more than there are processors:
 * each item of a job runs once, whoever else has jobs; a job that is given up ends; and steps of a small model make the same
 * bytes with any number of threads.
 */
#include "../bench/model_step.h"
#include "cpu/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { Callers = 12 /* more than the pool has places for */, JobsOfCaller = 40, MostItems = 5000 };

static _Atomic int failures;

#define EXPECT(condition, ...)                                                                                         \
  do {                                                                                                                 \
    if (!(condition) && failures++ < 10) {                                                                             \
      fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                                  \
      fprintf(stderr, __VA_ARGS__);                                                                                    \
      fprintf(stderr, "\n");                                                                                           \
    }                                                                                                                  \
  } while (0)

typedef struct Counted {
  _Atomic uint8_t *runs; /* of each item */
  uint64_t from, count;
  uint64_t failing;      /* the item that fails; UINT64_MAX for none */
} Counted;

static bool countItems(void *context, uint64_t from, uint64_t to) {
  Counted *job = context;
  EXPECT(from < to && from >= job->from && to <= job->count, "items %llu to %llu", (unsigned long long)from, (unsigned long long)to);
  for (uint64_t i = from; i < to; i++) atomic_fetch_add(&job->runs[i], 1);
  return job->failing < from || job->failing >= to;
}

static void *runJobs(void *argument) {
  Random random = {(uint64_t)(uintptr_t)argument};
  _Atomic uint8_t *runs = malloc(MostItems);
  for (uint32_t i = 0; i < JobsOfCaller; i++) {
    const uint32_t size = 1 + randomBits(&random) % (i % 4 ? 100 : MostItems);
    Counted job = {runs, randomBits(&random) % size, size, UINT64_MAX};
    if (i % 5 == 4) job.failing = job.from + randomBits(&random) % (job.count - job.from);
    const float nanoseconds = ldexpf(1, (int)(randomBits(&random) % 24) - 2); /* from too little for threads to enough for all */
    memset((void *)runs, 0, MostItems);
    cpuPoolRun(countItems, &job, job.from, job.count, nanoseconds);
    for (uint64_t k = 0; k < MostItems; k++) {
      const uint8_t due = k >= job.from && k < job.count;
      EXPECT(job.failing == UINT64_MAX ? runs[k] == due : runs[k] <= due, "item %llu of %llu to %llu runs %u times", (unsigned long long)k,
             (unsigned long long)job.from, (unsigned long long)job.count, runs[k]);
    }
    EXPECT(job.failing == UINT64_MAX || runs[job.failing] == 1, "the item that fails has not run");
    if (i % 16 == 15) usleep(200); /* workers sleep */
    if (i % 8 == 7) cpuPoolWake();
  }
  free((void *)runs);
  return NULL;
}

static const ModelShape smallShape = {"small", 512, 1, 16, 4, 32, 768, 512};

/** FNV-1a */
static uint64_t hashOf(uint64_t hash, const void *bytes, uint64_t length) {
  for (uint64_t i = 0; i < length; i++) hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
  return hash;
}

/** Runs a step, and gives a number for all that its dispatches have written. */
static uint64_t runStep(const WeightType *type, const uint8_t *weights, uint32_t rows, uint32_t depth, uint64_t hash) {
  const uint64_t bytes = stepWeightBytes(&smallShape, type, smallShape.layers);
  Random random = {3};
  const ModelStep step = modelStep(&smallShape, type, smallShape.layers, rows, depth, weights);
  for (uint32_t i = 0; i < step.count; i++) { /* what earlier steps would have stored */
    const DriverCommand *c = &step.commands[i];
    if (strcmp(step.what[i], "kv_store") != 0) continue;
    for (uint32_t cache = 3; cache < 5; cache++)
      for (uint64_t k = 0; k < c->dispatch.bufferLengths[cache] / 2; k++)
        ((uint16_t *)c->dispatch.buffers[cache])[k] = (uint16_t)(randomBits(&random) % 0x3c00 | randomBits(&random) % 2 << 15);
  }
  for (uint32_t run = 0; run < 2; run++) {
    char *message = NULL;
    fillStep(&step);
    const bool ok = cpuDriver.execute(0, step.commands, step.count, &message);
    EXPECT(ok, "%s", message ? message : "");
    for (uint32_t i = 0; i < step.count; i++)
      for (int b = 0; b < DriverMaxBuffers; b++) {
        const DriverCommand *c = &step.commands[i];
        const uint8_t *at = c->dispatch.buffers[b];
        if (at < weights || at >= weights + bytes) hash = hashOf(hash, at, c->dispatch.bufferLengths[b]);
      }
  }
  return hash;
}

/** In a process with so many threads: gives what must be the same in all. */
static uint64_t runAll(void) {
  pthread_t callers[Callers];
  for (uintptr_t i = 0; i < Callers; i++) pthread_create(&callers[i], NULL, runJobs, (void *)(i + 1));
  for (uint32_t i = 0; i < Callers; i++) pthread_join(callers[i], NULL);
  uint64_t hash = 0xcbf29ce484222325u;
  for (uint32_t i = 0; i < 3; i++) {
    const WeightType *type = weightTypeNamed((const char *[]){"q4_k", "q8_0", "f16"}[i]);
    const uint64_t bytes = stepWeightBytes(&smallShape, type, smallShape.layers);
    uint8_t *weights = stepMemory(bytes);
    Random random = {2};
    randomWeights(type, weights, bytes / type->bytes, -4, &random);
    hash = runStep(type, weights, 1, 700, hash);
    hash = runStep(type, weights, 5, 40, hash);
    hash = runStep(type, weights, 40, 0, hash);
  }
  return hash;
}

/** False where it failed. */
static bool runApart(uint32_t width, uint64_t *hash) {
  int ends[2], status = 1;
  if (pipe(ends) != 0) return false;
  const pid_t child = fork();
  if (child == 0) {
    char text[16];
    snprintf(text, sizeof text, "%u", width);
    setenv("BUN_METAL_CPU_THREADS", text, 1);
    const uint64_t made = runAll();
    _exit(cpuPoolWidth() == width && write(ends[1], &made, sizeof made) == sizeof made && !failures ? 0 : 1);
  }
  close(ends[1]);
  const bool said = child > 0 && read(ends[0], hash, sizeof *hash) == sizeof *hash;
  close(ends[0]);
  return child > 0 && waitpid(child, &status, 0) == child && status == 0 && said;
}

int main(void) {
  static const uint32_t widths[] = {1, 2, 7, 64};
  uint64_t first = 0, hash = 0;
  bool failed = false;
  for (uint32_t i = 0; i < sizeof widths / sizeof *widths; i++) {
    const bool ok = runApart(widths[i], &hash) && (i == 0 || hash == first);
    if (i == 0) first = hash;
    printf("%s %u threads run each item once, and make the bytes that one makes\n", ok ? "ok" : "FAILED", widths[i]);
    fflush(stdout);
    failed = failed || !ok;
  }
  return failed;
}
