/*
 * cpu_parallel: several threads run dispatches on the CPU device at once, with and without fibers, and threads that
 * have
 * used it end and give back what they had.
 */
#include "driver.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { Threads = 6, Runs = 60, Groups = 40, GroupSize = 100 };

static const char source[] =
    "#include <metal_stdlib>\n"
    "using namespace metal;\n"
    "kernel void sums(device const uint *in [[buffer(0)]], device uint *out [[buffer(1)]],\n"
    "                 uint i [[thread_position_in_grid]], uint local [[thread_index_in_threadgroup]],\n"
    "                 uint group [[threadgroup_position_in_grid]], uint lane [[thread_index_in_simdgroup]],\n"
    "                 uint simd [[simdgroup_index_in_threadgroup]]) {\n"
    "  threadgroup uint parts[32];\n"
    "  if (local < 32) parts[local] = 0;\n"
    "  threadgroup_barrier(mem_flags::mem_threadgroup);\n"
    "  const uint sum = simd_sum(in[i]);\n"
    "  if (lane == 0) parts[simd] = sum;\n"
    "  threadgroup_barrier(mem_flags::mem_threadgroup);\n"
    "  if (simd == 0) {\n"
    "    const uint total = simd_sum(parts[lane]);\n"
    "    if (lane == 0) out[group] = total;\n"
    "  }\n"
    "}\n"
    "kernel void twice(device uint *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] *= 2; }\n"
    "kernel void fails(device uint *x [[buffer(0)]], uint i [[thread_position_in_grid]]) {\n"
    "  if (i % 2) threadgroup_barrier(mem_flags::mem_none);\n"
    "  x[i] = i;\n"
    "}\n";

static DriverLibrary *library;
static _Atomic int failures;

static const DriverFunction *function(const char *name) {
  for (uint32_t i = 0; i < library->functionCount; i++)
    if (strcmp(library->functions[i].name, name) == 0) return &library->functions[i];
  fprintf(stderr, "no kernel '%s'\n", name);
  exit(1);
}

static DriverCommand dispatch(const char *name, void *first, void *second) {
  DriverCommand c = {.kind = DriverCommandDispatch};
  c.dispatch.function = function(name);
  c.dispatch.buffers[0] = first;
  c.dispatch.buffers[1] = second;
  c.dispatch.threads[0] = Groups * GroupSize;
  c.dispatch.threadsPerThreadgroup[0] = GroupSize;
  for (int k = 1; k < 3; k++) c.dispatch.threads[k] = c.dispatch.threadsPerThreadgroup[k] = 1;
  return c;
}

static void *work(void *argument) {
  const uint32_t number = (uint32_t)(uintptr_t)argument;
  DriverMemory inputs, outputs;
  char *none;
  if (!cpuDriver.allocate(0, Groups * GroupSize * 4, DriverStorageShared, true, &inputs, &none) ||
      !cpuDriver.allocate(0, Groups * 4, DriverStorageShared, true, &outputs, &none)) {
    failures++;
    return NULL;
  }
  uint32_t *in = inputs.contents, *out = outputs.contents;
  for (uint32_t run = 0; run < Runs; run++) {
    for (uint32_t i = 0; i < Groups * GroupSize; i++) in[i] = i * (number + 1) + run;
    DriverCommand commands[] = {
        dispatch("twice", in, NULL), {.kind = DriverCommandBarrier}, dispatch("sums", in, out)};
    char *message = NULL;
    if (!cpuDriver.execute(0, commands, 3, &message)) {
      fprintf(stderr, "thread %u, run %u: %s\n", number, run, message ? message : "");
      failures++;
      free(message);
    }
    for (uint32_t g = 0; g < Groups; g++) {
      uint32_t due = 0;
      for (uint32_t i = 0; i < GroupSize; i++) due += 2 * ((g * GroupSize + i) * (number + 1) + run);
      if (out[g] != due && failures++ < 5)
        fprintf(stderr, "thread %u, run %u, group %u: %u, not %u\n", number, run, g, out[g], due);
    }
    /* A failure of one thread's dispatch is no other's. */
    DriverCommand bad = dispatch("fails", in, NULL);
    if (run % 10 == 0) {
      if (cpuDriver.execute(0, &bad, 1, &message) || !message || !strstr(message, "fails")) failures++;
      free(message);
    }
  }
  cpuDriver.deallocate(0, &inputs);
  cpuDriver.deallocate(0, &outputs);
  return NULL;
}

/** Bytes of address space of this process. */
static long addressSpace(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%ld", &pages) != 1) pages = 0;
  if (file) fclose(file);
  return pages * sysconf(_SC_PAGESIZE);
}

static void runThreads(uint32_t count) {
  pthread_t threads[Threads];
  for (uint32_t i = 0; i < count; i++) pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i);
  for (uint32_t i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

static int report(const char *what, bool ok) {
  printf("%s %s\n", ok ? "ok" : "FAILED", what);
  return ok ? 0 : 1;
}

int main(void) {
  char *message = NULL;
  library = cpuDriver.compile(0, source, sizeof source - 1, "cpu_parallel.metal", &message);
  if (!library) {
    fprintf(stderr, "%s\n", message ? message : "");
    return 1;
  }
  free(message);
  int failed = 0;
  runThreads(Threads);
  failed += report("dispatches of six threads at once are right", failures == 0);
  const long before = addressSpace();
  for (int i = 0; i < 40; i++) {
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    pthread_join(thread, NULL);
  }
  /* A thread's stacks and memory are more than 3 MB: forty that stayed would be seen. */
  failed += report("threads that end give back their stacks", failures == 0 && addressSpace() - before < 40 << 20);
  cpuDriver.unload(library);
  return failed != 0;
}
