#ifndef BUN_METAL_LINUX_LINUXDEVICE_H
#define BUN_METAL_LINUX_LINUXDEVICE_H

#import <Metal/Metal.h>
#include <stdatomic.h>

#include "driver.h"

/** One device of one driver. The shared ones (MTLCopyAllDevices) live as long as the process. Thread-safe. */
@interface LinuxDevice : NSObject <MTLDevice> {
@package
  const Driver *_driver;
  uint32_t _index;
  DriverProperties _properties;
  _Atomic uint64_t _allocatedSize;
  BOOL _poisonsPrivateBuffers;
}
/** A device of its own, beside the shared ones. */
- (instancetype)initWithDriver:(const Driver *)driver index:(uint32_t)index;
@end

#endif
