/*
 * fiber.h: runs the threads of one threadgroup, one after the other, on one operating system thread.
 */
#ifndef BUN_METAL_CPU_FIBER_H
#define BUN_METAL_CPU_FIBER_H

#include "library.h"
#include "metal/library/abi.h"

/** What a thread needs to run threadgroups: stacks for lanes, threadgroup memory. Made once per thread and kept. */
typedef struct CpuWorker CpuWorker;

/** The calling thread's worker, freed when the thread ends; NULL when out of memory. */
CpuWorker *cpuWorkerOfThread(void);

/** The worker's view of the dispatch that it is to run: filled in by the caller, but for the threadgroup memory. */
CpuLaunch *cpuWorkerLaunch(CpuWorker *worker);

/** Gives the launch threadgroup memory: `fixed` bytes of the kernel's own variables, then its arguments'. False when
 * out of memory. Contents are undefined; poisoned in that checking mode. */
bool cpuWorkerPlaceMemory(CpuWorker *worker, const DriverFunction *function, const uint32_t lengths[]);

/** Runs one threadgroup of the launch. NULL, or what the kernel did that no kernel may (a static text). */
const char *cpuWorkerRun(CpuWorker *worker, const CpuFunction *function);

/** Whether no lane has used more than its stack in the latest threadgroup. */
bool cpuWorkerStacksHold(CpuWorker *worker);

#endif
