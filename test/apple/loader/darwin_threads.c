#include "darwin_threads.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "darwin_errno.h"

_Static_assert(sizeof(DarwinMutex) == 64 && sizeof(DarwinCondition) == 48 && sizeof(DarwinOnce) == 16, "as on Darwin");

/* From Darwin's <pthread/pthread_impl.h>: what the static initialisers hold, and what the functions make of it. */
enum : long {
  MutexStatic = 0x32AAABA7,
  MutexReady = 0x4D555458,
  ConditionStatic = 0x3CB0B1BB,
  ConditionReady = 0x434F4E44,
  OnceStatic = 0x30B1BCBA
};

/* ---- mutexes ----------------------------------------------------------------------------------------------------- */

static pthread_mutex_t *mutexOf(DarwinMutex *mutex) {
  long signature = atomic_load_explicit(&mutex->signature, memory_order_acquire);
  return signature == MutexStatic || signature == MutexReady ? &mutex->mutex : NULL;
}

int darwinMutexInit(DarwinMutex *mutex, const void *attributes) {
  if (attributes) return darwinErrorOf(ENOTSUP); // the bridge uses none
  // Where the caller's memory held anything at all: Darwin's initialisation does not read it either.
  memset((void *)mutex, 0xA5, sizeof *mutex);
  pthread_mutex_init(&mutex->mutex, NULL);
  atomic_store_explicit(&mutex->signature, MutexReady, memory_order_release);
  return 0;
}

int darwinMutexDestroy(DarwinMutex *mutex) {
  pthread_mutex_t *real = mutexOf(mutex);
  if (!real) return EINVAL;
  int error = pthread_mutex_destroy(real);
  if (error == 0) atomic_store(&mutex->signature, 0);
  return darwinErrorOf(error);
}

int darwinMutexLock(DarwinMutex *mutex) {
  pthread_mutex_t *real = mutexOf(mutex);
  return real ? darwinErrorOf(pthread_mutex_lock(real)) : EINVAL;
}

int darwinMutexTryLock(DarwinMutex *mutex) {
  pthread_mutex_t *real = mutexOf(mutex);
  return real ? darwinErrorOf(pthread_mutex_trylock(real)) : EINVAL;
}

int darwinMutexUnlock(DarwinMutex *mutex) {
  pthread_mutex_t *real = mutexOf(mutex);
  return real ? darwinErrorOf(pthread_mutex_unlock(real)) : EINVAL;
}

/* ---- conditions -------------------------------------------------------------------------------------------------- */

static pthread_cond_t *newCondition(void) {
  pthread_cond_t *condition = malloc(sizeof *condition);
  if (condition) pthread_cond_init(condition, NULL);
  return condition;
}

/* NULL for one that was not initialised. A static one gets its condition at its first use, from whichever thread. */
static pthread_cond_t *conditionOf(DarwinCondition *condition) {
  long signature = atomic_load_explicit(&condition->signature, memory_order_acquire);
  if (signature == ConditionReady) return atomic_load(&condition->condition);
  if (signature != ConditionStatic) return NULL;
  pthread_cond_t *existing = atomic_load(&condition->condition);
  if (existing) return existing;
  pthread_cond_t *made = newCondition();
  if (atomic_compare_exchange_strong(&condition->condition, &existing, made)) return made;
  free(made);
  return existing;
}

int darwinConditionInit(DarwinCondition *condition, const void *attributes) {
  if (attributes) return darwinErrorOf(ENOTSUP);
  memset((void *)condition, 0xA5, sizeof *condition);
  pthread_cond_t *made = newCondition();
  if (!made) return ENOMEM;
  atomic_store(&condition->condition, made);
  atomic_store_explicit(&condition->signature, ConditionReady, memory_order_release);
  return 0;
}

int darwinConditionDestroy(DarwinCondition *condition) {
  pthread_cond_t *real = conditionOf(condition);
  if (!real) return EINVAL;
  int error = pthread_cond_destroy(real);
  if (error != 0) return darwinErrorOf(error);
  atomic_store(&condition->signature, 0);
  free(real);
  return 0;
}

