/* device.c: see device.h. */
#include "device.h"
#include "../msl/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* PTX is compiled for compute capability 8.0: bfloat16 and asynchronous copies came with it. */
enum { LeastMajor = 8 };

/* Of the memory of a GPU, the part that is left to the driver, its contexts and their code. */
enum { ReservedPart = 32 };

static CudaDevice devices[CudaMostDevices];
static uint32_t count;
static bool checksEach, checksMemory;
static char checkProblem[256], nativeProblem[256];
static CudaNativeUse nativeUse;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- finding ------------------------------------------------------------------------------------------------------- */

static int attribute(CudaDeviceNumber number, int which) {
  int value = 0;
  return cudaApi()->DeviceGetAttribute(&value, which, number) == CudaSuccess ? value : 0;
}

/* FNV-1a of the UUID: the same in every process, whatever the order of the devices. */
static uint64_t registryIDOf(const CudaUuid *uuid) {
  uint64_t hash = 14695981039346656037ull;
  for (size_t i = 0; i < sizeof uuid->bytes; i++) hash = (hash ^ uuid->bytes[i]) * 1099511628211ull;
  return hash ? hash : 1;
}

/* False for a GPU that is too old, or without what this device is built on. */
static bool describe(CudaDevice *device, int ordinal) {
  const CudaApi *api = cudaApi();
  CudaUuid uuid = {{0}};
  size_t total = 0;
  if (api->DeviceGet(&device->number, ordinal) != CudaSuccess) return false;
  const CudaDeviceNumber n = device->number;
  const int major = attribute(n, CudaAttributeComputeCapabilityMajor);
  if (major < LeastMajor || !attribute(n, CudaAttributeUnifiedAddressing) || !attribute(n, CudaAttributeCanMapHostMemory) ||
      attribute(n, CudaAttributeWarpSize) != 32)
    return false;
  if (api->DeviceTotalMem(&total, n) != CudaSuccess || api->DeviceGetUuid(&uuid, n) != CudaSuccess ||
      api->DeviceGetName(device->name, sizeof device->name - 1, n) != CudaSuccess)
    return false;
  snprintf(device->architecture, sizeof device->architecture, "cuda-sm_%d%d", major,
           attribute(n, CudaAttributeComputeCapabilityMinor));
  device->capability = (uint32_t)(10 * major + attribute(n, CudaAttributeComputeCapabilityMinor));
  device->multiprocessors = (uint32_t)attribute(n, CudaAttributeMultiprocessorCount);
  device->registryID = registryIDOf(&uuid);
  device->totalBytes = total;
  device->maxThreads = (uint32_t)attribute(n, CudaAttributeMaxThreadsPerBlock);
  const int optIn = attribute(n, CudaAttributeMaxSharedMemoryPerBlockOptin);
  device->sharedBytes = (uint32_t)(optIn > 0 ? optIn : attribute(n, CudaAttributeMaxSharedMemoryPerBlock)) / 16 * 16;
  for (int i = 0; i < 3; i++) {
    device->maxBlock[i] = (uint32_t)attribute(n, CudaAttributeMaxBlockDimX + i);
    device->maxGrid[i] = (uint32_t)attribute(n, CudaAttributeMaxGridDimX + i);
  }
  device->wrapsReadOnly = attribute(n, CudaAttributeReadOnlyHostRegister) != 0;
  pthread_mutex_init(&device->lock, NULL);
  return device->maxThreads > 0 && device->maxBlock[2] > 0 && device->maxGrid[2] > 0;
}

static void readSettings(void) {
  const char *text = getenv("BUN_METAL_CUDA_CHECK");
  for (const char *from = text; from && *from;) {
    const size_t length = strcspn(from, ",");
    const bool isSync = length == 4 && memcmp(from, "sync", 4) == 0, isMemory = length == 6 && memcmp(from, "memory", 6) == 0;
    checksEach = checksEach || isSync;
    checksMemory = checksMemory || isMemory;
    if (!isSync && !isMemory)
      snprintf(checkProblem, sizeof checkProblem,
               "BUN_METAL_CUDA_CHECK is \"%.100s\", which it cannot be: \"sync\" and \"memory\", with a comma between", text);
    from += length + (from[length] == ',');
  }
  const char *native = getenv("BUN_METAL_CUDA_NATIVE");
  if (native && strcmp(native, "off") == 0)
    nativeUse = CudaNativeOff;
  else if (native && strcmp(native, "serial") == 0)
    nativeUse = CudaNativeSerial;
  else if (native && *native)
    snprintf(nativeProblem, sizeof nativeProblem,
             "BUN_METAL_CUDA_NATIVE is \"%.100s\", which it cannot be: \"off\", \"serial\", or not set", native);
}

static void findDevices(void) {
  readSettings();
  const CudaApi *api = cudaApi();
  /* A processor that plays another device is a test's, which knows of no other. */
  const char *profile = getenv("BUN_METAL_CPU_PROFILE");
  int found = 0;
  if (!api || (profile && *profile) || api->DeviceGetCount(&found) != CudaSuccess) return;
  for (int i = 0; i < found && count < CudaMostDevices; i++)
    if (describe(&devices[count], i)) {
      devices[count].index = count;
      count++;
    }
}

uint32_t cudaDeviceCount(void) {
  pthread_once(&once, findDevices);
  return count;
}

CudaDevice *cudaDevice(uint32_t index) {
  pthread_once(&once, findDevices);
  return &devices[index];
}

