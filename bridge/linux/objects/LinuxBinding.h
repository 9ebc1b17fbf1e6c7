#ifndef BUN_METAL_LINUX_LINUXBINDING_H
#define BUN_METAL_LINUX_LINUXBINDING_H

#import "LinuxLibrary.h"

/** One argument of a kernel; `type` tells which of the two protocols applies. Immutable. */
@interface LinuxBinding : NSObject <MTLBufferBinding, MTLThreadgroupBinding> {
  LinuxFunction *_function; /* owns what _argument points to */
  const DriverArgument *_argument;
}
- (instancetype)initWithFunction:(LinuxFunction *)function argument:(const DriverArgument *)argument;
@end

#endif
