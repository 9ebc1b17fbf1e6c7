/*
 * memory.h: private memory is the device's own. Shared memory is the CPU's, pinned: the device reads and writes it over the
 * bus, at the address that the CPU has for it.
 */
#ifndef BUN_METAL_CUDA_MEMORY_H
#define BUN_METAL_CUDA_MEMORY_H

#include "device.h"

bool cudaAllocate(uint32_t device, uint64_t length, DriverStorage storage, bool zeroed, DriverMemory *out, char **message);
bool cudaWrap(uint32_t device, void *memory, uint64_t length, DriverMemory *out, char **message);
void cudaDeallocate(uint32_t device, const DriverMemory *memory);
void cudaMemory(uint32_t device, double *available, double *total);

/** Where the CPU has what the device has at an address in shared memory, as long as nothing on the device was ever made to
 * write to that buffer: then the bytes are what the CPU has put there. NULL otherwise, and outside of shared memory. */
const unsigned char *cudaSharedContents(CudaAddress address);
/** Notes that a command writes there, if it is shared memory. */
void cudaSharedWritten(CudaAddress address);
/** Rises whenever a buffer is written for the first time. */
uint64_t cudaSharedWrites(void);

/** Pinned memory and device memory of the same length, for what is brought over. */
typedef struct CudaStaging {
  unsigned char *host;
  CudaAddress device;
  size_t pinned;   /* bytes of `host` */
  size_t capacity; /* bytes of both; 0 while one is missing */
} CudaStaging;

/** Makes room for `length` bytes; what was there is lost. The device is entered. False with a malloc'ed *message. */
bool cudaStagingReserve(CudaDevice *device, CudaStaging *staging, size_t length, char **message);
void cudaStagingFree(CudaStaging *staging);

#endif
