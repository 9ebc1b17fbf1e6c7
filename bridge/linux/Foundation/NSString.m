#import <Foundation/NSString.h>

#import <Foundation/NSConcreteString.h>
#import <Foundation/NSException.h>
#import <Foundation/NSStringFormat.h>
#include <stdlib.h>
#include <string.h>

#include "NSUTF8.h"

static void requireArgument(bool there, SEL selector) {
  if (!there) {
    [NSException raise:NSInvalidArgumentException format:@"-[NSString %s]: nil argument", sel_getName(selector)];
  }
}

/* The same for an initialiser, which owns its receiver. */
static void requireForInit(id receiver, bool there, SEL selector) {
  if (!there) [receiver release];
  requireArgument(there, selector);
}

@implementation NSString

/* A class cluster: what `[NSString alloc]` gives is a concrete string. */
+ (instancetype)alloc {
  if (self == [NSString class]) return (id)[NSConcreteString alloc];
  return [super alloc];
}

+ (instancetype)string {
  return [[[self alloc] init] autorelease];
}

+ (instancetype)stringWithString:(NSString *)string {
  return [[[self alloc] initWithString:string] autorelease];
}

+ (instancetype)stringWithUTF8String:(const char *)text {
  return [[[self alloc] initWithUTF8String:text] autorelease];
}

+ (instancetype)stringWithCString:(const char *)text encoding:(NSStringEncoding)encoding {
  requireArgument(text != NULL, _cmd);
  return [[[self alloc] initWithBytes:text length:strlen(text) encoding:encoding] autorelease];
}

+ (instancetype)stringWithFormat:(NSString *)format, ... {
  va_list arguments;
  va_start(arguments, format);
  NSString *string = [[self alloc] initWithFormat:format arguments:arguments];
  va_end(arguments);
  return [string autorelease];
}

- (instancetype)init {
  return [self initWithBytes:"" length:0 encoding:NSUTF8StringEncoding];
}

- (instancetype)initWithString:(NSString *)string {
  requireForInit(self, string != nil, _cmd);
  NSUInteger length;
  const char *bytes = [string bytesWithLength:&length];
  return [self initWithBytes:bytes length:length encoding:NSUTF8StringEncoding];
}

- (instancetype)initWithUTF8String:(const char *)text {
  requireForInit(self, text != NULL, _cmd);
  return [self initWithBytes:text length:strlen(text) encoding:NSUTF8StringEncoding];
}

- (instancetype)initWithFormat:(NSString *)format, ... {
  va_list arguments;
  va_start(arguments, format);
  self = [self initWithFormat:format arguments:arguments];
  va_end(arguments);
  return self;
}

- (instancetype)initWithFormat:(NSString *)format arguments:(va_list)arguments {
  requireForInit(self, format != nil, _cmd);
  size_t length = 0;
  char *text = NSFormatText(format, arguments, &length);
  self = [self initWithBytes:text length:text ? length : 0 encoding:NSUTF8StringEncoding];
  free(text);
  return self;
}

- (instancetype)initWithBytes:(const void *)bytes length:(NSUInteger)length encoding:(NSStringEncoding)encoding {
  (void)bytes, (void)length, (void)encoding;
  [self doesNotRecognizeSelector:_cmd];
  return nil;
}

- (const char *)bytesWithLength:(NSUInteger *)length {
  (void)length;
  [self doesNotRecognizeSelector:_cmd];
  return NULL;
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  return [self retain];
}

- (id)mutableCopyWithZone:(NSZone *)zone {
  (void)zone;
  return [[NSMutableString alloc] initWithString:self];
}

- (NSUInteger)length {
  NSUInteger length;
  const char *bytes = [self bytesWithLength:&length];
  return NSUTF8LengthInUTF16(bytes, length);
}

- (unichar)characterAtIndex:(NSUInteger)index {
  NSUInteger length, unit = 0;
  const char *bytes = [self bytesWithLength:&length];
  for (size_t offset = 0; offset < length;) {
    uint32_t point = NSUTF8Next(bytes, length, &offset);
    if (point <= 0xFFFF) {
      if (unit++ == index) return (unichar)point;
      continue;
    }
    if (unit++ == index) return (unichar)(0xD800 + ((point - 0x10000) >> 10));
    if (unit++ == index) return (unichar)(0xDC00 + ((point - 0x10000) & 0x3FF));
  }
  [NSException raise:NSRangeException format:@"-[NSString characterAtIndex:]: index %lu of %lu", index, unit];
  return 0;
}

