/*
 * Pools, one stack per thread; `@autoreleasepool` makes and drains one. An object that is autoreleased while its thread
 * has no pool is counted (NSObjectsWithoutPool) and, as on Apple, kept until the thread ends.
 */
#ifndef FOUNDATION_NSAUTORELEASEPOOL_H
#define FOUNDATION_NSAUTORELEASEPOOL_H

#import <Foundation/NSObject.h>

@interface NSAutoreleasePool : NSObject {
  NSUInteger _mark;          /* entries of the thread's stack below this pool */
  NSAutoreleasePool *_outer; /* not retained */
}
+ (void)addObject:(id)object;
- (void)addObject:(id)object;
/** Releases what was autoreleased since the pool was made, newest first, and the pool. Inner pools that an exception
 *  left behind are drained too. Call it on the thread that made the pool. */
- (void)drain;
@end

#endif
