/* Blocks: on the stack, global, copied, with captured objects and shared variables. */
#include "case.h"

#include <Block.h>
#include <pthread.h>
#include <string.h>

typedef long (^Sum)(long);

CASE(blocksCaptureAndCopy) {
  __block long total = 0;
  long factor = 3;
  NSString *name = [[NSString alloc] initWithUTF8String:"captured"];
  Sum onStack = ^(long value) {
    total += value * factor;
    return total + (long)[name length];
  };
  EXPECT(onStack(1) == 3 + 8);
  Sum copied = Block_copy(onStack);
  [name release];
  EXPECT(copied(1) == 6 + 8 && total == 6);
  Sum again = [copied retain];
  Block_release(copied);
  EXPECT(again(1) == 9 + 8 && total == 9);
  [again release];
  return NULL;
}

CASE(globalBlocksNeedNoCopy) {
  Sum plain = ^(long value) {
    return value * 2;
  };
  Sum copied = Block_copy(plain);
  EXPECT(copied == plain && copied(21) == 42);
  Block_release(copied);
  return NULL;
}

static void *callBlock(void *block) {
  ((void (^)(void))block)();
  return NULL;
}

CASE(blocksRunOnOtherThreads) {
  __block int runs = 0;
  pthread_t thread;
  void (^block)(void) = Block_copy(^{
    runs = runs + 41;
  });
  EXPECT(pthread_create(&thread, NULL, callBlock, block) == 0 && pthread_join(thread, NULL) == 0);
  Block_release(block);
  EXPECT(runs == 41);
  return NULL;
}