- (const char *)UTF8String {
  NSUInteger length;
  return [self bytesWithLength:&length];
}

- (BOOL)isASCII {
  NSUInteger length;
  const char *bytes = [self bytesWithLength:&length];
  for (NSUInteger i = 0; i < length; i++) {
    if ((unsigned char)bytes[i] >= 0x80) return NO;
  }
  return YES;
}

- (NSUInteger)lengthOfBytesUsingEncoding:(NSStringEncoding)encoding {
  if (encoding != NSUTF8StringEncoding && !(encoding == NSASCIIStringEncoding && [self isASCII])) return 0;
  NSUInteger length;
  [self bytesWithLength:&length];
  return length;
}

- (NSUInteger)maximumLengthOfBytesUsingEncoding:(NSStringEncoding)encoding {
  return encoding == NSUTF8StringEncoding ? [self length] * 3 : [self length];
}

- (BOOL)getCString:(char *)buffer maxLength:(NSUInteger)capacity encoding:(NSStringEncoding)encoding {
  NSUInteger length;
  const char *bytes = [self bytesWithLength:&length];
  if (length >= capacity || [self lengthOfBytesUsingEncoding:encoding] != length) return NO;
  memcpy(buffer, bytes, length + 1);
  return YES;
}

- (NSUInteger)hash {
  NSUInteger length, hash = 0xCBF29CE484222325u; // FNV-1a
  const char *bytes = [self bytesWithLength:&length];
  for (NSUInteger i = 0; i < length; i++) hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001B3u;
  return hash;
}

- (BOOL)isEqual:(id)object {
  return object == self || ([object isKindOfClass:[NSString class]] && [self isEqualToString:object]);
}

- (BOOL)isEqualToString:(NSString *)string {
  if (string == nil) return NO;
  NSUInteger length, otherLength;
  const char *bytes = [self bytesWithLength:&length];
  const char *otherBytes = [string bytesWithLength:&otherLength];
  return length == otherLength && memcmp(bytes, otherBytes, length) == 0;
}

/* Bytes of UTF-8 sort as code points do. */
- (NSComparisonResult)compare:(NSString *)string {
  requireArgument(string != nil, _cmd);
  NSUInteger length, otherLength;
  const char *bytes = [self bytesWithLength:&length];
  const char *otherBytes = [string bytesWithLength:&otherLength];
  int order = memcmp(bytes, otherBytes, length < otherLength ? length : otherLength);
  if (order == 0) order = (length > otherLength) - (length < otherLength);
  return order < 0 ? NSOrderedAscending : order > 0 ? NSOrderedDescending : NSOrderedSame;
}

- (BOOL)hasPrefix:(NSString *)prefix {
  requireArgument(prefix != nil, _cmd);
  NSUInteger length, prefixLength;
  const char *bytes = [self bytesWithLength:&length];
  const char *prefixBytes = [prefix bytesWithLength:&prefixLength];
  return prefixLength <= length && memcmp(bytes, prefixBytes, prefixLength) == 0;
}

- (BOOL)hasSuffix:(NSString *)suffix {
  requireArgument(suffix != nil, _cmd);
  NSUInteger length, suffixLength;
  const char *bytes = [self bytesWithLength:&length];
  const char *suffixBytes = [suffix bytesWithLength:&suffixLength];
  return suffixLength <= length && memcmp(bytes + length - suffixLength, suffixBytes, suffixLength) == 0;
}

- (BOOL)containsString:(NSString *)string {
  requireArgument(string != nil, _cmd);
  NSUInteger length, partLength;
  const char *bytes = [self bytesWithLength:&length];
  const char *part = [string bytesWithLength:&partLength];
  for (NSUInteger i = 0; i + partLength <= length; i++) {
    if (memcmp(bytes + i, part, partLength) == 0) return YES;
  }
  return NO;
}

- (NSString *)stringByAppendingString:(NSString *)string {
  requireArgument(string != nil, _cmd);
  return [NSString stringWithFormat:@"%@%@", self, string];
}

- (NSString *)stringByAppendingFormat:(NSString *)format, ... {
  va_list arguments;
  va_start(arguments, format);
  NSString *tail = [[[NSString alloc] initWithFormat:format arguments:arguments] autorelease];
  va_end(arguments);
  return [self stringByAppendingString:tail];
}

- (int)intValue {
  return (int)strtol([self UTF8String], NULL, 10);
}

- (double)doubleValue {
  return strtod([self UTF8String], NULL);
}

- (NSString *)description {
  return self;
}

@end
