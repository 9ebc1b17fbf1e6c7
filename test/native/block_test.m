/* The block runtime: what copies retain, and blocks as objects. */
#include "check.h"

#include <Block.h>

static int deallocations;

@interface Captured : NSObject
@end
@implementation Captured
- (void)dealloc {
  deallocations++;
  [super dealloc];
}
@end

static void aCopyRetainsWhatItCaptures(void) {
  deallocations = 0;
  Captured *object = [Captured new];
  NSUInteger (^count)(void) = ^{ return [object retainCount]; };
  CHECK_NUMBER(count(), 1);
  NSUInteger (^copy)(void) = Block_copy(count);
  CHECK_NUMBER(copy(), 2);
  [object release];
  CHECK_NUMBER(copy(), 1);
  Block_release(copy);
  CHECK_NUMBER(deallocations, 1);
}

static void aCopyOfACopyIsTheSameBlock(void) {
  int value = 7;
  int (^copy)(void) = Block_copy(^{ return value; });
  CHECK((void *)Block_copy(copy) == (void *)copy);
  CHECK_NUMBER([(id)copy retainCount], 2);
  Block_release(copy);
  CHECK_NUMBER(copy(), 7);
  Block_release(copy);
}

static void blocksCanBeMessaged(void) {
  deallocations = 0;
  Captured *object = [Captured new];
  int value = 3;
  int (^onStack)(void) = ^{ return value + (object != nil); };
  CHECK((id)[(id)onStack retain] == (id)onStack);
  [(id)onStack release];
  int (^copy)(void) = [(id)onStack copy];
  CHECK((id)copy != (id)onStack);
  [(id)copy retain];
  [(id)copy release];
  CHECK_NUMBER(copy(), 4);
  NSArray *blocks = [NSArray arrayWithObject:(id)copy];
  [(id)copy release];
  [object release];
  CHECK_NUMBER(((int (^)(void))[blocks objectAtIndex:0])(), 4);
  CHECK_NUMBER(deallocations, 0);
  CHECK_TEXT([NSStringFromClass([(id)copy class]) UTF8String], "__NSMallocBlock__");
  [[(id)onStack copy] autorelease];
}

static int globalBlockResult(void) {
  int (^block)(void) = ^{ return 5; };
  CHECK((void *)Block_copy(block) == (void *)block);
  [(id)block retain];
  [(id)block release];
  [(id)block release];
  return block();
}

static void globalBlocksAreNeverFreed(void) {
  CHECK_NUMBER(globalBlockResult(), 5);
}

static void blocksCaptureBlocks(void) {
  deallocations = 0;
  Captured *object = [Captured new];
  int (^inner)(void) = ^{ return object != nil; };
  int (^outer)(void) = Block_copy(^{ return inner() + 1; });
  [object release];
  CHECK_NUMBER(deallocations, 0);
  CHECK_NUMBER(outer(), 2);
  Block_release(outer);
  CHECK_NUMBER(deallocations, 1);
}

static void blockVariablesAreShared(void) {
  __block int count = 0;
  void (^add)(void) = Block_copy(^{ count++; });
  void (^addTen)(void) = Block_copy(^{ count += 10; });
  add();
  addTen();
  CHECK_NUMBER(count, 11);
  Block_release(add);
  addTen();
  CHECK_NUMBER(count, 21);
  Block_release(addTen);
  count++;
  CHECK_NUMBER(count, 22);
}

static void blockVariablesDoNotRetain(void) {
  deallocations = 0;
  __block Captured *object = [Captured new];
  void (^drop)(void) = Block_copy(^{
    CHECK_NUMBER([object retainCount], 1);
    [object release];
    object = nil;
  });
  drop();
  CHECK(object == nil);
  CHECK_NUMBER(deallocations, 1);
  Block_release(drop);
}

int main(void) {
  RUN_CASE(aCopyRetainsWhatItCaptures);
  RUN_CASE(aCopyOfACopyIsTheSameBlock);
  RUN_CASE(blocksCanBeMessaged);
  RUN_CASE(globalBlocksAreNeverFreed);
  RUN_CASE(blocksCaptureBlocks);
  RUN_CASE(blockVariablesAreShared);
  RUN_CASE(blockVariablesDoNotRetain);
  return finishCases();
}
