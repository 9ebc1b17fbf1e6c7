/* library.c: see library.h. */
#include "library.h"
#include "../msl/image.h"
#include "../msl/text.h"
#include "metal/library/abi.h"

#include <stdlib.h>
#include <string.h>

/* ---- compiled code, of all devices --------------------------------------------------------------------------------- */

enum {
  Buckets = 256,
  MostIdle = 512,
  LogBytes = 8192,
  UnaskedBytes = 48 << 10 /* of dynamic shared memory, for which no kernel has to ask */
};

/** One kernel as a module of its own. */
typedef struct CudaCode {
  struct CudaCode *next; /* in its bucket */
  CudaDevice *device;
  char *text; /* PTX: two kernels are the same if it is */
  size_t textLength;
  uint64_t hash;
  CudaModule module;
  CudaKernel kernel;
  uint32_t mostThreads;
  _Atomic uint32_t sharedBytes; /* that it may be launched with; raised under the lock */
  uint32_t users;       /* functions */
  uint64_t idleSince;   /* a count of releases; of those without users, the oldest goes first */
} CudaCode;

static pthread_mutex_t codeLock = PTHREAD_MUTEX_INITIALIZER; /* of all that follows */
static CudaCode *buckets[Buckets];
static uint32_t idle;
static uint64_t releases;

static void freeCode(CudaCode *code) {
  char *message = NULL;
  if (code->module && cudaEnter(code->device, &message)) {
    cudaApi()->ModuleUnload(code->module);
    cudaLeave();
  }
  free(message);
  free(code->text);
  free(code);
}

/* Under the lock. */
static void dropOldest(void) {
  CudaCode **oldest = NULL;
  for (int b = 0; b < Buckets; b++)
    for (CudaCode **at = &buckets[b]; *at; at = &(*at)->next)
      if ((*at)->users == 0 && (!oldest || (*at)->idleSince < (*oldest)->idleSince)) oldest = at;
  if (!oldest) return;
  CudaCode *code = *oldest;
  *oldest = code->next;
  idle--;
  freeCode(code);
}

static void releaseCode(CudaCode *code) {
  pthread_mutex_lock(&codeLock);
  if (--code->users == 0) {
    code->idleSince = ++releases;
    if (++idle > MostIdle) dropOldest();
  }
  pthread_mutex_unlock(&codeLock);
}

/* Compiles into `code`, whose text and device are set. The device is entered. False with a malloc'ed *message. */
static bool build(CudaCode *code, const char *entry, const char *name, char **message) {
  const CudaApi *api = cudaApi();
  char *log = calloc(1, LogBytes);
  int options[] = {CudaJitErrorLog, CudaJitErrorLogBytes};
  void *values[] = {log, (void *)(uintptr_t)LogBytes};
  CudaResult result = api->ModuleLoadDataEx(&code->module, code->text, log ? 2 : 0, options, values);
  if (result != CudaSuccess) code->module = NULL;
  int threads = 0;
  if (result == CudaSuccess) result = api->ModuleGetFunction(&code->kernel, code->module, entry);
  if (result == CudaSuccess) result = api->FuncGetAttribute(&threads, CudaFunctionMaxThreadsPerBlock, code->kernel);
  code->mostThreads = (uint32_t)threads;
  if (result != CudaSuccess) {
    char *failure = cudaFailure(code->device, result, "Cannot compile kernel '%s'", name);
    *message = log && *log ? mslFormat("%s\n%s", failure ? failure : "", log) : failure;
    if (*message != failure) free(failure);
  }
  free(log);
  return result == CudaSuccess;
}

