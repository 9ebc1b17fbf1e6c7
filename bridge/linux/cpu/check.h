/*
 * check.h: the CPU device's checking modes, for tests that look for races and for memory that is read before written.
 *
 *   BUN_METAL_CPU_CHECK=poison,shuffle[:SEED]
 *
 * poison   threadgroup memory starts as 0xFF bytes (NaN) in every threadgroup, fresh private memory too
 * shuffle  the commands between two barriers run in random order, and so do the threadgroups of a dispatch. The seed
 * is printed at the first dispatch; give it behind a colon to repeat a run.
 */
#ifndef BUN_METAL_CPU_CHECK_H
#define BUN_METAL_CPU_CHECK_H

#include <stdint.h>

enum { CpuCheckPoison = 1, CpuCheckShuffle = 2 };

/** The modes that are on. */
uint32_t cpuChecks(void);

/** Fills `order` with a random permutation of 0 .. count - 1. */
void cpuCheckShuffled(uint32_t *order, uint32_t count);

/** A random number for one dispatch. */
uint64_t cpuCheckRandom(void);

#endif
