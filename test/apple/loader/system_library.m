/* system_library.m: libSystem, as far as the bridge and what its compiler emits use it. */
#import <Foundation/Foundation.h>

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

#include <Block.h>

#include "darwin_errno.h"
#include "darwin_files.h"
#include "darwin_threads.h"
#include "library.h"
#include "loaded.h"
#include "thread_local.h"
#include "variadic.h"

/* The classes that block literals name. */
extern void *_NSConcreteStackBlock[], *_NSConcreteGlobalBlock[];

/* Of the Metal layer, where it has them. */
extern char dispatch_data_create[] __attribute__((weak)), dispatch_data_create_map[] __attribute__((weak)),
    dispatch_data_get_size[] __attribute__((weak)), _dispatch_data_destructor_free[] __attribute__((weak));

static void retainObject(id object) {
  [object retain];
}

static void releaseObject(id object) {
  [object release];
}

static uint64_t stackGuard = 0x2B00B1E5ED00D1E5;

static void stackCheckFailed(void) {
  fprintf(stderr, "A function of the image wrote over the end of its stack frame\n");
  abort();
}

/* This process's: the tests make mappings of it. */
static int pageSize(void) {
  return getpagesize();
}

/* `sysctlbyname`, for the build of the system; there is nothing else here. */
static int systemText(const char *name, char *out, size_t *length, const void *newValue, size_t newLength) {
  (void)newLength;
  static const char build[] = "22A380"; // of macOS 13.0
  if (strcmp(name, "kern.osversion") != 0 || newValue) {
    *darwinErrno() = 2; // ENOENT
    return -1;
  }
  if (out && *length < sizeof build) {
    *darwinErrno() = 12; // ENOMEM
    return -1;
  }
  if (out) memcpy(out, build, sizeof build);
  *length = sizeof build;
  return 0;
}

static void clearBytes(void *bytes, size_t size) {
  memset(bytes, 0, size);
}

static void fillPattern4(void *bytes, const void *pattern, size_t size) {
  for (size_t i = 0; i < size; i++) ((uint8_t *)bytes)[i] = ((const uint8_t *)pattern)[i % 4];
}

static void fillPattern8(void *bytes, const void *pattern, size_t size) {
  for (size_t i = 0; i < size; i++) ((uint8_t *)bytes)[i] = ((const uint8_t *)pattern)[i % 8];
}

static void fillPattern16(void *bytes, const void *pattern, size_t size) {
  for (size_t i = 0; i < size; i++) ((uint8_t *)bytes)[i] = ((const uint8_t *)pattern)[i % 16];
}

/* glibc has it from 2.38 only. */
static size_t copyText(char *out, const char *text, size_t capacity) {
  size_t length = strlen(text);
  if (capacity > 0) {
    size_t copied = length < capacity ? length : capacity - 1;
    memcpy(out, text, copied);
    out[copied] = 0;
  }
  return length;
}

