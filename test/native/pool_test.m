/* NSAutoreleasePool: nesting, order, exceptions, threads, and objects that have no pool. */
#include "check.h"

#include <pthread.h>

static char order[64];

@interface Named : NSObject {
@public
  char name;
  id toAutorelease; /* autoreleased by dealloc */
}
@end
@implementation Named
- (void)dealloc {
  size_t length = strlen(order);
  order[length] = name;
  order[length + 1] = 0;
  [toAutorelease autorelease];
  [super dealloc];
}
@end

static Named *named(char name) {
  Named *object = [Named new];
  object->name = name;
  return object;
}

static void nestedPoolsReleaseNewestFirst(void) {
  order[0] = 0;
  @autoreleasepool {
    [named('a') autorelease];
    @autoreleasepool {
      [named('b') autorelease];
      [named('c') autorelease];
    }
    CHECK_TEXT(order, "cb");
    [named('d') autorelease];
  }
  CHECK_TEXT(order, "cbda");
}

static void drainOfAnOuterPoolDrainsInnerOnes(void) {
  order[0] = 0;
  NSAutoreleasePool *outer = [NSAutoreleasePool new];
  [named('a') autorelease];
  NSAutoreleasePool *inner = [[NSAutoreleasePool alloc] init];
  [inner addObject:named('b')];
  [outer drain];
  CHECK_TEXT(order, "ba");
}

static void aDeallocThatAutoreleasesIsDrainedToo(void) {
  order[0] = 0;
  @autoreleasepool {
    Named *outer = named('a');
    outer->toAutorelease = named('b');
    [outer autorelease];
  }
  CHECK_TEXT(order, "ab");
}

static void anExceptionThroughAPoolLeavesItToTheOuterOne(void) {
  order[0] = 0;
  @autoreleasepool {
    @try {
      @autoreleasepool {
        [named('a') autorelease];
        [NSException raise:@"Thrown" format:@"in a pool"];
      }
    }
    @catch (NSException *exception) {
      CHECK_TEXT([[exception name] UTF8String], "Thrown");
    }
  }
  CHECK_TEXT(order, "a");
}

static void poolsCannotBeRetained(void) {
  NSAutoreleasePool *pool = [NSAutoreleasePool new];
  CHECK_RAISES("NSInvalidArgumentException", [pool retain]);
  CHECK_RAISES("NSInvalidArgumentException", [pool autorelease]);
  [pool drain];
}

static void manyObjectsInOnePool(void) {
  @autoreleasepool {
    for (int i = 0; i < 100000; i++) [[NSObject new] autorelease];
  }
}

static void *autoreleaseWithoutPool(void *alive) {
  double withoutPool = NSObjectsWithoutPool(), objects = NSLiveObjectCount();
  [named('x') autorelease];
  @autoreleasepool {
    [named('y') autorelease];
  }
  *(double *)alive = NSLiveObjectCount() - objects;
  CHECK_NUMBER(NSObjectsWithoutPool() - withoutPool, 1);
  return NULL;
}

static void testWithoutPool(void) {
  // On a thread of its own: what has no pool stays until the thread ends, and no longer.
  double objects = NSLiveObjectCount(), alive = 0;
  order[0] = 0;
  pthread_t thread;
  pthread_create(&thread, NULL, autoreleaseWithoutPool, &alive);
  pthread_join(thread, NULL);
  CHECK_NUMBER(alive, 1);
  CHECK_TEXT(order, "yx");
  CHECK_NUMBER(NSLiveObjectCount() - objects, 0);
}

static void *makePoolAndLeave(void *pool) {
  *(NSAutoreleasePool **)pool = [NSAutoreleasePool new];
  [named('z') autorelease];
  return NULL;
}

static void aThreadsEndDrainsThePoolsItForgot(void) {
  order[0] = 0;
  NSAutoreleasePool *pool;
  pthread_t thread;
  pthread_create(&thread, NULL, makePoolAndLeave, &pool);
  pthread_join(thread, NULL);
  CHECK_TEXT(order, "z");
}

static void *drainForeignPool(void *pool) {
  [(NSAutoreleasePool *)pool drain];
  return NULL;
}

static void drainOnAnotherThreadDoesNothing(void) {
  order[0] = 0;
  NSAutoreleasePool *pool = [NSAutoreleasePool new];
  [named('a') autorelease];
  pthread_t thread;
  pthread_create(&thread, NULL, drainForeignPool, pool);
  pthread_join(thread, NULL);
  CHECK_TEXT(order, "");
  [pool drain];
  CHECK_TEXT(order, "a");
}

int main(void) {
  RUN_CASE(nestedPoolsReleaseNewestFirst);
  RUN_CASE(drainOfAnOuterPoolDrainsInnerOnes);
  RUN_CASE(aDeallocThatAutoreleasesIsDrainedToo);
  RUN_CASE(anExceptionThroughAPoolLeavesItToTheOuterOne);
  RUN_CASE(poolsCannotBeRetained);
  RUN_CASE(manyObjectsInOnePool);
  RUN_CASE(aThreadsEndDrainsThePoolsItForgot);
  RUN_CASE(drainOnAnotherThreadDoesNothing);
  testWithoutPool();
  return finishCases();
}
