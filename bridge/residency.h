/*
 * residency.h: the memory of programs stays resident while the programs live.
 *
 * A device that has residency sets keeps one, which all its queues use. The buffers of a program join it when the program
 * is made and leave it when the last program that uses them goes: never while they are in use, as a submission keeps its
 * program. It is about speed alone. What encoders use is declared to them all the same, since Metal orders work by that.
 */
#ifndef BRIDGE_RESIDENCY_H
#define BRIDGE_RESIDENCY_H

#import <Metal/Metal.h>
#include <pthread.h>

@class BunMetalDevice;

@interface BunMetalResidency : NSObject {
 @public
  id set; /* an MTLResidencySet: a type that headers for older systems cannot name */
  pthread_mutex_t lock; /* over the set, which is for one thread at a time, and the counts in buffers */
}
@end

/** nil where the device makes no set. +1. */
BunMetalResidency *bridgeResidencyNew(id<MTLDevice> device);

/** Counts one more program for each buffer among `objects` that `device` made; those that are new join the set. */
void bridgeResidencyEnter(BunMetalDevice *device, NSArray *objects);

/** Counts one less; those that no program uses any more leave the set, before this returns. */
void bridgeResidencyLeave(BunMetalDevice *device, NSArray *objects);

#endif