int darwinConditionWait(DarwinCondition *condition, DarwinMutex *mutex) {
  pthread_cond_t *real = conditionOf(condition);
  pthread_mutex_t *held = mutexOf(mutex);
  return real && held ? darwinErrorOf(pthread_cond_wait(real, held)) : EINVAL;
}

int darwinConditionTimedWait(DarwinCondition *condition, DarwinMutex *mutex, const struct timespec *until) {
  pthread_cond_t *real = conditionOf(condition);
  pthread_mutex_t *held = mutexOf(mutex);
  return real && held ? darwinErrorOf(pthread_cond_timedwait(real, held, until)) : EINVAL;
}

int darwinConditionSignal(DarwinCondition *condition) {
  pthread_cond_t *real = conditionOf(condition);
  return real ? darwinErrorOf(pthread_cond_signal(real)) : EINVAL;
}

int darwinConditionBroadcast(DarwinCondition *condition) {
  pthread_cond_t *real = conditionOf(condition);
  return real ? darwinErrorOf(pthread_cond_broadcast(real)) : EINVAL;
}

/* ---- once, threads, keys ----------------------------------------------------------------------------------------- */

int darwinOnce(DarwinOnce *once, void (*initialise)(void)) {
  enum { Untouched, Running, Done };
  if (atomic_load(&once->signature) != OnceStatic) return EINVAL;
  int state = Untouched;
  if (atomic_compare_exchange_strong(&once->state, &state, Running)) {
    initialise();
    atomic_store_explicit(&once->state, Done, memory_order_release);
  }
  while (atomic_load_explicit(&once->state, memory_order_acquire) != Done) sched_yield();
  return 0;
}

int darwinThreadCreate(pthread_t *thread, const void *attributes, void *(*body)(void *), void *argument) {
  if (attributes) return darwinErrorOf(ENOTSUP);
  return darwinErrorOf(pthread_create(thread, NULL, body, argument));
}

int darwinKeyCreate(unsigned long *key, void (*destroy)(void *)) {
  pthread_key_t made = 0;
  int error = pthread_key_create(&made, destroy);
  *key = made + 1ul; // a key of 0 would hide that one was never made
  return darwinErrorOf(error);
}

int darwinKeyDelete(unsigned long key) {
  return darwinErrorOf(pthread_key_delete((pthread_key_t)(key - 1)));
}

void *darwinKeyGet(unsigned long key) {
  return pthread_getspecific((pthread_key_t)(key - 1));
}

int darwinKeySet(unsigned long key, const void *value) {
  return darwinErrorOf(pthread_setspecific((pthread_key_t)(key - 1), value));
}

/* ---- quality of service, unfair locks ---------------------------------------------------------------------------- */

static _Thread_local unsigned int qualityOfService = 0x15; // QOS_CLASS_DEFAULT

int darwinSetQualityOfService(unsigned int class, int relativePriority) {
  // From <sys/qos.h>: background, utility, default, user-initiated, user-interactive; priorities are 0 to -15.
  const unsigned int classes[] = {0x09, 0x11, 0x15, 0x19, 0x21};
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
    if (classes[i] != class || relativePriority > 0 || relativePriority < -15) continue;
    qualityOfService = class;
    return 0;
  }
  return EINVAL;
}

unsigned int darwinQualityOfService(void) {
  return qualityOfService;
}

_Bool darwinUnfairTryLock(_Atomic uint32_t *lock) {
  uint32_t free_ = 0;
  return atomic_compare_exchange_strong_explicit(lock, &free_, 1, memory_order_acquire, memory_order_relaxed);
}

void darwinUnfairLock(_Atomic uint32_t *lock) {
  while (!darwinUnfairTryLock(lock)) sched_yield();
}

void darwinUnfairUnlock(_Atomic uint32_t *lock) {
  if (atomic_exchange_explicit(lock, 0, memory_order_release) == 1) return;
  fprintf(stderr, "An os_unfair_lock was unlocked that nobody held\n");
  abort(); // as Darwin does
}
