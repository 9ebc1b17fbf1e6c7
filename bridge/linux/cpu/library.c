/* library.c: see library.h. */
#include "library.h"
#include "fault.h"
#include "../msl/image.h"
#include "metal/library/abi.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct Library {
  DriverLibrary base;
  void *object; /* of dlopen */
  int file;     /* what it was opened from */
  DriverFunction *functions;
  CpuFunction *implementations;
  DriverArgument **arguments;
} Library;

/** Opens a shared object from memory: a copy that nobody can change or truncate while its code runs. The file stays
 * open as long as the object: the loader takes a name that it knows for the object that it has. */
static void *openObject(const char *bytes, size_t length, const char *name, int *file, char **message) {
  /* Compiled code calls the C library's mathematical functions by name. */
  dlopen("libm.so.6", RTLD_NOW | RTLD_GLOBAL);
  const int fd = *file = memfd_create("bun-metal", MFD_CLOEXEC);
  size_t at = 0;
  while (fd >= 0 && at < length) {
    const ssize_t n = write(fd, bytes + at, length - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    at += (size_t)n;
  }
  void *object = NULL;
  if (fd < 0 || at < length) {
    *message = mslFormat("Cannot load '%s': %s", name, strerror(errno));
  } else {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object) {
      const char *why = dlerror();
      *message = mslFormat("Cannot load '%s': %s", name, why ? why : "the system refused it");
    }
  }
  return object;
}

/** Argument descriptions of one kernel, values left out. False when out of memory or inconsistent. */
static bool describe(Library *library, uint32_t index, const CpuKernel *kernel, const char *name, char **message) {
  CpuKernelInfo *info = calloc(1, sizeof *info);
  if (!info) return false;
  ((void (*)(CpuKernelInfo *))(uintptr_t)kernel->describe)(info);
  DriverFunction *f = &library->functions[index];
  DriverArgument *arguments = calloc(info->argumentCount ? info->argumentCount : 1, sizeof *arguments);
  library->arguments[index] = arguments;
  library->implementations[index] = (CpuFunction){
      .entry = (const void *)(uintptr_t)kernel->entry,
      .perThread = kernel->perThread != 0};
  *f = (DriverFunction){.name = (const char *)(uintptr_t)kernel->name,
                        .arguments = arguments,
                        .maxTotalThreadsPerThreadgroup = info->maxThreads ? info->maxThreads : 1024,
                        .staticThreadgroupMemoryLength = (info->staticMemory + 15) / 16 * 16,
                        .implementation = &library->implementations[index]};
  bool ok = arguments != NULL;
  if (f->maxTotalThreadsPerThreadgroup > 1024) f->maxTotalThreadsPerThreadgroup = 1024;
  uint32_t used[2] = {0, 0};
  for (uint32_t i = 0; ok && i < info->argumentCount && i < CpuMaxArguments; i++) {
    const CpuArgument *a = &info->arguments[i];
    if (a->kind != CpuArgumentBuffer && a->kind != CpuArgumentThreadgroup) continue;
    if (a->index >= CpuBufferCount || (used[a->kind] >> a->index & 1)) {
      *message =
          mslFormat("Kernel '%s' in '%s': argument '%s' has index %u, which is %s", f->name, name,
                    (const char *)(uintptr_t)a->name, a->index, a->index >= CpuBufferCount ? "above 30" : "taken");
      ok = false;
      break;
    }
    used[a->kind] |= 1u << a->index;
    arguments[f->argumentCount++] = (DriverArgument){
        .name = (const char *)(uintptr_t)a->name,
        .kind = a->kind == CpuArgumentBuffer ? DriverArgumentBuffer : DriverArgumentThreadgroupMemory,
        .index = a->index,
        .writable = a->writable != 0,
        .constantSpace = a->constantSpace != 0,
        .reference = a->reference != 0,
        .dataSize = a->dataSize,
        .alignment = a->alignment};
  }
  free(info);
  return ok;
}

DriverLibrary *cpuLibraryLoadBytes(const char *bytes, size_t length, const char *name, char **message) {
  *message = NULL;
  MslImage image;
  *message = mslImageRead(bytes, length, name, &image);
  const MslSlice *slice = *message ? NULL : mslImageChoose(&image, name, "this machine", mslTargetRank, message);
  if (!slice) return NULL;
  Library *library = calloc(1, sizeof *library);
  if (!library) return NULL;
  library->file = -1;
  library->object = openObject(slice->bytes, slice->length, name, &library->file, message);
  void (*table)(uint64_t *) =
      library->object ? (void (*)(uint64_t *))dlsym(library->object, "bun_metal_library") : NULL;
  if (table) {
    uint64_t range[2] = {0, 0};
    table(range);
    const CpuKernel *kernels = (const CpuKernel *)(uintptr_t)range[0];
    const uint32_t count = (uint32_t)((range[1] - range[0]) / sizeof *kernels);
    library->functions = calloc(count + 1, sizeof *library->functions);
    library->implementations = calloc(count + 1, sizeof *library->implementations);
    library->arguments = calloc(count + 1, sizeof *library->arguments);
    bool ok = library->functions && library->implementations && library->arguments;
    for (uint32_t i = 0; ok && i < count; i++) {
      library->base.functionCount = i + 1;
      ok = describe(library, i, &kernels[i], name, message);
    }
    if (ok) {
      cpuFaultCatchDivisions();
      library->base.identity = slice->hash;
      library->base.functions = library->functions;
      library->base.implementation = library;
      return &library->base;
    }
  }
  if (!*message) *message = mslFormat("'%s' is no shader library of this layer", name);
  library->base.implementation = library;
  cpuLibraryUnload(&library->base);
  return NULL;
}

DriverLibrary *cpuLibraryLoadFile(const char *path, char **message) {
  MslText bytes = {0};
  DriverLibrary *library = NULL;
  if (mslImageLoadFile(path, &bytes, message))
    library = cpuLibraryLoadBytes(bytes.bytes, bytes.length, path, message);
  mslTextFree(&bytes);
  return library;
}

void cpuLibraryUseNative(DriverLibrary *base, void (*find)(const char *name, const NativeKernel *found[])) {
  Library *library = base->implementation;
  if (!dlsym(library->object, "bun_metal_has_native_kernels")) return; /* shaders/args.h */
  for (uint32_t i = 0; i < base->functionCount; i++) find(base->functions[i].name, library->implementations[i].native);
}

void cpuLibraryUnload(DriverLibrary *base) {
  Library *library = base->implementation;
  for (uint32_t i = 0; library->arguments && i < library->base.functionCount; i++) free(library->arguments[i]);
  free(library->arguments);
  free(library->functions);
  free(library->implementations);
  if (library->object) dlclose(library->object);
  if (library->file >= 0) close(library->file);
  free(library);
}
