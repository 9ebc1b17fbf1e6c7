/*
 * library.h: libraries of kernels, and the machine code that the driver makes of them.
 *
 * A kernel is compiled when a pipeline is made of it. What was compiled stays as long as a library that has it, and a
 * while longer: programs open the same library again and again.
 */
#ifndef BUN_METAL_CUDA_LIBRARY_H
#define BUN_METAL_CUDA_LIBRARY_H

#include "device.h"
#include "kernels.h"

struct CudaCode;

/** A kernel as the device runs it; `implementation` of a DriverFunction. */
typedef struct CudaFunction {
  CudaDevice *device;
  const CudaKernels *kernels;
  uint32_t index; /* among them */
  _Atomic(struct CudaCode *) code; /* NULL until it is prepared; made under the lock of all code */
  uint32_t constantOffsets[DriverMaxBuffers]; /* in CudaLaunch.constants, or CudaNoOffset */
} CudaFunction;

DriverLibrary *cudaLibraryCompile(uint32_t device, const char *source, size_t length, const char *name, char **message);
DriverLibrary *cudaLibraryLoad(uint32_t device, const char *path, char **message);
DriverLibrary *cudaLibraryLoadBytes(uint32_t device, const void *bytes, size_t length, char **message);
/** Of kernels, which it takes over, and which may be NULL: then there is a message already. */
DriverLibrary *cudaLibraryOf(uint32_t device, CudaKernels *kernels, char **message);
void cudaLibraryUnload(DriverLibrary *library);

/** Compiles the kernel, if nobody has yet. */
bool cudaLibraryPrepare(uint32_t device, const DriverFunction *function, uint32_t *mostThreads, char **message);

/** The compiled kernel, ready for launches with `sharedBytes` of dynamic shared memory. The device is entered. NULL with a
 * malloc'ed *message. */
CudaKernel cudaFunctionFor(const DriverFunction *function, uint32_t sharedBytes, char **message);

#endif
