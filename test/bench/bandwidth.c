// How fast this machine reads memory at this moment: a sum over a gigabyte, on all threads and on one.
// bandwidth THREADS prints {"threads":N,"all":GB/s,"one":GB/s}, each the median of a few passes.
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MaxThreads = 256, Passes = 5 };
static const size_t Words = (size_t)1 << 27; // of eight bytes: 1 GiB

static uint64_t *memory;
static int threads;
static pthread_barrier_t begin, end;
static atomic_uint_least64_t total; // so that no sum is left out

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef uint64_t Vector __attribute__((vector_size(64)));

static uint64_t sum(const uint64_t *x, size_t n) {
  const Vector *v = (const Vector *)x;
  Vector a = {0}, b = {0}, c = {0}, d = {0};
  for (size_t i = 0; i + 4 <= n / 8; i += 4) a += v[i], b += v[i + 1], c += v[i + 2], d += v[i + 3];
  a += b + c + d;
  uint64_t all = 0;
  for (int i = 0; i < 8; i++) all += a[i];
  return all;
}

static void *work(void *argument) {
  const size_t i = (size_t)(uintptr_t)argument, each = Words / (size_t)threads / 32 * 32; // whole vectors
  memset(memory + i * each, (int)i + 1, each * sizeof *memory); // real pages, made where they are read
  for (int pass = 0; pass < Passes; pass++) {
    pthread_barrier_wait(&begin);
    total += sum(memory + i * each, each);
    pthread_barrier_wait(&end);
  }
  return NULL;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values) {
  qsort(values, Passes, sizeof *values, ascending);
  return values[Passes / 2];
}

int main(int count, char **arguments) {
  threads = count > 1 ? atoi(arguments[1]) : 1;
  if (threads < 1 || threads > MaxThreads) {
    fprintf(stderr, "bandwidth: the number of threads is 1 to %d, not \"%s\"\n", MaxThreads, arguments[1]);
    return 2;
  }
  memory = aligned_alloc(4096, Words * sizeof *memory);
  if (!memory) {
    fprintf(stderr, "bandwidth: there is no gigabyte of memory to read\n");
    return 1;
  }
  pthread_barrier_init(&begin, NULL, (unsigned)threads + 1);
  pthread_barrier_init(&end, NULL, (unsigned)threads + 1);
  pthread_t ids[MaxThreads];
  for (int i = 0; i < threads; i++)
    if (pthread_create(&ids[i], NULL, work, (void *)(uintptr_t)i) != 0) {
      fprintf(stderr, "bandwidth: cannot start thread %d\n", i + 1);
      return 1;
    }
  const double gigabytes = 1e-9 * (double)(Words / (size_t)threads / 32 * 32 * (size_t)threads * sizeof *memory);
  double all[Passes], one[Passes];
  for (int pass = 0; pass < Passes; pass++) {
    pthread_barrier_wait(&begin);
    const double start = now();
    pthread_barrier_wait(&end);
    all[pass] = gigabytes / (now() - start);
  }
  for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  for (int pass = 0; pass < Passes; pass++) { // a quarter is as good, and takes no longer than all threads do
    const double start = now();
    total += sum(memory, Words / 4);
    one[pass] = 1e-9 * (double)(Words / 4 * sizeof *memory) / (now() - start);
  }
  printf("{\"threads\":%d,\"all\":%.2f,\"one\":%.2f}\n", threads, median(all), median(one));
  return 0;
}
