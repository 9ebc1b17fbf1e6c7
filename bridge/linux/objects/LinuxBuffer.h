#ifndef BUN_METAL_LINUX_LINUXBUFFER_H
#define BUN_METAL_LINUX_LINUXBUFFER_H

#import "LinuxDevice.h"

typedef void (^BufferDeallocator)(void *pointer, NSUInteger length);

/** Memory of a device, or of the caller. */
@interface LinuxBuffer : NSObject <MTLBuffer> {
@package
  LinuxDevice *_device;
  void *_bytes;
  NSUInteger _length;
  MTLResourceOptions _options;
  BOOL _wrapped;                  /* the caller's memory */
  BufferDeallocator _deallocator; /* only of wrapped memory; may be nil */
  NSString *_label;
  _Atomic uint64_t _lastUser;     /* see LinuxCommandBuffer's useObject */
}
/* These raise Metal's rules, and return nil when memory is out. */

+ (instancetype)newWithDevice:(LinuxDevice *)device length:(NSUInteger)length options:(MTLResourceOptions)options;
/** Copies the bytes. */
+ (instancetype)newWithDevice:(LinuxDevice *)device
                        bytes:(const void *)bytes
                       length:(NSUInteger)length
                      options:(MTLResourceOptions)options;
/** Uses the memory until dealloc, which calls the deallocator (copied) once. */
+ (instancetype)newWithDevice:(LinuxDevice *)device
                  bytesNoCopy:(void *)bytes
                       length:(NSUInteger)length
                      options:(MTLResourceOptions)options
                  deallocator:(BufferDeallocator)deallocator;
@end

#endif
