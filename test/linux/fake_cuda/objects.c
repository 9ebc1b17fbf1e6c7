/* objects.c: calls, what is alive, devices, contexts, modules. */
#include "internal.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum { MostCalls = 96, MostThreads = 256 };

pthread_mutex_t fakeLock = PTHREAD_MUTEX_INITIALIZER;

static Object *objects;
static struct { const char *symbol; unsigned count; } calls[MostCalls];
static struct { char symbol[64]; unsigned after; CudaResult result; } failure;
static char misuse[256];
static CudaResult broken; /* the error of the context, once a kernel made one */
static bool isInitialized;
static struct CUctx_st { int device; bool isRetained; } contexts[8];
static _Thread_local CudaContext stack[16];
static _Thread_local int depth;

/* ---- time ----------------------------------------------------------------------------------------------------------- */

static struct Spent { unsigned thread; _Atomic double seconds; } spents[MostThreads];
static atomic_uint threads;
static atomic_bool measures;
static _Thread_local struct Spent *spent;
static _Thread_local double entered;

static double processorTime(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

void fakeEnter(void) {
  if (!atomic_load_explicit(&measures, memory_order_relaxed)) return;
  if (!spent) {
    const unsigned number = atomic_fetch_add(&threads, 1);
    if (number >= MostThreads) return;
    spent = &spents[number];
    spent->thread = (unsigned)gettid();
  }
  entered = processorTime();
}

EXPORT double fakeSpent(unsigned thread) {
  atomic_store(&measures, true);
  double seconds = 0;
  for (unsigned i = 0; i < atomic_load(&threads) && i < MostThreads; i++)
    if (spents[i].thread == thread) seconds += spents[i].seconds;
  return seconds;
}

/* ---- calls ---------------------------------------------------------------------------------------------------------- */

static unsigned *callsOf(const char *symbol) {
  int i = 0;
  while (i < MostCalls - 1 && calls[i].symbol && strcmp(calls[i].symbol, symbol) != 0) i++;
  calls[i].symbol = symbol;
  return &calls[i].count;
}

CudaResult fakeBegin(const char *symbol, bool needsContext) {
  ++*callsOf(symbol);
  if (*failure.symbol && strcmp(failure.symbol, symbol) == 0 && failure.after-- == 0) {
    *failure.symbol = 0;
    return failure.result;
  }
  if (!isInitialized && strcmp(symbol, "cuInit") != 0) return NotInitialized;
  if (!needsContext) return CudaSuccess;
  if (depth == 0) {
    fakeMisused("%s without a context", symbol);
    return InvalidContext;
  }
  return broken;
}

CudaResult fakeEnd(CudaResult result) {
  pthread_mutex_unlock(&fakeLock);
  if (spent) atomic_store(&spent->seconds, spent->seconds + processorTime() - entered);
  return result;
}

CudaResult fakeMisused(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  if (!*misuse) vsnprintf(misuse, sizeof misuse, format, arguments);
  va_end(arguments);
  return Invalid;
}

void *fakeNew(Kind kind, size_t size) {
  Object *object = calloc(1, size);
  object->kind = kind;
  object->next = objects;
  return objects = object;
}

bool fakeIs(const void *wanted, Kind kind) {
  for (const Object *at = objects; at; at = at->next)
    if (at == wanted) return at->kind == kind;
  return false;
}

void fakeFree(void *object) {
  for (Object **at = &objects; *at; at = &(*at)->next) {
    if (*at != object) continue;
    *at = (*at)->next;
    free(object);
    return;
  }
}

static unsigned alive(Kind kind) {
  unsigned count = 0;
  for (const Object *at = objects; at; at = at->next) count += at->kind == kind;
  return count;
}

/* ---- for tests ------------------------------------------------------------------------------------------------------ */

EXPORT void fakeCounts(FakeCounts *out) {
  pthread_mutex_lock(&fakeLock);
  *out = (FakeCounts){.streams = alive(KindStream),
                      .events = alive(KindEvent),
                      .modules = alive(KindModule),
                      .graphs = alive(KindGraph),
                      .instances = alive(KindInstance)};
  fakeCountMemory(out);
  pthread_mutex_unlock(&fakeLock);
}

EXPORT void fakeFail(const char *symbol, unsigned after, int result) {
  snprintf(failure.symbol, sizeof failure.symbol, "%s", symbol);
  failure.after = after;
  failure.result = result;
}

EXPORT unsigned fakeCalls(const char *symbol) {
  for (int i = 0; i < MostCalls && calls[i].symbol; i++)
    if (strcmp(calls[i].symbol, symbol) == 0) return calls[i].count;
  return 0;
}

EXPORT void fakeMend(void) { broken = CudaSuccess; }
EXPORT const char *fakeMisuse(void) { return *misuse ? misuse : NULL; }
void fakeBreak(CudaResult result) { broken = result; }

/* ---- devices and contexts ------------------------------------------------------------------------------------------- */

static int deviceCount(void) {
  const char *text = getenv("FAKE_CUDA_DEVICES");
  const int count = text ? atoi(text) : 1;
  return count < 0 || count > 8 ? 0 : count;
}

EXPORT CudaResult cuInit(unsigned flags) {
  CALL(false);
  NEED(flags == 0, "cuInit with flags");
  isInitialized = true;
  RETURN(deviceCount() > 0 ? CudaSuccess : 100 /* NO_DEVICE */);
}

EXPORT CudaResult cuGetErrorName(CudaResult result, const char **name) {
  *name = result == OutOfMemory ? "CUDA_ERROR_OUT_OF_MEMORY" : result == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : "CUDA_ERROR_FAKE";
  return CudaSuccess;
}

EXPORT CudaResult cuGetErrorString(CudaResult result, const char **text) {
  *text = result == OutOfMemory ? "out of memory" : result == 700 ? "an illegal memory access was encountered" : "a fake's error";
  return CudaSuccess;
}

EXPORT CudaResult cuDeviceGetCount(int *count) {
  CALL(false);
  *count = deviceCount();
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuDeviceGet(CudaDeviceNumber *device, int ordinal) {
  CALL(false);
  NEED(ordinal >= 0 && ordinal < deviceCount(), "cuDeviceGet of %d", ordinal);
  *device = ordinal;
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuDeviceGetName(char *name, int length, CudaDeviceNumber device) {
  CALL(false);
  snprintf(name, (size_t)length, "Fake GPU %d", device);
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuDeviceGetUuid_v2(CudaUuid *uuid, CudaDeviceNumber device) {
  CALL(false);
  for (int i = 0; i < 16; i++) uuid->bytes[i] = (unsigned char)(i + device);
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuDeviceTotalMem_v2(size_t *bytes, CudaDeviceNumber device) {
  CALL(false);
  (void)device;
  *bytes = fakeTotal();
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuDeviceGetAttribute(int *value, int attribute, CudaDeviceNumber device) {
  CALL(false);
  (void)device;
  const char *major = getenv("FAKE_CUDA_MAJOR");
  switch (attribute) {
    case CudaAttributeMaxThreadsPerBlock: *value = 1024; break;
    case 2: case 3: *value = 1024; break;
    case 4: *value = 64; break;
    case 5: *value = 2147483647; break;
    case 6: case 7: *value = 65535; break;
    case CudaAttributeMaxSharedMemoryPerBlock: *value = 49152; break;
    case CudaAttributeWarpSize: *value = 32; break;
    case CudaAttributeMultiprocessorCount: *value = 132; break;
    case CudaAttributeCanMapHostMemory: case CudaAttributeUnifiedAddressing: *value = 1; break;
    case CudaAttributeComputeCapabilityMajor: *value = major ? atoi(major) : 9; break;
    case CudaAttributeComputeCapabilityMinor: *value = 0; break;
    case CudaAttributeMaxSharedMemoryPerBlockOptin: *value = 232448; break;
    case CudaAttributeReadOnlyHostRegister: *value = 1; break;
    default: RETURN(fakeMisused("cuDeviceGetAttribute of %d", attribute));
  }
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuDevicePrimaryCtxRetain(CudaContext *context, CudaDeviceNumber device) {
  CALL(false);
  contexts[device].isRetained = true;
  *context = &contexts[device];
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuCtxPushCurrent_v2(CudaContext context) {
  CALL(false);
  NEED(context >= contexts && context < contexts + 8 && context->isRetained && depth < 16, "cuCtxPushCurrent of nonsense");
  stack[depth++] = context;
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuCtxPopCurrent_v2(CudaContext *context) {
  CALL(false);
  NEED(depth > 0, "cuCtxPopCurrent of nothing");
  *context = stack[--depth];
  RETURN(CudaSuccess);
}

/* ---- modules: text with entries --------------------------------------------------------------------------------------- */

struct CUmod_st {
  Object object;
  struct CUfunc_st *functions;
};

/* Reads `.entry NAME ( .param .align N .b8 P[SIZE] )`; returns where the next may be. */
static const char *readEntry(const char *at, struct CUmod_st *module) {
  struct CUfunc_st *function = fakeNew(KindFunction, sizeof *function);
  function->sibling = module->functions;
  module->functions = function;
  at += strlen(".entry");
  sscanf(at, " %199[A-Za-z0-9_$.]", function->name);
  const char *open = strchr(at, '('), *bracket = open ? strchr(open, '[') : NULL, *close = open ? strchr(open, ')') : NULL;
  if (bracket && close && bracket < close) function->parameterBytes = strtoul(bracket + 1, NULL, 10);
  function->most = 1024;
  function->dynamicShared = 49152;
  return close ? close : at;
}

static bool isModule(const char *text) {
  return strstr(text, ".version") && strstr(text, ".target") && !strstr(text, "FAKE_ERROR");
}

/* Whether it is there, and not in a string. */
static bool hasInstruction(const char *text, const char *instruction) {
  const char *found = strstr(text, instruction);
  return found && found > text && found[-1] != '"';
}

static bool overlaps(const char *text) {
  return hasInstruction(text, "griddepcontrol.wait") && hasInstruction(text, "griddepcontrol.launch_dependents");
}

static unsigned targetOf(const char *text) {
  const char *found = strstr(text, ".target sm_");
  return found ? (unsigned)atoi(found + strlen(".target sm_")) : 0;
}

static struct CUmod_st *newModule(const char *text) {
  struct CUmod_st *module = fakeNew(KindModule, sizeof *module);
  for (const char *at = text; (at = strstr(at, ".entry"));) at = readEntry(at, module);
  for (struct CUfunc_st *function = module->functions; function; function = function->sibling) {
    function->overlaps = overlaps(text);
    function->target = targetOf(text);
  }
  return module;
}

EXPORT CudaResult cuModuleLoadDataEx(CudaModule *out, const void *image, unsigned count, int *options, void **values) {
  CALL(true);
  const char *text = image;
  if (!isModule(text)) {
    for (unsigned i = 0; i < count; i++)
      if (options[i] == CudaJitErrorLog) strcpy(values[i], "ptxas: line 7: a fake's error");
    RETURN(218 /* INVALID_PTX */);
  }
  NEED(targetOf(text) >= 90 || !overlaps(text), "instructions that a target lacks");
  *out = newModule(text);
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuModuleUnload(CudaModule module) {
  CALL(true);
  NEED(fakeIs(module, KindModule), "cuModuleUnload of nonsense");
  while (module->functions) {
    struct CUfunc_st *function = module->functions;
    module->functions = function->sibling;
    fakeFree(function);
  }
  fakeFree(module);
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuModuleGetFunction(CudaKernel *out, CudaModule module, const char *name) {
  CALL(true);
  NEED(fakeIs(module, KindModule), "cuModuleGetFunction of nonsense");
  for (struct CUfunc_st *at = module->functions; at; at = at->sibling) {
    if (strcmp(at->name, name) != 0) continue;
    *out = at;
    RETURN(CudaSuccess);
  }
  RETURN(NotFound);
}

/* A library is a module that needs no context; its kernels are those functions. */
EXPORT CudaResult cuLibraryLoadData(CudaLibrary *out, const void *code, int *jitOptions, void **jitValues, unsigned jitCount,
                                    int *options, void **values, unsigned count) {
  const char *milliseconds = getenv("FAKE_CUDA_COMPILE_MS");
  if (milliseconds) usleep((unsigned)atoi(milliseconds) * 1000);
  CALL(false);
  NEED(jitCount == 0 && count == 0 && !jitOptions && !jitValues && !options && !values, "cuLibraryLoadData with options");
  if (!isModule(code)) RETURN(218 /* INVALID_PTX */);
  NEED(targetOf(code) >= 90 || !overlaps(code), "instructions that a target lacks");
  struct CUmod_st *module = newModule(code);
  const char *path = getenv("FAKE_CUDA_COMPILED");
  FILE *list = path && module->functions ? fopen(path, "a") : NULL;
  if (list) {
    fprintf(list, "%s\n", module->functions->name);
    fclose(list);
  }
  *out = (CudaLibrary)module;
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuLibraryUnload(CudaLibrary library) { return cuModuleUnload((CudaModule)library); }

EXPORT CudaResult cuLibraryGetKernel(void **out, CudaLibrary library, const char *name) {
  return cuModuleGetFunction((CudaKernel *)out, (CudaModule)library, name);
}

EXPORT CudaResult cuKernelGetFunction(CudaKernel *out, void *kernel) {
  CALL(true);
  NEED(fakeIs(kernel, KindFunction), "cuKernelGetFunction of nonsense");
  *out = kernel;
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuFuncGetAttribute(int *value, int attribute, CudaKernel function) {
  CALL(true);
  NEED(fakeIs(function, KindFunction), "cuFuncGetAttribute of nonsense");
  *value = attribute == CudaFunctionMaxThreadsPerBlock ? function->most : 0;
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuFuncSetAttribute(CudaKernel function, int attribute, int value) {
  CALL(true);
  NEED(fakeIs(function, KindFunction), "cuFuncSetAttribute of nonsense");
  if (attribute == CudaFunctionSharedCarveout) {
    NEED(value >= 0 && value <= 100, "a carveout that is no percentage");
    RETURN(CudaSuccess);
  }
  NEED(attribute == CudaFunctionMaxDynamicSharedBytes && value <= 232448, "cuFuncSetAttribute of nonsense");
  function->dynamicShared = value;
  RETURN(CudaSuccess);
}
