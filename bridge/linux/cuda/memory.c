/* memory.c: see memory.h. */
#include "memory.h"
#include "../msl/text.h"
#include "pinned.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t MiB = 1 << 20;

/* ---- shared memory that there is ----------------------------------------------------------------------------------- */

typedef struct Shared {
  CudaAddress address;
  uint64_t length;
  unsigned char *contents;
  bool isWritten; /* by the device */
} Shared;

static pthread_mutex_t sharedLock = PTHREAD_MUTEX_INITIALIZER;
static Shared *shared; /* by address */
static size_t sharedCount, sharedCapacity;
static _Atomic uint64_t sharedWrites;

/* The first that begins behind an address. */
static size_t upperBound(CudaAddress address) {
  size_t low = 0, high = sharedCount;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (shared[middle].address <= address) low = middle + 1;
    else high = middle;
  }
  return low;
}

static Shared *sharedAt(CudaAddress address) {
  const size_t behind = upperBound(address);
  if (behind == 0) return NULL;
  Shared *found = &shared[behind - 1];
  return address - found->address < found->length ? found : NULL;
}

static bool addShared(const DriverMemory *memory) {
  pthread_mutex_lock(&sharedLock);
  if (sharedCount == sharedCapacity) {
    const size_t capacity = sharedCapacity ? sharedCapacity * 2 : 64;
    Shared *grown = realloc(shared, capacity * sizeof *shared);
    if (grown) {
      shared = grown;
      sharedCapacity = capacity;
    }
  }
  const bool isAdded = sharedCount < sharedCapacity;
  if (isAdded) {
    const CudaAddress address = (uintptr_t)memory->address;
    const size_t at = upperBound(address);
    memmove(&shared[at + 1], &shared[at], (sharedCount++ - at) * sizeof *shared);
    shared[at] = (Shared){.address = address, .length = memory->length, .contents = memory->contents};
  }
  pthread_mutex_unlock(&sharedLock);
  return isAdded;
}

static void removeShared(CudaAddress address) {
  pthread_mutex_lock(&sharedLock);
  Shared *found = sharedAt(address);
  if (found) {
    const size_t at = (size_t)(found - shared);
    memmove(found, found + 1, (--sharedCount - at) * sizeof *shared);
  }
  pthread_mutex_unlock(&sharedLock);
}

const unsigned char *cudaSharedContents(CudaAddress address) {
  pthread_mutex_lock(&sharedLock);
  const Shared *found = sharedAt(address);
  const unsigned char *contents = found && !found->isWritten ? found->contents + (address - found->address) : NULL;
  pthread_mutex_unlock(&sharedLock);
  return contents;
}

void cudaSharedWritten(CudaAddress address) {
  pthread_mutex_lock(&sharedLock);
  Shared *found = sharedAt(address);
  if (found && !found->isWritten) {
    found->isWritten = true;
    atomic_fetch_add(&sharedWrites, 1);
  }
  pthread_mutex_unlock(&sharedLock);
}

uint64_t cudaSharedWrites(void) { return atomic_load(&sharedWrites); }

/* ---- allocating ---------------------------------------------------------------------------------------------------- */

/* Says how much was asked for, and how much there is. */
static char *outOfMemory(const CudaDevice *device, uint64_t length, DriverStorage storage) {
  size_t available = 0, total = 0;
  if (storage == DriverStorageShared)
    return mslFormat("%s takes no %llu bytes of this machine's memory: there is too little, or too much is locked",
                     device->name, (unsigned long long)length);
  if (!cudaMemoryInfo(&available, &total))
    return mslFormat("%s has no %llu bytes left", device->name, (unsigned long long)length);
  return mslFormat("%s has no %llu bytes (%llu MiB) left: %zu of %zu bytes (%llu of %llu MiB) are free", device->name,
                   (unsigned long long)length, (unsigned long long)((length + MiB - 1) / MiB), available, total,
                   (unsigned long long)(available / MiB), (unsigned long long)(total / MiB));
}

