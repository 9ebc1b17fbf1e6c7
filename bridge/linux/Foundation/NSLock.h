#ifndef FOUNDATION_NSLOCK_H
#define FOUNDATION_NSLOCK_H

#import <Foundation/NSObject.h>
#include <pthread.h>

@protocol NSLocking
- (void)lock;
- (void)unlock;
@end

/** A plain mutex: not recursive; unlock on the thread that locked. */
@interface NSLock : NSObject <NSLocking> {
  pthread_mutex_t _mutex;
}
- (BOOL)tryLock;
@end

#endif