static const Symbol symbols[] = {
    /* what compiled code calls by itself */
    STAND_IN(__stack_chk_fail, stackCheckFailed),
    {"___stack_chk_guard", &stackGuard},
    STAND_IN(_tlv_bootstrap, loaderThreadLocalUnprepared),
    SAME(_Unwind_Resume),
    {"__NSConcreteStackBlock", _NSConcreteStackBlock},
    {"__NSConcreteGlobalBlock", _NSConcreteGlobalBlock},
    SAME(_Block_copy),
    SAME(_Block_release),
    SAME(_Block_object_assign),
    SAME(_Block_object_dispose),
    SAME(memcpy),
    SAME(memmove),
    SAME(memset),
    SAME(memcmp),
    SAME(memchr),
    STAND_IN(bzero, clearBytes),
    STAND_IN(__bzero, clearBytes),
    STAND_IN(memset_pattern4, fillPattern4),
    STAND_IN(memset_pattern8, fillPattern8),
    STAND_IN(memset_pattern16, fillPattern16),

    /* memory and text */
    SAME(malloc),
    SAME(calloc),
    SAME(realloc),
    SAME(free),
    SAME(posix_memalign),
    SAME(abort),
    SAME(qsort),
    SAME(bsearch),
    SAME(getenv),
    SAME(strlen),
    SAME(strnlen),
    SAME(strcmp),
    SAME(strncmp),
    SAME(strcspn),
    SAME(strspn),
    SAME(strchr),
    SAME(strrchr),
    SAME(strstr),
    SAME(strdup),
    SAME(strndup),
    STAND_IN(strlcpy, copyText),
    SAME(strtol),
    SAME(strtoul),
    SAME(strtoull),
    SAME(strtod),
    SAME(atoi),
    STAND_IN(strerror, darwinErrorText),
    STAND_IN(strerror_r, darwinErrorTextInto),
    STAND_IN(__error, darwinErrno),
    STAND_IN(snprintf, variadicPrint),
    STAND_IN(vsnprintf, variadicPrintList),
    SAME(puts),

    /* numbers */
    SAME(floor),
    SAME(fmod),
    SAME(fmodf),
    SAME(fabs),
    SAME(round),
    SAME(ceil),
    SAME(trunc),
    SAME(fmin),
    SAME(fmax),
    SAME(exp),
    SAME(expf),
    SAME(log),
    SAME(logf),
    SAME(pow),
    SAME(powf),
    SAME(sqrt),
    SAME(cos),
    SAME(sin),
    SAME(cosf),
    SAME(sinf),
    SAME(ldexp),

    /* files and mappings */
    STAND_IN(open, variadicOpen),
    STAND_IN(close, darwinClose),
    STAND_IN(read, darwinRead),
    STAND_IN(pread, darwinReadAt),
    STAND_IN(write, darwinWrite),
    STAND_IN(stat$INODE64, darwinStat),
    STAND_IN(fstat$INODE64, darwinFileStat),
    STAND_IN(lstat$INODE64, darwinLinkStat),
    STAND_IN(mkdir, darwinMakeDirectory),
    STAND_IN(rename, darwinRename),
    STAND_IN(unlink, darwinUnlink),
    STAND_IN(access, darwinAccess),
    STAND_IN(mmap, darwinMap),
    STAND_IN(munmap, darwinUnmap),
    STAND_IN(madvise, darwinAdvise),
    STAND_IN(getpagesize, pageSize),
    SAME(getpid),
    SAME(nanosleep),
    SAME(usleep),

    /* threads */
    SAME(sched_yield),
    STAND_IN(pthread_mutex_init, darwinMutexInit),
    STAND_IN(pthread_mutex_destroy, darwinMutexDestroy),
    STAND_IN(pthread_mutex_lock, darwinMutexLock),
    STAND_IN(pthread_mutex_trylock, darwinMutexTryLock),
    STAND_IN(pthread_mutex_unlock, darwinMutexUnlock),
    STAND_IN(pthread_cond_init, darwinConditionInit),
    STAND_IN(pthread_cond_destroy, darwinConditionDestroy),
    STAND_IN(pthread_cond_wait, darwinConditionWait),
    STAND_IN(pthread_cond_timedwait, darwinConditionTimedWait),
    STAND_IN(pthread_cond_signal, darwinConditionSignal),
    STAND_IN(pthread_cond_broadcast, darwinConditionBroadcast),
    STAND_IN(pthread_once, darwinOnce),
    STAND_IN(pthread_create, darwinThreadCreate),
    SAME(pthread_join),
    SAME(pthread_detach),
    SAME(pthread_self),
    STAND_IN(pthread_key_create, darwinKeyCreate),
    STAND_IN(pthread_key_delete, darwinKeyDelete),
    STAND_IN(pthread_getspecific, darwinKeyGet),
    STAND_IN(pthread_setspecific, darwinKeySet),
    STAND_IN(pthread_set_qos_class_self_np, darwinSetQualityOfService),
    STAND_IN(qos_class_self, darwinQualityOfService),
    STAND_IN(os_unfair_lock_lock, darwinUnfairLock),
    STAND_IN(os_unfair_lock_trylock, darwinUnfairTryLock),
    STAND_IN(os_unfair_lock_unlock, darwinUnfairUnlock),

    /* data from memory, whose objects are those of the Metal layer */
    {"_dispatch_data_create", (void *)dispatch_data_create},
    {"_dispatch_data_create_map", (void *)dispatch_data_create_map},
    {"_dispatch_data_get_size", (void *)dispatch_data_get_size},
    {"__dispatch_data_destructor_free", (void *)_dispatch_data_destructor_free},
    STAND_IN(dispatch_retain, retainObject),
    STAND_IN(dispatch_release, releaseObject),

    /* images */
    STAND_IN(dlsym, loadedSymbol),
    STAND_IN(dladdr, loadedAddress),
    STAND_IN(getsectiondata, loadedSection),
    STAND_IN(sysctlbyname, systemText),
    {NULL, NULL},
};

/* On x86_64 macOS, which is older than 64-bit inodes, these names mean functions with another structure. */
static const Symbol youngerSymbols[] = {
    STAND_IN(stat, darwinStat),
    STAND_IN(fstat, darwinFileStat),
    STAND_IN(lstat, darwinLinkStat),
    {NULL, NULL},
};

const Library systemLibrary = {"/usr/lib/libSystem.B.dylib", 1 << 16, symbols, NULL, youngerSymbols};
