/*
 * code.h: machine code that the CUDA driver makes of PTX, in threads beside those that wait for it.
 *
 * What was compiled stays as long as somebody uses it, and a while longer: programs open the same library again and again.
 */
#ifndef BUN_METAL_CUDA_CODE_H
#define BUN_METAL_CUDA_CODE_H

#include "device.h"

/** A kernel as a module of its own. */
typedef struct CudaCode CudaCode;

/**
 * The code of a text, used once more; where nobody has compiled it yet, a thread begins to. Takes over `text`.
 *
 * @param entry The kernel's name in it; `name` is what messages call it. Both are copied.
 * @return NULL where there is no memory.
 */
CudaCode *cudaCodeBegin(CudaDevice *device, char *text, const char *entry, const char *name);

/** Waits until it is compiled, or compiles it. False with a malloc'ed *message; it stays in use. */
bool cudaCodeWait(CudaCode *code, char **message);

/** Ends a use. */
void cudaCodeRelease(CudaCode *code);

/** Threads of a threadgroup that compiled code can have. */
uint32_t cudaCodeMostThreads(const CudaCode *code);

/** The kernel, ready for launches with `sharedBytes` of dynamic shared memory, of compiled code. The device is entered. NULL
 * with a malloc'ed *message. */
CudaKernel cudaCodeKernel(CudaCode *code, uint32_t sharedBytes, char **message);

/** Wishes that of the memory which is shared memory or first cache so much be shared, while a kernel of compiled code runs: in
 * per cent of the most that it can be. The driver is told once. The device is entered. */
void cudaCodeCarveOut(CudaCode *code, int percent);

#endif
