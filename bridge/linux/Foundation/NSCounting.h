/*
 * How Foundation counts its objects. Internal; what others may read is in NSStatistics.h.
 */
#ifndef FOUNDATION_NSCOUNTING_H
#define FOUNDATION_NSCOUNTING_H

#import <Foundation/NSObjCRuntime.h>
#include <stdatomic.h>

/** Live instances of one class. A cache line of its own: threads that make objects of different classes stay apart. */
typedef struct ClassCounter {
  _Alignas(64) _Atomic(Class) cls;
  _Atomic int64_t live;
} ClassCounter;

/** The counter of a class, made on first use; valid for the life of the process. */
extern ClassCounter *NSCounterForClass(Class cls);

/** Notes one object that was autoreleased with no pool in place. */
extern void NSCountObjectWithoutPool(void);

#endif
