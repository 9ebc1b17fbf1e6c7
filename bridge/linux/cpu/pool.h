/*
 * pool.h: one pool of threads for the process: a worker per processor that this process may use, less the caller.
 *
 * Started at the first job that is worth it. Workers look for new work for some tens of microseconds after a job,
 * since dispatches come one after the other, and sleep then.
 */
#ifndef BUN_METAL_CPU_POOL_H
#define BUN_METAL_CPU_POOL_H

#include <stdbool.h>
#include <stdint.h>

/** Runs items [from, to) of a job. Called on several threads at once. False to give up the rest of the job. */
typedef bool (*CpuPoolWork)(void *context, uint64_t from, uint64_t to);

/** Threads that work on a job at most, the caller counted: the processors of the process, its share of a container's,
 * or env BUN_METAL_CPU_THREADS. */
uint32_t cpuPoolWidth(void);

/** Runs all items of [from, count) on the caller and the pool; returns when all are done. An item takes about so many
 *  `nanoseconds`, which decides how many threads are asked and how much each takes at a time (sharing.h). */
void cpuPoolRun(CpuPoolWork work, void *context, uint64_t from, uint64_t count, float nanoseconds);

/** Wakes some workers before many short jobs, none of which would be worth it alone. */
void cpuPoolWake(void);

/** What work has to take, in nanoseconds, before other threads are asked to help. */
uint64_t cpuPoolWorth(void);

#endif
