/* Threads. Objects are opaque: a signature word that says what they are, then space of Darwin's size. */
#ifndef APPLE_PTHREAD_H
#define APPLE_PTHREAD_H

#include <sched.h>
#include <sys/types.h>

typedef struct _opaque_pthread_t *pthread_t;

typedef struct {
  long signature;
  char opaque[56];
} pthread_mutex_t, pthread_attr_t;

typedef struct {
  long signature;
  char opaque[8];
} pthread_mutexattr_t, pthread_condattr_t;

typedef struct {
  long signature;
  char opaque[40];
} pthread_cond_t;

#define PTHREAD_MUTEX_INITIALIZER {0x32AAABA7, {0}}

extern int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);
extern int pthread_join(pthread_t thread, void **result);

extern int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
extern int pthread_mutex_destroy(pthread_mutex_t *mutex);
extern int pthread_mutex_lock(pthread_mutex_t *mutex);
extern int pthread_mutex_unlock(pthread_mutex_t *mutex);

extern int pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);
extern int pthread_cond_destroy(pthread_cond_t *condition);
extern int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
extern int pthread_cond_broadcast(pthread_cond_t *condition);

#endif
