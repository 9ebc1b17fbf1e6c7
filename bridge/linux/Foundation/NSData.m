#import <Foundation/NSData.h>

#import <Foundation/NSException.h>
#include <stdlib.h>
#include <string.h>

@implementation NSData

+ (instancetype)data {
  return [[[self alloc] init] autorelease];
}

+ (instancetype)dataWithBytes:(const void *)bytes length:(NSUInteger)length {
  return [[[self alloc] initWithBytes:bytes length:length] autorelease];
}

+ (instancetype)dataWithBytesNoCopy:(void *)bytes length:(NSUInteger)length freeWhenDone:(BOOL)freeWhenDone {
  return [[[self alloc] initWithBytesNoCopy:bytes length:length freeWhenDone:freeWhenDone] autorelease];
}

- (instancetype)initWithBytes:(const void *)bytes length:(NSUInteger)length {
  void *copy = malloc(length ? length : 1);
  if (!copy) {
    [self release];
    return nil;
  }
  if (length > 0) memcpy(copy, bytes, length);
  return [self initWithBytesNoCopy:copy length:length freeWhenDone:YES];
}

- (instancetype)initWithBytesNoCopy:(void *)bytes length:(NSUInteger)length freeWhenDone:(BOOL)freeWhenDone {
  self = [super init];
  if (!self) return nil;
  _bytes = bytes;
  _length = length;
  _owned = freeWhenDone;
  return self;
}

- (void)dealloc {
  if (_owned) free(_bytes);
  [super dealloc];
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  return [self retain];
}

- (NSUInteger)length {
  return _length;
}

- (const void *)bytes {
  return _bytes;
}

- (void)getBytes:(void *)buffer length:(NSUInteger)length {
  memcpy(buffer, _bytes, length < _length ? length : _length);
}

- (NSUInteger)hash {
  return _length;
}

- (BOOL)isEqual:(id)object {
  return [object isKindOfClass:[NSData class]] && [self isEqualToData:object];
}

- (BOOL)isEqualToData:(NSData *)data {
  return data != nil && _length == data->_length && memcmp(_bytes, data->_bytes, _length) == 0;
}

@end
