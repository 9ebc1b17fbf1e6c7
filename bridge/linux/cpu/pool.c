/* pool.c: see pool.h. */
#include "pool.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
  MaxThreads = 512,
  SpinNanoseconds = 40000,
  WaitSpinNanoseconds = 100000,
  LostNanoseconds = 500000,
  ContendedNanoseconds = 100000000,
  WorthWaking = 25000, /* it costs as much to wake a thread */
  WorthAsking = 4000,  /* one that is awake */
  WokenAhead = 7,      /* of many processors: short jobs have no use for more */
  PartsPerThread = 2   /* of what is left, as a thread takes it */
};

typedef struct Job {
  CpuPoolWork work;
  void *context;
  uint64_t count, smallest;
  _Alignas(64) _Atomic uint64_t next;
  _Alignas(64) _Atomic uint32_t helpers; /* workers inside, and OwnerSleeps; a futex */
  struct Job *following;
} Job;

enum { OwnerSleeps = 1u << 30 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Job *jobs;                           /* under the lock: jobs that may have items left */
static bool started;                        /* under the lock */
static _Alignas(64) _Atomic uint32_t epoch; /* rises with every job; a futex that sleeping workers wait on */
static _Alignas(64) _Atomic uint32_t sleeping;
static _Atomic uint32_t spinning;
static _Atomic uint64_t contendedUntil; /* other processes want the processors: see waitForHelpers() */
static _Atomic uint32_t workers; /* that exist */

static void pauseBriefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void futexWait(_Atomic uint32_t *address, uint32_t value) {
  syscall(SYS_futex, address, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}
static void futexWake(_Atomic uint32_t *address, int count) {
  syscall(SYS_futex, address, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
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
    n = wanted > MaxThreads ? MaxThreads : (uint32_t)wanted;
  } else {
    cpu_set_t set;
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    n = sched_getaffinity(0, sizeof set, &set) == 0 ? (uint32_t)CPU_COUNT(&set) : online > 0 ? (uint32_t)online : 1;
    const uint32_t most = quota();
    if (n > most) n = most;
    if (n > MaxThreads) n = MaxThreads;
  }
  width = n ? n : 1;
}

uint32_t cpuPoolWidth(void) {
  pthread_once(&widthOnce, measureWidth);
  return width;
}

uint64_t cpuPoolWorth(void) {
  return atomic_load_explicit(&spinning, memory_order_relaxed) != 0 ? WorthAsking : WorthWaking;
}

static void takePart(Job *job) {
  const uint64_t parts = PartsPerThread * (uint64_t)cpuPoolWidth();
  for (;;) {
    uint64_t from = atomic_load_explicit(&job->next, memory_order_relaxed), to;
    do {
      if (from >= job->count) return;
      const uint64_t left = job->count - from, share = left / parts;
      const uint64_t taken = share > job->smallest ? share : job->smallest;
      to = from + (taken < left ? taken : left);
    } while (!atomic_compare_exchange_weak_explicit(&job->next, &from, to, memory_order_relaxed, memory_order_relaxed));
    if (!job->work(job->context, from, to)) {
      atomic_store_explicit(&job->next, job->count, memory_order_relaxed);
      return;
    }
  }
}

/** A job with items left, entered; NULL without. */
static Job *enterJob(void) {
  pthread_mutex_lock(&lock);
  Job *job = jobs;
  while (job && atomic_load_explicit(&job->next, memory_order_relaxed) >= job->count) job = job->following;
  if (job) atomic_fetch_add_explicit(&job->helpers, 1, memory_order_relaxed);
  pthread_mutex_unlock(&lock);
  return job;
}

static void leaveJob(Job *job) {
  /* The owner may be gone once the count is 0: only the address is used after that. */
  _Atomic uint32_t *helpers = &job->helpers;
  if (atomic_fetch_sub_explicit(helpers, 1, memory_order_acq_rel) == (OwnerSleeps | 1)) futexWake(helpers, 1);
}

static void *runWorker(void *unused) {
  (void)unused;
  for (;;) {
    const uint32_t seen = atomic_load_explicit(&epoch, memory_order_acquire);
    Job *job = enterJob();
    if (job) {
      takePart(job);
      leaveJob(job);
      continue;
    }
    const uint64_t time = now();
    const uint64_t until = time < atomic_load_explicit(&contendedUntil, memory_order_relaxed) ? time : time + SpinNanoseconds;
    bool found = false;
    atomic_fetch_add(&spinning, 1);
    while (!found && now() < until)
      for (int i = 0; i < 32 && !found; i++) {
        pauseBriefly();
        found = atomic_load_explicit(&epoch, memory_order_relaxed) != seen;
      }
    atomic_fetch_sub(&spinning, 1);
    if (found) continue;
    atomic_fetch_add(&sleeping, 1);
    futexWait(&epoch, seen);
    atomic_fetch_sub(&sleeping, 1);
  }
  return NULL;
}

/** Under the lock. Threads that cannot be made are done without. */
static void start(void) {
  started = true;
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
      if (pthread_create(&thread, &attributes, runWorker, NULL) != 0) break;
      pthread_setname_np(thread, "bun-metal-cpu");
      atomic_fetch_add(&workers, 1);
    }
    pthread_attr_destroy(&attributes);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/**
 * Spins, since most finish together; then sleeps, so that a helper that lost its processor may have this one. A helper that
 * was waited for so long had lost it to another process: then workers sleep between jobs for a while, since one that is
 * woken has its turn at once and keeps it, where one that has spun has used it up.
 */
static void waitForHelpers(Job *job) {
  uint32_t inside = atomic_load_explicit(&job->helpers, memory_order_acquire);
  if (inside == 0) return;
  const uint64_t start = now();
  for (; (inside & ~OwnerSleeps) != 0; inside = atomic_load_explicit(&job->helpers, memory_order_acquire)) {
    if (now() < start + WaitSpinNanoseconds)
      for (int i = 0; i < 32 && atomic_load_explicit(&job->helpers, memory_order_relaxed) != 0; i++) pauseBriefly();
    else if (inside & OwnerSleeps)
      futexWait(&job->helpers, inside);
    else
      atomic_compare_exchange_strong(&job->helpers, &inside, inside | OwnerSleeps);
  }
  const uint64_t end = now();
  if (end - start > LostNanoseconds)
    atomic_store_explicit(&contendedUntil, end + ContendedNanoseconds, memory_order_relaxed);
}

void cpuPoolRun(CpuPoolWork work, void *context, uint64_t from, uint64_t count, uint64_t smallest) {
  Job job = {.work = work, .context = context, .count = count, .smallest = smallest ? smallest : 1};
  atomic_init(&job.next, from);
  atomic_init(&job.helpers, 0);
  const uint64_t chunks = count > from ? (count - from + job.smallest - 1) / job.smallest : 0;
  if (cpuPoolWidth() == 1 || chunks < 2) {
    takePart(&job);
    return;
  }
  pthread_mutex_lock(&lock);
  if (!started) start();
  job.following = jobs;
  jobs = &job;
  pthread_mutex_unlock(&lock);
  atomic_fetch_add(&epoch, 1);
  const uint32_t asleep = atomic_load(&sleeping);
  if (asleep > 0) futexWake(&epoch, chunks - 1 < asleep ? (int)(chunks - 1) : INT_MAX);

  takePart(&job);

  pthread_mutex_lock(&lock);
  for (Job **p = &jobs; *p; p = &(*p)->following)
    if (*p == &job) {
      *p = job.following;
      break;
    }
  pthread_mutex_unlock(&lock);
  waitForHelpers(&job);
}

void cpuPoolWake(void) {
  if (cpuPoolWidth() == 1) return;
  pthread_mutex_lock(&lock);
  if (!started) start();
  pthread_mutex_unlock(&lock);
  if (atomic_load(&sleeping) == 0) return;
  atomic_fetch_add(&epoch, 1);
  futexWake(&epoch, WokenAhead);
}
