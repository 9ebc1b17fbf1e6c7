/* library.c: see library.h. */
#include "library.h"
#include "../../../../build/cuda/native/digest.h"
#include "../../msl/image.h"
#include "../library.h"
#include "../metal/library/abi.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MostExpected = 64 };

/* Of a device: what was found when it was asked for first. */
typedef struct NativeLibrary {
  bool isKnown;
  DriverLibrary *library; /* NULL where there is none */
} NativeLibrary;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static NativeLibrary libraries[CudaMostDevices];
static struct {
  CudaNativePlan *const *plans;
  const char *slice;
  size_t length;
} replacement;

/* ---- the file ------------------------------------------------------------------------------------------------------- */

/* Beside the directory of this library, as the shaders for CUDA devices are. */
static bool findPath(char *path, size_t capacity) {
  Dl_info image;
  if (!dladdr(&libraries, &image) || !image.dli_fname) return false;
  const char *slash = strrchr(image.dli_fname, '/');
  const int directory = slash ? (int)(slash - image.dli_fname) + 1 : 0;
  const int length = snprintf(path, capacity, "%.*s../cuda/native.kernels", directory, image.dli_fname);
  struct stat information;
  return length > 0 && (size_t)length < capacity && stat(path, &information) == 0 && S_ISREG(information.st_mode);
}

/* NULL without a message where there is no file. */
static CudaKernels *readKernels(char **message) {
  char path[4096];
  MslText bytes = {0};
  CudaKernels *kernels = NULL;
  if (replacement.slice) return cudaKernelsLoadSlice(replacement.slice, replacement.length, "kernels of a test", message);
  if (!findPath(path, sizeof path)) return NULL;
  if (!mslImageLoadFile(path, &bytes, message)) return NULL;
  if (mslImageHash(bytes.bytes, bytes.length) == CUDA_NATIVE_DIGEST)
    kernels = cudaKernelsLoadSlice(bytes.bytes, bytes.length, path, message);
  else
    *message = mslFormat("'%s' is damaged, or of another build than this library: bring that of this build, or set "
                         "BUN_METAL_CUDA_NATIVE=off, which is slower",
                         path);
  mslTextFree(&bytes);
  return kernels;
}

bool cudaNativeOpen(CudaDevice *device, bool *isThere, char **message) {
  *isThere = false;
  if (cudaNativeUse() == CudaNativeOff) return true;
  pthread_mutex_lock(&lock);
  NativeLibrary *native = &libraries[device->index];
  char *problem = NULL;
  if (!native->isKnown) {
    native->library = cudaLibraryOf(device->index, readKernels(&problem), true, &problem);
    native->isKnown = !problem; /* a file may be mended */
  }
  *isThere = native->library != NULL;
  pthread_mutex_unlock(&lock);
  if (problem) *message = problem;
  return !problem;
}

static void beginExpected(void);

static void *openInBackground(void *context) {
  sigset_t handled; /* the host's signals are for its own threads */
  sigfillset(&handled);
  pthread_sigmask(SIG_BLOCK, &handled, NULL);
  bool isThere;
  char *message = NULL; /* whoever asks is told */
  if (cudaNativeOpen(context, &isThere, &message)) beginExpected();
  free(message);
  return NULL;
}

void cudaNativeOpenSoon(CudaDevice *device) {
  pthread_t thread;
  if (pthread_mutex_trylock(&lock) != 0) return; /* somebody is about it */
  const bool isKnown = libraries[device->index].isKnown;
  pthread_mutex_unlock(&lock);
  if (!isKnown && cudaNativeUse() != CudaNativeOff && pthread_create(&thread, NULL, openInBackground, device) == 0)
    pthread_detach(thread);
}

void cudaNativeReplace(CudaNativePlan *const *plans, const char *slice, size_t length) {
  pthread_mutex_lock(&lock);
  replacement.plans = plans;
  replacement.slice = slice;
  replacement.length = length;
  for (uint32_t i = 0; i < CudaMostDevices; i++) {
    if (libraries[i].library) cudaLibraryUnload(libraries[i].library);
    libraries[i] = (NativeLibrary){0};
  }
  pthread_mutex_unlock(&lock);
}

/* ---- plans ---------------------------------------------------------------------------------------------------------- */

