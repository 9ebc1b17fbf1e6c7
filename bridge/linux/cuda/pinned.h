/*
 * pinned.h: memory of the CPU's that devices can reach. To pin pages takes long, and to give them back waits for all devices:
 * small pieces are kept, and used again.
 */
#ifndef BUN_METAL_CUDA_PINNED_H
#define BUN_METAL_CUDA_PINNED_H

#include "api.h"

/** Memory of at least `length` bytes, page-aligned, with anything in it. A device is entered; all may use the memory. */
CudaResult cudaPinnedTake(size_t length, void **memory);
/** Takes back what cudaPinnedTake gave for that length. */
void cudaPinnedGive(void *memory, size_t length);

#endif
