#ifndef BUN_METAL_LINUX_LINUXCOMPUTEPIPELINESTATE_H
#define BUN_METAL_LINUX_LINUXCOMPUTEPIPELINESTATE_H

#import "LinuxLibrary.h"

/** A kernel that is ready to run, with its limits. Keeps its library loaded. Thread-safe. */
@interface LinuxComputePipelineState : NSObject <MTLComputePipelineState> {
@package
  LinuxDevice *_device;
  LinuxFunction *_function;
  NSString *_label;
  NSUInteger _maxTotalThreadsPerThreadgroup;
  BOOL _takesWholeSimdgroups;
  _Atomic uint64_t _lastUser; /* see LinuxCommandBuffer's useObject */
}
/** nil and an autoreleased error where the device cannot run the function. */
- (instancetype)initWithDevice:(LinuxDevice *)device
                    descriptor:(MTLComputePipelineDescriptor *)descriptor
                         error:(NSError **)error;
/** +0. */
- (MTLComputePipelineReflection *)reflection;
@end

#endif