bool cudaChecksEach(void) {
  pthread_once(&once, findDevices);
  return checksEach;
}

bool cudaChecksMemory(void) {
  pthread_once(&once, findDevices);
  return checksMemory;
}

CudaNativeUse cudaNativeUse(void) {
  pthread_once(&once, findDevices);
  return nativeUse;
}

bool cudaRefusesOverlaps(CudaDevice *device, CudaResult result) {
  const bool refuses = result == CudaErrorInvalidValue || result == CudaErrorNotSupported;
  if (refuses) atomic_store(&device->refusesOverlaps, true);
  return refuses;
}

const char *cudaProblem(void) {
  const char *problem = cudaApiProblem();
  pthread_once(&once, findDevices);
  return problem ? problem : *checkProblem ? checkProblem : *nativeProblem ? nativeProblem : NULL;
}

void cudaDeviceProperties(uint32_t index, DriverProperties *out) {
  /* Apple1 to Apple9, Common1 to Common3, Metal3: all that this layer implements. */
  static const uint16_t families[] = {1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 3001, 3002, 3003, 5001, 0};
  static const char *const nothing[] = {NULL};
  const CudaDevice *device = cudaDevice(index);
  *out = (DriverProperties){.name = device->name,
                            .architecture = device->architecture,
                            .registryID = device->registryID,
                            .unifiedMemory = false,
                            .maxBufferLength = device->totalBytes,
                            .recommendedMaxWorkingSetSize = device->totalBytes - device->totalBytes / ReservedPart,
                            .maxThreadgroupMemoryLength = device->sharedBytes,
                            .maxTotalThreadsPerThreadgroup = device->maxThreads,
                            .threadExecutionWidth = 32,
                            .families = families,
                            .constantAlignment = 4,
                            .maxConstantBuffers = DriverMaxBuffers,
                            .nonuniformThreadgroups = true,
                            .indirectCommands = true,
                            .missing = nothing,
                            .hasDeviceList = true};
  for (int i = 0; i < 3; i++) out->maxThreadsPerThreadgroup[i] = device->maxBlock[i];
}

/* ---- the context --------------------------------------------------------------------------------------------------- */

bool cudaEnter(CudaDevice *device, char **message) {
  const CudaApi *api = cudaApi();
  if (atomic_load_explicit(&device->isLost, memory_order_acquire)) {
    *message = strdup(device->loss);
    return false;
  }
  pthread_mutex_lock(&device->lock);
  CudaResult result = device->context ? CudaSuccess : api->DevicePrimaryCtxRetain(&device->context, device->number);
  if (result != CudaSuccess) device->context = NULL;
  pthread_mutex_unlock(&device->lock);
  if (result == CudaSuccess) result = api->CtxPushCurrent(device->context);
  if (result == CudaSuccess) return true;
  *message = cudaFailure(device, result, "Cannot use the device");
  return false;
}

bool cudaEnterToFree(CudaDevice *device) { return cudaApi()->CtxPushCurrent(device->context) == CudaSuccess; }

bool cudaHasContext(CudaDevice *device) {
  pthread_mutex_lock(&device->lock);
  const bool hasContext = device->context != NULL;
  pthread_mutex_unlock(&device->lock);
  return hasContext;
}

void cudaLeave(void) {
  CudaContext context;
  cudaApi()->CtxPopCurrent(&context);
}

bool cudaMemoryInfo(size_t *available, size_t *total) {
  return cudaApi()->MemGetInfo(available, total) == CudaSuccess;
}

/* ---- errors -------------------------------------------------------------------------------------------------------- */

/* Errors of a kernel that leave the context unusable, as the documentation of each says. */
static bool losesDevice(CudaResult result) {
  switch (result) {
    case 214: /* ECC_UNCORRECTABLE */
    case 220: /* NVLINK_UNCORRECTABLE */
    case 700: /* ILLEGAL_ADDRESS */
    case 702: /* LAUNCH_TIMEOUT */
    case 709: /* CONTEXT_IS_DESTROYED */
    case 710: /* ASSERT */
    case 714: /* HARDWARE_STACK_ERROR */
    case 715: /* ILLEGAL_INSTRUCTION */
    case 716: /* MISALIGNED_ADDRESS */
    case 717: /* INVALID_ADDRESS_SPACE */
    case 718: /* INVALID_PC */
    case 719: /* LAUNCH_FAILED */
    case 999: /* UNKNOWN */
      return true;
    default: return false;
  }
}

char *cudaFailure(CudaDevice *device, CudaResult result, const char *format, ...) {
  const CudaApi *api = cudaApi();
  const char *name = NULL, *text = NULL;
  if (api->GetErrorName(result, &name) != CudaSuccess || !name) name = "unknown error";
  if (api->GetErrorString(result, &text) != CudaSuccess || !text) text = "the driver does not say why";
  char what[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  char *message = mslFormat("%s (%s): %s (%s, %d)%s", what, device->name, text, name, result,
                            losesDevice(result) ? "; this process cannot use the device any more" : "");
  if (!losesDevice(result)) return message;
  pthread_mutex_lock(&device->lock);
  if (!atomic_load(&device->isLost)) {
    snprintf(device->loss, sizeof device->loss, "An earlier command broke the device: %s", message ? message : text);
    atomic_store_explicit(&device->isLost, true, memory_order_release);
  }
  pthread_mutex_unlock(&device->lock);
  return message;
}
