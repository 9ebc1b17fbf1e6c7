/*
 * driver.c: NVIDIA's GPUs as devices of this layer, through the CUDA driver's library (api.h).
 */
#include "../driver.h"
#include "device.h"
#include "graph.h"
#include "library.h"
#include "memory.h"
#include "queue.h"

const Driver cudaDriver = {
    .name = "cuda",
    .problem = cudaProblem,
    .deviceCount = cudaDeviceCount,
    .properties = cudaDeviceProperties,
    .allocate = cudaAllocate,
    .wrap = cudaWrap,
    .deallocate = cudaDeallocate,
    .memory = cudaMemory,
    .compile = cudaLibraryCompile,
    .load = cudaLibraryLoad,
    .loadBytes = cudaLibraryLoadBytes,
    .unload = cudaLibraryUnload,
    .prepare = cudaLibraryPrepare,
    .newQueue = cudaNewQueue,
    .freeQueue = cudaFreeQueue,
    .start = cudaStart,
    .finish = cudaFinish,
    .freeList = cudaGraphFreeList,
};
