/* code.c: see code.h. */
#include "code.h"
#include "../msl/image.h"
#include "../msl/text.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
  Buckets = 256,
  MostIdle = 512,
  MostBuilders = 16,
  BuilderNiceness = 5,
  LogBytes = 8192,
  UnaskedBytes = 48 << 10 /* of dynamic shared memory, for which no kernel has to ask */
};

typedef enum State { StateWaiting, StateBuilding, StateReady, StateFailed } State;

struct CudaCode {
  struct CudaCode *next;    /* in its bucket */
  struct CudaCode *waiting; /* the next for the builders */
  CudaDevice *device;
  char *text; /* PTX: two kernels are the same if it is */
  size_t textLength;
  uint64_t hash;
  char *entry, *name;
  State state;
  char *failure;        /* why it has failed */
  CudaLibrary library;  /* one of the two */
  CudaModule module;
  CudaKernel kernel;
  uint32_t mostThreads;
  _Atomic uint32_t sharedBytes; /* that it may be launched with; raised under the lock */
  _Atomic int carveout; /* in per cent, as the driver knows it; set under the lock */
  uint32_t users;       /* those that were given it, and the list of those that wait */
  uint64_t idleSince;   /* a count of releases; of those without users, the oldest goes first */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all that follows */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER; /* a state, or the number of builders */
static CudaCode *buckets[Buckets];
static CudaCode *firstWaiting, **lastWaiting = &firstWaiting;
static unsigned builders;
static bool isEnding; /* the process */
static uint32_t idle;
static uint64_t releases;

/* ---- what there is ------------------------------------------------------------------------------------------------- */

/* The device is entered. */
static void unload(CudaCode *code) {
  if (code->library) cudaApi()->LibraryUnload(code->library);
  if (code->module) cudaApi()->ModuleUnload(code->module);
  code->library = NULL;
  code->module = NULL;
}

static void freeCode(CudaCode *code) {
  char *message = NULL;
  if ((code->library || code->module) && cudaEnter(code->device, &message)) {
    unload(code);
    cudaLeave();
  }
  free(message);
  free(code->failure);
  free(code->entry);
  free(code->name);
  free(code->text);
  free(code);
}

/* Under the lock, as all that follows unless it says otherwise. */
static void removeCode(CudaCode *code) {
  CudaCode **at = &buckets[code->hash % Buckets];
  while (*at != code) at = &(*at)->next;
  *at = code->next;
  freeCode(code);
}

static void dropOldest(void) {
  CudaCode *oldest = NULL;
  for (int b = 0; b < Buckets; b++)
    for (CudaCode *at = buckets[b]; at; at = at->next)
      if (at->users == 0 && (!oldest || at->idleSince < oldest->idleSince)) oldest = at;
  if (!oldest) return;
  idle--;
  removeCode(oldest);
}

static void endUse(CudaCode *code) {
  if (--code->users > 0) return;
  if (code->state != StateReady) {
    removeCode(code);
    return;
  }
  code->idleSince = ++releases;
  if (++idle > MostIdle) dropOldest();
}

static CudaCode *find(CudaDevice *device, const char *text, size_t length, uint64_t hash) {
  for (CudaCode *code = buckets[hash % Buckets]; code; code = code->next)
    if (code->device == device && code->hash == hash && code->textLength == length && memcmp(code->text, text, length) == 0)
      return code;
  return NULL;
}

/* ---- compiling ----------------------------------------------------------------------------------------------------- */

/* Libraries are compiled side by side, where modules have the driver's lock while they are. */
static CudaResult loadLibrary(CudaCode *code) {
  const CudaApi *api = cudaApi();
  void *handle = NULL;
  if (!api->LibraryLoadData || !api->LibraryUnload || !api->LibraryGetKernel || !api->KernelGetFunction)
    return CudaErrorInvalidValue;
  CudaResult result = api->LibraryLoadData(&code->library, code->text, NULL, NULL, 0, NULL, NULL, 0);
  if (result != CudaSuccess) {
    code->library = NULL;
    return result;
  }
  result = api->LibraryGetKernel(&handle, code->library, code->entry);
  if (result == CudaSuccess) result = api->KernelGetFunction(&code->kernel, handle);
  if (result == CudaSuccess) return result;
  api->LibraryUnload(code->library);
  code->library = NULL;
  return result;
}

static CudaResult loadModule(CudaCode *code, char *log) {
  const CudaApi *api = cudaApi();
  int options[] = {CudaJitErrorLog, CudaJitErrorLogBytes};
  void *values[] = {log, (void *)(uintptr_t)LogBytes};
  const CudaResult result = api->ModuleLoadDataEx(&code->module, code->text, log ? 2 : 0, options, values);
  if (result == CudaSuccess) return api->ModuleGetFunction(&code->kernel, code->module, code->entry);
  code->module = NULL;
  return result;
}

/* Compiles, without the lock. False with code->failure, or NULL there where there is no memory to say it. */
static bool build(CudaCode *code) {
  char *log = NULL;
  if (!cudaEnter(code->device, &code->failure)) return false;
  int threads = 0;
  CudaResult result = loadLibrary(code);
  if (result != CudaSuccess) {
    /* An older driver; or there is something to be told. */
    log = calloc(1, LogBytes);
    result = loadModule(code, log);
  }
  if (result == CudaSuccess)
    result = cudaApi()->FuncGetAttribute(&threads, CudaFunctionMaxThreadsPerBlock, code->kernel);
  code->mostThreads = (uint32_t)threads;
  if (result != CudaSuccess) {
    char *failure = cudaFailure(code->device, result, "Cannot compile kernel '%s'", code->name);
    code->failure = log && *log ? mslFormat("%s\n%s", failure ? failure : "", log) : failure;
    if (code->failure != failure) free(failure);
    unload(code);
  }
  free(log);
  cudaLeave();
  return result == CudaSuccess;
}

/* Compiles it in this thread, which lets go of the lock meanwhile and uses the code. */
static void buildNow(CudaCode *code) {
  code->state = StateBuilding;
  free(code->failure);
  code->failure = NULL;
  pthread_mutex_unlock(&lock);
  const bool isBuilt = build(code);
  pthread_mutex_lock(&lock);
  code->state = isBuilt ? StateReady : StateFailed;
  pthread_cond_broadcast(&changed);
}

static void *runBuilder(void *context) {
  sigset_t handled; /* the host's signals are for its own threads */
  sigfillset(&handled);
  pthread_sigmask(SIG_BLOCK, &handled, NULL);
  /* Weights are on their way meanwhile, and nobody waits for most kernels: of this thread alone, on Linux. */
  setpriority(PRIO_PROCESS, (id_t)gettid(), BuilderNiceness);
  pthread_mutex_lock(&lock);
  while (firstWaiting && !isEnding) {
    CudaCode *code = firstWaiting;
    firstWaiting = code->waiting;
    if (!firstWaiting) lastWaiting = &firstWaiting;
    /* Somebody else may have, or nobody wants it any more. */
    if (code->state == StateWaiting && code->users > 1) buildNow(code);
    endUse(code);
  }
  builders--;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  return context;
}

/* At the process's end: the driver's library must not go while a thread is in it. */
static void awaitBuilders(void) {
  pthread_mutex_lock(&lock);
  isEnding = true;
  while (builders > 0) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
}

static unsigned mostBuilders(void) {
  const long processors = sysconf(_SC_NPROCESSORS_ONLN);
  return processors < 1 ? 1 : processors > MostBuilders ? MostBuilders : (unsigned)processors;
}

/* Leaves it to the builders. Where no thread can be had, whoever waits for it compiles it. */
static void enlist(CudaCode *code) {
  static bool isRegistered;
  if (!isRegistered) isRegistered = atexit(awaitBuilders) == 0;
  if (isRegistered && !isEnding && builders < mostBuilders()) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, runBuilder, NULL) == 0) {
      pthread_detach(thread);
      builders++;
    }
  }
  if (builders == 0) return;
  code->users++;
  code->waiting = NULL;
  *lastWaiting = code;
  lastWaiting = &code->waiting;
}