bool cudaNativeDescribe(const DriverCommand *command, const CudaDispatch *dispatch, unsigned char *constants,
                        CudaNativeCommand *out) {
  const DriverFunction *function = command->dispatch.function;
  const CudaFunction *f = function->implementation;
  memset(out, 0, sizeof *out);
  out->function = function;
  memcpy(constants, dispatch->launch.constants, CudaConstantBytes);
  for (uint32_t i = 0; i < function->argumentCount; i++) {
    const DriverArgument *argument = &function->arguments[i];
    if (argument->kind != DriverArgumentBuffer) continue;
    out->buffers[argument->index] = dispatch->launch.buffers[argument->index];
    out->bufferLengths[argument->index] = command->dispatch.bufferLengths[argument->index];
    if (dispatch->launch.inlined >> argument->index & 1)
      out->constants[argument->index] = constants + f->constantOffsets[argument->index];
  }
  memcpy(out->threads, command->dispatch.threads, sizeof out->threads);
  memcpy(out->threadsPerThreadgroup, command->dispatch.threadsPerThreadgroup, sizeof out->threadsPerThreadgroup);
  out->waits = command->waits;
  return cudaKernelsIsOwn(f->kernels, f->index);
}

uint32_t cudaNativeOffer(const CudaDevice *device, const CudaNativeCommand *commands, uint32_t count, CudaNativeLaunch *out) {
  const CudaNativeDevice facts = {device->multiprocessors, device->capability, device->sharedBytes};
  CudaNativePlan *const *plans = replacement.plans ? replacement.plans : cudaNativePlans;
  memset(out, 0, sizeof *out);
  for (; *plans; plans++) {
    const uint32_t taken = (*plans)(&facts, commands, count, out);
    if (taken > 0) return taken <= count ? taken : 0;
  }
  return 0;
}

/* ---- launches ------------------------------------------------------------------------------------------------------- */

static void placeAddress(CudaNativeLaunch *launch, uint64_t bytes, uint32_t offset, CudaAddress address) {
  if (bytes > 0 && offset <= CudaNativeParameterBytes - sizeof address)
    memcpy(launch->parameters + offset, &address, sizeof address);
}

void cudaNativePlaceMemory(CudaNativeLaunch *launch, CudaAddress scratch, CudaAddress partials) {
  placeAddress(launch, launch->scratchBytes, launch->scratchOffset, scratch);
  placeAddress(launch, launch->partialBytes, launch->partialOffset, partials);
}

/* Whether a device runs what was compiled for a target: 80, or 90a, which only that one runs. */
static bool runs(const CudaDevice *device, const char *target, unsigned long *number) {
  char *end;
  *number = strtoul(target, &end, 10);
  return *end ? *number == device->capability : *number <= device->capability;
}

/* The kernel of that name for the newest target that the device can run. */
static const DriverFunction *findKernel(const CudaDevice *device, const char *name) {
  const DriverLibrary *library = libraries[device->index].library;
  const DriverFunction *found = NULL;
  const size_t length = strlen(name);
  unsigned long newest = 0;
  for (uint32_t i = 0; library && i < library->functionCount; i++) {
    const char *has = library->functions[i].name;
    if (strncmp(has, name, length) != 0 || has[length] != '@') continue;
    unsigned long target;
    if (!runs(device, has + length + 1, &target) || target < newest) continue;
    newest = target;
    found = &library->functions[i];
  }
  return found;
}

bool cudaNativeHas(const CudaDevice *device, const char *kernel) { return findKernel(device, kernel) != NULL; }

void cudaNativeBegin(const CudaDevice *device, const CudaNativeLaunch *launch) {
  const DriverFunction *function = findKernel(device, launch->kernel);
  if (function) cudaFunctionBegin(function);
}

/* ---- in advance ----------------------------------------------------------------------------------------------------- */

/* Which kernels may stand in for shaders whose names begin so; NULL where none do. What a shader's name has behind that, the
 * type of weights, of keys and values, is a part of the kernel's name, too. */
typedef struct Family {
  const char *shader, *kernel;
} Family;

static const Family families[] = {{"matvec_fused_", "matvec_"},
                                  {"matvec_rows_", NULL},
                                  {"matvec_tiled_", "matvec_"},
                                  {"matvec_experts_", "matvec_"},
                                  {"matvec_", "matvec_"},
                                  {"matmul_", "matmul_"},
                                  {"attention_tiled_", "attention_tiled_"},
                                  {"attention_reduce", NULL},
                                  {"attention_", "attention_row_"},
                                  {"add_rmsnorm_f32", "norm_rows_"},
                                  {"rmsnorm_f32", "norm_rows_"},
                                  {"rope_half_f32", "rope_store_half_"},
                                  {"rope_interleaved_f32", "rope_store_interleaved_"},
                                  {"kv_store_", "rope_store_"},
                                  {"sample_f32", "sample_row"},
                                  {"embed_", "embed_tokens"},
                                  {"chosen_tokens", "embed_tokens"},
                                  {"silu_mul_f32", "activation_silu_mul"},
                                  {"gelu_mul_f32", "activation_gelu_mul"},
                                  {"", NULL}};

