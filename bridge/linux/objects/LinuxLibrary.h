#ifndef BUN_METAL_LINUX_LINUXLIBRARY_H
#define BUN_METAL_LINUX_LINUXLIBRARY_H

#import "LinuxDevice.h"

/** A driver's library; its functions keep it loaded. Thread-safe. */
@interface LinuxLibrary : NSObject <MTLLibrary> {
@package
  LinuxDevice *_device;
  DriverLibrary *_library;
  NSString *_label;
}
/* nil and an autoreleased error on failure. A compile with warnings gives both. */
- (instancetype)initWithDevice:(LinuxDevice *)device
                        source:(NSString *)source
                       options:(MTLCompileOptions *)options
                         error:(NSError **)error;
- (instancetype)initWithDevice:(LinuxDevice *)device url:(NSURL *)url error:(NSError **)error;
@end

/** One kernel. Thread-safe. */
@interface LinuxFunction : NSObject <MTLFunction> {
@package
  LinuxLibrary *_library;
  const DriverFunction *_function; /* the library's */
  NSString *_label;
}
- (instancetype)initWithLibrary:(LinuxLibrary *)library function:(const DriverFunction *)function;
@end

#endif
