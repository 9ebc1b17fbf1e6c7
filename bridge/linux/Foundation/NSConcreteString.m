#import <Foundation/NSConcreteString.h>

#import <Foundation/NSException.h>
#import <Foundation/NSStringFormat.h>
#include <stdlib.h>
#include <string.h>

#include "NSUTF8.h"

static bool fitsEncoding(const char *bytes, size_t length, NSStringEncoding encoding) {
  if (encoding == NSUTF8StringEncoding) return NSUTF8IsValid(bytes, length);
  if (encoding != NSASCIIStringEncoding) return false;
  for (size_t i = 0; i < length; i++) {
    if ((unsigned char)bytes[i] >= 0x80) return false;
  }
  return true;
}

@implementation NSConcreteString

- (instancetype)initWithBytes:(const void *)bytes length:(NSUInteger)length encoding:(NSStringEncoding)encoding {
  if (fitsEncoding(bytes, length, encoding)) _bytes = malloc(length + 1);
  if (!_bytes) {
    [self release];
    return nil;
  }
  if (length > 0) memcpy(_bytes, bytes, length);
  _bytes[length] = 0;
  _byteLength = length;
  return self;
}

- (void)dealloc {
  free(_bytes);
  [super dealloc];
}

- (const char *)bytesWithLength:(NSUInteger *)length {
  *length = _byteLength;
  return _bytes;
}

@end

@implementation NSConstantString

- (const char *)bytesWithLength:(NSUInteger *)length {
  *length = _byteLength;
  return _bytes;
}

- (instancetype)retain {
  return self;
}

- (oneway void)release {
}

- (instancetype)autorelease {
  return self;
}

- (NSUInteger)retainCount {
  return NSUIntegerMax;
}

@end

@implementation NSMutableString

+ (instancetype)stringWithCapacity:(NSUInteger)capacity {
  (void)capacity;
  return [self string];
}

- (instancetype)initWithBytes:(const void *)bytes length:(NSUInteger)length encoding:(NSStringEncoding)encoding {
  if (!fitsEncoding(bytes, length, encoding)) {
    [self release];
    return nil;
  }
  [self appendBytes:bytes length:length];
  return self;
}

- (void)dealloc {
  free(_bytes);
  [super dealloc];
}

- (void)appendBytes:(const char *)bytes length:(NSUInteger)length {
  if (_byteLength + length + 1 > _capacity) {
    NSUInteger capacity = (_byteLength + length + 1) * 2;
    char *grown = realloc(_bytes, capacity);
    if (!grown) [NSException raise:NSMallocException format:@"cannot grow a string to %lu bytes", capacity];
    _bytes = grown;
    _capacity = capacity;
  }
  if (length > 0) memmove(_bytes + _byteLength, bytes, length);
  _byteLength += length;
  _bytes[_byteLength] = 0;
}

- (const char *)bytesWithLength:(NSUInteger *)length {
  *length = _byteLength;
  return _bytes;
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  return [[NSString alloc] initWithString:self];
}

- (void)appendString:(NSString *)string {
  NSString *kept = [string copy]; // `string` may be this one, whose bytes move
  NSUInteger length;
  const char *bytes = [kept bytesWithLength:&length];
  [self appendBytes:bytes length:length];
  [kept release];
}

- (void)appendFormat:(NSString *)format, ... {
  va_list arguments;
  va_start(arguments, format);
  size_t length = 0;
  char *text = NSFormatText(format, arguments, &length);
  va_end(arguments);
  if (text) [self appendBytes:text length:length];
  free(text);
}

- (void)setString:(NSString *)string {
  NSString *kept = [string copy];
  _byteLength = 0;
  [self appendString:kept];
  [kept release];
}

@end