bool cudaAllocate(uint32_t index, uint64_t length, DriverStorage storage, bool zeroed, DriverMemory *out, char **message) {
  const CudaApi *api = cudaApi();
  CudaDevice *device = cudaDevice(index);
  *message = NULL;
  *out = (DriverMemory){.length = length, .storage = storage};
  if (length == 0 || length > (uint64_t)1 << 46) return false;
  if (!cudaEnter(device, message)) return false;
  CudaResult result;
  if (storage == DriverStoragePrivate) {
    CudaAddress address = 0;
    result = api->MemAlloc(&address, length);
    out->address = (void *)(uintptr_t)address;
  } else {
    result = cudaPinnedTake(length, &out->contents);
    out->address = out->contents; /* one address for both: unified addressing */
    if (result == CudaSuccess && zeroed) memset(out->contents, 0, length);
    if (result == CudaSuccess && !addShared(out)) {
      cudaPinnedGive(out->contents, length);
      result = CudaErrorOutOfMemory;
    }
  }
  if (result == CudaErrorOutOfMemory)
    *message = outOfMemory(device, length, storage);
  else if (result != CudaSuccess)
    *message = cudaFailure(device, result, "Cannot allocate %llu bytes", (unsigned long long)length);
  cudaLeave();
  return result == CudaSuccess;
}

bool cudaWrap(uint32_t index, void *memory, uint64_t length, DriverMemory *out, char **message) {
  const CudaApi *api = cudaApi();
  CudaDevice *device = cudaDevice(index);
  *message = NULL;
  *out = (DriverMemory){.contents = memory, .length = length, .storage = DriverStorageShared, .isWrapped = true};
  if (!cudaEnter(device, message)) return false;
  const unsigned flags = CudaHostPortable | CudaHostDeviceMap;
  CudaResult result = api->MemHostRegister(memory, length, flags);
  if (result != CudaSuccess && device->wrapsReadOnly)
    result = api->MemHostRegister(memory, length, flags | CudaHostReadOnly); /* pages that cannot be written */
  CudaAddress address = 0;
  if (result == CudaSuccess) {
    result = api->MemHostGetDevicePointer(&address, memory, 0);
    out->address = (void *)(uintptr_t)address;
    if (result == CudaSuccess && !addShared(out)) result = CudaErrorOutOfMemory;
    if (result != CudaSuccess) api->MemHostUnregister(memory);
  }
  if (result != CudaSuccess)
    *message = cudaFailure(device, result, "Cannot work on %llu bytes of the caller's memory", (unsigned long long)length);
  cudaLeave();
  return result == CudaSuccess;
}

/* Nobody could do anything about a failure here: a device that is lost has lost its memory, too. */
void cudaDeallocate(uint32_t index, const DriverMemory *memory) {
  const CudaApi *api = cudaApi();
  CudaDevice *device = cudaDevice(index);
  if (memory->storage == DriverStorageShared) removeShared((uintptr_t)memory->address);
  if (!cudaHasContext(device) || !cudaEnterToFree(device)) return;
  if (memory->isWrapped)
    api->MemHostUnregister(memory->contents);
  else if (memory->storage == DriverStoragePrivate)
    api->MemFree((uintptr_t)memory->address);
  else
    cudaPinnedGive(memory->contents, memory->length);
  cudaLeave();
}

void cudaMemory(uint32_t index, double *available, double *total) {
  CudaDevice *device = cudaDevice(index);
  size_t left = 0, all = 0;
  char *message = NULL;
  *available = NAN;
  *total = (double)device->totalBytes;
  /* To ask what is left takes a context, which who only looks for devices does not want. */
  if (cudaHasContext(device) && cudaEnter(device, &message)) {
    if (cudaMemoryInfo(&left, &all)) *available = (double)left;
    cudaLeave();
  }
  free(message);
}

/* ---- staging ------------------------------------------------------------------------------------------------------- */

void cudaStagingFree(CudaStaging *staging) {
  if (staging->device) cudaApi()->MemFree(staging->device);
  if (staging->host) cudaPinnedGive(staging->host, staging->pinned);
  *staging = (CudaStaging){0};
}

bool cudaStagingReserve(CudaDevice *device, CudaStaging *staging, size_t length, char **message) {
  if (length <= staging->capacity) return true;
  const CudaApi *api = cudaApi();
  size_t capacity = 16384;
  while (capacity < length) capacity *= 2;
  cudaStagingFree(staging);
  void *host = NULL;
  CudaResult result = cudaPinnedTake(capacity, &host);
  if (result == CudaSuccess) staging->host = host;
  staging->pinned = capacity;
  if (result == CudaSuccess) result = api->MemAlloc(&staging->device, capacity);
  if (result == CudaSuccess) {
    staging->capacity = capacity;
    return true;
  }
  *message = cudaFailure(device, result, "Cannot stage %zu bytes of arguments", length);
  cudaStagingFree(staging);
  return false;
}
