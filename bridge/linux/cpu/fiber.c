/*
 * fiber.c: see fiber.h.
 *
 * Threads run until they wait. At a SIMD function a lane switches to the next runnable lane of its SIMD group; when
 * there is none, all lanes that can come have come (cpuArriveLast). At a threadgroup barrier a lane leaves its SIMD
 * group's sight until all threads of the threadgroup are there; a SIMD group without runnable lanes hands over to the
 * next one (cpuGroupIdle).
 *
 * Divergence: lanes that wait at different SIMD functions are released in the order of their code addresses, which is
 * near the order of the source: branches first, what comes behind them last. Only those released together take part.
 */
#include "fiber.h"
#include "check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
  StackBytes = 1 << CpuStackShift,
  GroupBytes = 1 << CpuGroupShift,
  MaxGroups = 1024 / CpuSimdWidth,
#if defined(__x86_64__)
  FrameReturn = 16, /* in the frame of a lane that waits: where its return address is */
#else
  FrameReturn = 88,
#endif
  ArenaBytes = 32768 + 4096,
  Canary = 0x5afe57ac
};

/* fiber_*.S has these. Stacks are aligned alike: without the stagger, the same variable of all lanes would fall into
 * the same cache set. */
_Static_assert(offsetof(CpuGroup, runnable) == 0 && offsetof(CpuGroup, present) == 4 &&
                   offsetof(CpuGroup, fresh) == 8 && offsetof(CpuGroup, finished) == 12 &&
                   offsetof(CpuGroup, stackPointers) == 64,
               "offsets in fiber_*.S");
_Static_assert(CpuStackShift == 15 && GroupBytes == 0x100000 && CpuStackStagger == 1 << 7 && sizeof(CpuThread) <= 32,
               "sizes in fiber_*.S");

struct CpuWorker {
  void *own;     /* stack pointer of the thread while lanes run */
  char *stacks;  /* groupCapacity blocks of GroupBytes, aligned to that */
  void *mapping; /* what mmap gave */
  size_t mappingLength;
  char *arena;
  const CpuFunction *function;
  const char *error;
  uint32_t groupCapacity;
  uint32_t groupCount; /* of this threadgroup */
  uint32_t current;    /* SIMD group that runs */
  bool poison;
  CpuLaunch launch;
};

/** Who runs next: what waits with that stack pointer, and `value` is what its wait returns; or, without a stack
 * pointer, the first lane of the group at address `value`. */
typedef struct Target {
  void *stackPointer;
  uint64_t value;
} Target;

/* fiber_*.S */
uint32_t cpuArrive(CpuGroup *group, uint32_t lane);
void cpuBarrier(CpuGroup *group, uint32_t lane);
void cpuEnter(CpuGroup *group, void **save);
/* called from there */
Target cpuArriveLast(CpuGroup *group, uint32_t lane);
Target cpuGroupIdle(CpuGroup *group, uint32_t lane);
void cpuRunLane(CpuGroup *group, uint32_t lane, CpuThread *thread);

static CpuGroup *groupOf(const CpuWorker *worker, uint32_t index) {
  return (CpuGroup *)(worker->stacks + (size_t)index * GroupBytes);
}

/** Where the lane will go on. */
static uint64_t siteOf(const CpuGroup *group, uint32_t lane) {
  return *(const uint64_t *)(group->stackPointers[lane] + FrameReturn);
}

/** Releases those lanes of `waiting` that wait at the lowest code address; the lowest of them computes. */
static Target release(CpuGroup *group, uint32_t waiting, uint32_t preferred) {
  uint64_t site = UINT64_MAX;
  uint32_t together = 0;
  for (uint32_t rest = waiting; rest; rest &= rest - 1) {
    const uint32_t lane = (uint32_t)__builtin_ctz(rest);
    const uint64_t at = siteOf(group, lane);
    if (at < site) {
      site = at;
      together = 0;
    }
    if (at == site) together |= 1u << lane;
  }
  const uint32_t lane = together >> preferred & 1 ? preferred : (uint32_t)__builtin_ctz(together);
  group->runnable = together & ~(1u << lane);
  return (Target){(void *)group->stackPointers[lane], together};
}

