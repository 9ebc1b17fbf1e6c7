/* dispatch_data_t: bytes and what to do with them at the end. */
#import <Block.h>
#import <Foundation/NSException.h>
#import <dispatch/dispatch.h>
#include <stdlib.h>
#include <string.h>

@interface LinuxDispatchData : NSObject <OS_dispatch_data> {
 @public
  void *bytes;
  size_t size;
  dispatch_block_t destructor; /* NULL: the bytes are ours, from malloc */
}
@end

@implementation LinuxDispatchData

- (void)dealloc {
  if (destructor) {
    destructor();
    Block_release(destructor);
  } else {
    free(bytes);
  }
  [super dealloc];
}

@end

/* Only its address means something. */
const dispatch_block_t _dispatch_data_destructor_free = ^{
};

dispatch_data_t dispatch_data_create(const void *buffer, size_t size, dispatch_queue_t queue,
                                     dispatch_block_t destructor) {
  (void)queue;
  LinuxDispatchData *data = [[LinuxDispatchData alloc] init];
  data->size = size;
  if (destructor == DISPATCH_DATA_DESTRUCTOR_FREE) {
    data->bytes = (void *)buffer;
  } else if (destructor) {
    data->bytes = (void *)buffer;
    data->destructor = Block_copy(destructor);
  } else {
    data->bytes = malloc(size ? size : 1);
    if (!data->bytes) [NSException raise:NSMallocException format:@"no memory for %lu bytes", (unsigned long)size];
    if (size > 0) memcpy(data->bytes, buffer, size);
  }
  return (dispatch_data_t)data;
}

size_t dispatch_data_get_size(dispatch_data_t data) {
  return ((LinuxDispatchData *)data)->size;
}

dispatch_data_t dispatch_data_create_map(dispatch_data_t data, const void **buffer, size_t *size) {
  LinuxDispatchData *whole = (LinuxDispatchData *)[data retain];
  if (buffer) *buffer = whole->bytes;
  if (size) *size = whole->size;
  return (dispatch_data_t)whole;
}
