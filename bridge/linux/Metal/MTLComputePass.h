#ifndef METAL_MTLCOMPUTEPASS_H
#define METAL_MTLCOMPUTEPASS_H

#import <Metal/MTLCommandBuffer.h>

@interface MTLComputePassDescriptor : NSObject <NSCopying> {
  MTLDispatchType _dispatchType;
}
/** +0. */
+ (MTLComputePassDescriptor *)computePassDescriptor;
@property (nonatomic) MTLDispatchType dispatchType;
@end

#endif
