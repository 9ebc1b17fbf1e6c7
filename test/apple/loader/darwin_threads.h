/*
 * darwin_threads.h: POSIX threads with Darwin's structures. A mutex, a condition and a once begin with a signature that
 * says whether they were initialised; without it they are refused with EINVAL, as on Darwin.
 */
#ifndef LOADER_DARWIN_THREADS_H
#define LOADER_DARWIN_THREADS_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

typedef struct DarwinMutex {
  _Atomic long signature;
  pthread_mutex_t mutex; /* all zero is Linux's PTHREAD_MUTEX_INITIALIZER */
  char rest[56 - sizeof(pthread_mutex_t)];
} DarwinMutex;

typedef struct DarwinCondition {
  _Atomic long signature;
  pthread_cond_t *_Atomic condition; /* Linux's is larger than the room there is */
  char rest[32];
} DarwinCondition;

typedef struct DarwinOnce {
  _Atomic long signature;
  _Atomic int state;
  int rest;
} DarwinOnce;

int darwinMutexInit(DarwinMutex *mutex, const void *attributes);
int darwinMutexDestroy(DarwinMutex *mutex);
int darwinMutexLock(DarwinMutex *mutex);
int darwinMutexTryLock(DarwinMutex *mutex);
int darwinMutexUnlock(DarwinMutex *mutex);

int darwinConditionInit(DarwinCondition *condition, const void *attributes);
int darwinConditionDestroy(DarwinCondition *condition);
int darwinConditionWait(DarwinCondition *condition, DarwinMutex *mutex);
int darwinConditionTimedWait(DarwinCondition *condition, DarwinMutex *mutex, const struct timespec *until);
int darwinConditionSignal(DarwinCondition *condition);
int darwinConditionBroadcast(DarwinCondition *condition);

int darwinOnce(DarwinOnce *once, void (*initialise)(void));

int darwinThreadCreate(pthread_t *thread, const void *attributes, void *(*body)(void *), void *argument);

/** Darwin's keys are unsigned long. */
int darwinKeyCreate(unsigned long *key, void (*destroy)(void *));
int darwinKeyDelete(unsigned long key);
void *darwinKeyGet(unsigned long key);
int darwinKeySet(unsigned long key, const void *value);

/** `pthread_set_qos_class_self_np` and `qos_class_self`: the class is recorded for the thread, nothing else. */
int darwinSetQualityOfService(unsigned int class, int relativePriority);
unsigned int darwinQualityOfService(void);

/** `os_unfair_lock_lock`, `_trylock`, `_unlock`. */
void darwinUnfairLock(_Atomic uint32_t *lock);
_Bool darwinUnfairTryLock(_Atomic uint32_t *lock);
void darwinUnfairUnlock(_Atomic uint32_t *lock);

#endif
