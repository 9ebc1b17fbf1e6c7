/*
 * kernels.h: the kernels of a compiled library, as text that the CUDA driver compiles for the device at hand.
 *
 * A library holds the PTX of all its kernels in one slice (msl/image.h). What they share is there once; the text of one
 * kernel, cudaKernelsText(), is a module of its own, so that making one pipeline compiles one kernel.
 */
#ifndef BUN_METAL_CUDA_KERNELS_H
#define BUN_METAL_CUDA_KERNELS_H

#include "../driver.h"

/** The slice of a library that is for CUDA devices: what all of compute capability 8.0 or newer can run. */
#define CUDA_TARGET "nvptx64-sm_80"

typedef struct CudaKernels {
  /** As reflection found them: `implementation` is NULL, and for the owner of this to set. maxTotalThreadsPerThreadgroup is
   * what the kernel declares, else 1024: how many the device can run is known once it has compiled the kernel. */
  DriverFunction *functions;
  uint32_t functionCount;
  uint64_t identity; /* as DriverLibrary's */
} CudaKernels;

/** Reads the bytes of a library, which it copies, or a file. NULL with a malloc'ed *message on failure. `name` is what
 * messages call it. */
CudaKernels *cudaKernelsLoadBytes(const char *bytes, size_t length, const char *name, char **message);
CudaKernels *cudaKernelsLoadFile(const char *path, char **message);
/** Reads the bytes of a slice alone, which it copies. */
CudaKernels *cudaKernelsLoadSlice(const char *bytes, size_t length, const char *name, char **message);
/** Compiles MSL, as Driver.compile does: *message may be warnings when it succeeds. */
CudaKernels *cudaKernelsCompile(const char *source, size_t length, const char *name, char **message);
void cudaKernelsFree(CudaKernels *kernels);

/** A whole PTX module with the one entry cudaKernelsEntry(), NUL-terminated, malloc'ed; NULL when out of memory. */
char *cudaKernelsText(const CudaKernels *kernels, uint32_t function);
/** In a text for compute capability 8.0, makes instructions of what stands in pragmas as `griddepcontrol`, where the device has
 * these: the text is for 9.0 then. */
void cudaKernelsEnable(char *text, uint32_t capability);
/** The entry's name in that module: made of the host name, for people who read a profile. */
const char *cudaKernelsEntry(const CudaKernels *kernels, uint32_t function);

/** Whether it is one of the shaders that ship, for which there may be stand-ins (native/native.h). */
bool cudaKernelsIsOwn(const CudaKernels *kernels, uint32_t function);

/** Where the bytes that are bound to a buffer index may go in CudaLaunch.constants, the argument's dataSize of them, with
 * the bit of CudaLaunch.inlined; CudaNoOffset where they have to be in a buffer. */
uint32_t cudaKernelsConstantOffset(const CudaKernels *kernels, uint32_t function, uint32_t index);

#endif