/** The last runnable lane has arrived at a SIMD function: mostly the same one as all the others, who then go on. */
Target cpuArriveLast(CpuGroup *group, uint32_t lane) {
  const uint32_t waiting = group->present;
  if (waiting == UINT32_MAX) {
    const uint64_t site = siteOf(group, lane);
    uint64_t difference = 0;
    for (uint32_t i = 0; i < CpuSimdWidth; i++) difference |= siteOf(group, i) ^ site;
    if (difference == 0) {
      group->runnable = ~(1u << lane);
      return (Target){(void *)group->stackPointers[lane], waiting};
    }
  }
  return release(group, waiting, lane);
}

/** All threads have stopped: at one barrier, or at their end. */
static Target nextPhase(CpuWorker *worker) {
  uint64_t site = 0;
  bool same = true, someFinished = false;
  for (uint32_t g = 0; g < worker->groupCount; g++) {
    const CpuGroup *group = groupOf(worker, g);
    someFinished = someFinished || group->finished != 0;
    for (uint32_t rest = group->all & ~group->finished; rest; rest &= rest - 1) {
      const uint64_t at = siteOf(group, (uint32_t)__builtin_ctz(rest));
      if (site != 0 && at != site) same = false;
      site = at;
    }
  }
  if (site == 0) return (Target){worker->own, 0};
  if (someFinished || !same) {
    worker->error =
        someFinished ? "some threads have returned while others wait at a threadgroup_barrier: all have to reach it"
                     : "threads wait at different threadgroup_barriers: all have to reach the same one";
    return (Target){worker->own, 0};
  }
  for (uint32_t g = 0; g < worker->groupCount; g++) {
    CpuGroup *group = groupOf(worker, g);
    group->runnable = group->present = group->all;
  }
  worker->current = 0;
  CpuGroup *first = groupOf(worker, 0);
  first->runnable &= ~1u;
  return (Target){(void *)first->stackPointers[0], 0};
}

/** No lane of the SIMD group can run, and the calling one is at a barrier or at its end. */
Target cpuGroupIdle(CpuGroup *group, uint32_t lane) {
  CpuWorker *worker = (CpuWorker *)group->worker;
  if (group->present != 0) return release(group, group->present, lane);
  if (worker->current + 1 == worker->groupCount) return nextPhase(worker);
  CpuGroup *next = groupOf(worker, ++worker->current);
  if (next->fresh) return (Target){NULL, (uint64_t)next};
  const uint32_t first = (uint32_t)__builtin_ctz(next->runnable);
  next->runnable &= next->runnable - 1;
  return (Target){(void *)next->stackPointers[first], 0};
}

/** A lane starts: its place is worked out, and the kernel called. */
void cpuRunLane(CpuGroup *group, uint32_t lane, CpuThread *thread) {
  const CpuWorker *worker = (const CpuWorker *)group->worker;
  const CpuLaunch *launch = (const CpuLaunch *)group->launch;
  thread->index = group->index * CpuSimdWidth + lane;
  if (launch->size[1] == 1 && launch->size[2] == 1) {
    thread->position[0] = thread->index;
    thread->position[1] = thread->position[2] = 0;
  } else {
    const uint32_t row = thread->index / launch->size[0];
    thread->position[0] = thread->index - row * launch->size[0];
    thread->position[2] = row / launch->size[1];
    thread->position[1] = row - thread->position[2] * launch->size[1];
  }
  ((void (*)(const CpuLaunch *, const CpuThread *))worker->function->entry)(launch, thread);
}

static uint32_t *canaryOf(CpuGroup *group, uint32_t lane) {
  return (uint32_t *)((char *)group + (size_t)lane * StackBytes + (lane == 0 ? sizeof(CpuGroup) : (size_t)lane * 64));
}

