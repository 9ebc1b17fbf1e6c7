/* simulator.cc: see simulator.h and run.h. Threads, blocks and their memory; matrices.cc has what warps compute together. */
#include "gpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <ucontext.h>

enum {
  Page = 4096,
  StackBytes = 1 << 16,
  MostThreads = 1024,
  MostBarriers = 16,
  MostCopies = 512,
  BlocksAtOnce = 3, /* more, where these wait for others */
  MostPauses = 10000,
  ArenaBytes = 256 << 10
};

enum State { Fresh, Runnable, Paused, AtWarp, AtBarrier, Ended };

struct Copy {
  unsigned char *to;
  const unsigned char *from;
  u32 bytes, size, group;
};

struct Block;

struct Thread {
  SimulatedPlace place;
  State state;
  Block *block;
  jmp_buf context;
  ucontext_t start;
  const char *at; /* where it waits */
  void *lane;
  /* Of the first of a warp, for all of it: how many lanes have come, and where they are. */
  u32 arrived;
  const char *warpAt;
  SimulatedCombine *combine;
  u32 barrier;
  Copy copies[MostCopies];
  u32 copyCount, groups;
};

struct Barrier {
  u32 arrived, expected;
};

struct Block {
  Block *next;
  unsigned char *arena; /* the block's shared memory; what follows cannot be touched */
  unsigned char *stacks;
  Thread *threads;
  u32 left; /* threads that have not ended */
  Barrier barriers[MostBarriers];
};

static struct Run {
  const CudaNativeLaunch *launch;
  const SimulatedKernel *kernel;
  unsigned char parameters[CudaNativeParameterBytes];
  u32 threads;
  Thread **runnable, **paused;
  u32 runnableCount, pausedCount;
  Thread *current;
  jmp_buf scheduler;
  Block *free;
  Random random;
} run;

/* ---- failures ----------------------------------------------------------------------------------------------------------- */

void simulatedFailure(const char *format, ...) {
  printf("FAIL kernel %s", run.kernel ? run.kernel->name : "?");
  if (run.current) {
    const SimulatedPlace *place = &run.current->place;
    printf(", block %u %u %u, thread %u", place->block[0], place->block[1], place->block[2], place->thread);
  }
  printf(": ");
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  printf("\n");
  fflush(stdout);
  _Exit(1);
}

static const char *describe(State state) {
  switch (state) {
    case Fresh:
    case Runnable: return "is running";
    case Paused: return "waits for another block";
    case AtWarp: return "waits for its warp";
    case AtBarrier: return "waits at a barrier";
    case Ended: return "has ended";
  }
  return "";
}

/* ---- memory -------------------------------------------------------------------------------------------------------------- */

static u64 guarded(u64 bytes) { return (bytes + Page - 1) / Page * Page + 2 * Page; }

static unsigned char *mapGuarded(u64 bytes) {
  const u64 whole = guarded(bytes);
  unsigned char *pages = (unsigned char *)mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED ||
      (whole > 2 * Page && mprotect(pages + Page, whole - 2 * Page, PROT_READ | PROT_WRITE) != 0)) {
    printf("FAIL out of memory: %llu bytes\n", (unsigned long long)bytes);
    _Exit(1);
  }
  return pages;
}

unsigned char *simulatedAllocate(u64 bytes) {
  const u64 room = (bytes + 15) / 16 * 16;
  if (simulatorIsGpu()) return (unsigned char *)memset(gpuAllocate(room), 0xff, room);
  unsigned char *pages = mapGuarded(room);
  unsigned char *memory = pages + guarded(room) - Page - room;
  memset(memory, 0xff, room);
  return memory;
}

void simulatedFree(unsigned char *memory, u64 bytes) {
  const u64 room = (bytes + 15) / 16 * 16;
  if (simulatorIsGpu()) return gpuFree(memory);
  munmap(memory + room + Page - guarded(room), guarded(room));
}

void simulatedAligned(const char *what, const void *at, u32 alignment) {
  if ((uintptr_t)at % alignment != 0) simulatedFailure("%s at %p, which is no multiple of %u", what, at, alignment);
}

unsigned char *simulatedArena() { return run.current->block->arena; }

