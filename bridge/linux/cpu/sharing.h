/*
 * sharing.h: how a job is shared out: to how many threads, and in what parts. Apart from pool.c, so that
 * test/bench/pool_simulation.c has the same rules.
 */
#ifndef BUN_METAL_CPU_SHARING_H
#define BUN_METAL_CPU_SHARING_H

#include <stdbool.h>
#include <stdint.h>

enum {
  CpuMostThreads = 512,
  CpuThreadsPerShard = 8, /* that take parts from one counter */
  CpuMostShards = CpuMostThreads / CpuThreadsPerShard,
  CpuWorkersPerBell = 8,  /* that watch one word for work */
  CpuWokenAtOnce = 3,     /* by a caller, and by each worker that was woken */
  CpuWorthWaking = 25000, /* nanoseconds of work: it costs as much to wake a thread */
  CpuWorthAsking = 4000   /* or one that is awake */
};

/** Items are cut into shards of the same length; a thread takes parts of its own shard, ever smaller, and then of others. */
typedef struct CpuSharing {
  uint64_t from, count; /* items [from, count) */
  uint32_t threads;     /* that are asked for, the caller counted */
  uint32_t shards;
  uint64_t smallest, largest; /* items of a part */
} CpuSharing;

/** Of items that take about so many nanoseconds each, on `width` threads at most. */
CpuSharing cpuSharing(uint64_t from, uint64_t count, float nanoseconds, uint32_t width);

/** Where a shard begins; the one behind the last begins at `count`. */
uint64_t cpuShardStart(const CpuSharing *sharing, uint32_t shard);

/** The shard that a thread begins with. The caller is number 0. */
uint32_t cpuFirstShard(const CpuSharing *sharing, uint32_t thread);

/** Items of the next part, where a shard has so many left. */
uint64_t cpuPartOf(const CpuSharing *sharing, uint64_t left);

#endif
