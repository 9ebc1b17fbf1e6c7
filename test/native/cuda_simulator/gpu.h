/*
 * gpu.h: the same tests on a GPU: with CUDA_SIMULATOR=gpu launches go to the first one that there is, with the kernels of the files
 * that CUDA_SIMULATOR_PTX names, with colons between: what they find here, the simulator should have found.
 */
#ifndef TEST_NATIVE_CUDA_SIMULATOR_GPU_H
#define TEST_NATIVE_CUDA_SIMULATOR_GPU_H

#include "run.h"

bool simulatorIsGpu();
/** Memory that both sides see at the same address. */
void *gpuAllocate(u64 bytes);
void gpuFree(void *memory);
/** Runs a launch whose addresses are all in its parameters, and waits for it. Ends the process where that fails. */
void gpuLaunch(const CudaNativeLaunch *launch);

#endif
