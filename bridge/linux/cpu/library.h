/*
 * library.h: compiled libraries in memory.
 */
#ifndef BUN_METAL_CPU_LIBRARY_H
#define BUN_METAL_CPU_LIBRARY_H

#include "../driver.h"
#include "native/native.h"

/** A kernel as the device runs it; `implementation` of a DriverFunction. */
typedef struct CpuFunction {
  const void *entry;
  bool perThread; /* its threads wait for each other: they run as fibers */
  const NativeKernel *native[NativeMaxKernels]; /* which stand in for it, see nativeFind() */
} CpuFunction;

/** Loads the bytes of a library. NULL with a malloc'ed *message on failure. `name` is what messages call it. */
DriverLibrary *cpuLibraryLoadBytes(const char *bytes, size_t length, const char *name, char **message);
DriverLibrary *cpuLibraryLoadFile(const char *path, char **message);
/** Gives the kernels of a library, if they are those of shaders/, native ones where `find` has them. */
void cpuLibraryUseNative(DriverLibrary *library, void (*find)(const char *name, const NativeKernel *found[]));
void cpuLibraryUnload(DriverLibrary *library);

#endif