/* Whether a kernel is one of the family's for a shader of which `part` is left: all of a family whose kernel's name is a whole
 * one are, and those that have the part between "_" and "_" or "@". */
static bool isOfFamily(const char *name, const Family *family, const char *part) {
  const size_t start = strlen(family->kernel), length = strlen(part);
  if (strncmp(name, family->kernel, start) != 0) return false;
  if (length == 0 || family->kernel[start - 1] != '_') return true;
  for (const char *at = name; (at = strstr(at, part)); at++)
    if (at > name && at[-1] == '_' && (at[length] == '_' || at[length] == '@')) return true;
  return false;
}

static const Family *familyOf(const char *shader) {
  const Family *family = families;
  while (strncmp(shader, family->shader, strlen(family->shader)) != 0) family++;
  return family;
}

/* Begins what may stand in for a shader. False where there is nothing. The library is known. */
static bool beginFamily(const CudaDevice *device, const char *shader) {
  const Family *family = familyOf(shader);
  const DriverLibrary *library = family->kernel ? libraries[device->index].library : NULL;
  bool isThere = false;
  for (uint32_t i = 0; library && i < library->functionCount; i++) {
    const char *name = library->functions[i].name;
    char kernel[128];
    if (!isOfFamily(name, family, shader + strlen(family->shader))) continue;
    snprintf(kernel, sizeof kernel, "%.*s", (int)strcspn(name, "@"), name);
    const DriverFunction *function = findKernel(device, kernel); /* of which there may be several, for targets */
    if (function) cudaFunctionBegin(function);
    isThere = true;
  }
  return isThere;
}

/* Shaders whose stand-ins are wanted before the library is known. */
static pthread_mutex_t expectedLock = PTHREAD_MUTEX_INITIALIZER;
static struct Expected {
  const CudaDevice *device;
  char shader[64];
} expected[MostExpected];
static uint32_t expectedCount;

static bool takeExpected(struct Expected *out) {
  pthread_mutex_lock(&expectedLock);
  const bool isThere = expectedCount > 0;
  if (isThere) *out = expected[--expectedCount];
  pthread_mutex_unlock(&expectedLock);
  return isThere;
}

/* Nobody who is about to open the library is waited for. */
static bool isKnownNow(const CudaDevice *device) {
  if (pthread_mutex_trylock(&lock) != 0) return false;
  const bool isKnown = libraries[device->index].isKnown;
  pthread_mutex_unlock(&lock);
  return isKnown;
}

static void beginExpected(void) {
  struct Expected next;
  while (takeExpected(&next)) beginFamily(next.device, next.shader);
}

bool cudaNativeExpect(CudaDevice *device, const char *shader) {
  if (cudaNativeUse() == CudaNativeOff || !familyOf(shader)->kernel) return false;
  if (isKnownNow(device)) return beginFamily(device, shader);
  pthread_mutex_lock(&expectedLock);
  const bool isNoted = expectedCount < MostExpected;
  if (isNoted) {
    expected[expectedCount].device = device;
    snprintf(expected[expectedCount++].shader, sizeof expected->shader, "%s", shader);
  }
  pthread_mutex_unlock(&expectedLock);
  if (isKnownNow(device)) beginExpected();
  return isNoted;
}

/* ---- setting up ----------------------------------------------------------------------------------------------------- */

bool cudaNativeKernel(CudaDevice *device, CudaNativeLaunch *launch, CudaKernelNode *out, void **parameter, char **message) {
  const DriverFunction *function = findKernel(device, launch->kernel);
  if (!function) {
    *message = mslFormat("There is no native kernel '%s' for %s: BUN_METAL_CUDA_NATIVE=off does without", launch->kernel,
                         device->name);
    return false;
  }
  if (launch->sharedBytes > device->sharedBytes) {
    *message = mslFormat("Native kernel '%s' takes %u bytes of threadgroup memory, %s has %u", launch->kernel,
                         launch->sharedBytes, device->name, device->sharedBytes);
    return false;
  }
  const CudaKernel kernel = cudaFunctionFor(function, launch->sharedBytes, message);
  if (!kernel) return false;
  /* All alike: an SM that has to divide its memory anew lets one kernel end before another begins. It is only a wish. */
  cudaFunctionCarveOut(function, 100);
  *parameter = launch->parameters;
  *out = (CudaKernelNode){.function = kernel,
                          .gridX = launch->grid[0],
                          .gridY = launch->grid[1],
                          .gridZ = launch->grid[2],
                          .blockX = launch->block[0],
                          .blockY = launch->block[1],
                          .blockZ = launch->block[2],
                          .sharedBytes = launch->sharedBytes,
                          .parameters = parameter};
  return true;
}
