/*
 * check.h: what the native tests assert with. A test program runs every case in a pool of its own, prints a line for
 * each that fails, and exits with 1 if any did.
 */
#ifndef TEST_NATIVE_CHECK_H
#define TEST_NATIVE_CHECK_H

#import <Foundation/Foundation.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checkFailures;

#define CHECK(condition)                                                          \
  do {                                                                            \
    if (!(condition)) {                                                           \
      checkFailures++;                                                            \
      printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);              \
    }                                                                             \
  } while (0)

#define CHECK_NUMBER(actual, expected)                                            \
  do {                                                                            \
    double checkActual = (double)(actual), checkExpected = (double)(expected);    \
    if (checkActual != checkExpected) {                                           \
      checkFailures++;                                                            \
      printf("%s:%d: %s is %.17g, not %.17g\n", __FILE__, __LINE__, #actual, checkActual, checkExpected); \
    }                                                                             \
  } while (0)

#define CHECK_TEXT(actual, expected)                                              \
  do {                                                                            \
    const char *checkActual = (actual);                                           \
    if (!checkActual || strcmp(checkActual, (expected)) != 0) {                   \
      checkFailures++;                                                            \
      printf("%s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #actual, checkActual ? checkActual : "(null)", \
             (expected));                                                         \
    }                                                                             \
  } while (0)

/* The statement must raise an exception of that name, with a reason. */
#define CHECK_RAISES(exceptionName, ...)                                          \
  do {                                                                            \
    const char *checkRaised = "nothing";                                          \
    @try {                                                                        \
      __VA_ARGS__;                                                                \
    }                                                                             \
    @catch (NSException * checkException) {                                       \
      checkRaised = [[checkException name] UTF8String];                           \
      CHECK([[checkException reason] length] > 0);                                \
    }                                                                             \
    CHECK_TEXT(checkRaised, exceptionName);                                       \
  } while (0)

/* The case must leave as many live objects, and as many without a pool, as it found. */
static inline void runCase(const char *name, void (*body)(void)) {
  double objects = NSLiveObjectCount(), withoutPool = NSObjectsWithoutPool();
  int failures = checkFailures;
  @autoreleasepool {
    body();
  }
  if (NSLiveObjectCount() != objects) {
    static char lines[16384];
    NSDescribeLiveObjects(lines, sizeof lines);
    checkFailures++;
    printf("%s: %g objects more than before. Live:\n%s", name, NSLiveObjectCount() - objects, lines);
  }
  CHECK_NUMBER(NSObjectsWithoutPool() - withoutPool, 0);
  printf("%s %s\n", checkFailures == failures ? "ok  " : "FAIL", name);
}

#define RUN_CASE(body) runCase(#body, body)

static inline int finishCases(void) {
  if (checkFailures > 0) printf("%d checks failed\n", checkFailures);
  return checkFailures > 0 ? 1 : 0;
}

#endif
