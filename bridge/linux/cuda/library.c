/* library.c: see library.h. */
#include "library.h"
#include "native/library.h"

#include <stdlib.h>
#include <string.h>

/* ---- functions ----------------------------------------------------------------------------------------------------- */

/* The function's code, which is compiled or will be. NULL where there is no memory. */
static CudaCode *begun(const DriverFunction *function) {
  CudaFunction *f = (CudaFunction *)function->implementation;
  CudaCode *code = atomic_load(&f->begun);
  if (code) return code;
  char *text = cudaKernelsText(f->kernels, f->index);
  if (text) cudaKernelsEnable(text, f->device->capability);
  CudaCode *own = text ? cudaCodeBegin(f->device, text, cudaKernelsEntry(f->kernels, f->index), function->name) : NULL;
  if (!own || atomic_compare_exchange_strong(&f->begun, &code, own)) return own;
  cudaCodeRelease(own); /* another thread was first */
  return code;
}

void cudaFunctionBegin(const DriverFunction *function) {
  const CudaFunction *f = function->implementation;
  if (!atomic_load_explicit(&f->code, memory_order_acquire)) begun(function);
}

static CudaCode *prepared(const DriverFunction *function, char **message) {
  CudaFunction *f = (CudaFunction *)function->implementation;
  CudaCode *code = atomic_load_explicit(&f->code, memory_order_acquire);
  if (code) return code;
  *message = NULL;
  code = begun(function);
  if (code && cudaCodeWait(code, message)) {
    atomic_store_explicit(&f->code, code, memory_order_release);
    return code;
  }
  if (!*message) *message = strdup("Out of memory");
  return NULL;
}

bool cudaLibraryPrepare(uint32_t device, const DriverFunction *function, uint32_t *mostThreads, char **message) {
  (void)device;
  const CudaFunction *f = function->implementation;
  if (f->waitsForUse) {
    if (!cudaKernelsIsOwn(f->kernels, f->index) || !cudaNativeExpect(f->device, function->name)) cudaFunctionBegin(function);
    return true;
  }
  const CudaCode *code = prepared(function, message);
  if (code && cudaCodeMostThreads(code) < *mostThreads) *mostThreads = cudaCodeMostThreads(code);
  return code != NULL;
}

CudaKernel cudaFunctionFor(const DriverFunction *function, uint32_t sharedBytes, char **message) {
  CudaCode *code = prepared(function, message);
  return code ? cudaCodeKernel(code, sharedBytes, message) : NULL;
}

void cudaFunctionCarveOut(const DriverFunction *function, int percent) {
  const CudaFunction *f = function->implementation;
  CudaCode *code = atomic_load_explicit(&f->code, memory_order_acquire);
  if (code) cudaCodeCarveOut(code, percent);
}

/* ---- libraries ----------------------------------------------------------------------------------------------------- */

typedef struct Library {
  DriverLibrary base;
  CudaKernels *kernels;
  CudaFunction *functions;
} Library;

DriverLibrary *cudaLibraryOf(uint32_t device, CudaKernels *kernels, bool waitsForUse, char **message) {
  if (!kernels) return NULL;
  Library *library = calloc(1, sizeof *library);
  CudaFunction *functions = calloc(kernels->functionCount + 1, sizeof *functions);
  if (!library || !functions) {
    free(library);
    free(functions);
    cudaKernelsFree(kernels);
    free(*message);
    *message = strdup("Out of memory");
    return NULL;
  }
  for (uint32_t i = 0; i < kernels->functionCount; i++) {
    functions[i].device = cudaDevice(device);
    functions[i].kernels = kernels;
    functions[i].index = i;
    functions[i].waitsForUse = waitsForUse;
    for (uint32_t k = 0; k < DriverMaxBuffers; k++)
      functions[i].constantOffsets[k] = cudaKernelsConstantOffset(kernels, i, k);
    kernels->functions[i].implementation = &functions[i];
  }
  if (kernels->functionCount > 0 && cudaKernelsIsOwn(kernels, 0)) cudaNativeOpenSoon(cudaDevice(device));
  library->kernels = kernels;
  library->functions = functions;
  library->base = (DriverLibrary){.functions = kernels->functions,
                                  .functionCount = kernels->functionCount,
                                  .identity = kernels->identity,
                                  .implementation = library};
  return &library->base;
}

DriverLibrary *cudaLibraryCompile(uint32_t device, const char *source, size_t length, const char *name, char **message) {
  *message = NULL;
  return cudaLibraryOf(device, cudaKernelsCompile(source, length, name, message), false, message);
}

DriverLibrary *cudaLibraryLoad(uint32_t device, const char *path, char **message) {
  *message = NULL;
  return cudaLibraryOf(device, cudaKernelsLoadFile(path, message), true, message);
}

DriverLibrary *cudaLibraryLoadBytes(uint32_t device, const void *bytes, size_t length, char **message) {
  *message = NULL;
  return cudaLibraryOf(device, cudaKernelsLoadBytes(bytes, length, "library in memory", message), true, message);
}

void cudaLibraryUnload(DriverLibrary *base) {
  Library *library = base->implementation;
  for (uint32_t i = 0; i < library->base.functionCount; i++) {
    CudaCode *code = atomic_load(&library->functions[i].begun);
    if (code) cudaCodeRelease(code);
  }
  cudaKernelsFree(library->kernels);
  free(library->functions);
  free(library);
}