void simulatedShared(const char *what, const void *at, u32 bytes, u32 alignment) {
  const u64 offset = (uintptr_t)at - (uintptr_t)simulatedArena();
  if (offset > run.launch->sharedBytes || bytes > run.launch->sharedBytes - offset)
    simulatedFailure("%s of %u bytes at offset %lld of %u bytes of shared memory", what, bytes, (long long)offset,
                     run.launch->sharedBytes);
  simulatedAligned(what, at, alignment);
}

const SimulatedPlace *simulatedPlace() { return &run.current->place; }

/* ---- threads ------------------------------------------------------------------------------------------------------------- */

static void release(Thread *thread) {
  thread->state = Runnable;
  run.runnable[run.runnableCount++] = thread;
}

/* Goes on with another thread, and comes back when this one may go on. */
static void leave(State state, const char *at) {
  Thread *thread = run.current;
  thread->state = state;
  thread->at = at;
  if (_setjmp(thread->context) == 0) _longjmp(run.scheduler, 1);
}

static void completeBarriers(Block *block) {
  for (u32 i = 0; i < MostBarriers; i++) {
    Barrier *barrier = &block->barriers[i];
    const u32 expected = barrier->expected ? barrier->expected : block->left;
    if (barrier->arrived == 0 || barrier->arrived < expected) continue;
    if (barrier->arrived > expected) simulatedFailure("%u threads at a barrier of %u", barrier->arrived, expected);
    *barrier = {};
    for (u32 k = 0; k < run.threads; k++)
      if (block->threads[k].state == AtBarrier && block->threads[k].barrier == i) release(&block->threads[k]);
  }
}

void simulatedBarrier(u32 index, u32 threads, bool waits) {
  Thread *thread = run.current;
  Block *block = thread->block;
  if (index >= MostBarriers || threads % 32 != 0 || threads > run.threads)
    simulatedFailure("barrier %u of %u threads, in a block of %u", index, threads, run.threads);
  Barrier *barrier = &block->barriers[index];
  if (barrier->arrived > 0 && barrier->expected != threads)
    simulatedFailure("barrier %u is of %u threads here, and of %u elsewhere", index, threads, barrier->expected);
  barrier->expected = threads;
  barrier->arrived++;
  thread->barrier = index;
  if (waits) thread->state = AtBarrier;
  completeBarriers(block);
  if (!waits) return;
  /* It may be among those that were released. */
  const State state = thread->state;
  leave(state, "syncThreads");
}

void simulatedCollective(const char *name, SimulatedCombine *combine, void *lane) {
  Thread *thread = run.current;
  Thread *warp = &thread->block->threads[thread->place.thread / 32 * 32];
  thread->lane = lane;
  if (warp->arrived == 0) {
    warp->warpAt = name;
    warp->combine = combine;
  } else if (warp->combine != combine || (warp->warpAt != name && strcmp(warp->warpAt, name) != 0)) {
    simulatedFailure("it is at %s while others of its warp are at %s", name, warp->warpAt);
  }
  if (++warp->arrived < 32) {
    leave(AtWarp, name);
    return;
  }
  warp->arrived = 0;
  void *lanes[32];
  for (u32 i = 0; i < 32; i++) lanes[i] = warp[i].lane;
  combine(lanes);
  for (u32 i = 0; i < 32; i++)
    if (&warp[i] != thread) release(&warp[i]);
}

void simulatedPause() {
  Thread *thread = run.current;
  run.paused[run.pausedCount++] = thread;
  leave(Paused, "loadAcquire");
}

static void runThread() {
  run.kernel->call(run.parameters);
  Thread *thread = run.current;
  thread->state = Ended;
  thread->block->left--;
  completeBarriers(thread->block);
  _longjmp(run.scheduler, 1);
}

/* ---- asynchronous copies --------------------------------------------------------------------------------------------------- */

void simulatedCopy(void *shared, const void *from, u32 bytes, u32 size) {
  Thread *thread = run.current;
  simulatedShared("an asynchronous copy", shared, size, size);
  if (bytes > size) simulatedFailure("an asynchronous copy of %u bytes", bytes);
  if (bytes > 0) simulatedAligned("an asynchronous copy", from, size);
  if (thread->copyCount == MostCopies) simulatedFailure("more than %d asynchronous copies are under way", MostCopies);
  thread->copies[thread->copyCount++] = {(unsigned char *)shared, (const unsigned char *)from, bytes, size, thread->groups};
  memset(shared, 0xff, size);
}

