#import <Foundation/NSAutoreleasePool.h>

#import <Foundation/NSCounting.h>
#import <Foundation/NSException.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/** What a thread has autoreleased and not yet released, oldest first, and its pools, which are marks in that stack. */
typedef struct PoolStack {
  id *entries;
  NSUInteger count;
  NSUInteger capacity;
  NSAutoreleasePool *innermost; /* not retained */
  bool registered;              /* endOfThread will be called */
} PoolStack;

static _Thread_local PoolStack stack;
static pthread_key_t threadKey;
static pthread_once_t threadKeyOnce = PTHREAD_ONCE_INIT;

static void releaseDownTo(NSUInteger mark) {
  // What a dealloc autoreleases lands on top and goes in the same loop.
  while (stack.count > mark) [stack.entries[--stack.count] release];
}

/** The objects that had no pool are released here, at the end of their thread, as Apple does. */
static void endOfThread(void *unused) {
  (void)unused;
  while (stack.innermost != nil) [stack.innermost drain];
  releaseDownTo(0);
  free(stack.entries);
  stack = (PoolStack){0};
}

static void makeThreadKey(void) {
  pthread_key_create(&threadKey, endOfThread);
}

static void push(id object) {
  if (stack.count == stack.capacity) {
    if (!stack.registered) {
      pthread_once(&threadKeyOnce, makeThreadKey);
      pthread_setspecific(threadKey, &stack);
      stack.registered = true;
    }
    NSUInteger capacity = stack.capacity ? stack.capacity * 2 : 64;
    id *entries = realloc(stack.entries, capacity * sizeof(id));
    if (!entries) [NSException raise:NSMallocException format:@"cannot grow an autorelease pool to %lu objects", capacity];
    stack.entries = entries;
    stack.capacity = capacity;
  }
  stack.entries[stack.count++] = object;
}

@implementation NSAutoreleasePool

+ (void)addObject:(id)object {
  if (stack.innermost == nil) NSCountObjectWithoutPool();
  push(object);
}

- (instancetype)init {
  _mark = stack.count;
  _outer = stack.innermost;
  stack.innermost = self;
  return self;
}

- (void)addObject:(id)object {
  [NSAutoreleasePool addObject:object];
}

- (void)drain {
  [self release];
}

- (instancetype)retain {
  [NSException raise:NSInvalidArgumentException format:@"an NSAutoreleasePool cannot be retained"];
  return self;
}

- (instancetype)autorelease {
  [NSException raise:NSInvalidArgumentException format:@"an NSAutoreleasePool cannot be autoreleased"];
  return self;
}

- (oneway void)release {
  NSAutoreleasePool *candidate = stack.innermost;
  while (candidate != nil && candidate != self) candidate = candidate->_outer;
  if (candidate == nil) {
    // Its objects are in another thread's stack. That thread drains it with its next outer pool, or when it ends.
    fprintf(stderr, "NSAutoreleasePool %p was not drained: another thread made it\n", (void *)self);
    return;
  }
  [super release];
}

- (void)dealloc {
  while (stack.innermost != self) [stack.innermost release];
  releaseDownTo(_mark);
  stack.innermost = _outer;
  [super dealloc];
}

@end
