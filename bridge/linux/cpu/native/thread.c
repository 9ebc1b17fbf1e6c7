/* thread.c: see thread.h. */
#include "thread.h"

#include <pthread.h>
#include <stdlib.h>

enum { Alignment = 64, Granularity = 1 << 14 };

typedef struct Memories {
  NativeThread own;
  void *shared;
  uint64_t sharedCapacity;
} Memories;

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local Memories *ofThread;

static void release(void *memories) {
  Memories *m = memories;
  ofThread = NULL;
  free(m->own.memory);
  free(m->shared);
  free(m);
}

static void makeKey(void) { pthread_key_create(&key, release); }

static Memories *memories(void) {
  if (ofThread) return ofThread;
  pthread_once(&once, makeKey);
  Memories *m = calloc(1, sizeof *m);
  if (m && pthread_setspecific(key, m) != 0) {
    free(m);
    m = NULL;
  }
  return ofThread = m;
}

/** Replaces memory that is too small; what was in it is lost. */
static bool grow(void **memory, uint64_t *capacity, uint64_t bytes) {
  if (bytes <= *capacity) return true;
  if (bytes > (uint64_t)1 << 46) return false;
  const uint64_t size = (bytes + Granularity - 1) / Granularity * Granularity;
  free(*memory);
  *memory = aligned_alloc(Alignment, size);
  *capacity = *memory ? size : 0;
  return *memory != NULL;
}

NativeThread *nativeThread(uint64_t bytes) {
  Memories *m = memories();
  if (!m) return NULL;
  if (bytes > m->own.capacity)
    for (int i = 0; i < 4; i++) m->own.content[i] = 0;
  return grow(&m->own.memory, &m->own.capacity, bytes) ? &m->own : NULL;
}

void *nativeSharedMemory(uint64_t bytes) {
  Memories *m = memories();
  return m && grow(&m->shared, &m->sharedCapacity, bytes ? bytes : 1) ? m->shared : NULL;
}