/* ---- for others ---------------------------------------------------------------------------------------------------- */

CudaCode *cudaCodeBegin(CudaDevice *device, char *text, const char *entry, const char *name) {
  const size_t length = strlen(text);
  const uint64_t hash = mslImageHash(text, length);
  pthread_mutex_lock(&lock);
  CudaCode *code = find(device, text, length, hash);
  if (code) {
    if (code->users++ == 0) idle--;
  } else if ((code = calloc(1, sizeof *code))) {
    *code = (CudaCode){.device = device, .text = text, .textLength = length, .hash = hash, .users = 1};
    text = NULL;
    atomic_init(&code->sharedBytes, UnaskedBytes);
    atomic_init(&code->carveout, -1); /* what the driver finds right */
    code->entry = strdup(entry);
    code->name = strdup(name);
    if (code->entry && code->name) {
      code->next = buckets[hash % Buckets];
      buckets[hash % Buckets] = code;
      enlist(code);
    } else {
      freeCode(code);
      code = NULL;
    }
  }
  pthread_mutex_unlock(&lock);
  free(text);
  return code;
}

bool cudaCodeWait(CudaCode *code, char **message) {
  pthread_mutex_lock(&lock);
  /* What has failed before may have wanted memory that is there now. */
  if (code->state == StateWaiting || code->state == StateFailed) buildNow(code);
  while (code->state == StateBuilding) pthread_cond_wait(&changed, &lock);
  const bool isReady = code->state == StateReady;
  if (!isReady) *message = strdup(code->failure ? code->failure : "Out of memory");
  pthread_mutex_unlock(&lock);
  return isReady;
}

void cudaCodeRelease(CudaCode *code) {
  pthread_mutex_lock(&lock);
  endUse(code);
  pthread_mutex_unlock(&lock);
}

uint32_t cudaCodeMostThreads(const CudaCode *code) { return code->mostThreads; }

CudaKernel cudaCodeKernel(CudaCode *code, uint32_t sharedBytes, char **message) {
  if (sharedBytes <= atomic_load(&code->sharedBytes)) return code->kernel;
  CudaResult result = CudaSuccess;
  pthread_mutex_lock(&lock);
  if (sharedBytes > atomic_load(&code->sharedBytes)) {
    result = cudaApi()->FuncSetAttribute(code->kernel, CudaFunctionMaxDynamicSharedBytes, (int)sharedBytes);
    if (result == CudaSuccess) atomic_store(&code->sharedBytes, sharedBytes);
  }
  pthread_mutex_unlock(&lock);
  if (result == CudaSuccess) return code->kernel;
  *message = cudaFailure(code->device, result, "Kernel '%s' cannot have %u bytes of threadgroup memory", code->name,
                         sharedBytes);
  return NULL;
}

void cudaCodeCarveOut(CudaCode *code, int percent) {
  if (atomic_load(&code->carveout) == percent) return;
  pthread_mutex_lock(&lock);
  if (atomic_load(&code->carveout) != percent) {
    cudaApi()->FuncSetAttribute(code->kernel, CudaFunctionSharedCarveout, percent); /* where it cannot be, it is as it was */
    atomic_store(&code->carveout, percent);
  }
  pthread_mutex_unlock(&lock);
}
