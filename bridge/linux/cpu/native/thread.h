/*
 * thread.h: memory of threads that run native kernels.
 */
#ifndef BUN_METAL_CPU_NATIVE_THREAD_H
#define BUN_METAL_CPU_NATIVE_THREAD_H

#include "native.h"

/** The calling thread's, with at least so much memory; NULL where there is none. It goes when the thread ends. */
NativeThread *nativeThread(uint64_t bytes);

/** Memory for what the threads share while the calling thread waits for them; NULL where there is none. A later call takes
 *  it away. */
void *nativeSharedMemory(uint64_t bytes);

#endif
