/* MTLResidencySet: what it has now, and what the last commit made resident. */
#import "Indirect.h"

#include <stdlib.h>

static atomic_ulong commits;

static void endSet(Lifetime *lifetime) {
  (void)lifetime; // the object holds everything: command buffers look at it while they are encoded, not later
}

@implementation LinuxResidencySet

- (id)initWithDevice:(LinuxDevice *)device descriptor:(MTLResidencySetDescriptor *)descriptor {
  self = [super init];
  if (!self) return nil;
  lifetime = MTLNewLifetime(sizeof *lifetime, "residency set", endSet);
  if (!lifetime) {
    [self release];
    return nil;
  }
  owner = device;
  _label = [[descriptor label] copy];
  members = [[NSMutableArray alloc] init];
  pthread_mutex_init(&lock, NULL);
  return self;
}

- (void)dealloc {
  if (lifetime) pthread_mutex_destroy(&lock);
  [members release];
  [committed release];
  free(resident);
  [super dealloc];
}

- (id<MTLDevice>)device {
  return owner;
}

- (uint64_t)allocatedSize {
  uint64_t bytes = 0;
  for (NSUInteger i = 0; i < [committed count]; i++) bytes += [[committed objectAtIndex:i] allocatedSize];
  return bytes;
}

- (NSArray<id<MTLAllocation>> *)allAllocations {
  return [NSArray arrayWithArray:members];
}

- (NSUInteger)allocationCount {
  return [members count];
}

- (BOOL)containsAllocation:(id<MTLAllocation>)allocation {
  return [members containsObject:allocation];
}

- (void)addAllocation:(id<MTLAllocation>)allocation {
  if (!allocation) MTLBreakRule(@"MTLResidencySet", @"the allocation is nil");
  if ([(id<MTLResource>)allocation device] != owner)
    MTLBreakRule(@"MTLDeviceMismatch", @"the allocation is of another device");
  if (![members containsObject:allocation]) [members addObject:allocation];
}

- (void)addAllocations:(const id<MTLAllocation>[])allocations count:(NSUInteger)count {
  for (NSUInteger i = 0; i < count; i++) [self addAllocation:allocations[i]];
}

- (void)removeAllocation:(id<MTLAllocation>)allocation {
  if (!allocation) MTLBreakRule(@"MTLResidencySet", @"the allocation is nil");
  [members removeObject:allocation];
}

- (void)removeAllocations:(const id<MTLAllocation>[])allocations count:(NSUInteger)count {
  for (NSUInteger i = 0; i < count; i++) [self removeAllocation:allocations[i]];
}

- (void)removeAllAllocations {
  [members removeAllObjects];
}

- (void)commit {
  NSUInteger count = [members count];
  Lifetime **sorted = malloc((count ? count : 1) * sizeof *sorted);
  if (!sorted) [NSException raise:NSMallocException format:@"no memory to commit %lu allocations", count];
  for (NSUInteger i = 0; i < count; i++) sorted[i] = ((LinuxTracked *)[members objectAtIndex:i])->lifetime;
  MTLSortLifetimes(sorted, count);
  NSArray *now = [[NSArray alloc] initWithArray:members], *before = committed;
  pthread_mutex_lock(&lock);
  Lifetime **old = resident;
  committed = now;
  resident = sorted;
  residentCount = count;
  serial = atomic_fetch_add(&commits, 1) + 1;
  pthread_mutex_unlock(&lock);
  free(old);
  [before release];
}

/* Memory of the CPU is resident whenever it is used. */
- (void)requestResidency {
}

- (void)endResidency {
}

@end