void simulatedCommit() { run.current->groups++; }

void simulatedWait(u32 groups) {
  Thread *thread = run.current;
  u32 kept = 0;
  for (u32 i = 0; i < thread->copyCount; i++) {
    const Copy copy = thread->copies[i];
    if (copy.group + groups >= thread->groups) {
      thread->copies[kept++] = copy;
      continue;
    }
    memcpy(copy.to, copy.from, copy.bytes);
    memset(copy.to + copy.bytes, 0, copy.size - copy.bytes);
  }
  thread->copyCount = kept;
}

/* ---- blocks ----------------------------------------------------------------------------------------------------------------- */

static Block *newBlock() {
  Block *block = (Block *)calloc(1, sizeof *block);
  block->arena = simulatedAllocate(run.launch->sharedBytes);
  block->stacks = (unsigned char *)mmap(nullptr, (u64)run.threads * StackBytes, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  block->threads = (Thread *)calloc(run.threads, sizeof *block->threads);
  if (block->stacks == MAP_FAILED || !block->threads) simulatedFailure("out of memory");
  for (u32 i = 0; i < run.threads; i++) mprotect(block->stacks + (u64)i * StackBytes, Page, PROT_NONE);
  return block;
}

static void freeBlock(Block *block) {
  simulatedFree(block->arena, run.launch->sharedBytes);
  munmap(block->stacks, (u64)run.threads * StackBytes);
  free(block->threads);
  free(block);
}

static void startBlock(u64 number) {
  Block *block = run.free;
  if (block) run.free = block->next;
  else block = newBlock();
  const u32 *grid = run.launch->grid;
  memset(block->arena, 0xff, run.launch->sharedBytes);
  memset(block->barriers, 0, sizeof block->barriers);
  block->left = run.threads;
  for (u32 i = 0; i < run.threads; i++) {
    Thread *thread = &block->threads[i];
    thread->place = {i,
                     run.threads,
                     {(u32)(number % grid[0]), (u32)(number / grid[0] % grid[1]), (u32)(number / grid[0] / grid[1])},
                     {grid[0], grid[1], grid[2]}};
    thread->block = block;
    thread->copyCount = thread->groups = thread->arrived = 0;
    thread->state = Fresh;
    run.runnable[run.runnableCount++] = thread;
  }
}

/* Runs a thread until it waits or ends. */
static void resume(Thread *thread) {
  run.current = thread;
  if (_setjmp(run.scheduler) == 0) {
    if (thread->state == Fresh) {
      unsigned char *stack = thread->block->stacks + (u64)thread->place.thread * StackBytes;
      getcontext(&thread->start);
      thread->start.uc_stack.ss_sp = stack + Page;
      thread->start.uc_stack.ss_size = StackBytes - Page;
      thread->start.uc_link = nullptr;
      makecontext(&thread->start, runThread, 0);
      thread->state = Runnable;
      setcontext(&thread->start);
    }
    thread->state = Runnable;
    _longjmp(thread->context, 1);
  }
}

static void checkLaunch(const CudaNativeLaunch *launch, const SimulatedKernel *kernels, u32 count) {
  run.kernel = nullptr;
  for (u32 i = 0; i < count; i++)
    if (strcmp(kernels[i].name, launch->kernel) == 0) run.kernel = &kernels[i];
  if (!run.kernel) simulatedFailure("no kernel of the name %s is listed", launch->kernel);
  if (run.kernel->parameterBytes != launch->parameterBytes)
    simulatedFailure("it takes %u bytes of parameters, the plan gives %u", run.kernel->parameterBytes, launch->parameterBytes);
  run.threads = launch->block[0];
  if (run.threads == 0 || run.threads % 32 != 0 || run.threads > MostThreads || launch->block[1] != 1 || launch->block[2] != 1)
    simulatedFailure("a block of %u x %u x %u threads", launch->block[0], launch->block[1], launch->block[2]);
  if (launch->grid[0] == 0 || launch->grid[1] == 0 || launch->grid[2] == 0 || launch->grid[1] > 65535 || launch->grid[2] > 65535)
    simulatedFailure("a grid of %u x %u x %u blocks", launch->grid[0], launch->grid[1], launch->grid[2]);
  if (launch->sharedBytes > ArenaBytes) simulatedFailure("%u bytes of shared memory", launch->sharedBytes);
}

static void placeScratch(u64 bytes, u32 offset, unsigned char *memory) {
  if (bytes == 0) return;
  if (offset % 8 != 0 || offset > run.launch->parameterBytes - 8) simulatedFailure("the address of scratch memory at %u", offset);
  memcpy(run.parameters + offset, &memory, sizeof memory);
}

static void runBlocks() {
  const u32 *grid = run.launch->grid;
  const u64 blocks = (u64)grid[0] * grid[1] * grid[2];
  u64 *order = (u64 *)malloc(blocks * sizeof *order);
  for (u64 i = 0; i < blocks; i++) {
    const u64 k = run.random.below((u32)i + 1);
    order[i] = order[k];
    order[k] = i;
  }
  u64 started = 0, live = 0;
  u32 pauses = 0;
  u64 most = (blocks + 1) * run.threads;
  if (most > 1 << 24) most = 1 << 24; /* pointers, of blocks that are there at once */
  run.runnable = (Thread **)malloc(most * sizeof *run.runnable);
  run.paused = (Thread **)malloc(most * sizeof *run.paused);
  run.runnableCount = run.pausedCount = 0;
  while (started < blocks || live > 0) {
    const bool allPause = run.runnableCount == 0 && run.pausedCount > 0;
    if (started < blocks && (live < BlocksAtOnce || allPause)) {
      startBlock(order[started++]);
      live++;
      pauses = 0;
    }
    if (run.runnableCount == 0 && run.pausedCount > 0) {
      if (++pauses > MostPauses) {
        run.current = run.paused[0];
        simulatedFailure("it waits for ever");
      }
      while (run.pausedCount > 0) release(run.paused[--run.pausedCount]);
    }
    if (run.runnableCount == 0) {
      printf("FAIL kernel %s: no thread of those that are left can go on\n", run.kernel->name);
      for (u32 i = 0; i < run.threads && run.current; i++) {
        const Thread *thread = &run.current->block->threads[i];
        if (i % 32 == 0 || thread->state != thread[-1].state)
          printf("  thread %u %s%s%s\n", i, describe(thread->state), thread->state == AtWarp ? ": " : "",
                 thread->state == AtWarp ? thread->at : "");
      }
      fflush(stdout);
      _Exit(1);
    }
    const u32 chosen = run.random.below(run.runnableCount);
    Thread *thread = run.runnable[chosen];
    run.runnable[chosen] = run.runnable[--run.runnableCount];
    resume(thread);
    if (thread->block->left == 0) {
      thread->block->next = run.free;
      run.free = thread->block;
      thread->block->left = 1; /* counted once */
      live--;
    }
  }
  free(order);
  free(run.runnable);
  free(run.paused);
}

void simulateLaunch(const CudaNativeLaunch *launch, const SimulatedKernel *kernels, u32 kernelCount, u64 seed) {
  run.launch = launch;
  run.current = nullptr;
  run.free = nullptr;
  run.random = {seed * 2 + 1};
  checkLaunch(launch, kernels, kernelCount);
  memcpy(run.parameters, launch->parameters, launch->parameterBytes);
  unsigned char *scratch = simulatedAllocate(launch->scratchBytes), *partials = simulatedAllocate(launch->partialBytes);
  memset(scratch, 0, launch->scratchBytes);
  placeScratch(launch->scratchBytes, launch->scratchOffset, scratch);
  placeScratch(launch->partialBytes, launch->partialOffset, partials);
  if (simulatorIsGpu()) {
    CudaNativeLaunch placed = *launch;
    memcpy(placed.parameters, run.parameters, launch->parameterBytes);
    gpuLaunch(&placed);
  } else {
    runBlocks();
  }
  while (run.free) {
    Block *block = run.free;
    run.free = block->next;
    freeBlock(block);
  }
  run.current = nullptr;
  for (u64 i = 0; i < launch->scratchBytes; i++)
    if (scratch[i] != 0) simulatedFailure("it leaves byte %llu of its scratch memory as %u", (unsigned long long)i, scratch[i]);
  simulatedFree(scratch, launch->scratchBytes);
  simulatedFree(partials, launch->partialBytes);
}
