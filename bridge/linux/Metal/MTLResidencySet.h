#ifndef METAL_MTLRESIDENCYSET_H
#define METAL_MTLRESIDENCYSET_H

#import <Metal/MTLResource.h>

API_AVAILABLE(macos(15.0), ios(18.0)) @interface MTLResidencySetDescriptor : NSObject <NSCopying> {
  NSString *_label;
  NSUInteger _initialCapacity;
}
@property (nonatomic, copy) NSString *label;
@property (nonatomic) NSUInteger initialCapacity;
@end

/** Allocations that are made resident together. Adds and removes take effect at `commit`. One thread at a time. */
API_AVAILABLE(macos(15.0), ios(18.0)) @protocol MTLResidencySet <NSObject>
@property (readonly) id<MTLDevice> device;
@property (readonly) NSString *label;
/** Bytes of what the last commit made resident. */
@property (readonly) uint64_t allocatedSize;
/* What is in the set now, whether or not it was committed. */
@property (readonly, copy) NSArray<id<MTLAllocation>> *allAllocations;
@property (readonly) NSUInteger allocationCount;
- (BOOL)containsAllocation:(id<MTLAllocation>)anAllocation;
/* One that is there already is not added twice. */
- (void)addAllocation:(id<MTLAllocation>)allocation;
- (void)addAllocations:(const id<MTLAllocation>[])allocations count:(NSUInteger)count;
- (void)removeAllocation:(id<MTLAllocation>)allocation;
- (void)removeAllocations:(const id<MTLAllocation>[])allocations count:(NSUInteger)count;
- (void)removeAllAllocations;
- (void)commit;
/** Makes the allocations resident now rather than with the first command buffer. */
- (void)requestResidency;
- (void)endResidency;
@end

#endif
