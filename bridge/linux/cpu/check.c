/* check.c: see check.h. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint32_t modes;
static _Atomic uint64_t state;

static void readEnvironment(void) {
  const char *text = getenv("BUN_METAL_CPU_CHECK");
  while (text && *text) {
    const char *end = strchr(text, ',');
    const size_t length = end ? (size_t)(end - text) : strlen(text);
    if (length == 6 && memcmp(text, "poison", 6) == 0) {
      modes |= CpuCheckPoison;
    } else if (length >= 7 && memcmp(text, "shuffle", 7) == 0) {
      struct timespec now;
      clock_gettime(CLOCK_REALTIME, &now);
      uint64_t seed = (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20;
      if (length > 8 && text[7] == ':') seed = strtoull(text + 8, NULL, 10);
      modes |= CpuCheckShuffle;
      atomic_store(&state, seed);
      fprintf(stderr, "BUN_METAL_CPU_CHECK: shuffle:%llu\n", (unsigned long long)seed);
    } else {
      fprintf(stderr, "BUN_METAL_CPU_CHECK: unknown mode '%.*s' (known: poison, shuffle, shuffle:SEED)\n",
              (int)length, text);
    }
    text = end ? end + 1 : NULL;
  }
}

uint32_t cpuChecks(void) {
  pthread_once(&once, readEnvironment);
  return modes;
}

/** SplitMix64: any state gives a good number. */
uint64_t cpuCheckRandom(void) {
  uint64_t z = atomic_fetch_add(&state, 0x9e3779b97f4a7c15ull) + 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

void cpuCheckShuffled(uint32_t *order, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) order[i] = i;
  for (uint32_t i = count; i > 1; i--) {
    const uint32_t k = (uint32_t)(cpuCheckRandom() % i), swap = order[i - 1];
    order[i - 1] = order[k];
    order[k] = swap;
  }
}
