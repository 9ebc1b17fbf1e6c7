/*
 * What this Foundation counts, and Apple's does not: live objects by class, and objects autoreleased with no pool in
 * place. The functions are absent on Apple: import them weakly and test their addresses. Any thread may call them;
 * counting takes no lock.
 */
#ifndef FOUNDATION_NSSTATISTICS_H
#define FOUNDATION_NSSTATISTICS_H

#include <stdint.h>

/** Instances of all classes, copied blocks included, that were made and not yet freed. */
extern double NSLiveObjectCount(void);

/** Objects ever autoreleased on a thread that had no pool; never falls. */
extern double NSObjectsWithoutPool(void);

/** Copies lines of `class count`, one for each class with live instances, sorted by name. Copies at most `capacity`
 *  bytes, always with a final NUL where capacity is not 0; returns the full length without it. */
extern uint32_t NSDescribeLiveObjects(char *out, uint32_t capacity);

#endif
