/*
 * arrive.h: blocks of one launch that wait for each other. All threads of a block call these, and what a block wrote before is
 * there for those that come behind.
 */
#ifndef BUN_METAL_CUDA_NATIVE_ARRIVE_H
#define BUN_METAL_CUDA_NATIVE_ARRIVE_H

#include "intrinsics.h"

/** Whether this is the last of `blocks` blocks that come here. `isLast` is in shared memory. */
DEVICE bool arriveLast(u32 *counter, u32 blocks, u32 &isLast) {
  syncThreads();
  if (threadIndex() == 0) {
    fence();
    isLast = atomicAdd(counter, 1) == blocks - 1;
    if (isLast) {
      *counter = 0;
      fence();
    }
  }
  syncThreads();
  return isLast != 0;
}

/** Waits until `blocks` blocks have come here: so many have to be able to run side by side. */
DEVICE void arriveAll(u32 *counter, u32 blocks) {
  syncThreads();
  if (threadIndex() == 0) {
    fence();
    atomicAdd(counter, 1);
    while (loadAcquire(counter) < blocks) {
    }
  }
  syncThreads();
}

#endif
