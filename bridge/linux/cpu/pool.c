/*
 * pool.c: see pool.h.
 *
 * With many threads, what they share is what costs: a line of memory that all of them write goes from core to core. So a
 * worker writes a line of its own when it enters and leaves a job; those that look for work watch a bell that they have in
 * common with few; parts are taken from several counters (sharing.h); and who is woken wakes others.
 */
#include "pool.h"
#include "../clock.h"
#include "sharing.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
  Line = 128, /* two of 64 bytes, which processors fetch together */
  MostJobs = 8, /* at once; a caller beyond them works alone */
  MostBells = CpuMostThreads / CpuWorkersPerBell,
  LookOutNanoseconds = 40000,
  WaitNanoseconds = 100000,
  LostNanoseconds = 500000,
  ContendedNanoseconds = 100000000
};

typedef struct Shard {
  _Alignas(Line) _Atomic uint64_t next;
  uint64_t end;
} Shard;

/** A place for jobs. It stays, so that who comes too late may look at it. */
typedef struct Job {
  _Alignas(Line) _Atomic uint64_t number; /* of the job that may be entered, 0 without */
  CpuPoolWork work;
  void *context;
  CpuSharing sharing;
  _Alignas(Line) atomic_bool isTaken;
  _Atomic uint32_t ownerSleeps; /* a futex */
  Shard shards[CpuMostShards];
} Job;

typedef struct Worker {
  _Alignas(Line) _Atomic(Job *) inside;
  uint32_t number; /* from 1 on */
} Worker;

typedef struct Bell {
  _Alignas(Line) _Atomic uint32_t rung; /* another number for every job; a futex that sleeping workers wait on */
  _Atomic uint32_t sleeping;
} Bell;

static Job jobs[MostJobs];
static Worker workers[CpuMostThreads - 1];
static Bell bells[MostBells];

static _Alignas(Line) _Atomic uint32_t workerCount; /* that exist */
static _Atomic uint32_t placeCount;     /* of jobs[] that were ever taken */
static _Atomic uint64_t contendedUntil; /* other processes want the processors: see waitForWorkers() */
static _Atomic uint32_t bellsInUse;     /* as many as the last caller rang */
static _Alignas(Line) _Atomic uint64_t numbers; /* given to jobs */

static void pauseBriefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