/** Stacks for `count` SIMD groups. Keeps what is there; false when out of memory. */
static bool reserveGroups(CpuWorker *worker, uint32_t count) {
  if (count <= worker->groupCapacity) return true;
  uint32_t capacity = 2;
  while (capacity < count) capacity *= 2;
  if (capacity > MaxGroups) capacity = MaxGroups;
  if (worker->mapping) munmap(worker->mapping, worker->mappingLength);
  worker->groupCapacity = 0;
  /* Two megabytes more, so that the stacks can begin at a huge page: one entry of the address cache holds 64
   * lanes. */
  const size_t huge = (size_t)2 << 20, length = (size_t)capacity * GroupBytes;
  worker->mappingLength = length + huge;
  worker->mapping =
      mmap(NULL, worker->mappingLength, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (worker->mapping == MAP_FAILED) {
    worker->mapping = NULL;
    return false;
  }
  worker->stacks = (char *)(((uintptr_t)worker->mapping + huge - 1) & ~(huge - 1));
  madvise(worker->stacks, length, MADV_HUGEPAGE);
  worker->groupCapacity = capacity;
  for (uint32_t g = 0; g < capacity; g++) {
    CpuGroup *group = groupOf(worker, g);
    group->arrive = (uint64_t)cpuArrive;
    group->barrier = (uint64_t)cpuBarrier;
    group->launch = (uint64_t)&worker->launch;
    group->worker = (uint64_t)worker;
    group->index = g;
    for (uint32_t lane = 0; lane < CpuSimdWidth; lane++) *canaryOf(group, lane) = Canary;
  }
  return true;
}

static pthread_key_t workerKey;
static pthread_once_t workerOnce = PTHREAD_ONCE_INIT;
static _Thread_local CpuWorker *workerOfThread;

static void freeWorker(void *pointer) {
  CpuWorker *worker = pointer;
  if (worker->mapping) munmap(worker->mapping, worker->mappingLength);
  free(worker->arena);
  free(worker);
}

static void makeKey(void) { pthread_key_create(&workerKey, freeWorker); }

CpuWorker *cpuWorkerOfThread(void) {
  if (workerOfThread) return workerOfThread;
  pthread_once(&workerOnce, makeKey);
  CpuWorker *worker = calloc(1, sizeof *worker);
  void *arena = worker ? aligned_alloc(4096, ArenaBytes) : NULL;
  if (!arena || pthread_setspecific(workerKey, worker) != 0) {
    free(arena);
    free(worker);
    return NULL;
  }
  worker->arena = arena;
  worker->launch.arena = (uint64_t)arena;
  return workerOfThread = worker;
}

CpuLaunch *cpuWorkerLaunch(CpuWorker *worker) { return &worker->launch; }

bool cpuWorkerPlaceMemory(CpuWorker *worker, const DriverFunction *function, const uint32_t lengths[]) {
  size_t end = (function->staticThreadgroupMemoryLength + 15u) & ~15u;
  for (uint32_t i = 0; i < function->argumentCount; i++) {
    const DriverArgument *a = &function->arguments[i];
    if (a->kind != DriverArgumentThreadgroupMemory) continue;
    worker->launch.threadgroupMemory[a->index] = (uint64_t)worker->arena + end;
    end += ((size_t)lengths[a->index] + 15) & ~(size_t)15;
  }
  if (end > ArenaBytes) return false;
  worker->poison = (cpuChecks() & CpuCheckPoison) != 0;
  return true;
}

const char *cpuWorkerRun(CpuWorker *worker, const CpuFunction *function) {
  if (worker->poison) memset(worker->arena, 0xff, ArenaBytes);
  if (!function->perThread) {
    ((void (*)(const CpuLaunch *))function->entry)(&worker->launch);
    return NULL;
  }
  const CpuLaunch *launch = &worker->launch;
  const uint32_t threads = launch->size[0] * launch->size[1] * launch->size[2];
  if (threads == 0) return NULL;
  const uint32_t groups = (threads + CpuSimdWidth - 1) / CpuSimdWidth;
  if (groups > MaxGroups) return "it has more than 1024 threads per threadgroup";
  if (!reserveGroups(worker, groups)) return "there is no memory for the stacks of its threads";
  worker->function = function;
  worker->groupCount = groups;
  worker->current = 0;
  worker->error = NULL;
  for (uint32_t g = 0; g < groups; g++) {
    CpuGroup *group = groupOf(worker, g);
    const uint32_t lanes = g + 1 < groups ? CpuSimdWidth : threads - g * CpuSimdWidth;
    group->all = group->present = group->fresh = lanes == CpuSimdWidth ? 0xffffffffu : (1u << lanes) - 1;
    group->finished = group->runnable = 0;
  }
  cpuEnter(groupOf(worker, 0), &worker->own);
  return worker->error;
}

bool cpuWorkerStacksHold(CpuWorker *worker) {
  bool hold = true;
  for (uint32_t g = 0; g < worker->groupCount && g < worker->groupCapacity; g++)
    for (uint32_t lane = 0; lane < CpuSimdWidth; lane++)
      if (*canaryOf(groupOf(worker, g), lane) != Canary) {
        *canaryOf(groupOf(worker, g), lane) = Canary;
        hold = false;
      }
  return hold;
}
