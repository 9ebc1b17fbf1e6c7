/*
 * library.h: libraries of kernels, and the machine code that the driver makes of them.
 *
 * A kernel begins to be compiled when a pipeline is made of it (code.h). One whose source was given is waited for, since it
 * may be wrong, and tells how many threads it can have; those of a library that was compiled before are waited for when they
 * are used first, so that all of a program's are compiled side by side, while weights are on their way.
 */
#ifndef BUN_METAL_CUDA_LIBRARY_H
#define BUN_METAL_CUDA_LIBRARY_H

#include "code.h"
#include "kernels.h"

/** A kernel as the device runs it; `implementation` of a DriverFunction. */
typedef struct CudaFunction {
  CudaDevice *device;
  const CudaKernels *kernels;
  uint32_t index; /* among them */
  bool waitsForUse; /* to be compiled in the background until then */
  _Atomic(CudaCode *) begun; /* NULL until somebody wants it; used by this */
  _Atomic(CudaCode *) code;  /* the same once it is compiled */
  uint32_t constantOffsets[DriverMaxBuffers]; /* in CudaLaunch.constants, or CudaNoOffset */
} CudaFunction;

DriverLibrary *cudaLibraryCompile(uint32_t device, const char *source, size_t length, const char *name, char **message);
DriverLibrary *cudaLibraryLoad(uint32_t device, const char *path, char **message);
DriverLibrary *cudaLibraryLoadBytes(uint32_t device, const void *bytes, size_t length, char **message);
/** Of kernels, which it takes over, and which may be NULL: then there is a message already. `waitsForUse`: they are compiled
 * in the background, and waited for when they run. */
DriverLibrary *cudaLibraryOf(uint32_t device, CudaKernels *kernels, bool waitsForUse, char **message);
void cudaLibraryUnload(DriverLibrary *library);

/** Compiles the kernel, if nobody has yet, or begins to. */
bool cudaLibraryPrepare(uint32_t device, const DriverFunction *function, uint32_t *mostThreads, char **message);

/** Begins to compile a kernel that will be used. */
void cudaFunctionBegin(const DriverFunction *function);

/** The compiled kernel, ready for launches with `sharedBytes` of dynamic shared memory. The device is entered. NULL with a
 * malloc'ed *message. */
CudaKernel cudaFunctionFor(const DriverFunction *function, uint32_t sharedBytes, char **message);

/** cudaCodeCarveOut(), of a kernel that was had so. */
void cudaFunctionCarveOut(const DriverFunction *function, int percent);

#endif
