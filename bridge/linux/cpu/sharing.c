/* sharing.c: see sharing.h. */
#include "sharing.h"

#include <math.h>

enum {
  ThreadNanoseconds = 100, /* that each thread more costs the caller, in asking it and in seeing that it is done */
  PartsPerThread = 2,      /* of what is left, as a thread takes it */
  LastPartsPerThread = 8,  /* as long as parts at the end may be: all finish within this share of a thread's time */
  ShortestPartNanoseconds = 500, /* taking one is an exchange with another core */
  LongestLastPartNanoseconds = 3000,
  /* A thread that loses its processor to another process holds up no more than one part. */
  LongestPartNanoseconds = 100000
};

static uint64_t itemsOf(float time, float each) {
  const float items = time / each;
  return items < 1 ? 1 : items > 1e18f ? (uint64_t)1e18 : (uint64_t)items;
}

CpuSharing cpuSharing(uint64_t from, uint64_t count, float nanoseconds, uint32_t width) {
  const uint64_t items = count > from ? count - from : 0;
  const float each = nanoseconds > 0.01f ? nanoseconds : 0.01f, all = each * (float)items;
  /* n threads take all / n + n ThreadNanoseconds: least for that many. */
  const float best = 1 + sqrtf(all / ThreadNanoseconds);
  uint64_t threads = best < (float)width ? (uint64_t)best : width;
  if (threads > items) threads = items;
  if (threads < 1) threads = 1;
  float last = all / (float)(threads * LastPartsPerThread);
  if (last < ShortestPartNanoseconds) last = ShortestPartNanoseconds;
  if (last > LongestLastPartNanoseconds) last = LongestLastPartNanoseconds;
  return (CpuSharing){.from = from,
                      .count = count,
                      .threads = (uint32_t)threads,
                      .shards = ((uint32_t)threads + CpuThreadsPerShard - 1) / CpuThreadsPerShard,
                      .smallest = itemsOf(last, each),
                      .largest = itemsOf(LongestPartNanoseconds, each)};
}

uint64_t cpuShardStart(const CpuSharing *sharing, uint32_t shard) {
  const uint64_t items = sharing->count - sharing->from;
  return sharing->from + items / sharing->shards * shard + items % sharing->shards * shard / sharing->shards;
}

uint32_t cpuFirstShard(const CpuSharing *sharing, uint32_t thread) { return thread % sharing->shards; }

uint64_t cpuPartOf(const CpuSharing *sharing, uint64_t left) {
  uint64_t part = left * sharing->shards / (PartsPerThread * (uint64_t)sharing->threads);
  if (part > sharing->largest) part = sharing->largest;
  if (part < sharing->smallest) part = sharing->smallest;
  return part < left ? part : left;
}