static void futexWait(_Atomic uint32_t *address, uint32_t value) {
  syscall(SYS_futex, address, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}
/** How many were woken. */
static uint32_t futexWake(_Atomic uint32_t *address, uint32_t count) {
  const long woken = syscall(SYS_futex, address, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
  return woken > 0 ? (uint32_t)woken : 0;
}

/** Processors that a container's quota amounts to, rounded up; UINT32_MAX without one (cgroup 2). */
static uint32_t quota(void) {
  FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
  if (!file) return UINT32_MAX;
  unsigned long long most = 0, period = 0;
  const int read = fscanf(file, "%llu %llu", &most, &period);
  fclose(file);
  if (read != 2 || period == 0 || most == 0) return UINT32_MAX;
  return (uint32_t)((most + period - 1) / period);
}

static uint32_t width = 1;
static pthread_once_t widthOnce = PTHREAD_ONCE_INIT;

static void measureWidth(void) {
  const char *text = getenv("BUN_METAL_CPU_THREADS");
  const long wanted = text ? strtol(text, NULL, 10) : 0;
  uint32_t n = 1;
  if (wanted > 0) {
    n = wanted > CpuMostThreads ? CpuMostThreads : (uint32_t)wanted;
  } else {
    cpu_set_t set;
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    n = sched_getaffinity(0, sizeof set, &set) == 0 ? (uint32_t)CPU_COUNT(&set) : online > 0 ? (uint32_t)online : 1;
    const uint32_t most = quota();
    if (n > most) n = most;
    if (n > CpuMostThreads) n = CpuMostThreads;
  }
  width = n ? n : 1;
}

uint32_t cpuPoolWidth(void) {
  pthread_once(&widthOnce, measureWidth);
  return width;
}

/** Whether a worker is awake of those that are woken first. */
static bool isAnyAwake(void) {
  const uint32_t count = atomic_load_explicit(&workerCount, memory_order_relaxed);
  const uint32_t first = count < CpuWorkersPerBell ? count : CpuWorkersPerBell;
  return atomic_load_explicit(&bells[0].sleeping, memory_order_relaxed) < first;
}

uint64_t cpuPoolWorth(void) { return isAnyAwake() ? CpuWorthAsking : CpuWorthWaking; }

// ---- bells ---------------------------------------------------------------------------------------------------------

/** Lets those know that look for work. */
static void ring(uint32_t count, uint64_t number) {
  for (uint32_t i = 0; i < count; i++) atomic_store_explicit(&bells[i].rung, (uint32_t)number, memory_order_release);
  atomic_store_explicit(&bellsInUse, count, memory_order_relaxed);
  atomic_thread_fence(memory_order_seq_cst); /* who sleeps counts itself before it looks at the bell */
}

/** Wakes few: they wake others, so that all are awake after a few turns, and nobody has to wake them all. */
static void wakeSome(uint32_t count) {
  uint32_t left = CpuWokenAtOnce;
  for (uint32_t i = 0; i < count && left > 0; i++)
    if (atomic_load_explicit(&bells[i].sleeping, memory_order_relaxed) > 0) left -= futexWake(&bells[i].rung, left);
}

/** Until the bell is rung again. */
static void sleepAtBell(Bell *bell, uint32_t seen) {
  atomic_fetch_add(&bell->sleeping, 1);
  while (atomic_load_explicit(&bell->rung, memory_order_relaxed) == seen) futexWait(&bell->rung, seen);
  atomic_fetch_sub(&bell->sleeping, 1);
  wakeSome(atomic_load_explicit(&bellsInUse, memory_order_relaxed));
}

static bool isRungSoon(const Bell *bell, uint32_t seen) {
  const uint64_t start = clockNanoseconds();
  if (start < atomic_load_explicit(&contendedUntil, memory_order_relaxed)) return false;
  do
    for (int i = 0; i < 32; i++) {
      pauseBriefly();
      if (atomic_load_explicit(&bell->rung, memory_order_relaxed) != seen) return true;
    }
  while (clockNanoseconds() < start + LookOutNanoseconds);
  return false;
}

// ---- jobs ----------------------------------------------------------------------------------------------------------

/** Takes parts until there are none. */
static void runParts(Job *job, uint32_t thread) {
  const CpuSharing *sharing = &job->sharing;
  uint32_t at = cpuFirstShard(sharing, thread);
  for (uint32_t i = 0; i < sharing->shards; i++, at = at + 1 < sharing->shards ? at + 1 : 0) {
    Shard *shard = &job->shards[at];
    for (;;) {
      const uint64_t next = atomic_load_explicit(&shard->next, memory_order_relaxed);
      if (next >= shard->end) break;
      const uint64_t part = cpuPartOf(sharing, shard->end - next);
      const uint64_t from = atomic_fetch_add_explicit(&shard->next, part, memory_order_relaxed);
      if (from >= shard->end) break;
      if (job->work(job->context, from, shard->end - from < part ? shard->end : from + part)) continue;
      for (uint32_t s = 0; s < sharing->shards; s++)
        atomic_store_explicit(&job->shards[s].next, job->shards[s].end, memory_order_relaxed);
      return;
    }
  }
}

/** Works on the jobs that there are, but for those that have `finished`: by place, the number of the last one. */
static bool joinJobs(Worker *self, uint64_t *finished) {
  const uint32_t count = atomic_load_explicit(&placeCount, memory_order_acquire);
  bool joined = false;
  for (uint32_t i = 0; i < count; i++) {
    Job *job = &jobs[i];
    const uint64_t number = atomic_load_explicit(&job->number, memory_order_acquire);
    if (number == 0 || number == finished[i]) continue;
    /* Either the owner sees this worker inside, or this worker that the job is over. */
    atomic_store(&self->inside, job);
    if (atomic_load(&job->number) == number) {
      runParts(job, self->number);
      finished[i] = number;
      joined = true;
    }
    atomic_store(&self->inside, NULL);
    if (atomic_load(&job->ownerSleeps)) {
      atomic_store(&job->ownerSleeps, 0);
      futexWake(&job->ownerSleeps, 1);
    }
  }
  return joined;
}

static void *runWorker(void *argument) {
  Worker *self = argument;
  Bell *bell = &bells[(self->number - 1) / CpuWorkersPerBell];
  uint64_t finished[MostJobs] = {0};
  for (;;) {
    const uint32_t seen = atomic_load_explicit(&bell->rung, memory_order_acquire);
    if (!joinJobs(self, finished) && !isRungSoon(bell, seen)) sleepAtBell(bell, seen);
  }
  return NULL;
}

/** Threads that cannot be made are done without. */
static void start(void) {
  sigset_t all, before;
  sigfillset(&all);
  /* Signals belong to the program's own threads, with their larger stacks. */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) == 0) {
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 512 << 10);
    for (uint32_t i = 1; i < cpuPoolWidth(); i++) {
      pthread_t thread;
      workers[i - 1].number = i;
      if (pthread_create(&thread, &attributes, runWorker, &workers[i - 1]) != 0) break;
      pthread_setname_np(thread, "bun-metal-cpu");
      atomic_store(&workerCount, i);
    }
    pthread_attr_destroy(&attributes);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static pthread_once_t startOnce = PTHREAD_ONCE_INIT;

/** NULL where there are too many jobs at once. */
static Job *takePlace(void) {
  for (uint32_t i = 0; i < MostJobs; i++) {
    if (atomic_load_explicit(&jobs[i].isTaken, memory_order_relaxed) || atomic_exchange(&jobs[i].isTaken, true)) continue;
    uint32_t count = atomic_load(&placeCount);
    while (count < i + 1 && !atomic_compare_exchange_weak(&placeCount, &count, i + 1)) continue;
    return &jobs[i];
  }
  return NULL;
}

/** Lets the processor go until a worker leaves the job. */
static void sleepUntilLeft(Job *job, const Worker *worker) {
  atomic_store(&job->ownerSleeps, 1);
  if (atomic_load(&worker->inside) == job) futexWait(&job->ownerSleeps, 1);
  atomic_store(&job->ownerSleeps, 0);
}

/**
 * Spins, since most finish together; then sleeps, so that a worker that lost its processor may have this one. A worker that
 * was waited for so long had lost it to another process: then workers sleep between jobs for a while, since one that is
 * woken has its turn at once and keeps it, where one that has spun has used it up.
 */
static void waitForWorkers(Job *job) {
  const uint32_t count = atomic_load(&workerCount);
  uint64_t start = 0;
  for (uint32_t i = 0; i < count; i++) {
    const Worker *worker = &workers[i];
    while (atomic_load(&worker->inside) == job) {
      const uint64_t time = clockNanoseconds();
      if (start == 0) start = time;
      if (time < start + WaitNanoseconds)
        for (int k = 0; k < 32 && atomic_load_explicit(&worker->inside, memory_order_relaxed) == job; k++) pauseBriefly();
      else
        sleepUntilLeft(job, worker);
    }
  }
  if (start == 0) return;
  const uint64_t end = clockNanoseconds();
  if (end - start > LostNanoseconds)
    atomic_store_explicit(&contendedUntil, end + ContendedNanoseconds, memory_order_relaxed);
}

void cpuPoolRun(CpuPoolWork work, void *context, uint64_t from, uint64_t count, float nanoseconds) {
  if (count <= from) return;
  const CpuSharing sharing = cpuSharing(from, count, nanoseconds, cpuPoolWidth());
  Job *job = sharing.threads > 1 ? takePlace() : NULL;
  if (!job) {
    work(context, from, count);
    return;
  }
  pthread_once(&startOnce, start);
  job->work = work;
  job->context = context;
  job->sharing = sharing;
  for (uint32_t i = 0; i < sharing.shards; i++) {
    atomic_store_explicit(&job->shards[i].next, cpuShardStart(&sharing, i), memory_order_relaxed);
    job->shards[i].end = cpuShardStart(&sharing, i + 1);
  }
  const uint64_t number = atomic_fetch_add_explicit(&numbers, 1, memory_order_relaxed) + 1;
  atomic_store_explicit(&job->number, number, memory_order_release);
  const uint32_t asked = (sharing.threads + CpuWorkersPerBell - 2) / CpuWorkersPerBell;
  ring(asked, number);
  if (nanoseconds * (float)(count - from) >= CpuWorthWaking) wakeSome(asked);

  runParts(job, 0);

  atomic_store(&job->number, 0);
  waitForWorkers(job);
  atomic_store_explicit(&job->isTaken, false, memory_order_release);
}

void cpuPoolWake(void) {
  if (cpuPoolWidth() == 1) return;
  pthread_once(&startOnce, start);
  if (atomic_load(&bells[0].sleeping) == 0) return;
  ring(1, atomic_fetch_add_explicit(&numbers, 1, memory_order_relaxed) + 1);
  wakeSome(1);
}