/* The code of a text, which it takes over; used once more. Under the lock, so that nobody compiles a text twice. */
static CudaCode *codeOf(CudaDevice *device, char *text, const char *entry, const char *name, char **message) {
  const size_t length = strlen(text);
  const uint64_t hash = mslImageHash(text, length);
  CudaCode **bucket = &buckets[hash % Buckets];
  for (CudaCode *code = *bucket; code; code = code->next) {
    if (code->device != device || code->hash != hash || code->textLength != length || memcmp(code->text, text, length) != 0)
      continue;
    if (code->users++ == 0) idle--;
    free(text);
    return code;
  }
  CudaCode *code = calloc(1, sizeof *code);
  if (!code) {
    free(text);
    return NULL;
  }
  *code = (CudaCode){.device = device, .text = text, .textLength = length, .hash = hash, .users = 1};
  atomic_init(&code->sharedBytes, UnaskedBytes);
  const bool isBuilt = cudaEnter(device, message);
  const bool ok = isBuilt && build(code, entry, name, message);
  if (isBuilt) cudaLeave();
  if (ok) {
    code->next = *bucket;
    *bucket = code;
    return code;
  }
  freeCode(code);
  return NULL;
}

/* ---- functions ----------------------------------------------------------------------------------------------------- */

static CudaCode *prepared(const DriverFunction *function, char **message) {
  CudaFunction *f = (CudaFunction *)function->implementation;
  CudaCode *code = atomic_load_explicit(&f->code, memory_order_acquire);
  if (code) return code;
  *message = NULL;
  pthread_mutex_lock(&codeLock);
  code = atomic_load(&f->code);
  char *text = code ? NULL : cudaKernelsText(f->kernels, f->index);
  if (text) code = codeOf(f->device, text, cudaKernelsEntry(f->kernels, f->index), function->name, message);
  atomic_store_explicit(&f->code, code, memory_order_release);
  pthread_mutex_unlock(&codeLock);
  if (!code && !*message) *message = strdup("Out of memory");
  return code;
}

bool cudaLibraryPrepare(uint32_t device, const DriverFunction *function, uint32_t *mostThreads, char **message) {
  (void)device;
  const CudaCode *code = prepared(function, message);
  if (code && code->mostThreads < *mostThreads) *mostThreads = code->mostThreads;
  return code != NULL;
}

CudaKernel cudaFunctionFor(const DriverFunction *function, uint32_t sharedBytes, char **message) {
  CudaCode *code = prepared(function, message);
  if (!code) return NULL;
  if (sharedBytes <= atomic_load(&code->sharedBytes)) return code->kernel;
  CudaResult result = CudaSuccess;
  pthread_mutex_lock(&codeLock);
  if (sharedBytes > atomic_load(&code->sharedBytes)) {
    result = cudaApi()->FuncSetAttribute(code->kernel, CudaFunctionMaxDynamicSharedBytes, (int)sharedBytes);
    if (result == CudaSuccess) atomic_store(&code->sharedBytes, sharedBytes);
  }
  pthread_mutex_unlock(&codeLock);
  if (result == CudaSuccess) return code->kernel;
  *message = cudaFailure(code->device, result, "Kernel '%s' cannot have %u bytes of threadgroup memory", function->name,
                         sharedBytes);
  return NULL;
}

/* ---- libraries ----------------------------------------------------------------------------------------------------- */

typedef struct Library {
  DriverLibrary base;
  CudaKernels *kernels;
  CudaFunction *functions;
} Library;

DriverLibrary *cudaLibraryOf(uint32_t device, CudaKernels *kernels, char **message) {
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
    for (uint32_t k = 0; k < DriverMaxBuffers; k++)
      functions[i].constantOffsets[k] = cudaKernelsConstantOffset(kernels, i, k);
    kernels->functions[i].implementation = &functions[i];
  }
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
  return cudaLibraryOf(device, cudaKernelsCompile(source, length, name, message), message);
}

DriverLibrary *cudaLibraryLoad(uint32_t device, const char *path, char **message) {
  *message = NULL;
  return cudaLibraryOf(device, cudaKernelsLoadFile(path, message), message);
}

DriverLibrary *cudaLibraryLoadBytes(uint32_t device, const void *bytes, size_t length, char **message) {
  *message = NULL;
  return cudaLibraryOf(device, cudaKernelsLoadBytes(bytes, length, "library in memory", message), message);
}

void cudaLibraryUnload(DriverLibrary *base) {
  Library *library = base->implementation;
  for (uint32_t i = 0; i < library->base.functionCount; i++) {
    CudaCode *code = atomic_load(&library->functions[i].code);
    if (code) releaseCode(code);
  }
  cudaKernelsFree(library->kernels);
  free(library->functions);
  free(library);
}
