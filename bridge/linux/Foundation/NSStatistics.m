#import <Foundation/NSStatistics.h>

#import <Foundation/NSCounting.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A power of two, well above the number of classes that this layer and its users have. */
enum { CounterCapacity = 512 };

static ClassCounter counters[CounterCapacity];
static ClassCounter otherClasses; /* should the table ever be full */
static _Atomic int64_t objectsWithoutPool;

ClassCounter *NSCounterForClass(Class cls) {
  size_t start = ((uintptr_t)(void *)cls >> 4) * 0x9E3779B97F4A7C15u >> 40;
  for (size_t probe = 0; probe < CounterCapacity; probe++) {
    ClassCounter *counter = &counters[(start + probe) % CounterCapacity];
    Class owner = atomic_load_explicit(&counter->cls, memory_order_acquire);
    if (owner == Nil && atomic_compare_exchange_strong(&counter->cls, &owner, cls)) return counter;
    if (owner == cls) return counter;
  }
  return &otherClasses;
}

void NSCountObjectWithoutPool(void) {
  atomic_fetch_add_explicit(&objectsWithoutPool, 1, memory_order_relaxed);
}

double NSObjectsWithoutPool(void) {
  return (double)atomic_load_explicit(&objectsWithoutPool, memory_order_relaxed);
}

double NSLiveObjectCount(void) {
  int64_t total = atomic_load_explicit(&otherClasses.live, memory_order_relaxed);
  for (size_t i = 0; i < CounterCapacity; i++) total += atomic_load_explicit(&counters[i].live, memory_order_relaxed);
  return (double)total;
}

typedef struct ClassCount {
  const char *name;
  long long live;
} ClassCount;

static int compareNames(const void *left, const void *right) {
  return strcmp(((const ClassCount *)left)->name, ((const ClassCount *)right)->name);
}

/** Appends to `out` what fits, and counts all of it. */
static size_t appendText(char *out, size_t capacity, size_t length, const char *text) {
  size_t added = strlen(text);
  if (length < capacity) memcpy(out + length, text, added < capacity - length ? added : capacity - length);
  return length + added;
}

uint32_t NSDescribeLiveObjects(char *out, uint32_t capacity) {
  ClassCount counts[CounterCapacity + 1];
  size_t count = 0;
  for (size_t i = 0; i <= CounterCapacity; i++) {
    ClassCounter *counter = i < CounterCapacity ? &counters[i] : &otherClasses;
    long long live = atomic_load_explicit(&counter->live, memory_order_relaxed);
    Class cls = atomic_load_explicit(&counter->cls, memory_order_acquire);
    if (live != 0) counts[count++] = (ClassCount){cls != Nil ? class_getName(cls) : "(others)", live};
  }
  qsort(counts, count, sizeof *counts, compareNames);

  size_t length = 0;
  for (size_t i = 0; i < count; i++) {
    char number[32];
    snprintf(number, sizeof number, " %lld\n", counts[i].live);
    length = appendText(out, capacity, length, counts[i].name);
    length = appendText(out, capacity, length, number);
  }
  if (capacity > 0) out[length < capacity ? length : capacity - 1] = 0;
  return (uint32_t)length;
}
