/* memory.c: memory of both sides. That of the device is reserved addresses, which nobody can touch, and bytes elsewhere. */
#include "internal.h"

#include <sys/mman.h>
#include <unistd.h>

typedef enum Place { PlaceDevice, PlaceHost, PlaceRegistered } Place;

typedef struct Allocation {
  struct Allocation *next;
  Place place;
  unsigned char *address, *bytes;
  size_t length;
} Allocation;

static Allocation *allocations;
static size_t limit = (size_t)1 << 30, used;

size_t fakeTotal(void) { return limit; }

EXPORT void fakeLimit(size_t bytes) { limit = bytes; }

void fakeCountMemory(FakeCounts *out) {
  for (const Allocation *at = allocations; at; at = at->next)
    ++*(at->place == PlaceDevice ? &out->memory : at->place == PlaceHost ? &out->host : &out->registered);
  out->bytes = used;
}

static Allocation *at(CudaAddress address) {
  for (Allocation *found = allocations; found; found = found->next)
    if (address >= (uintptr_t)found->address && address - (uintptr_t)found->address < found->length) return found;
  return NULL;
}

static void add(Place place, void *address, void *bytes, size_t length) {
  Allocation *allocation = malloc(sizeof *allocation);
  *allocation = (Allocation){allocations, place, address, bytes, length};
  allocations = allocation;
}

/* Takes it out of the list. False where it is no allocation's beginning. */
static bool take(CudaAddress address, Place place, Allocation *out) {
  for (Allocation **link = &allocations; *link; link = &(*link)->next) {
    Allocation *found = *link;
    if ((uintptr_t)found->address != address || found->place != place) continue;
    *out = *found;
    *link = found->next;
    free(found);
    return true;
  }
  return false;
}

void *fakeBytes(CudaAddress address, size_t length) {
  const Allocation *found = at(address);
  const size_t offset = found ? address - (uintptr_t)found->address : 0;
  return found && length <= found->length - offset ? found->bytes + offset : NULL;
}

EXPORT void *fakeMemory(uint64_t address) { return fakeBytes(address, 1); }

bool fakeIsPageable(CudaAddress address) { return at(address) == NULL; }

CudaResult fakeCheckCopy(CudaAddress to, CudaAddress from, size_t length) {
  if (length == 0) return fakeMisused("a copy of nothing");
  if (!fakeIsPageable(to) && !fakeBytes(to, length)) return fakeMisused("a copy to outside of an allocation");
  if (!fakeIsPageable(from) && !fakeBytes(from, length)) return fakeMisused("a copy from outside of an allocation");
  return CudaSuccess;
}

static size_t wholePages(size_t length) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return (length + page - 1) / page * page;
}

EXPORT CudaResult cuMemGetInfo_v2(size_t *available, size_t *total) {
  CALL(true);
  *total = limit;
  *available = used < limit ? limit - used : 0;
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuMemAlloc_v2(CudaAddress *address, size_t length) {
  CALL(true);
  NEED(length > 0, "cuMemAlloc of nothing");
  if (length > limit || used > limit - length) RETURN(OutOfMemory);
  void *reserved = mmap(NULL, wholePages(length), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  void *bytes = malloc(length);
  if (reserved == MAP_FAILED || !bytes) RETURN(OutOfMemory);
  memset(bytes, 0xa5, length);
  add(PlaceDevice, reserved, bytes, length);
  used += length;
  *address = (uintptr_t)reserved;
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuMemFree_v2(CudaAddress address) {
  CALL(false);
  Allocation old;
  NEED(take(address, PlaceDevice, &old), "cuMemFree of nonsense");
  used -= old.length;
  munmap(old.address, wholePages(old.length));
  free(old.bytes);
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuMemHostAlloc(void **memory, size_t length, unsigned flags) {
  CALL(true);
  NEED(length > 0 && flags == (CudaHostPortable | CudaHostDeviceMap), "cuMemHostAlloc of nonsense");
  void *bytes = mmap(NULL, wholePages(length), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (bytes == MAP_FAILED) RETURN(OutOfMemory);
  memset(bytes, 0x5a, length);
  add(PlaceHost, bytes, bytes, length);
  *memory = bytes;
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuMemFreeHost(void *memory) {
  CALL(false);
  Allocation old;
  NEED(take((uintptr_t)memory, PlaceHost, &old), "cuMemFreeHost of nonsense");
  munmap(old.address, wholePages(old.length));
  RETURN(CudaSuccess);
}

/* The device has it at another address: who mixes the two up is found out. */
EXPORT CudaResult cuMemHostRegister_v2(void *memory, size_t length, unsigned flags) {
  CALL(true);
  NEED(length > 0 && (flags & 3) == 3, "cuMemHostRegister of nonsense");
  for (const Allocation *a = allocations; a; a = a->next)
    if (a->bytes < (unsigned char *)memory + length && (unsigned char *)memory < a->bytes + a->length)
      RETURN(712 /* ALREADY_REGISTERED */);
  void *reserved = mmap(NULL, wholePages(length), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) RETURN(OutOfMemory);
  add(PlaceRegistered, reserved, memory, length);
  RETURN(CudaSuccess);
}

static Allocation *registered(const void *memory) {
  for (Allocation *a = allocations; a; a = a->next)
    if (a->place == PlaceRegistered && a->bytes == memory) return a;
  return NULL;
}

EXPORT CudaResult cuMemHostUnregister(void *memory) {
  CALL(false);
  const Allocation *found = registered(memory);
  NEED(found, "cuMemHostUnregister of nonsense");
  Allocation old;
  take((uintptr_t)found->address, PlaceRegistered, &old);
  munmap(old.address, wholePages(old.length));
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuMemHostGetDevicePointer_v2(CudaAddress *address, void *memory, unsigned flags) {
  CALL(true);
  const Allocation *found = registered(memory);
  NEED(found && flags == 0, "cuMemHostGetDevicePointer of nonsense");
  *address = (uintptr_t)found->address;
  RETURN(CudaSuccess);
}
