#import "handle.h"

#import "export.h"
#import "queue.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
  IndexBits = 20,
  LastGeneration = 4095,
  ChunkBits = 12,
  ChunkSlots = 1 << ChunkBits,
  ChunkCount = 1 << (IndexBits - ChunkBits),
  // The last index stays unused: with the last generation it would be the pseudo handle BM_DYNAMIC_WORDS.
  MostSlots = (1 << IndexBits) - 1,
  AnyKind = BM_KIND_COUNT
};

typedef struct Slot {
  id object;           /* nil while the slot is free */
  uint16_t generation; /* of the live object or of the next; LastGeneration + 1 once the slot is retired */
  uint8_t kind;
  atomic_bool isLocked; /* held for a few instructions: check, retain, leave */
  uint32_t nextFree;    /* index + 1 of the next free slot; 0 ends the list */
} Slot;

/* Chunks are published once and never move or go, so that a lookup takes no lock but its slot's. */
static Slot *_Atomic chunks[ChunkCount];
static atomic_uint liveCounts[BM_KIND_COUNT];

static pthread_mutex_t allocationLock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t slotCount; /* the next four under allocationLock */
static uint32_t firstFree;
static uint32_t lastFree;

static const char *const kindNames[] = {"a device", "a buffer", "a library", "a pipeline", "a queue",
                                        "a program", "a model"};

static Slot *slotAt(uint32_t index) {
  Slot *chunk = atomic_load_explicit(&chunks[index >> ChunkBits], memory_order_acquire);
  return chunk ? &chunk[index & (ChunkSlots - 1)] : NULL;
}

static void lockSlot(Slot *slot) {
  while (atomic_exchange_explicit(&slot->isLocked, true, memory_order_acquire)) sched_yield();
}

static void unlockSlot(Slot *slot) {
  atomic_store_explicit(&slot->isLocked, false, memory_order_release);
}

/* First in, first out: a stale handle then meets an empty slot for as long as possible, and slots age evenly. */
static Slot *takeFreeSlot(uint32_t *index) {
  Slot *slot = NULL;
  pthread_mutex_lock(&allocationLock);
  if (firstFree) {
    *index = firstFree - 1;
    slot = slotAt(*index);
    firstFree = slot->nextFree;
    if (!firstFree) lastFree = 0;
  } else if (slotCount < MostSlots) {
    *index = slotCount;
    slot = slotAt(*index);
    if (!slot) {
      Slot *chunk = calloc(ChunkSlots, sizeof(Slot));
      if (chunk) {
        for (uint32_t i = 0; i < ChunkSlots; i++) chunk[i].generation = 1;
        atomic_store_explicit(&chunks[*index >> ChunkBits], chunk, memory_order_release);
        slot = chunk;
      }
    }
    if (slot) slotCount++;
  }
  pthread_mutex_unlock(&allocationLock);
  return slot;
}

static void giveFreeSlot(uint32_t index) {
  pthread_mutex_lock(&allocationLock);
  slotAt(index)->nextFree = 0;
  if (lastFree)
    slotAt(lastFree - 1)->nextFree = index + 1;
  else
    firstFree = index + 1;
  lastFree = index + 1;
  pthread_mutex_unlock(&allocationLock);
}

bm_handle bridgeHandleNew(id object, uint32_t kind) {
  uint32_t index;
  Slot *slot = takeFreeSlot(&index);
  if (!slot) {
    [object release];
    bridgeFail(BM_ERROR_MEMORY, "There is no room for another handle: release some objects first");
    return 0;
  }
  lockSlot(slot);
  slot->object = object;
  slot->kind = (uint8_t)kind;
  bm_handle handle = (uint32_t)slot->generation << IndexBits | index;
  unlockSlot(slot);
  atomic_fetch_add(&liveCounts[kind], 1);
  return handle;
}

/* Fails with the reason why `handle` does not mean an object of `kind`; `slot` may be NULL. */
static void failLookup(bm_handle handle, uint32_t kind, uint32_t generationOfSlot, bool isLive, uint32_t kindOfSlot) {
  const char *wanted = kind == AnyKind ? "an object" : kindNames[kind];
  uint32_t generation = handle >> IndexBits;
  if (handle == 0)
    bridgeFail(BM_ERROR_HANDLE, "Handle 0 is never %s: the call that returned it failed", wanted);
  else if (isLive && generation == generationOfSlot)
    bridgeFail(BM_ERROR_HANDLE, "Handle \"0x%08x\" is %s, not %s", handle, kindNames[kindOfSlot], wanted);
  else if (generation != 0 && generation < generationOfSlot)
    bridgeFail(BM_ERROR_HANDLE, "Handle \"0x%08x\" was released before this use", handle);
  else
    bridgeFail(BM_ERROR_HANDLE, "Handle \"0x%08x\" never existed", handle);
}

static id retainObject(bm_handle handle, uint32_t kind, uint32_t *kindFound) {
  Slot *slot = slotAt(handle & MostSlots);
  if (!slot) {
    failLookup(handle, kind, 0, false, 0);
    return nil;
  }
  lockSlot(slot);
  uint32_t generation = slot->generation;
  uint32_t slotKind = slot->kind;
  id object = slot->object;
  bool isLive = object != nil;
  bool matches = isLive && generation == handle >> IndexBits && (kind == AnyKind || kind == slotKind);
  if (matches) [object retain];
  unlockSlot(slot);
  if (!matches) {
    failLookup(handle, kind, generation, isLive, slotKind);
    return nil;
  }
  if (kindFound) *kindFound = slotKind;
  return object;
}

id bridgeHandleRetain(bm_handle handle, uint32_t kind) {
  return retainObject(handle, kind, NULL);
}

/* Takes the object out of the table, with the table's reference. Of two threads that try, one gets it. */
static id takeObject(bm_handle handle) {
  uint32_t index = handle & MostSlots;
  Slot *slot = slotAt(index);
  lockSlot(slot);
  uint32_t generation = slot->generation;
  id object = generation == handle >> IndexBits ? slot->object : nil;
  uint32_t kind = slot->kind;
  if (object) {
    slot->object = nil;
    slot->generation++;
  }
  unlockSlot(slot);
  if (!object) {
    failLookup(handle, AnyKind, generation, false, 0);
    return nil;
  }
  atomic_fetch_sub(&liveCounts[kind], 1);
  if (generation < LastGeneration) giveFreeSlot(index);
  return object;
}

uint32_t bridgeHandleCount(uint32_t kind) {
  return atomic_load(&liveCounts[kind]);
}

bm_status bm_release(bm_handle handle) {
  BRIDGE_ENTER
  uint32_t kind = 0;
  BRIDGE_PINNED(NSObject) object = retainObject(handle, AnyKind, &kind);
  if (!object) return bm_error_code();
  if (kind == BM_KIND_QUEUE && !bridgeQueueMayWait((BunMetalQueue *)object, "release")) return bm_error_code();
  id taken = takeObject(handle);
  if (!taken) return bm_error_code();
  if (kind == BM_KIND_QUEUE) bridgeQueueClose(taken);
  [taken release];
  return BM_OK;
  BRIDGE_LEAVE(status)
}
