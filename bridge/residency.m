#import "residency.h"

#import "buffer.h"
#import "device.h"

/* What the oldest system lacks is guarded by respondsToSelector: or a weak symbol: @available needs compiler-rt's
 * Darwin part, which a cross build does not have. */
#pragma clang diagnostic ignored "-Wunguarded-availability-new"

@implementation BunMetalResidency

/* Takes over the caller's reference to `aSet`. */
- (id)initWithSet:(id<MTLResidencySet>)aSet {
  self = [super init];
  if (!self) {
    [aSet release];
    return nil;
  }
  set = aSet;
  pthread_mutex_init(&lock, NULL);
  return self;
}

- (void)dealloc {
  if (set) {
    [set endResidency];
    pthread_mutex_destroy(&lock);
  }
  [set release];
  [super dealloc];
}

@end

BunMetalResidency *bridgeResidencyNew(id<MTLDevice> device) {
  // The policy has seen that the system knows sets; the class comes with them.
  MTLResidencySetDescriptor *descriptor = [[NSClassFromString(@"MTLResidencySetDescriptor") alloc] init];
  [descriptor setLabel:@"buffers of programs"];
  id<MTLResidencySet> set = descriptor ? [device newResidencySetWithDescriptor:descriptor error:NULL] : nil;
  [descriptor release];
  [set commit]; // whatever a set makes when it first has to, it makes now
  return set ? [[BunMetalResidency alloc] initWithSet:set] : nil;
}

/* The buffer, where the object is one of the device's. A buffer that another opening of the same device made is counted
 * there. */
static BunMetalBuffer *ownBuffer(const BunMetalDevice *device, id object) {
  if (![object isKindOfClass:[BunMetalBuffer class]]) return nil;
  BunMetalBuffer *buffer = object;
  return buffer->device == device ? buffer : nil;
}

/* Changes the counts of the device's buffers among `objects` by `step`. */
static void countUses(BunMetalDevice *device, NSArray *objects, int step) {
  for (NSUInteger i = 0; i < [objects count]; i++) {
    BunMetalBuffer *buffer = ownBuffer(device, [objects objectAtIndex:i]);
    if (buffer) buffer->programUses += (uint32_t)step;
  }
}

/* Puts into the set what is used and not there, and takes out what is there and not used. */
static bool updateSet(BunMetalDevice *device, NSArray *objects) {
  id<MTLResidencySet> set = device->residency->set;
  bool hasChanged = false;
  for (NSUInteger i = 0; i < [objects count]; i++) {
    BunMetalBuffer *buffer = ownBuffer(device, [objects objectAtIndex:i]);
    if (!buffer || buffer->isInSet == (buffer->programUses > 0)) continue;
    if (buffer->isInSet)
      [set removeAllocation:buffer->metal];
    else
      [set addAllocation:buffer->metal];
    buffer->isInSet = !buffer->isInSet;
    hasChanged = true;
  }
  if (hasChanged) [set commit];
  return hasChanged;
}

void bridgeResidencyEnter(BunMetalDevice *device, NSArray *objects) {
  BunMetalResidency *residency = device->residency;
  if (!residency) return;
  pthread_mutex_lock(&residency->lock);
  @try {
    countUses(device, objects, 1);
    if (updateSet(device, objects)) [residency->set requestResidency]; // now, rather than with the first submission
  } @finally {
    pthread_mutex_unlock(&residency->lock);
  }
}

void bridgeResidencyLeave(BunMetalDevice *device, NSArray *objects) {
  BunMetalResidency *residency = device->residency;
  if (!residency) return;
  pthread_mutex_lock(&residency->lock);
  @try {
    countUses(device, objects, -1);
    updateSet(device, objects);
  } @catch (...) {
    // The program goes, whatever the set says.
  }
  pthread_mutex_unlock(&residency->lock);
}
